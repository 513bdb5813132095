"""Connections to SQLite: where the file is, and how each connection is set up."""

from __future__ import annotations

import sqlite3
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from minirag.errors import ProviderOptionsError

__all__ = [
    "DATABASE_NAME",
    "LOG_LIMIT",
    "PAGE_SIZE",
    "Settings",
    "connect",
    "database_file",
    "make_engine",
    "pooled",
]

DATABASE_NAME: Final = "minirag.sqlite3"
PAGE_SIZE: Final = 16_384
"""With vectors of 1.5 kB, pages of 16 KiB took three times the rows a second that pages of 4 KiB took."""

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
