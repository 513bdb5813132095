"""`Database`: one database as one process holds it open, from its first connection to `close`."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine

from minirag.errors import ForkedWorkspaceError, ReadOnlyWorkspaceError, WorkspaceClosedError
from minirag.interfaces.erasing import Purge
from minirag.interfaces.traces import Traces
from minirag.interfaces.upkeep import StoredFault
from minirag.models.erasures import ErasureKind
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["Database"]

T = TypeVar("T")


class Database(ABC):
    """Hands out transactions, as long as it is open and in the process that opened it.

    What differs between databases is in its subclasses: how a transaction begins, and the care for the whole.

    Attributes:
        workspace_id: the workspace's id.
        read_only: whether writing is refused.
    """

    workspace_id: str
    _engine: Engine

    def __init__(self, *, read_only: bool) -> None:
        self.read_only = read_only
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._closed = False

    def transaction(self, *, tenant_id: str | None, write: bool) -> AbstractContextManager[Transaction]:
        """Return a transaction: committed at the end of the block, rolled back by an exception."""
        return _Block(self, lambda transaction: transaction, tenant_id=tenant_id, write=write)

    def block(
        self, show: Callable[[Transaction], T], *, tenant_id: str | None, write: bool
    ) -> AbstractContextManager[T]:
        """Return a transaction as `transaction` does, but the block is given what `show` makes of it."""
        return _Block(self, show, tenant_id=tenant_id, write=write)

    @abstractmethod
    def begin(self, engine: Engine, *, tenant_id: str | None, write: bool) -> Transaction:
        """Return a new transaction on a connection of the engine."""

    @abstractmethod
    def faults(self, transaction: Transaction, *, deep: bool) -> list[StoredFault]:
        """Return what is wrong with the database as a whole, apart from tenants' rows."""

    @abstractmethod
    def mend(self, transaction: Transaction, fault: StoredFault) -> None:
        """Mend a fault of the database as a whole."""

    @abstractmethod
    def copy(self, folder: Path) -> None:
        """Write a copy of one state into a folder."""

    @abstractmethod
    def old_reads(self) -> str | None:
        """Return what still holds a view from before this call, once it has had a little time to end; None if nothing does."""

    @abstractmethod
    def purge(self, traces: Traces, kind: ErasureKind) -> tuple[Purge, Any]:
        """Make rows that were deleted before unreadable; return what became of it, and a mask of the traces that are there."""

    def committed(self) -> None:  # noqa: B027 - most need not
        """Take note of a commit."""

    def close(self) -> None:
        """Close every connection. In a forked process they are left to the process that opened them."""
        with self._lock:
            if not self._closed and os.getpid() == self._process:
                self._engine.dispose()
            self._closed = True

    def checked(self, *, write: bool) -> tuple[Engine, object]:
        """Return the engine to use now, and what `check_unchanged` asks for afterwards.

        Raises:
            ForkedWorkspaceError: in a process that did not open the database.
            WorkspaceClosedError: after `close`.
            ReadOnlyWorkspaceError: if it must not be written.
        """
        if os.getpid() != self._process:
            raise ForkedWorkspaceError(
                "the workspace was opened before a fork; open the workspace again in this process"
            )
        with self._lock:
            if self._closed:
                raise WorkspaceClosedError("the workspace is closed; open it again")
            if write and self.read_only:
                raise ReadOnlyWorkspaceError("the workspace was opened with read_only=True; open it for writing")
            return self._current()

    def _current(self) -> tuple[Engine, object]:
        """Return what `checked` returns; the lock is held."""
        return self._engine, None

    def check_unchanged(self, seen: object) -> None:
        """Raise if what was read since `checked` may be of two states. A server sees to it that it is not."""
        del seen


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
        self._engine, self._seen = self._database.checked(write=self._write)
        self._transaction = self._database.begin(self._engine, tenant_id=self._tenant_id, write=self._write)
        if self._seen is not None:
            self._transaction.check_unchanged = partial(self._database.check_unchanged, self._seen)
        return self._show(self._transaction)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transaction.end(failed=kind is not None, abandoned=self._abandoned)
        if kind is None:
            if self._write:
                self._database.committed()
            self._database.check_unchanged(self._seen)

    def _abandoned(self) -> bool:
        return self._database._closed or self._engine is not self._database._engine
