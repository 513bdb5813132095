"""`open_database`: from a location to the database that is there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from minirag.providers.sqlalchemy.database import Database
from minirag.providers.sqlalchemy.engine import Settings, database_file
from minirag.providers.sqlalchemy.sqlite_database import SqliteDatabase

__all__ = ["is_postgres", "open_database"]


def open_database(location: str, *, rls: bool, **settings: Any) -> Database:
    """Return the database at a location, opened: a folder, a file of SQLite, or a database of a PostgreSQL server.

    Args:
        settings: what `Settings` and `PostgresSettings` have in common.

    Raises:
        ProviderOptionsError: if the location is of another database.
    """
    if is_postgres(location):
        from minirag.providers.sqlalchemy.postgres_database import PostgresDatabase, PostgresSettings

        return PostgresDatabase(PostgresSettings(url=make_url(location), rls=rls, **settings))
    return SqliteDatabase(Settings(file=database_file(location), **settings))


def is_postgres(location: str) -> bool:
    """Return whether a location is the URL of a PostgreSQL database."""
    if "://" not in location:
        return False
    try:
        return make_url(location).drivername == "postgresql+psycopg"
    except ArgumentError:
        return False
