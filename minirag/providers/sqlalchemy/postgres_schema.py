"""The schema in PostgreSQL: checked at each opening, made or migrated under a lock; and the role of tenants' transactions."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, text

from minirag.errors import SchemaVersionError, StorageCorruptError, StorageError
from minirag.providers.sqlalchemy import identity_tables  # noqa: F401 - its tables are among those of tenants
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.fields import chunk_fields
from minirag.providers.sqlalchemy.translation import translated
from minirag.types import new_id

__all__ = ["HEAD", "OF_TENANTS", "prepare_role", "prepare_schema"]

HEAD: Final = "0003"
"""The newest revision in `migrations/postgres/versions`."""

OF_TENANTS: Final = tuple(
    sorted(name for name, table in chunk_fields.metadata.tables.items() if "tenant_id" in table.c)
)
"""The tables whose rows belong to a tenant."""

_LOCK: Final = text("SELECT pg_advisory_xact_lock(7308332045284337007)")
"""Held while the schema or the role is made, so that who comes second finds the work done."""
_PRESENT: Final = text("SELECT to_regclass('alembic_version') IS NOT NULL, to_regclass('settings') IS NOT NULL")
_STATE: Final = text(
    "SELECT version_num, (SELECT value FROM settings WHERE name = 'workspace_id') FROM alembic_version"
)
_ROLE: Final = text("SELECT 1 FROM pg_roles WHERE rolname = :role")


def prepare_schema(engine: Engine, *, read_only: bool) -> str:
    """Bring the database to the present schema and return the workspace's id.

    Raises:
        SchemaVersionError: if a newer release wrote it, or if it must be migrated but is opened read-only.
        StorageCorruptError: if the tables are of another program.
    """
    with translated(), engine.connect() as connection:
        state = _state(connection)
        if state is not None and state[0] == HEAD:
            return state[1]
        if read_only:
            if state is None:
                raise StorageError("there is no workspace in the database; open it once for writing")
            _refuse_newer(state[0])
            raise SchemaVersionError(
                f"the database has schema {state[0]}, this release needs {HEAD}; open it once for writing to migrate it"
            )
        connection.exec_driver_sql("BEGIN")
        connection.execute(_LOCK)
        state = _state(connection)
        if state is not None:
            _refuse_newer(state[0])
        if state is None or state[0] != HEAD:
            _upgrade(connection)
        workspace_id = new_id() if state is None else state[1]
        if state is None:
            connection.execute(t.settings.insert(), {"name": "workspace_id", "value": workspace_id})
        connection.commit()
        return workspace_id


def prepare_role(engine: Engine, workspace_id: str, *, read_only: bool) -> str:
    """Return the name of the role that tenants' transactions take, made if there is none.

    Each workspace has its own: roles belong to the whole server.

    Raises:
        StorageError: if it cannot be made or taken.
    """
    role = f"minirag_{workspace_id}"
    try:
        with translated(), engine.connect() as connection:
            if connection.execute(_ROLE, {"role": role}).first() is None and not read_only:
                connection.exec_driver_sql("BEGIN")
                connection.execute(_LOCK)
                if connection.execute(_ROLE, {"role": role}).first() is None:
                    _make_role(connection, role)
                connection.commit()
            connection.exec_driver_sql(f'BEGIN; SET LOCAL ROLE "{role}"; TABLE bots LIMIT 0; ROLLBACK')
    except StorageError as problem:
        raise StorageError(
            f"row-level security needs the role {role!r}, which cannot be made or taken ({problem}); let the user create "
            f"roles, or make the storage with the option rls='off'"
        ) from problem
    return role


def _make_role(connection: Connection, role: str) -> None:
    connection.exec_driver_sql(f'CREATE ROLE "{role}" NOLOGIN NOBYPASSRLS')
    connection.exec_driver_sql(f'GRANT "{role}" TO CURRENT_USER')
    schema = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    connection.exec_driver_sql(f'GRANT USAGE ON SCHEMA {schema} TO "{role}"')
    connection.exec_driver_sql(f'GRANT SELECT, INSERT, UPDATE, DELETE ON {", ".join(OF_TENANTS)} TO "{role}"')
    connection.exec_driver_sql(f'GRANT SELECT (id, suspended_at) ON tenants TO "{role}"')


def _state(connection: Connection) -> tuple[str, str] | None:
    """Return the schema's revision and the workspace's id, or None if there are no tables."""
    versioned, ours = connection.execute(_PRESENT).one()
    if not versioned and not ours:
        return None
    if not versioned or not ours:
        raise StorageCorruptError("the database has tables of another program; choose another database or schema")
    row = connection.execute(_STATE).one_or_none()
    if row is None or row[1] is None:
        raise StorageCorruptError("the database has lost its version or its id; restore it from a backup")
    return str(row[0]), str(row[1])


def _refuse_newer(revision: str) -> None:
    if revision > HEAD:
        raise SchemaVersionError(
            f"the database has schema {revision}, this release knows only up to {HEAD}; install a newer release"
        )


def _upgrade(connection: Connection) -> None:
    """Migrate inside the connection's transaction. Alembic is imported only here."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "minirag.providers.sqlalchemy:migrations/postgres")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
