"""doctor: what is installed, what can be used, what is wrong."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from minirag.errors import ProviderNotInstalledError
from minirag.plugins.registry import Registry

Cli = Any


@pytest.fixture(autouse=True)
def _quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare most tests the loading of the bundled model."""
    if "model" not in request.node.name:
        monkeypatch.setattr("minirag.cli.doctor._embedder_problems", lambda registry: [])


def distribution(folder: Path, name: str, files: dict[str, str | bytes]) -> None:
    """Write the metadata of an installed distribution."""
    place = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    place.mkdir()
    for file, content in files.items():
        (place / file).write_bytes(content if isinstance(content, bytes) else content.encode())


def test_a_sound_installation_with_its_model(cli: Cli, empty: Path) -> None:
    """Versions, every provider with origin and availability, and no problem; the bundled model is tried."""
    result = cli("doctor", "--json")
    report = result.json
    assert set(report) == {"minirag", "python", "sqlite", "libraries", "providers", "workspace", "problems"}
    assert (result.code, report["problems"], report["workspace"]) == (0, [], None)
    rows = {(row["kind"], row["name"]): row for row in report["providers"]}
    for kind, name in (("embedder", "minilm"), ("llm", "extractive"), ("storage", "sqlalchemy"), ("parser", "pdf")):
        assert (rows[kind, name]["origin"], rows[kind, name]["available"]) == ("built-in", True)
    assert report["libraries"]["numpy"]


def test_for_people(cli: Cli, place: Path) -> None:
    """The same as a table, with the workspace that is named."""
    result = cli("doctor")
    assert (result.code, result.err) == (0, "")
    assert f"workspace {place / 'kb'}: 1 tenants" in result.out
    assert any(line.split()[:4] == ["embedder", "hashing", "built-in", "yes"] for line in result.out.splitlines())
    assert result.out.endswith("\nno problem found\n")


@pytest.mark.parametrize(
    "files",
    [
        {"METADATA": "Name: minirag-hku\nVersion: 1.0\n", "top_level.txt": "minirag\n"},
        {"METADATA": "Name: minirag-hku\nVersion: 1.0\n", "RECORD": "minirag/__init__.py,,\nminirag/base.py,,\n"},
    ],
)
def test_a_package_of_the_same_name(
    files: dict[str, str | bytes], cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another distribution that installs `minirag` is a problem, told with the way out."""
    distribution(empty, "minirag-hku", files)
    (empty / "minirag").mkdir()
    for name in ("__init__.py", "base.py"):
        # From 3.12 on a distribution's files are those that are there.
        (empty / "minirag" / name).touch()
    monkeypatch.syspath_prepend(str(empty))
    result = cli("doctor", "--json")
    assert result.code == 1
    assert len(result.json["problems"]) == 1
    assert "pip uninstall minirag-hku && pip install --force-reinstall minirag-core" in result.json["problems"][0]
    shown = cli("doctor")
    assert shown.code == 1
    assert "\nproblem: the package 'minirag-hku' " in shown.out


def test_damaged_metadata_of_others(cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no problem of ours, and does not stop the doctor."""
    distribution(empty, "nameless", {"METADATA": "", "top_level.txt": "other\n"})
    distribution(empty, "broken", {"METADATA": b"\xff\xfe\x00", "top_level.txt": b"\xff", "RECORD": b"\xff,,\n"})
    monkeypatch.syspath_prepend(str(empty))
    result = cli("doctor", "--json")
    assert (result.code, result.json["problems"]) == (0, [])


def test_a_plugin_that_cannot_be_loaded(cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named with the reason."""
    files = {"METADATA": "Name: acme-plugin\nVersion: 1.0\n", "entry_points.txt": "[minirag]\nacme = no_such_module\n"}
    distribution(empty, "acme-plugin", files)
    monkeypatch.syspath_prepend(str(empty))
    result = cli("doctor")
    assert result.code == 1
    assert "problem: acme (acme-plugin 1.0): ModuleNotFoundError" in result.out


def test_a_provider_whose_package_is_missing(cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed as not available, with what it needs."""
    real = sys.modules["minirag.plugins.discovery"]._is_importable  # type: ignore[attr-defined]
    monkeypatch.setattr("minirag.plugins.discovery._is_importable", lambda name: name != "pypdf" and real(name))
    rows = {row["name"]: row for row in cli("doctor", "--json").json["providers"] if row["kind"] == "parser"}
    assert (rows["pdf"]["available"], rows["pdf"]["summary"]) == (False, "needs pypdf")
    assert rows["text"]["available"] is True


def test_what_brings_a_provider_and_what_it_lacks(cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name and version of the distribution behind each module; for what is missing, the command that brings it."""
    real = sys.modules["minirag.plugins.discovery"]._is_importable  # type: ignore[attr-defined]
    monkeypatch.setattr("minirag.plugins.discovery._is_importable", lambda name: name != "tokenizers" and real(name))
    rows = {row["name"]: row for row in cli("doctor", "--json").json["providers"] if row["kind"] == "embedder"}
    assert rows["hashing"]["version"] == metadata.version("minirag-core")
    assert (rows["hashing"]["needs"], rows["hashing"]["install"]) == ({}, None)
    assert rows["minilm"]["needs"]["onnxruntime"] == f"onnxruntime {metadata.version('onnxruntime')}"
    assert rows["onnx"]["available"] is False
    assert rows["onnx"]["install"] == 'pip install "minirag-core[onnx]"'
    shown = cli("doctor").out.splitlines()
    line = next(line for line in shown if line.split()[:2] == ["embedder", "onnx"])
    assert line.endswith('needs tokenizers; run: pip install "minirag-core[onnx]"')
    line = next(line for line in shown if line.split()[:2] == ["embedder", "minilm"])
    assert f"onnxruntime {metadata.version('onnxruntime')}" in line


def test_a_model_that_does_not_work(cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled embedder is tried, and what it says is shown."""

    def fail(*arguments: object) -> None:
        raise ProviderNotInstalledError("embedder 'minilm' needs 'onnxruntime', which cannot be imported")

    monkeypatch.setattr(Registry, "create", fail)
    result = cli("doctor")
    assert result.code == 1
    assert "problem: the bundled embedder does not work: embedder 'minilm' needs 'onnxruntime'" in result.out


def test_a_workspace_that_cannot_be_opened(cli: Cli, empty: Path) -> None:
    """It is one more problem; the rest is shown all the same."""
    Path("kb").mkdir()
    Path("kb/minirag.sqlite3").write_bytes(b"no database" * 1000)
    for place in ("kb", "nowhere"):
        result = cli("doctor", "-w", place, "--json")
        assert result.code == 1
        assert result.json["problems"][0].startswith("the workspace cannot be opened: ")
        assert result.json["providers"]
