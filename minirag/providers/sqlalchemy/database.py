"""`Database`: one SQLite file as one process holds it open, from its first connection to `close`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

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

__all__ = ["Database"]

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

    @contextmanager
    def transaction(self, *, tenant_id: str | None, write: bool) -> Iterator[Transaction]:
        """Yield a transaction: committed at the end, rolled back by an exception."""
        engine, seen = self._checked(write=write)
        with Transaction.begin(
            engine, tenant_id=tenant_id, write=write, abandoned=lambda: self._closed or engine is not self._engine
        ) as transaction:
            yield transaction
        if seen is not None and _look(self._settings.file).content != seen.content:
            raise StorageBusyError("another process wrote the database while it was read without locks; try again")

    def close(self) -> None:
        """Close every connection. In a forked process they are left to the process that opened them."""
        with self._lock:
            if not self._closed and os.getpid() == self._process:
                self._engine.dispose()
            self._closed = True

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
