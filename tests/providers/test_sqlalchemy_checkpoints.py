"""The write-ahead log is moved into the database beside the commits, and is not in the way of anything."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from minirag.providers.sqlalchemy import checkpoints, purging
from minirag.providers.sqlalchemy.checkpoints import Checkpoints
from minirag.providers.sqlalchemy.engine import DATABASE_NAME, PAGE_SIZE
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage

LIMIT = 40 * PAGE_SIZE
NAME = "minirag-checkpoint"
COUNTER = itertools.count()


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlAlchemyStorage]:
    """A storage whose log is moved when it is a few hundred kilobytes long."""
    monkeypatch.setattr(checkpoints, "LOG_LIMIT", LIMIT)
    storage = SqlAlchemyStorage(tmp_path / "kb")
    with closing(sqlite3.connect(tmp_path / "kb" / DATABASE_NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # making the tables has left a log
    yield storage
    storage.close()


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that began to move the log, by name."""
    begun: list[str] = []
    move = Checkpoints._move

    def watched(self: Checkpoints) -> None:
        begun.append(threading.current_thread().name)
        move(self)

    monkeypatch.setattr(Checkpoints, "_move", watched)
    return begun


def commit(storage: SqlAlchemyStorage, number: int = 1) -> None:
    """Commit so many times; each leaves some pages in the log."""
    for _ in range(number):
        with storage.directory(write=True) as directory:
            directory.put_setting("filler", chr(97 + next(COUNTER) % 26) * 2 * PAGE_SIZE)  # equal pages are not written


def length_of_log(tmp_path: Path) -> int:
    """Return how long the log is, in bytes."""
    return Path(f"{tmp_path / 'kb' / DATABASE_NAME}-wal").stat().st_size


def wait_for_threads() -> None:
    """Wait until no thread moves a log."""
    end = time.monotonic() + 20
    while any(thread.name == NAME for thread in threading.enumerate()):
        assert time.monotonic() < end, "a thread does not end"
        time.sleep(0.01)


def test_a_long_log_is_moved_and_begun_anew(storage: SqlAlchemyStorage, passes: list[str], tmp_path: Path) -> None:
    """The commit that makes it long returns at once, a thread moves it, and the next commits write at its beginning."""
    commit(storage)
    assert passes == []
    longest = 0
    for _ in range(40):
        commit(storage)
        longest = max(longest, length_of_log(tmp_path))
        wait_for_threads()
    assert LIMIT <= longest < 2 * LIMIT
    assert passes == [NAME] * 3
    with storage.directory() as directory:
        assert len(directory.setting("filler") or "") == 2 * PAGE_SIZE


def test_a_commit_does_not_wait(storage: SqlAlchemyStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread moves the log, commits go on, and no second thread begins."""
    begun, go_on = threading.Semaphore(0), threading.Event()
    move = Checkpoints._move

    def slow(self: Checkpoints) -> None:
        begun.release()
        go_on.wait(20)
        move(self)

    monkeypatch.setattr(Checkpoints, "_move", slow)
    commit(storage, 30)
    assert begun.acquire(timeout=5)
    assert not begun.acquire(timeout=0.1)
    go_on.set()
    wait_for_threads()


def test_a_log_that_is_read_for_long_is_not_tried_at_each_commit(
    storage: SqlAlchemyStorage, passes: list[str], tmp_path: Path
) -> None:
    """A reader of an old state keeps the log; it is tried again only as it grows, and moved when the reader has ended."""
    with storage.directory() as directory:
        directory.tenants()
        for _ in range(40):
            commit(storage)
            wait_for_threads()
        tried = len(passes)
        assert 2 <= tried < 20
        assert length_of_log(tmp_path) > 2 * LIMIT
    for _ in range(4):
        commit(storage)
        wait_for_threads()
    assert length_of_log(tmp_path) < LIMIT


def test_nothing_is_moved_during_a_pause(storage: SqlAlchemyStorage, passes: list[str]) -> None:
    """Purging waits for the thread, and cuts the log itself."""
    database = storage._database
    commit(storage, 20)
    with database._checkpoints.paused():  # type: ignore[attr-defined]  # of an SQLite file
        begun = len(passes)
        commit(storage, 20)
        wait_for_threads()
        assert len(passes) == begun
    assert storage._database.old_reads() is None
    commit(storage, 20)
    assert len(passes) > begun


def test_closing_waits_for_the_thread(storage: SqlAlchemyStorage, tmp_path: Path) -> None:
    """What is left is one file, which needs no log."""
    commit(storage, 20)
    storage.close()
    assert all(thread.name != NAME for thread in threading.enumerate())
    assert not Path(f"{tmp_path / 'kb' / DATABASE_NAME}-wal").exists()


def test_trouble_is_not_the_commits(storage: SqlAlchemyStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the log cannot be moved, or no thread can begin, commits are what they were."""

    def fail(_: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "connect", fail)
        commit(storage, 20)
        wait_for_threads()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        commit(storage, 20)
    with storage.directory() as directory:
        assert directory.setting("filler") is not None


def test_another_processes_checkpoint_is_waited_for() -> None:
    """SQLite says "busy" at once while somebody else moves the log; cutting it is tried again."""

    class Moved:
        answers: Iterator[tuple[int, int, int]] = iter([(1, 9, 9), (1, 9, 9), (0, 0, 0)])

        def execute(self, _: str) -> Moved:
            return self

        def fetchone(self) -> tuple[int, int, int]:
            return next(self.answers)

    assert purging._log_is_cut(Moved())  # type: ignore[arg-type]  # as far as it is used


def test_it_is_the_log_that_is_looked_at(storage: SqlAlchemyStorage, tmp_path: Path) -> None:
    """A database without a log, such as one that nobody has written yet, is no trouble."""
    checks = Checkpoints(storage._database._settings)  # type: ignore[attr-defined]  # of an SQLite file
    with closing(sqlite3.connect(tmp_path / "kb" / DATABASE_NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    checks.committed()
    Path(f"{tmp_path / 'kb' / DATABASE_NAME}-wal").unlink()
    checks.committed()
    assert checks._thread is None
