"""Connections to SQLite: where the file is, how each connection is set up, and transactions."""

from __future__ import annotations

import os
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Executable, Row, create_engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from minirag.errors import ConflictError, ForkedWorkspaceError, ProviderOptionsError
from minirag.providers.sqlalchemy.translation import translated

__all__ = ["DATABASE_NAME", "PAGE_SIZE", "Settings", "Transaction", "connect", "database_file", "make_engine"]

DATABASE_NAME: Final = "minirag.sqlite3"
PAGE_SIZE: Final = 16_384
"""With vectors of 1.5 kB, pages of 16 KiB took three times the rows a second that pages of 4 KiB took."""

_BEGIN_WRITE: Final = ("BEGIN IMMEDIATE",)
_BEGIN_READ: Final = ("BEGIN", "SELECT 1 FROM sqlite_master LIMIT 1")
"""SQLite takes the snapshot with the first row it reads, so one is read at once.

Both are given to the driver itself: through SQLAlchemy they took a quarter of the time of a short read (200 µs against 150).
"""
_CACHE_KIB: Final = 16_384
_JOURNAL_LIMIT: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """How connections are made.

    Attributes:
        full: whether a commit also survives loss of power, not only the death of the process.
        busy_timeout: seconds to wait for another writer.
        immutable: read a file that nobody has open, leaving no lock and no other file beside it.
    """

    file: Path
    full: bool = False
    read_only: bool = False
    busy_timeout: float = 30.0
    pool_size: int = 8
    immutable: bool = False


def database_file(location: str) -> Path:
    """Return the database's file: inside a folder, or the one an SQLAlchemy URL `sqlite:///...` names.

    Raises:
        ProviderOptionsError: if the URL is of another database, or names no file.
    """
    if "://" not in location:
        return Path(location).expanduser().absolute() / DATABASE_NAME
    try:
        url: URL = make_url(location)
    except ArgumentError as problem:
        raise ProviderOptionsError("the database URL cannot be read; write sqlite:///path/to/file") from problem
    if url.get_backend_name() != "sqlite":
        raise ProviderOptionsError(
            f"the database {url.get_backend_name()!r} is not supported; give a folder or sqlite:///path/to/file"
        )
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ProviderOptionsError(f"{url.database!r} names no file; give a folder or sqlite:///path/to/file")
    return Path(url.database).expanduser().absolute()


def connect(settings: Settings) -> sqlite3.Connection:
    """Return a new connection of the driver, set up. Transactions are begun by hand: the driver's own are switched off."""
    mode = "ro" if settings.read_only else "rwc"
    query = f"mode={mode}&immutable=1" if settings.immutable else f"mode={mode}"
    connection = sqlite3.connect(
        f"file:{urllib.parse.quote(str(settings.file))}?{query}",
        uri=True,
        timeout=settings.busy_timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    # Memory mapping stays off: a file cut short by another program would kill the process instead of raising.
    try:
        for pragma in (
            "foreign_keys = ON",
            "secure_delete = ON",
            f"synchronous = {'FULL' if settings.full else 'NORMAL'}",
            "temp_store = MEMORY",
            f"cache_size = -{_CACHE_KIB}",
            f"journal_size_limit = {_JOURNAL_LIMIT}",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        # A damaged file is noticed by the first statement; nobody else would close the connection.
        connection.close()
        raise
    return connection


def make_engine(settings: Settings) -> Engine:
    """Return an engine whose pool gives every checkout a connection of its own, whatever the thread."""
    return create_engine(
        "sqlite://",
        creator=lambda: connect(settings),
        poolclass=QueuePool,
        pool_size=settings.pool_size,
        max_overflow=-1,
        hide_parameters=True,
    )


class Transaction:
    """A connection inside a transaction: every statement is given the tenant's id, every error is translated.

    Without a tenant, as for the directory, a scoped statement fails: its parameter `:scope` has no value.
    """

    def __init__(self, connection: Connection, tenant_id: str | None) -> None:
        self._connection = connection
        self.tenant_id = tenant_id
        self._scope = {} if tenant_id is None else {"scope": tenant_id}

    @classmethod
    @contextmanager
    def begin(
        cls, engine: Engine, *, tenant_id: str | None, write: bool, abandoned: Callable[[], bool]
    ) -> Iterator[Transaction]:
        """Yield a transaction: committed at the end, rolled back by an exception.

        A write takes SQLite's write lock at once, so that two writers wait for each other instead of failing half-way.
        A read takes its snapshot at once. If the pool is closed meanwhile (`abandoned`), the connection goes with it.
        """
        with translated():
            connection = engine.connect()
        process = os.getpid()
        try:
            with translated():
                connection.begin()
                driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
                for sql in _BEGIN_WRITE if write else _BEGIN_READ:
                    driver.execute(sql).fetchall()
            try:
                yield cls(connection, tenant_id)
            except BaseException:
                if os.getpid() == process:
                    with translated():
                        connection.rollback()
                raise
            if os.getpid() != process:
                raise ForkedWorkspaceError("the process was forked inside a transaction, which is its parent's to end")
            with translated():
                connection.commit()
        finally:
            if os.getpid() == process:
                if abandoned():
                    connection.invalidate()
                connection.close()

    def rows(self, statement: Executable, **parameters: Any) -> Sequence[Row[Any]]:
        """Return all rows of a query."""
        with translated():
            return self._connection.execute(statement, {**parameters, **self._scope}).all()

    def row(self, statement: Executable, **parameters: Any) -> Row[Any] | None:
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

    def many(self, statement: Executable, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Execute a statement once for each mapping of parameters."""
        if parameters:
            with translated():
                self._connection.execute(statement, [{**each, **self._scope} for each in parameters])

    def insert(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute an SQL insert of `statements` for each tuple, past SQLAlchemy's own work on each row.

        For the tables that every document writes to.
        """
        if rows:
            with translated():
                self._connection.exec_driver_sql(sql, rows)
