"""An index that still holds what was erased is never kept again, by whomever, and is fed anew by whoever has it."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from minirag._services.snapshots import SnapshotFolder
from tests.erasure.scanning import found_in
from tests.erasure.world import KEY, Seeded, canaries, fill, lower_thresholds, open_bot, open_workspace


@pytest.fixture(autouse=True)
def large_bots(monkeypatch: pytest.MonkeyPatch) -> None:
    lower_thresholds(monkeypatch.setattr)


def test_a_snapshot_that_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that another thread began to write before an erasure is not published after it."""
    embedder = Seeded()
    writing, erased = threading.Event(), threading.Event()
    write = SnapshotFolder.write

    def slow(self: SnapshotFolder, header: Any, fill_: Callable[[Any], None], *, valid: Callable[[], bool]) -> int:
        def waits(writer: Any) -> None:
            fill_(writer)
            writing.set()
            assert erased.wait(60)

        return write(self, header, waits, valid=valid)

    with open_workspace(tmp_path, embedder) as opened:
        bot = open_bot(opened)
        monkeypatch.setattr("minirag._services.maintenance._LEAST_ENTRIES", 10_000)
        fill(bot)
        bot.search("parcel")
        needles = canaries(embedder)
        monkeypatch.setattr("minirag._services.maintenance._LEAST_ENTRIES", 20)
        monkeypatch.setattr(SnapshotFolder, "write", slow)
        thread = threading.Thread(target=bot.optimize)
        thread.start()
        assert writing.wait(60)
        receipt = bot.documents.remove(KEY, erase=True)
        erased.set()
        thread.join(60)
        assert receipt.status == "done"
        assert found_in(tmp_path / "index", needles) == []
        bot.optimize()
        assert list((tmp_path / "index").rglob("*.snapshot"))
        assert found_in(tmp_path, needles) == []


def test_a_snapshot_begun_after(tmp_path: Path) -> None:
    """An index of before the erasure that is asked to be kept after it makes no file at all, not even an unfinished one."""
    embedder = Seeded()
    with open_workspace(tmp_path, embedder) as opened:
        bot = open_bot(opened)
        fill(bot)
        bot.optimize()
        core = opened._core
        names = [name for name in core.partitions._loaded if name[1] == bot.id]
        before = {name: core.partitions.get(name) for name in names}
        assert len(before) == 2
        bot.documents.remove(KEY, erase=True)
        made: list[str] = []
        for name, loaded in before.items():
            assert loaded is not None
            loaded.changed = 1_000
            loaded.position = _position(opened, bot)  # as if it had replayed the log, with removed rows still in it
            core.maintenance._keep(name, loaded)
            made += [str(path) for path in (tmp_path / "index").rglob("*") if path.suffix in {".tmp", ".snapshot"}]
        assert made == []
        assert found_in(tmp_path, canaries(embedder)) == []


def _position(workspace: Any, bot: Any) -> Any:
    with workspace._core.storage.read(bot._context.scope) as reader:
        return reader.position(bot.id)


def _other(folder: Path, connection: Connection) -> None:
    """Search, tell, wait; then search and keep the index, as a process does that knows nothing of the erasure."""
    lower_thresholds(pytest.MonkeyPatch().setattr)
    with open_workspace(folder) as opened:
        bot = open_bot(opened)
        connection.send(len(list(bot.search("quokka", mode="keyword"))))
        connection.recv()
        stale = [loaded for name, loaded in opened._core.partitions._loaded.items() if name[1] == bot.id]
        for name, loaded in list(opened._core.partitions._loaded.items()):
            loaded.changed = 1_000
            opened._core.maintenance._keep(name, loaded)
        found = len(list(bot.search("quokka", mode="keyword"))), len(list(bot.search("parcel", k=500, mode="dense")))
        bot.optimize()
        now = [loaded.partition for name, loaded in opened._core.partitions._loaded.items() if name[1] == bot.id]
        connection.send((*found, len(stale), len(now)))
        connection.recv()


@pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be deleted there")
def test_another_process(tmp_path: Path) -> None:
    """Another process that has the bot loaded finds nothing of it at its next search, and keeps no index that holds it."""
    embedder = Seeded()
    with open_workspace(tmp_path, embedder) as opened:
        bot = open_bot(opened)
        fill(bot)
        bot.optimize()
        needles = canaries(embedder)
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        process = context.Process(target=_other, args=(tmp_path, theirs))
        process.start()
        try:
            assert mine.poll(60)
            assert mine.recv() > 0
            receipt = bot.documents.remove(KEY, erase=True)
            assert receipt.status == "done"
            mine.send("erased")
            assert mine.poll(60)
            keyword, dense, stale, now = mine.recv()
            assert (keyword, dense) == (0, bot.stats().chunks)
            assert (stale > 0, now) == (True, 2)
            assert list((tmp_path / "index").rglob("*.snapshot")), "nothing was kept"
            assert found_in(tmp_path, needles) == []
            mine.send("end")
            process.join(60)
        finally:
            process.kill()
        assert process.exitcode == 0
