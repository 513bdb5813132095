"""What is left of deleted rows in SQLite's files, made to go and looked for; and which pieces rows of any tenant hold.

`secure_delete` overwrites what is deleted with zeros. That is not all: when a page of a tree is split, SQLite rewrites it, and
what has moved to its neighbour may stay in its free space (of 400 rows deleted from 10,000, two were found in the file). And
every page as it was before stands in the write-ahead log until that is begun anew. So the file is rewritten as a whole, its log is
cut, and both are read to the last byte.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, LargeBinary, String, Table, Text, select

from minirag.interfaces.erasing import Purge
from minirag.interfaces.traces import Traces, mark_values
from minirag.providers.sqlalchemy import identity_tables as i
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.beside import blocks_of
from minirag.providers.sqlalchemy.fields import chunk_fields

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["mark_rows", "old_reads", "purge_file", "purge_memory"]

_REWRITE: Final = "VACUUM"
_BESIDE: Final = ("-wal", "-journal")
"""Files beside the database that hold pages. SQLite's locks are in `-shm`, which holds numbers of pages alone and stays unopened."""

_PATIENCE_MS: Final = 2_000
"""So long a reader that began before may take to end."""
_IN_MEMORY: Final = 64 * 1024 * 1024
"""A larger database is rewritten by way of a file that SQLite deletes as it makes it."""
_NO_ROOM: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_HELD: Final = (
    "another process, or a long read of this one, still uses the database as it was before; end it, then call "
    "workspace.erasures.resume()"
)
_WRITTEN: Final = "another process is writing the database for long; call workspace.erasures.resume() when it has ended"


def old_reads(connection: sqlite3.Connection, *, busy_timeout: float) -> str | None:
    """Return why the log cannot be cut: a view of before it is still held; None once it is cut.

    Args:
        connection: in no transaction.
    """
    try:
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        return None if _log_is_cut(connection) else _HELD
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout * 1_000)}")


def purge_file(connection: sqlite3.Connection, file: Path, traces: Traces, *, busy_timeout: float) -> tuple[Purge, Any]:
    """Rewrite a database and cut its log; return what became of it, and a mask of the traces that its files hold.

    Args:
        connection: in no transaction.
    """
    found = traces.nothing()
    try:
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        if not _log_is_cut(connection):
            return Purge(_HELD), found
        connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout * 1_000)}")
        connection.execute(f"PRAGMA temp_store = {'FILE' if file.stat().st_size > _IN_MEMORY else 'MEMORY'}")
        connection.execute(_REWRITE)
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        if not _log_is_cut(connection):
            return Purge(_HELD), found
    except sqlite3.Error as problem:
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return Purge(_WRITTEN), found
        if code in _NO_ROOM:
            return Purge(
                f"the database could not be rewritten ({problem}), for which as much room as it takes is needed; make room, "
                "then call workspace.erasures.resume()"
            ), found
        raise
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout * 1_000)}")
        connection.execute("PRAGMA temp_store = MEMORY")
    logs = [path for ending in _BESIDE if (path := Path(f"{file}{ending}")).exists()]
    size = traces.mark_blocks(blocks_of(file), found) + sum(traces.mark_file(path, found) for path in logs)
    return Purge(None, files=1 + len(logs), size=size), found


def purge_memory(connection: sqlite3.Connection, traces: Traces) -> tuple[Purge, Any]:
    """Rewrite a database in memory, which nobody else uses meanwhile; returns what `purge_file` does."""
    found = traces.nothing()
    connection.execute(_REWRITE)
    data = connection.serialize()
    traces.mark(data, found)
    return Purge(None, files=1, size=len(data)), found


def _log_is_cut(connection: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the database and cut it to nothing, if no reader needs it; return whether it was.

    SQLite waits for readers, but not for another process that moves the log at this moment.
    """
    end = time.monotonic() + _PATIENCE_MS / 1_000
    while True:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy or time.monotonic() > end:
            return not busy
        time.sleep(0.02)


# ---------------------------------------------------------------- what rows hold
def mark_rows(connection: Connection, traces: Traces, found: NDArray[np.bool_]) -> None:
    """Mark the traces that texts and bytes in rows of any tenant hold."""
    for table in t.metadata.sorted_tables:
        mark_values(traces, _values(connection, table), found)


def _values(connection: Connection, table: Table) -> Iterator[str | bytes]:
    """Yield what the table's columns of text and bytes hold. The traces of erasures are numbers, and no contents."""
    if table is i.erasures:
        return
    columns = [column for column in table.c if isinstance(column.type, String | Text | LargeBinary)]
    if table is chunk_fields:
        columns.append(table.c.value)
    rows: Iterable[Any] = connection.execution_options(yield_per=1_000).execute(select(*columns))
    for row in rows:
        for value in row:
            if isinstance(value, str | bytes | memoryview):
                yield value if isinstance(value, str) else bytes(value)
