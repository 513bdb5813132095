"""Work beside searches: snapshots are written when they pay, read by the next process, and gone with their bot."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag import DocumentInput
from minirag._services.snapshots import LOCK, SnapshotFolder
from minirag.bot import Bot
from minirag.errors import StorageError
from minirag.providers.faiss.plan import Plan
from minirag.providers.local.hashing import Hashing
from minirag.providers.sqlalchemy.reader import SqlAlchemyReader
from tests.crash.operations import lower_thresholds

DOCUMENTS = 700


@pytest.fixture(autouse=True)
def thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots and codes from a few dozen entries on."""
    lower_thresholds(monkeypatch.setattr)


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[Bot]:
    """Yield the bot of the workspace in a folder."""
    with minirag.Workspace.open(folder, embedder=Hashing(dimension=64), plugins=[], **settings) as workspace:
        tenant = workspace.tenant("acme", create=not settings.get("read_only"))
        create = {} if settings.get("read_only") else {"create": True, "chunker": "whole", "language": "en"}
        yield tenant.bot("support", **create)


def texts(first: int, last: int) -> list[DocumentInput]:
    return [
        DocumentInput(text=f"Letter {n} tells of harbour {n * 7 % 101} and ship {n * 13 % 89}.", key=str(n))
        for n in range(first, last)
    ]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "index").rglob("*") if path.is_file() and path.name != LOCK)


def answers(bot: Bot) -> list[list[tuple[str, float]]]:
    return [
        [(hit.key, hit.score) for hit in bot.search(query, k=10, mode=mode)]  # type: ignore[arg-type]  # modes
        for query in ("harbour 5", "ship 9 letter")
        for mode in ("dense", "keyword", "hybrid")
    ]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of rows of each batch that an index is fed with from the database."""
    batches: list[int] = []
    for name in ("vectors", "index_texts"):
        plain = getattr(SqlAlchemyReader, name)

        def counted(self: Any, *arguments: Any, plain: Any = plain, **keywords: Any) -> Iterator[Any]:
            for batch in plain(self, *arguments, **keywords):
                batches.append(len(batch[0]) if isinstance(batch, tuple) else len(batch))
                yield batch

        monkeypatch.setattr(SqlAlchemyReader, name, counted)
    return batches


def test_the_next_process_begins_with_the_snapshot(tmp_path: Path, read: list[int]) -> None:
    """A search makes the snapshots; another workspace answers the same from them and reads only what came since."""
    with opened(tmp_path) as bot:
        bot.add(texts(0, DOCUMENTS))
        bot.search("harbour")
    assert len(files(tmp_path)) == 2
    with opened(tmp_path) as bot:
        bot.add(texts(DOCUMENTS, DOCUMENTS + 5))
        bot.documents.remove("3")
        read.clear()
        first = answers(bot)
        assert 0 < sum(read) <= 2 * 5
        shutil.rmtree(tmp_path / "index")
    with opened(tmp_path) as bot:
        read.clear()
        assert answers(bot)[1::3] == first[1::3]
        assert sum(read) == 2 * (DOCUMENTS + 4)


def test_optimize_finishes_everything(tmp_path: Path) -> None:
    """Nothing is pending afterwards, codes are in use and both files are there."""
    with opened(tmp_path) as bot:
        bot.add(texts(0, DOCUMENTS))
        before = bot.stats()
        assert (before.engine, before.indexed, before.snapshot_bytes, before.memory_bytes) == (None, None, 0, 0)
        stats = bot.optimize()
        assert (stats.engine, stats.pending, stats.indexed) == ("ivf-pq", 0, stats.sequence)
        assert stats.snapshot_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.snapshot"))
        assert stats.vector_bytes == DOCUMENTS * 64 * 4
        assert stats.memory_bytes > 0
        assert len(files(tmp_path)) == 2
        times = [path.stat().st_mtime_ns for path in tmp_path.rglob("*.snapshot")]
        assert bot.optimize() == stats
        assert [path.stat().st_mtime_ns for path in tmp_path.rglob("*.snapshot")] == times


def test_an_engine_that_was_built_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot without codes, written in a hurry when a workspace was closed, is replaced once they are there."""
    with opened(tmp_path) as bot:
        bot.add(texts(0, DOCUMENTS))
        with monkeypatch.context() as patch:
            patch.setattr("minirag.providers.faiss.partition.FaissPartition.optimize", lambda self, stop: None)
            bot.optimize()
        assert bot.stats().engine == "exact"
    with opened(tmp_path) as bot:
        assert bot.optimize().engine == "ivf-pq"
    with opened(tmp_path) as bot:
        bot.search("harbour", mode="dense")
        assert bot.stats().engine == "ivf-pq"


def test_codes_that_were_refused_are_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That they do not pay is kept too, until there are twice as many rows."""
    strict = Plan(coded_floats=10_000, coded_rows=256, candidates=(64,), missed=-1.0)
    monkeypatch.setattr("minirag.providers.faiss.index.Plan", lambda: strict)
    with opened(tmp_path) as bot:
        bot.add(texts(0, DOCUMENTS))
        assert (bot.optimize().engine, bot.stats().pending) == ("exact", 0)
    with opened(tmp_path) as bot:
        bot.search("harbour", mode="dense")
        assert (bot.stats().engine, bot.stats().pending) == ("exact", 0)
        monkeypatch.setattr("minirag._services.maintenance.Maintenance.request", lambda *_: None)
        bot.add(texts(DOCUMENTS, 2 * DOCUMENTS))
        bot.search("harbour", mode="dense")
        assert bot.stats().pending == 2 * DOCUMENTS


def test_small_changes_write_no_file(tmp_path: Path) -> None:
    """The log replays them; a quarter of all entries has to change."""
    with opened(tmp_path) as bot:
        bot.add(texts(0, DOCUMENTS))
        bot.optimize()
        times = [path.stat().st_mtime_ns for path in tmp_path.rglob("*.snapshot")]
        bot.add(texts(DOCUMENTS, DOCUMENTS + 30))
        bot.search("harbour")
    assert [path.stat().st_mtime_ns for path in tmp_path.rglob("*.snapshot")] == times
    with opened(tmp_path) as bot:
        bot.add(texts(DOCUMENTS + 30, 2 * DOCUMENTS))
        bot.search("harbour")
    assert all(path.stat().st_mtime_ns > max(times) for path in tmp_path.rglob("*.snapshot"))


@pytest.mark.parametrize("what", ["bot", "tenant"])
def test_files_go_with_their_bot(tmp_path: Path, what: str) -> None:
    """Nothing of a deleted bot or tenant stays below `index/`."""
    with minirag.Workspace.open(tmp_path, embedder=Hashing(dimension=64), plugins=[]) as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True, chunker="whole")
        bot.add(texts(0, DOCUMENTS))
        bot.optimize()
        assert len(files(tmp_path)) == 2
        if what == "bot":
            bot.delete()
        else:
            workspace.tenants.delete("acme")
        assert files(tmp_path) == []


def test_a_bot_deleted_meanwhile_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that is being written when its bot is deleted is not published."""
    write = SnapshotFolder.write
    with opened(tmp_path) as bot:
        bot.add(texts(0, DOCUMENTS))

        def late(self: SnapshotFolder, header: Any, fill: Any, *, valid: Any) -> int:
            if bot._context.core.storage.workspace_id and not gone:
                gone.append(1)
                with bot._context.core.storage.write(bot._context.scope) as writer:
                    writer.delete_bot(bot.id)
            return write(self, header, fill, valid=valid)

        gone: list[int] = []
        monkeypatch.setattr(SnapshotFolder, "write", late)
        bot.search("harbour", mode="dense")
    assert gone
    assert files(tmp_path) == []


def test_a_read_only_workspace_reads_snapshots_and_writes_none(tmp_path: Path, read: list[int]) -> None:
    """It may use what is there."""
    with opened(tmp_path) as bot:
        bot.add(texts(0, DOCUMENTS))
    with opened(tmp_path, read_only=True) as bot:
        bot.search("harbour")
        bot.optimize()
    assert files(tmp_path) == []
    with opened(tmp_path) as bot:
        bot.optimize()
    read.clear()
    with opened(tmp_path, read_only=True) as bot:
        bot.search("harbour")
    assert sum(read) == 0


def test_files_lie_where_they_are_told_to(tmp_path: Path) -> None:
    """`cache_dir` moves them; several workspaces may share it."""
    with opened(tmp_path / "kb", cache_dir=tmp_path / "cache") as bot:
        bot.add(texts(0, DOCUMENTS))
        bot.optimize()
        name = bot._context.core.storage.workspace_id
    assert not (tmp_path / "kb" / "index").exists()
    assert len(list((tmp_path / "cache" / name).rglob("*.snapshot"))) == 2


def test_a_disk_that_is_full_stops_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the background it is a warning, asked for it is our error; answers are the same."""

    def full(self: Any, *arguments: Any, **keywords: Any) -> int:
        raise OSError(28, "No space left on device")

    with opened(tmp_path) as bot:
        bot.add(texts(0, DOCUMENTS))
        expected = answers(bot)
    shutil.rmtree(tmp_path / "index")
    monkeypatch.setattr(SnapshotFolder, "write", full)
    with caplog.at_level(logging.WARNING, "minirag"), opened(tmp_path) as bot:
        assert answers(bot)[1::3] == expected[1::3]
        with pytest.raises(StorageError, match="No space left"):
            bot.optimize()
    assert "No space left" in caplog.text
    assert files(tmp_path) == []


def test_optimize_without_waiting_returns_at_once(tmp_path: Path) -> None:
    """The work is done beside it, at the latest when the workspace is closed."""
    with opened(tmp_path) as bot:
        bot.add(texts(0, DOCUMENTS))
        bot.optimize(wait=False)
    assert len(files(tmp_path)) == 2
