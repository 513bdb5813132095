"""A consistent copy of the database, made while others write it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from minirag.errors import StorageError
from minirag.providers.sqlalchemy.engine import DATABASE_NAME, PAGE_SIZE, Settings, connect
from minirag.providers.sqlalchemy.translation import translated

__all__ = ["copy_database", "copy_memory"]

_NOT_WRITTEN: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


def copy_database(connection: sqlite3.Connection, folder: Path) -> None:
    """Write the database, as it is at one moment, to a new file in a folder, and bring it to the disk.

    `VACUUM INTO` reads in one transaction, so writers are neither waited for nor held up; it took no longer than SQLite's
    online backup, which starts again whenever another process writes, and it leaves out free pages.
    """
    with _new_file(folder) as target:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("VACUUM INTO ?", (str(target),))


def copy_memory(connection: sqlite3.Connection, folder: Path) -> None:
    """Write a database in memory, which nobody changes meanwhile, to a new file in a folder, and bring it to the disk.

    `VACUUM INTO` would make the file where the connection's database is: in memory.
    """
    with _new_file(folder) as target, closing(connect(Settings(file=target))) as file:
        connection.backup(file)


@contextmanager
def _new_file(folder: Path) -> Iterator[Path]:
    """Yield a new, empty file for a copy; when that is written, bring it to the disk in the mode of a workspace's file."""
    target = folder / DATABASE_NAME
    if os.path.lexists(target):
        raise StorageError(f"there is a file {str(target)!r} already; choose another folder")
    try:
        # Made first: SQLite would give it the mode of any new file.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as problem:
        raise StorageError(f"the file {str(target)!r} cannot be made: {problem.strerror}") from problem
    try:
        yield target
    except sqlite3.Error as problem:
        if getattr(problem, "sqlite_errorcode", 0) & 0xFF not in _NOT_WRITTEN:
            raise
        raise StorageError(
            f"the backup {str(target)!r} cannot be written ({problem}); make room, or choose another disk"
        ) from problem
    _use_write_ahead_log(target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _use_write_ahead_log(target: Path) -> None:
    """Switch the copy to the mode that a workspace's file is in; the copy itself is made without it."""
    with translated():
        copy = connect(Settings(file=target))
        try:
            copy.execute("PRAGMA journal_mode = WAL").fetchall()
        finally:
            copy.close()
