"""`Database`: one SQLite file as one process holds it open, from its first connection to `close`."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Generic, TypeVar

from sqlalchemy import Engine

from minirag.errors import (
    ForkedWorkspaceError,
    ReadOnlyWorkspaceError,
    StorageBusyError,
    StorageError,
    WorkspaceClosedError,
)
from minirag.providers.sqlalchemy.engine import Settings, Transaction, make_engine
from minirag.providers.sqlalchemy.schema import prepare_schema
from minirag.providers.sqlalchemy.translation import translated

__all__ = ["Database"]

T = TypeVar("T")
_FOLDER_MODE: Final = 0o700


class Database:
    """Hands out transactions, as long as it is open and in the process that opened it.

    A read-only database writes nothing. While no process has the file open for writing there is no `-wal` beside it;
    then it is read as immutable, which takes no lock and makes no file, and is opened anew when the file has
    changed. As soon as there is a `-wal` it is read as any reader does, with SQLite's own locks; these are kept in the
    `-shm`, which SQLite makes anew if a writer was killed and left none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._closed = False
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

    @property
    def read_only(self) -> bool:
        """Whether writing is refused."""
        return self._settings.read_only

    def transaction(self, *, tenant_id: str | None, write: bool) -> AbstractContextManager[Transaction]:
        """Return a transaction: committed at the end of the block, rolled back by an exception."""
        return _Block(self, lambda transaction: transaction, tenant_id=tenant_id, write=write)

    def block(
        self, show: Callable[[Transaction], T], *, tenant_id: str | None, write: bool
    ) -> AbstractContextManager[T]:
        """Return a transaction as `transaction` does, but the block is given what `show` makes of it."""
        return _Block(self, show, tenant_id=tenant_id, write=write)

    @contextmanager
    def outside_transactions(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection of the driver in no transaction, for what SQLite does by itself in one of its own."""
        engine, seen = self._checked(write=False)
        with translated():
            connection = engine.raw_connection()
        try:
            driver = connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            with translated():
                yield driver
        finally:
            connection.close()
        self._check_unchanged(seen)

    def close(self) -> None:
        """Close every connection. In a forked process they are left to the process that opened them."""
        with self._lock:
            if not self._closed and os.getpid() == self._process:
                self._engine.dispose()
            self._closed = True

    def _check_unchanged(self, seen: _FileState | None) -> None:
        if seen is not None and _look(self._settings.file).content != seen.content:
            raise StorageBusyError("another process wrote the database while it was read without locks; try again")

    def _open(self) -> Engine:
        immutable = self._settings.read_only and not self._seen.journal
        return make_engine(replace(self._settings, immutable=immutable))

    def _checked(self, *, write: bool) -> tuple[Engine, _FileState | None]:
        """Return the engine to use and, if it reads without locks, the state of the file it reads."""
        if os.getpid() != self._process:
            raise ForkedWorkspaceError(
                "the workspace was opened before a fork; open the workspace again in this process"
            )
        with self._lock:
            if self._closed:
                raise WorkspaceClosedError("the workspace is closed; open it again")
            if not self._settings.read_only:
                return self._engine, None
            if write:
                raise ReadOnlyWorkspaceError("the workspace was opened with read_only=True; open it for writing")
            if not self._seen.journal and (state := _look(self._settings.file)) != self._seen:
                self._engine.dispose()
                self._seen = state
                self._engine = self._open()
            return self._engine, None if self._seen.journal else self._seen


class _Block(AbstractContextManager[T], Generic[T]):
    """A transaction around a block. A class, since two generators took as long as the query of a short read."""

    __slots__ = ("_database", "_engine", "_seen", "_show", "_tenant_id", "_transaction", "_write")

    def __init__(
        self, database: Database, show: Callable[[Transaction], T], *, tenant_id: str | None, write: bool
    ) -> None:
        self._database = database
        self._show = show
        self._tenant_id = tenant_id
        self._write = write

    def __enter__(self) -> T:
        self._engine, self._seen = self._database._checked(write=self._write)
        self._transaction = Transaction(self._engine, tenant_id=self._tenant_id, write=self._write)
        return self._show(self._transaction)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transaction.end(failed=kind is not None, abandoned=self._abandoned)
        if kind is None:
            self._database._check_unchanged(self._seen)

    def _abandoned(self) -> bool:
        return self._database._closed or self._engine is not self._database._engine


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
