"""`SqliteDatabase`: one SQLite file as one process holds it open."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from minirag.errors import StorageBusyError, StorageError
from minirag.interfaces.erasing import Purge
from minirag.interfaces.traces import Traces
from minirag.interfaces.upkeep import StoredFault
from minirag.models.erasures import ErasureKind
from minirag.providers.sqlalchemy.beside import begin_use, end_use
from minirag.providers.sqlalchemy.checkpoints import Checkpoints
from minirag.providers.sqlalchemy.database import Database
from minirag.providers.sqlalchemy.engine import Settings, make_engine
from minirag.providers.sqlalchemy.schema import prepare_schema
from minirag.providers.sqlalchemy.sqlite_transaction import SqliteTransaction
from minirag.providers.sqlalchemy.transaction import Transaction
from minirag.providers.sqlalchemy.translation import translated

__all__ = ["SqliteDatabase"]

_FOLDER_MODE: Final = 0o700


class SqliteDatabase(Database):
    """A database in a file.

    A read-only database writes nothing. While no process has the file open for writing there is no `-wal` beside it;
    then it is read as immutable, which takes no lock and makes no file, and is opened anew when the file has
    changed. As soon as there is a `-wal` it is read as any reader does, with SQLite's own locks; these are kept in the
    `-shm`, which SQLite makes anew if a writer was killed and left none.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(read_only=settings.read_only)
        self._settings = settings
        if settings.read_only:
            _check_exists(settings.file)
        else:
            _make_folder(settings.file.parent)
        self._seen = _look(settings.file)
        self._engine = self._open()
        try:
            self.workspace_id = prepare_schema(self._engine, settings)
        except BaseException:
            self._engine.dispose()
            raise
        self._use: tuple[int, int, int] | None = begin_use(settings.file)
        self._checkpoints = Checkpoints(settings)

    def begin(self, engine: Engine, *, tenant_id: str | None, write: bool) -> Transaction:
        return SqliteTransaction(engine, tenant_id=tenant_id, write=write)

    def faults(self, transaction: Transaction, *, deep: bool) -> list[StoredFault]:
        from minirag.providers.sqlalchemy.check_file import check_file

        return list(check_file(transaction, deep=deep))

    def mend(self, transaction: Transaction, fault: StoredFault) -> None:
        from minirag.providers.sqlalchemy.repairing import repair_file

        repair_file(transaction, fault)

    def copy(self, folder: Path) -> None:
        from minirag.providers.sqlalchemy.copying import copy_database

        with self._outside_transactions() as connection:
            copy_database(connection, folder)

    def old_reads(self) -> str | None:
        from minirag.providers.sqlalchemy.purging import old_reads

        self.checked(write=True)
        with self._checkpoints.paused(), self._outside_transactions() as connection:
            return old_reads(connection, busy_timeout=self._settings.busy_timeout)

    def purge(self, traces: Traces, kind: ErasureKind) -> tuple[Purge, Any]:
        from minirag.providers.sqlalchemy.purging import purge_file

        del kind
        self.checked(write=True)
        with self._checkpoints.paused(), self._outside_transactions() as connection:
            return purge_file(connection, self._settings.file, traces, busy_timeout=self._settings.busy_timeout)

    def committed(self) -> None:
        self._checkpoints.committed()

    def close(self) -> None:
        if os.getpid() == self._process:
            self._checkpoints.close()
        super().close()
        use, self._use = self._use, None
        if use is not None:
            end_use(use)

    @contextmanager
    def _outside_transactions(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection of the driver in no transaction, for what SQLite does by itself in one of its own."""
        engine, seen = self.checked(write=False)
        with translated():
            connection = engine.raw_connection()
        try:
            driver = connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            with translated():
                yield driver
        finally:
            connection.close()
        self.check_unchanged(seen)

    def check_unchanged(self, seen: object) -> None:
        if isinstance(seen, _FileState) and _look(self._settings.file).content != seen.content:
            raise StorageBusyError("another process wrote the database while it was read without locks; try again")

    def _open(self) -> Engine:
        immutable = self._settings.read_only and not self._seen.journal
        return make_engine(replace(self._settings, immutable=immutable))

    def _current(self) -> tuple[Engine, object]:
        """Return the engine and, if it reads without locks, the state of the file it reads."""
        if not self.read_only:
            return self._engine, None
        if not self._seen.journal and (state := _look(self._settings.file)) != self._seen:
            self._engine.dispose()
            self._seen = state
            self._engine = self._open()
        return self._engine, None if self._seen.journal else self._seen


@dataclass(frozen=True, slots=True)
class _FileState:
    """What tells whether a file is being written: a journal beside it; its time, size and inode."""

    journal: bool
    content: tuple[int, int, int]


def _look(file: Path) -> _FileState:
    journal = any(Path(f"{file}{ending}").exists() for ending in ("-wal", "-journal"))
    try:
        status = file.stat()
    except FileNotFoundError:
        return _FileState(journal, (0, 0, 0))
    return _FileState(journal, (status.st_mtime_ns, status.st_size, status.st_ino))


def _check_exists(file: Path) -> None:
    if not file.is_file():
        raise StorageError(f"there is no database at {str(file)!r}; a workspace opened with read_only=True must exist")


def _make_folder(folder: Path) -> None:
    """Make the database's folder, readable by its owner alone. An existing one is left as it is."""
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as problem:
        raise StorageError(f"the folder {str(folder)!r} cannot be made: {problem.strerror}") from problem
