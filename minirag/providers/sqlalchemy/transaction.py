"""`Transaction`: a connection inside a transaction, by way of SQLAlchemy where a database has no shorter one."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Executable, PoolProxiedConnection

from minirag.errors import ConflictError, ForkedWorkspaceError
from minirag.providers.sqlalchemy.translation import translated

__all__ = ["Transaction"]


class Transaction(ABC):
    """A connection inside a transaction: every statement is given the tenant's id, every error is translated.

    Without a tenant, as for the directory, a scoped statement fails: its parameter `:scope` has no value.
    """

    _lent: PoolProxiedConnection
    """The connection as its pool lends it."""
    _driver: Any
    """The same as its driver knows it."""

    def __init__(self, engine: Engine, *, tenant_id: str | None, write: bool) -> None:
        """Begin."""
        self.tenant_id = tenant_id
        self._scope = {} if tenant_id is None else {"scope": tenant_id}
        self._write = write
        self._process = os.getpid()
        self._engine = engine
        self._made: Connection | None = None
        self._known: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        self.check_unchanged: Callable[[], None] | None = None
        """Raises if what is read without locks has changed; None where there are locks."""
        with translated():
            self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Take a connection and begin."""

    def take_turn(self, tenant_id: str) -> None:  # noqa: B027 - SQLite has one writer at a time anyway
        """Wait until nobody else writes for a tenant, where several may write at once."""

    def end(self, *, failed: bool, abandoned: Callable[[], bool]) -> None:
        """Commit, or roll back if it has `failed`, and give the connection back to its pool.

        If the pool was closed meanwhile (`abandoned`), the connection is closed too. In a process that was forked
        inside the transaction nothing is done: connection and transaction are its parent's.

        Raises:
            ForkedWorkspaceError: in such a process, unless it has failed anyway.
        """
        if os.getpid() != self._process:
            if failed:
                return
            raise ForkedWorkspaceError("the process was forked inside a transaction, which is its parent's to end")
        try:
            with translated():
                if self._write and not failed:
                    self._commit()
                else:
                    self._driver.rollback()
        finally:
            self._give_back(reuse=not abandoned())

    def _commit(self) -> None:
        self._connection.commit()

    @abstractmethod
    def _is_clean(self) -> bool:
        """Return whether the connection is in no transaction, and can be used again."""

    def _give_back(self, *, reuse: bool) -> None:
        if not (reuse and self._is_clean()):
            self._lent.invalidate()
        self._lent.close()

    @property
    def _connection(self) -> Connection:
        """SQLAlchemy's connection, made when the first statement needs it: a short read without one takes half the time."""
        if self._made is None:
            self._made = Connection(self._engine, self._lent)
        return self._made

    def rows(self, statement: Executable, **parameters: Any) -> Sequence[Any]:
        """Return all rows of a query."""
        with translated():
            return self._connection.execute(statement, {**parameters, **self._scope}).all()

    @abstractmethod
    def tuples(self, statement: Executable, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query as the driver gives them, past SQLAlchemy's work on each execution and each row.

        For the few queries of a search, which so take a third of the time. Their parameters and columns are of types
        that the driver takes and gives as they are: text, integers, bytes.
        """

    def remembered(self, statement: Executable, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return what `tuples` returns; inside a read, which sees one state, the statement is executed only once."""
        if self._write:
            return self.tuples(statement, **parameters)
        name = (statement, *parameters.values())
        if name not in self._known:
            self._known[name] = self.tuples(statement, **parameters)
        return self._known[name]

    def row(self, statement: Executable, **parameters: Any) -> Any:
        """Return the first row of a query, or None."""
        with translated():
            return self._connection.execute(statement, {**parameters, **self._scope}).first()

    def value(self, statement: Executable, **parameters: Any) -> Any:
        """Return the first column of the first row of a query, or None."""
        row = self.row(statement, **parameters)
        return None if row is None else row[0]

    def run(self, statement: Executable, *, duplicate: ConflictError | None = None, **parameters: Any) -> int:
        """Execute a statement and return how many rows it changed; a row that may not be there twice is `duplicate`."""
        with translated(duplicate=duplicate):
            return self._connection.execute(statement, {**parameters, **self._scope}).rowcount

    def use(self, work: Callable[[Connection], object]) -> None:
        """Have something done with SQLAlchemy's connection itself, inside the transaction."""
        with translated():
            work(self._connection)

    def many(self, statement: Executable, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Execute a statement once for each mapping of parameters."""
        if parameters:
            with translated():
                self._connection.execute(statement, [{**each, **self._scope} for each in parameters])

    def insert(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute an SQL insert or update of `statements` for each tuple, past SQLAlchemy's own work on each row.

        For the tables that every document writes to.
        """
        if rows:
            with translated():
                self._driver.executemany(sql, rows)
