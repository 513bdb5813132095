"""An erasure that cannot be finished says why, and is finished later."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minirag._services.snapshots import SnapshotFolder
from minirag.providers.sqlalchemy import purging
from tests.erasure.scanning import found_in
from tests.erasure.world import KEY, Seeded, canaries, fill, lower_thresholds, open_bot, open_workspace

_READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM text_blocks").fetchone()
print("reading", flush=True)
sys.stdin.readline()
"""


@contextmanager
def old_read(folder: Path) -> Iterator[None]:
    """Hold the database as it is now in another process."""
    arguments = [sys.executable, "-c", _READER, str(folder / "minirag.sqlite3")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        yield
        process.communicate("\n", timeout=60)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "_PATIENCE_MS", 50)


def test_another_process_reads(tmp_path: Path) -> None:
    """While another process holds an old read the receipt is pending and says so; the rows are gone all the same."""
    embedder = Seeded()
    with open_workspace(tmp_path, embedder) as opened:
        bot, needles = open_bot(opened), None
        fill(bot, documents=5)
        needles = canaries(embedder)
        with old_read(tmp_path):
            receipt = bot.documents.remove(KEY, erase=True)
            assert (receipt.status, receipt.verified, receipt.finished_at) == ("pending", False, None)
            assert "another process" in str(receipt.cause)
            assert "resume()" in str(receipt.cause)
            assert list(bot.search("quokka", mode="keyword")) == []
            assert found_in(tmp_path, needles), "nothing was held up"
            assert [each.status for each in opened.erasures.resume()] == ["pending"]
        (resumed,) = opened.erasures.resume()
        assert (resumed.id, resumed.status, resumed.verified, resumed.cause) == (receipt.id, "done", True, None)
        assert opened.erasures.get(receipt.id) == resumed
        assert found_in(tmp_path, needles) == []


def test_reopened(tmp_path: Path) -> None:
    """What is pending when a workspace is closed is finished by another process that opens it, for a tenant that is gone too."""
    with open_workspace(tmp_path) as opened:
        fill(open_bot(opened), documents=5)
        with old_read(tmp_path):
            assert opened.tenants.delete("acme", erase=True).status == "pending"
    with open_workspace(tmp_path) as opened:
        (receipt,) = opened.erasures.resume()
        assert (receipt.kind, receipt.status, receipt.verified) == ("tenant", "done", True)
        connection = sqlite3.connect(tmp_path / "minirag.sqlite3")
        assert connection.execute("SELECT length(traces), length(keys) FROM erasures").fetchall() == [(0, 0)]
        connection.close()


def test_the_look_is_a_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If index files stay where they are, the receipt finds the pieces in them, and is not done."""
    lower_thresholds(monkeypatch.setattr)
    with open_workspace(tmp_path) as opened:
        bot = open_bot(opened)
        fill(bot)
        bot.optimize()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SnapshotFolder, "_delete", lambda *_: None)
            receipt = bot.documents.remove(KEY, erase=True)
        assert (receipt.status, receipt.verified) == ("pending", False)
        assert receipt.leftovers > 0
        assert "pieces" in str(receipt.cause)
        (resumed,) = opened.erasures.resume()
        assert (resumed.status, resumed.verified, resumed.leftovers) == ("done", True, 0)


def test_a_file_that_was_not_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the database is not rewritten, and deletes without overwriting, the receipt finds the pieces in its free pages."""
    with open_workspace(tmp_path) as opened:
        bot = open_bot(opened)
        fill(bot, documents=5)
        for connection in _connections(opened):
            connection.execute("PRAGMA secure_delete = OFF")
        monkeypatch.setattr(purging, "_REWRITE", "SELECT 1")
        receipt = bot.documents.remove(KEY, erase=True)
        assert (receipt.status, receipt.verified) == ("pending", False)
        monkeypatch.undo()
        (resumed,) = opened.erasures.resume()
        assert (resumed.status, resumed.verified) == ("done", True)


def _connections(workspace: object) -> list[sqlite3.Connection]:
    """Return the connections that a workspace keeps open."""
    pool = workspace._core.storage._database._engine.pool  # type: ignore[attr-defined]
    held = [pool.connect() for _ in range(pool.checkedin())]
    connections = [each.driver_connection for each in held]
    for each in held:
        each.close()
    return connections


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database cannot be rewritten for want of room, the receipt says so."""
    with open_workspace(tmp_path) as opened:
        bot = open_bot(opened)
        fill(bot, documents=5)
        # A file that cannot be made is to SQLite what a full disk is.
        monkeypatch.setattr(purging, "_REWRITE", "ATTACH '/nowhere/at/all/x.db' AS full")
        receipt = bot.documents.remove(KEY, erase=True)
        assert receipt.status == "pending"
        assert "make room" in str(receipt.cause)
        monkeypatch.undo()
        assert [each.status for each in opened.erasures.resume()] == ["done"]


@pytest.mark.skipif(sys.platform == "win32", reason="locks of Windows belong to the descriptor")
def test_the_look_leaves_the_locks(tmp_path: Path) -> None:
    """A process that opens and closes the database after an erasure does not take itself for the last, and the log stays."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT count(*) FROM bots').fetchone(); c.close()"
    file = tmp_path / "minirag.sqlite3"
    with open_workspace(tmp_path) as opened:
        bot = open_bot(opened)
        fill(bot, documents=3)
        assert bot.documents.remove(KEY, erase=True).status == "done"
        log = Path(f"{file}-wal")
        inode = log.stat().st_ino
        subprocess.run([sys.executable, "-c", code, str(file)], check=True)
        assert log.exists(), "the log was taken away from a process that uses it"
        assert log.stat().st_ino == inode
        fill(bot, documents=3, chat=False)
    with open_workspace(tmp_path) as opened:
        assert open_bot(opened).documents.count() == 4
        assert opened.verify().ok
