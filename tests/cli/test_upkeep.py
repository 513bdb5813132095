"""`minirag verify`, `repair`, `backup` and `rotate`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Command


@pytest.fixture
def workspace(cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with one document."""
    monkeypatch.chdir(tmp_path)
    Path("note.md").write_text("A laptop may be returned within thirty days.\n", encoding="utf-8")
    done = cli(
        "add", "-w", "kb", "-t", "acme", "-b", "support", "--create", "--embedder", "hashing", "note.md", "--quiet"
    )
    assert done.code == 0, done.err
    return tmp_path / "kb"


def spoil(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "minirag.sqlite3", isolation_level=None)) as connection:
        connection.execute("UPDATE bot_logs SET chunks = chunks + 1")
        connection.execute("UPDATE text_blocks SET text = replace(text, 'laptop', 'tablet')")


def test_a_workspace_without_a_fault(cli: Command, workspace: Path) -> None:
    """Exit code 0, a summary, and what was not checked."""
    result = cli("verify", "-w", "kb")
    assert (result.code, result.err) == (0, "")
    assert "no faults in 1 tenant, 1 bot, 1 document" in result.out
    assert "not checked: whether embedders" in result.out
    quick = cli("verify", "-w", "kb", "--quick", "--models", "--quiet")
    assert quick.code == 0
    assert "vector" not in quick.out
    assert "1 embedder" in quick.out
    assert "not checked" not in quick.out


def test_faults_are_listed_and_repaired(cli: Command, workspace: Path) -> None:
    """Each with its place and what is to be done; the exit code is 1 while one is left."""
    spoil(workspace)
    result = cli("verify", "-w", "kb")
    assert (result.code, result.err) == (1, "")
    assert "acme/support" in result.out
    assert "counters" in result.out
    assert "add it again" in result.out
    assert "tablet" not in result.out
    repaired = cli("repair", "-w", "kb")
    assert (repaired.code, repaired.err) == (1, "")
    assert "1 fault repaired, 1 fault left" in repaired.out
    assert cli("add", "-w", "kb", "note.md", "--quiet").code == 0
    assert cli("repair", "-w", "kb").code == 0 or "old version" in cli("repair", "-w", "kb").out


def test_reports_as_json(cli: Command, workspace: Path) -> None:
    """The records of the library."""
    spoil(workspace)
    assert [fault["kind"] for fault in cli("verify", "-w", "kb", "--json").json["faults"]] == ["text", "counters"]
    report = cli("repair", "-w", "kb", "--json").json
    assert [fault["kind"] for fault in report["repaired"]] == ["counters"]
    assert [fault["kind"] for fault in report["remaining"]] == ["text"]


def test_a_backup(cli: Command, workspace: Path) -> None:
    """It is made once, and says whether the master key is in it."""
    result = cli("backup", "-w", "kb", "copy")
    assert (result.code, result.err) == (0, "")
    assert "without the master key" in result.out
    again = cli("backup", "-w", "kb", "copy")
    assert (again.code, again.out) == (1, "")
    assert "exists already" in again.err
    assert cli("backup", "-w", "kb", "--include-key", "with-key", "--json").json["key"] == "copied"
    assert cli("verify", "-w", "with-key").code == 0
    assert cli("backup", "-w", "kb", "kb/inside").code == 2


def test_keys_are_changed(cli: Command, workspace: Path) -> None:
    """The master key, and a tenant's data key where it has one; an unknown tenant is named."""
    before = (workspace / "master.key").read_text()
    done = cli("rotate", "master", "-w", "kb")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("the key is now ")
    assert "0 data keys wrapped anew" in done.out
    assert (workspace / "master.key").read_text() != before
    assert cli("rotate", "tenant", "-w", "kb", "acme").out == "the tenant holds no credentials, so it has no key\n"
    sealed = cli(
        "bots", "update", "-w", "kb", "-t", "acme", "support", "--llm", "openai:gpt-4o-mini", "--credential", "api_key",
        stdin="a key",
    )  # fmt: skip
    assert sealed.code == 0, sealed.err
    assert '"rewrapped": 1' in cli("rotate", "tenant", "-w", "kb", "acme", "--json").out
    missing = cli("rotate", "tenant", "-w", "kb", "nobody")
    assert missing.code == 1
    assert "no tenant 'nobody'" in missing.err
