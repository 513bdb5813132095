"""The schema's version: checked with one statement at each opening; made or migrated under SQLite's exclusive lock."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from minirag.errors import SchemaVersionError, StorageCorruptError, StorageError
from minirag.providers.sqlalchemy import (
    fields,
    identity_tables,  # noqa: F401 - its tables are made with the others
)
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.engine import PAGE_SIZE, Settings
from minirag.providers.sqlalchemy.planner import write_statistics
from minirag.providers.sqlalchemy.translation import translated
from minirag.types import new_id

__all__ = ["HEAD", "prepare_schema", "upgrade"]

HEAD: Final = "0004"
"""The newest revision in `migrations/versions`. Revisions are numbered, so that a newer database can be told."""

_STATE: Final = text(
    "SELECT version_num, (SELECT value FROM settings WHERE name = 'workspace_id') FROM alembic_version"
)
_TABLES: Final = "SELECT count(*), count(*) FILTER (WHERE name = 'alembic_version') FROM sqlite_master"
_MISSING_TABLE: Final = "no such table"


def prepare_schema(engine: Engine, settings: Settings) -> str:
    """Bring the database to the present schema and return the workspace's id.

    Raises:
        SchemaVersionError: if a newer release wrote it, or if it must be migrated but is opened read-only.
        StorageCorruptError: if the file is a database of another program.
    """
    with translated(), engine.connect() as connection:
        state = _state(connection)
        if state is not None and state[0] == HEAD:
            return state[1]
        if settings.read_only:
            if state is None:
                raise StorageError(f"there is no workspace in {str(settings.file)!r}; open it once for writing")
            _refuse_newer(state[0])
            raise SchemaVersionError(
                f"the database has schema {state[0]}, this release needs {HEAD}; open it once for writing to migrate it"
            )
        return _create_or_migrate(connection, settings)


def _state(connection: Connection) -> tuple[str, str] | None:
    """Return the schema's revision and the workspace's id, or None if the database is empty."""
    try:
        row = connection.execute(_STATE).one_or_none()
    except OperationalError as problem:
        if _MISSING_TABLE not in str(problem.orig):
            raise
        connection.rollback()
        # One look for both, since another process may be making the tables, all of them in one transaction.
        tables, made = connection.exec_driver_sql(_TABLES).one()
        if not tables:
            return None
        if not made:
            raise StorageCorruptError("the file is a database of another program; choose another location") from None
        row = connection.execute(_STATE).one_or_none()
    if row is None or row[1] is None:
        raise StorageCorruptError("the database has lost its version or its id; restore it from a backup")
    return str(row[0]), str(row[1])


def _create_or_migrate(connection: Connection, settings: Settings) -> str:
    """Create or migrate in one transaction. Whoever comes second waits for the lock and finds the work done."""
    connection.rollback()
    connection.exec_driver_sql(f"PRAGMA page_size = {PAGE_SIZE}")
    # Before the tables: a process killed in between must not leave a finished database in the slower mode for ever.
    _use_wal(connection, settings)
    connection.exec_driver_sql("BEGIN EXCLUSIVE")
    state = _state_inside(connection)
    if state is None:
        workspace_id = new_id()
        fields.chunk_fields.metadata.create_all(connection, checkfirst=False)
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))
        write_statistics(connection)
        connection.execute(t.settings.insert(), {"name": "workspace_id", "value": workspace_id})
    else:
        workspace_id = state[1]
        _refuse_newer(state[0])
        if state[0] != HEAD:
            upgrade(connection)
    connection.commit()
    return workspace_id


def _state_inside(connection: Connection) -> tuple[str, str] | None:
    """Return what `_state` returns, inside a transaction that must not be given up."""
    tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
    return _state(connection) if tables else None


def _use_wal(connection: Connection, settings: Settings) -> None:
    """Switch the file to write-ahead logging, which it then keeps.

    SQLite does not wait for readers here, so the waiting is done by hand.
    """
    deadline = time.monotonic() + settings.busy_timeout
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        except OperationalError as problem:
            code = getattr(problem.orig, "sqlite_errorcode", 0) & 0xFF
            if code not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _refuse_newer(revision: str) -> None:
    if revision > HEAD:
        raise SchemaVersionError(
            f"the database has schema {revision}, this release knows only up to {HEAD}; install a newer release"
        )


def upgrade(connection: Connection, revision: str = HEAD) -> None:
    """Migrate to a revision inside the connection's transaction. Alembic is imported only here."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "minirag.providers.sqlalchemy:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
