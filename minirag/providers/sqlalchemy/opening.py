"""`open_database`: from a location to the database that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from minirag.providers.sqlalchemy.database import Database
from minirag.providers.sqlalchemy.engine import Settings, database_file
from minirag.providers.sqlalchemy.sqlite_database import SqliteDatabase
from minirag.types import MEMORY

__all__ = ["is_memory", "is_postgres", "open_database"]


def open_database(location: str, *, rls: bool, **settings: Any) -> Database:
    """Return the database at a location, opened: a folder, a file of SQLite, `:memory:`, or a database of a PostgreSQL server.

    Args:
        settings: what `Settings` and `PostgresSettings` have in common.

    Raises:
        ProviderOptionsError: if the location is of another database.
    """
    if is_postgres(location):
        from minirag.providers.sqlalchemy.postgres_database import PostgresDatabase, PostgresSettings

        return PostgresDatabase(PostgresSettings(url=make_url(location), rls=rls, **settings))
    if is_memory(location):
        from minirag.providers.sqlalchemy.memory_database import MemoryDatabase

        return MemoryDatabase(Settings(file=Path(location), memory="", **settings))
    return SqliteDatabase(Settings(file=database_file(location), **settings))


def is_memory(location: str) -> bool:
    """Return whether a location is the memory of this process: `:memory:`, or SQLAlchemy's URL of it."""
    if "://" not in location:
        return location == MEMORY
    try:
        url = make_url(location)
    except ArgumentError:
        return False
    return url.get_backend_name() == "sqlite" and url.database in {None, "", MEMORY} and not url.query


def is_postgres(location: str) -> bool:
    """Return whether a location is the URL of a PostgreSQL database."""
    if "://" not in location:
        return False
    try:
        return make_url(location).drivername == "postgresql+psycopg"
    except ArgumentError:
        return False
