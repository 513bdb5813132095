"""`Checkpoints`: what stands in SQLite's write-ahead log is moved into the database beside the commits, not inside of one."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from minirag.providers.sqlalchemy.engine import LOG_LIMIT, Settings, connect

__all__ = ["Checkpoints"]

_LOG: Final = logging.getLogger("minirag.storage")
_PASSES: Final = 8
"""What was committed during one pass is moved by the next, which is shorter; a log that was moved whole is begun anew."""


class Checkpoints:
    """Starts a thread when a commit has left a long log; only one at a time, and it ends when the log is moved.

    SQLite itself moves a long log in the commit that made it long, which then waits until the disk has all of it: of a second
    that a removal of 1,000 documents took, six tenths. Commits go on while the thread works. If the log grows faster than it
    is moved, SQLite's own way is still there, at a longer log; see `engine.connect`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = f"{settings.file}-wal"
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pauses = 0
        self._from = LOG_LIMIT

    def committed(self) -> None:
        """Take note of a commit; never waits and never raises."""
        try:
            length = os.stat(self._file).st_size  # noqa: PTH116 - a Path of it would take as long again, at each commit
        except OSError:
            return
        if length < self._from:
            if length < LOG_LIMIT:
                self._from = LOG_LIMIT
            return
        with self._lock:
            if self._pauses or self._thread is not None:
                return
            # A log that could not be moved whole, since somebody reads it for long, is not tried again at each commit.
            self._from = length + LOG_LIMIT // 4
            self._thread = threading.Thread(target=self._move, name="minirag-checkpoint")
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is about to end, or there are too many threads
                self._thread = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Wait until no thread is at work, and start none during the block: two cannot move one log."""
        self._pause()
        try:
            yield
        finally:
            with self._lock:
                self._pauses -= 1

    def close(self) -> None:
        """Wait until no thread is at work, and start none any more."""
        self._pause()

    def _pause(self) -> None:
        with self._lock:
            self._pauses += 1
            thread = self._thread
        if thread is not None:
            thread.join()

    def _move(self) -> None:
        moved = -1
        try:
            with closing(connect(self._settings)) as connection:
                for _ in range(_PASSES):
                    before = moved
                    busy, length, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    if busy or moved in (length, before) or self._pauses:
                        break
        except sqlite3.Error as problem:  # a commit that meets it tells its caller
            _LOG.debug("the write-ahead log was not moved: %s", problem)
        finally:
            with self._lock:
                self._thread = None
