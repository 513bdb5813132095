"""Connections to SQLite: where the file is, how each connection is set up, and transactions."""

from __future__ import annotations

import os
import sqlite3
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Executable, Row, create_engine, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from minirag.errors import ConflictError, ForkedWorkspaceError, ProviderOptionsError
from minirag.providers.sqlalchemy.translation import translated

__all__ = [
    "DATABASE_NAME",
    "LOG_LIMIT",
    "PAGE_SIZE",
    "Settings",
    "Transaction",
    "connect",
    "database_file",
    "make_engine",
    "pooled",
]

DATABASE_NAME: Final = "minirag.sqlite3"
PAGE_SIZE: Final = 16_384
"""With vectors of 1.5 kB, pages of 16 KiB took three times the rows a second that pages of 4 KiB took."""

_BEGIN_WRITE: Final = "BEGIN IMMEDIATE"
_BEGIN_READ: Final = "BEGIN"
"""SQLite takes the snapshot with the first row that is read after it."""
_CACHE_KIB: Final = 16_384
LOG_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a write-ahead log that are moved at once: a page that many commits touch is copied once, and inserts took a quarter less
time. `checkpoints` moves them beside the commits."""
_LONGEST_LOG: Final = 4 * LOG_LIMIT
"""A log so long is moved by the next commit, which so waits for the disk: it grew faster than it could be moved."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How connections are made.

    Attributes:
        full: whether a commit also survives loss of power, not only the death of the process.
        busy_timeout: seconds to wait for another writer.
        immutable: read a file that nobody has open, leaving no lock and no other file beside it.
        memory: the name of a database in the memory of this process, instead of the file.
    """

    file: Path
    full: bool = False
    read_only: bool = False
    busy_timeout: float = 30.0
    pool_size: int = 8
    immutable: bool = False
    memory: str | None = None

    @property
    def uri(self) -> str:
        """What SQLite opens."""
        if self.memory is not None:
            # The slash makes connections share it. Its locks are off: `MemoryDatabase` holds readers and writers apart.
            return f"file:/{urllib.parse.quote(self.memory)}?vfs=memdb&nolock=1"
        query = f"mode={'ro' if self.read_only else 'rwc'}{'&immutable=1' if self.immutable else ''}"
        return f"file:{urllib.parse.quote(str(self.file))}?{query}"


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
        raise ProviderOptionsError(
            f"{url.database!r} names no file; give a folder, sqlite:///path/to/file, or ':memory:'"
        )
    return Path(url.database).expanduser().absolute()


def connect(settings: Settings) -> sqlite3.Connection:
    """Return a new connection of the driver, set up. Transactions are begun by hand: the driver's own are switched off."""
    connection = sqlite3.connect(
        settings.uri,
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
            "journal_size_limit = 0",  # a log that is begun anew is cut, so that its length tells what is in it
            f"wal_autocheckpoint = {_LONGEST_LOG // PAGE_SIZE}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        if settings.memory is not None:
            connection.execute("PRAGMA cache_spill = OFF")  # what is not committed stays out of the database
    except BaseException:
        # A damaged file is noticed by the first statement; nobody else would close the connection.
        connection.close()
        raise
    return connection


def pooled(size: int) -> dict[str, Any]:
    """Return the settings of a pool that gives every checkout a connection of its own, whatever the thread, and keeps `size`.

    A connection comes back with its transaction ended (`Transaction.end` and SQLAlchemy's own `Connection` see to it), so the
    pool does not end it once more. The one that came back last goes out first: its pages are in memory.
    """
    return {
        "poolclass": QueuePool,
        "pool_size": size,
        "max_overflow": -1,
        "pool_reset_on_return": None,
        "pool_use_lifo": True,
    }


def make_engine(settings: Settings) -> Engine:
    """Return an engine of connections as `connect` makes them."""
    return create_engine(
        "sqlite://",
        creator=lambda: connect(settings),
        hide_parameters=True,
        **pooled(settings.pool_size),
    )


class Transaction:
    """A connection inside a transaction: every statement is given the tenant's id, every error is translated.

    Without a tenant, as for the directory, a scoped statement fails: its parameter `:scope` has no value.
    """

    def __init__(self, engine: Engine, *, tenant_id: str | None, write: bool) -> None:
        """Begin.

        A write takes SQLite's write lock at once, so that two writers wait for each other instead of failing half-way. A read
        takes its snapshot with its first query.
        """
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

    def _begin(self) -> None:
        """Take a connection and begin."""
        self._lent = self._engine.raw_connection()
        driver: Any = self._lent.driver_connection
        self._driver = driver  # see `connect`
        try:
            if self._write:
                self._connection.begin()
            self._driver.execute(_BEGIN_WRITE if self._write else _BEGIN_READ)
        except BaseException:
            self._give_back(reuse=True)
            raise

    def take_turn(self, tenant_id: str) -> None:
        """Wait until nobody else writes for a tenant. SQLite has one writer at a time anyway."""

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
                    self._connection.commit()
                else:
                    self._driver.rollback()
        finally:
            self._give_back(reuse=not abandoned())

    def _give_back(self, *, reuse: bool) -> None:
        if not reuse or self._driver.in_transaction:
            self._lent.invalidate()
        self._lent.close()

    @property
    def _connection(self) -> Connection:
        """SQLAlchemy's connection, made when the first statement needs it: a short read without one takes half the time."""
        if self._made is None:
            self._made = Connection(self._engine, self._lent)
        return self._made

    def rows(self, statement: Executable, **parameters: Any) -> Sequence[Row[Any]]:
        """Return all rows of a query."""
        with translated():
            return self._connection.execute(statement, {**parameters, **self._scope}).all()

    def tuples(self, statement: Executable, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query as the driver gives them, past SQLAlchemy's work on each execution and each row.

        For the few queries of a search, which so take a third of the time. Their parameters and columns are of types
        that the driver takes and gives as they are: text, integers, bytes.
        """
        sql, fixed = _driver_form(statement)
        with translated():
            found: list[tuple[Any, ...]] = self._driver.execute(sql, {**fixed, **parameters, **self._scope}).fetchall()
        return found

    def remembered(self, statement: Executable, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return what `tuples` returns; inside a read, which sees one state, the statement is executed only once."""
        if self._write:
            return self.tuples(statement, **parameters)
        name = (statement, *parameters.values())
        if name not in self._known:
            self._known[name] = self.tuples(statement, **parameters)
        return self._known[name]

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

    def use(self, work: Callable[[Connection], None]) -> None:
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


@lru_cache(maxsize=256)
def _driver_form(statement: Executable) -> tuple[str, dict[str, Any]]:
    """Return a statement's SQL with named parameters, and the values of those that the statement brings itself."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
    assert isinstance(compiled, SQLCompiler)
    return str(compiled), {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
