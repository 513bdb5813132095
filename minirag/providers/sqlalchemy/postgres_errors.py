"""Errors of PostgreSQL, told by their codes."""

from __future__ import annotations

from typing import Any, Final

from minirag.errors import (
    ConflictError,
    MiniRAGError,
    NotFoundError,
    ReadOnlyWorkspaceError,
    StorageBusyError,
    StorageCorruptError,
    StorageError,
)

__all__ = ["postgres_error"]

_BUSY: Final = {
    "40001": "a serialization failure",
    "40P01": "a deadlock",
    "55P03": "another writer held a lock for too long",
    "53300": "too many connections",
    "57014": "a statement took longer than the server allows",
    "57P01": "the server is shutting down",
    "57P02": "the server was restarted",
    "57P03": "the server is starting",
}
_CORRUPT: Final = {"XX001", "XX002"}
_FOREIGN_KEY, _UNIQUE, _READ_ONLY = "23503", "23505", "25006"
_REASONS: Final = {
    "42501": "the user has no right to do this",
    "53100": "the server's disk is full",
    "53200": "the server is out of memory",
    "54000": "a name or key is too long for an index",
    "22021": "a text holds what PostgreSQL cannot store, such as NUL",
}


def postgres_error(problem: Any, duplicate: ConflictError | None) -> MiniRAGError:
    """Return the error that an error of psycopg is told as. The server's own words may hold values, so they are left out."""
    code = problem.sqlstate
    reason = _REASONS.get(code) or f"{type(problem).__name__}, SQLSTATE {code}"
    if code == _FOREIGN_KEY:
        return NotFoundError("the row belongs to something that does not exist here; create that first")
    if code == _UNIQUE:
        constraint = getattr(problem.diag, "constraint_name", None)
        return duplicate or ConflictError(f"the row exists already ({constraint})")
    if code in _BUSY:
        return StorageBusyError(f"the database is busy ({_BUSY[code]}); try again")
    if code in _CORRUPT:
        return StorageCorruptError(f"the database cannot be read ({reason}); restore it from a backup")
    if code == _READ_ONLY:
        return ReadOnlyWorkspaceError("the database cannot be written; connect to the primary server")
    if code is None and type(problem).__name__ == "OperationalError":
        return StorageError(
            f"the server cannot be reached or closed the connection ({_first_line(problem)}); try again"
        )
    if code is None:
        return StorageError(f"the driver refused a value ({type(problem).__name__}); texts must hold no NUL")
    if code.startswith("23"):
        return StorageError(f"the database refused a row ({reason}); the values do not fit the table")
    return StorageError(f"the database failed: {reason}")


def _first_line(problem: Exception) -> str:
    return str(problem).strip().partition("\n")[0]
