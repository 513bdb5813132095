"""The command line in this process, and a workspace to try it on."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from minirag.cli import main

DOCUMENTS = {
    "returns.md": "# Returns\n\nA laptop may be returned within 30 days of delivery. Gift cards are never taken back.\n",
    "repairs.txt": "A repair takes seven working days. The battery is repaired for free within two years.\n",
    "sub/prices.csv": "item,price\nlaptop,900\nphone,500\n",
}


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


Command = Callable[..., Result]


class Keyboard(io.StringIO):
    """Input that claims to come from a person."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what whoever runs the tests has set: settings, and output without a buffer, which makes pipes differ."""
    for name in [name for name in os.environ if name.startswith("MINIRAG_") or name == "PYTHONUNBUFFERED"]:
        monkeypatch.delenv(name)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command and return what it printed; `stdin` is what is piped into it, `typed` what a person types."""

    def run(*arguments: object, stdin: str = "", typed: str | None = None) -> Result:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin) if typed is None else Keyboard(typed))
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Result(code, out, err)

    return run


def _fill(folder: Path) -> None:
    for name, text in DOCUMENTS.items():
        path = folder / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _make_workspace() -> None:
    options = ["-w", "kb", "-t", "acme", "-b", "support", "--create", "--embedder", "hashing", "-q"]
    assert main(["add", "docs", *options]) == 0


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with documents but no workspace; it is the current one."""
    _fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def place(empty: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder as `empty` does, with a workspace `kb` whose tenant `acme` has a bot `support` that knows the documents."""
    _make_workspace()
    monkeypatch.setenv("MINIRAG_WORKSPACE", "kb")
    return empty


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    _fill(folder)
    with contextlib.chdir(folder):
        _make_workspace()
    return folder


@pytest.fixture
def shared(_shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder as `place` does, for tests that change nothing in it."""
    monkeypatch.chdir(_shared)
    monkeypatch.setenv("MINIRAG_WORKSPACE", "kb")
    return _shared
