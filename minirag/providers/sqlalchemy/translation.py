"""Errors of SQLAlchemy and of the databases, told in our own words: the one place where they are translated."""

from __future__ import annotations

import sqlite3
from types import TracebackType

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from minirag.errors import (
    ConflictError,
    MiniRAGError,
    NotFoundError,
    ReadOnlyWorkspaceError,
    StorageBusyError,
    StorageCorruptError,
    StorageError,
)
from minirag.providers.sqlalchemy.postgres_errors import postgres_error

__all__ = ["translated"]

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PRIMARY_CODE = 0xFF


class _Translation:
    """A block in which errors of the database become ours. A class, since every statement opens one (0.4 µs against 1.3)."""

    __slots__ = ("_duplicate",)

    def __init__(self, duplicate: ConflictError | None) -> None:
        self._duplicate = duplicate

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An error of psycopg, which need not be installed, is told by its code.
        if isinstance(problem, SQLAlchemyError | sqlite3.Error) or hasattr(problem, "sqlstate"):
            assert isinstance(problem, Exception)
            raise _translate(problem, self._duplicate) from problem


def translated(*, duplicate: ConflictError | None = None) -> _Translation:
    """Raise errors of the database in a block as `minirag.errors`, chained; a broken uniqueness as `duplicate`.

    The statement's parameters are in no message: they may be a document's text.
    """
    return _Translation(duplicate)


def _translate(problem: Exception, duplicate: ConflictError | None) -> MiniRAGError:
    cause = problem.orig if isinstance(problem, DBAPIError) else problem
    if hasattr(cause, "sqlstate"):
        return postgres_error(cause, duplicate)
    return _sqlite_error(problem, duplicate)


def _sqlite_error(problem: Exception, duplicate: ConflictError | None) -> MiniRAGError:
    cause = problem.__cause__ if isinstance(problem.__cause__, sqlite3.Error) else problem
    reason = str(cause.args[0]) if isinstance(cause, sqlite3.Error) and cause.args else type(cause).__name__
    extended = getattr(cause, "sqlite_errorcode", 0)
    code = extended & _PRIMARY_CODE
    if isinstance(problem, IntegrityError | sqlite3.IntegrityError):
        if extended == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            return NotFoundError("the row belongs to something that does not exist here; create that first")
        if extended in {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}:
            return duplicate or ConflictError(f"the row exists already ({reason})")
        return StorageError(f"the database refused a row ({reason}); the values do not fit the table")
    if code in _BUSY:
        return StorageBusyError(f"the database is busy ({reason}): another writer held it for too long; try again")
    if code in _CORRUPT:
        return StorageCorruptError(f"the database cannot be read ({reason}); restore it from a backup")
    if code == sqlite3.SQLITE_READONLY:
        return ReadOnlyWorkspaceError(f"the database cannot be written ({reason}); open it where it may be written")
    return StorageError(f"the database failed: {reason}")
