"""`MemoryDatabase`: an SQLite database in the memory of one process, gone when it is closed."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from minirag.errors import ProviderOptionsError, StorageBusyError, StorageError
from minirag.interfaces.erasing import Purge
from minirag.interfaces.traces import Traces
from minirag.models.erasures import ErasureKind
from minirag.providers.sqlalchemy.database import Database
from minirag.providers.sqlalchemy.engine import Settings, connect, make_engine
from minirag.providers.sqlalchemy.schema import prepare_schema
from minirag.providers.sqlalchemy.sqlite_database import SqliteDatabase
from minirag.providers.sqlalchemy.sqlite_transaction import SqliteTransaction
from minirag.providers.sqlalchemy.transaction import Transaction
from minirag.providers.sqlalchemy.translation import translated
from minirag.types import new_id

__all__ = ["MemoryDatabase"]

_NEEDED: Final = (3, 36, 0)
"""The first release in which connections of one process share a database of the `memdb` VFS by its name."""
_COPIED_A_SECOND: Final = 400_000_000
_LEAST_PATIENCE: Final = 0.005
_OLD_READS_PATIENCE: Final = 2.0
_HELD: Final = "a long read of this process still uses the database as it was before; end it, then call workspace.erasures.resume()"


@dataclass(eq=False, slots=True)
class _Version:
    """One state of the database, which lives as long as a connection to it.

    Attributes:
        name: by which SQLite knows it, in this process.
        keeper: the connection that keeps it, and that it is copied through.
        size: its bytes when it was last written.
        readers: how many transactions read it.
        written: whether a transaction writes it in place.
        retired: whether another one has taken its place; then its last reader closes it.
    """

    name: str
    engine: Engine
    keeper: sqlite3.Connection
    size: int = 0
    readers: int = 0
    written: bool = False
    retired: bool = False

    def close(self) -> None:
        self.engine.dispose()
        self.keeper.close()


class MemoryDatabase(SqliteDatabase):
    """A database that is nowhere but in memory, with the snapshots and the single writer of a file with a write-ahead log.

    SQLite has no write-ahead log in memory: there a writer and a reader shut each other out, or, if two connections share one
    cache, readers see half a transaction. So SQLite's own locks are off, and this class holds readers and writers apart. A
    write goes to the database in place, and SQLite keeps its pages aside until the commit, which happens under the lock.
    Only if a reader comes meanwhile, or one is still there when the write begins, is the database copied, so that each has
    one to itself. Both wait before for as long as the copy would take, which is seldom needed: most reads take a
    millisecond. So the longest wait is for two copies, and nothing waits for another transaction's end.
    """

    def __init__(self, settings: Settings) -> None:
        Database.__init__(self, read_only=False)
        if settings.read_only:
            raise ProviderOptionsError(
                "a database in memory is new, and there is nothing in it that could be read only; leave out read_only"
            )
        if sqlite3.sqlite_version_info < _NEEDED:
            raise StorageError(
                f"a database in memory needs SQLite {'.'.join(map(str, _NEEDED[:2]))}, and Python has "
                f"{sqlite3.sqlite_version} here; give a folder"
            )
        self._settings = settings
        self._writer = threading.Lock()
        self._changed = threading.Condition()
        self._writer_waits = False
        self._versions: list[_Version] = []
        self._aside: _Version | None = None
        with translated():
            self._now = self._new_version()
        self._engine = self._now.engine
        try:
            self.workspace_id = prepare_schema(self._now.engine, settings)
        except BaseException:
            self.close()
            raise
        self._now.size = _size(self._now)

    def begin(self, engine: Engine, *, tenant_id: str | None, write: bool) -> Transaction:
        del engine  # the version at hand decides
        return _MemoryTransaction(self, tenant_id=tenant_id, write=write)

    def copy(self, folder: Path) -> None:
        from minirag.providers.sqlalchemy.copying import copy_memory

        self.checked(write=False)
        version = self.enter(write=False)
        try:
            with translated():
                # A connection of its own: the keeper may be needed for a copy meanwhile.
                lent = version.engine.raw_connection()
            try:
                driver = lent.driver_connection
                assert isinstance(driver, sqlite3.Connection)
                with translated():
                    copy_memory(driver, folder)
            finally:
                lent.close()
        finally:
            self.leave(version, write=False, end=lambda: True)

    def old_reads(self) -> str | None:
        self.checked(write=True)
        with self._changed:
            ended = self._changed.wait_for(
                lambda: not any(version.readers for version in self._versions if version is not self._now),
                _OLD_READS_PATIENCE,
            )
        return None if ended else _HELD

    def purge(self, traces: Traces, kind: ErasureKind) -> tuple[Purge, Any]:
        from minirag.providers.sqlalchemy.purging import purge_memory

        del kind
        self.checked(write=True)
        version = self.enter(write=True)
        try:
            with translated():
                return purge_memory(version.keeper, traces)
        finally:
            self.leave(version, write=True, end=lambda: True)

    def committed(self) -> None:
        """Take note of a commit, which leaves no log here."""

    def close(self) -> None:
        if os.getpid() == self._process:
            with self._changed:
                for version in self._versions:
                    version.close()
                self._versions.clear()
        Database.close(self)

    # ---------------------------------------------------------------- versions
    def enter(self, *, write: bool) -> _Version:
        """Return the version that a transaction is to use, and count it in.

        Raises:
            StorageBusyError: if another transaction writes for longer than the busy timeout.
        """
        return self._enter_write() if write else self._enter_read()

    def _enter_read(self) -> _Version:
        with self._changed:
            if self._writer_waits or self._now.written:
                self._changed.wait_for(lambda: not (self._writer_waits or self._now.written), self._patience())
            version = self._now
            if version.written:
                if self._aside is None:
                    self._aside = self._copied(version)
                version = self._aside
            version.readers += 1
            return version

    def _enter_write(self) -> _Version:
        timeout = self._settings.busy_timeout
        if not self._writer.acquire(timeout=timeout):
            raise StorageBusyError(f"the database is busy: another writer held it for {timeout:g} s; try again")
        try:
            with self._changed:
                self._writer_waits = True
                try:
                    self._changed.wait_for(lambda: not self._now.readers, self._patience())
                    version = self._copied(self._now) if self._now.readers else self._now
                    version.written = True
                    return version
                finally:
                    self._writer_waits = False
                    self._changed.notify_all()
        except BaseException:
            self._writer.release()
            raise

    def leave(self, version: _Version, *, write: bool, end: Callable[[], bool]) -> None:
        """End a transaction of a version, and count it out.

        Args:
            end: ends it; returns whether something was committed. A write is ended under the lock, since a commit moves its
                pages into the database, which nobody may be copying then.
        """
        if not write:
            try:
                end()
            finally:
                with self._changed:
                    version.readers -= 1
                    if version.retired and not version.readers:
                        self._drop(version)
                    self._changed.notify_all()
            return
        committed = False
        with self._changed:
            try:
                committed = end()
            finally:
                version.written = False
                if version is self._now:
                    self._retire(self._aside)
                    self._aside = None
                elif committed:
                    self._retire(self._now)
                    self._now, self._engine = version, version.engine
                else:
                    self._retire(version)
                if committed and not self._closed:
                    version.size = _size(version)
                self._writer.release()
                self._changed.notify_all()

    def is_kept(self, version: _Version) -> bool:
        """Return whether connections to a version will be needed again."""
        return not (self._closed or version.retired)

    def _patience(self) -> float:
        """Return the seconds that a copy would take, about."""
        return max(_LEAST_PATIENCE, self._now.size / _COPIED_A_SECOND)

    def _new_version(self) -> _Version:
        name = f"minirag-{new_id()}"
        settings = replace(self._settings, memory=name)
        version = _Version(name, make_engine(settings), connect(settings))
        self._versions.append(version)
        return version

    def _copied(self, version: _Version) -> _Version:
        """Return a new version that holds what was committed to this one; the lock is held."""
        with translated():
            copy = self._new_version()
            try:
                version.keeper.backup(copy.keeper)
            except BaseException:
                self._drop(copy)
                raise
        copy.size = version.size
        return copy

    def _retire(self, version: _Version | None) -> None:
        if version is not None:
            version.retired = True
            if not version.readers:
                self._drop(version)

    def _drop(self, version: _Version) -> None:
        version.close()
        if version in self._versions:
            self._versions.remove(version)


class _MemoryTransaction(SqliteTransaction):
    """A transaction on the version that was its turn."""

    def __init__(self, database: MemoryDatabase, *, tenant_id: str | None, write: bool) -> None:
        self._database = database
        self._version = database.enter(write=write)
        try:
            super().__init__(self._version.engine, tenant_id=tenant_id, write=write)
        except BaseException:
            database.leave(self._version, write=write, end=lambda: False)
            raise

    def end(self, *, failed: bool, abandoned: Callable[[], bool]) -> None:
        del abandoned  # the engine may be another one meanwhile, and this version still the one at hand

        def end() -> bool:
            super(_MemoryTransaction, self).end(
                failed=failed, abandoned=lambda: not self._database.is_kept(self._version)
            )
            return not failed

        if os.getpid() != self._process:
            end()  # which leaves everything to the parent process; its lock may be held here for ever
            return
        self._database.leave(self._version, write=self._write, end=end)


def _size(version: _Version) -> int:
    pages, page_size = (version.keeper.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages) * int(page_size)
