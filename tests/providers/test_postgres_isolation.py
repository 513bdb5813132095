"""PostgreSQL itself holds each transaction to its tenant's rows."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import func, select, text

from minirag.errors import ProviderOptionsError, StorageCorruptError, StorageError
from minirag.interfaces.storage import Storage
from minirag.providers.sqlalchemy import tables
from minirag.providers.sqlalchemy.postgres_schema import OF_TENANTS
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage_world import StorageWorld
from tests.servers.postgres_server import PostgresServer


def test_a_statement_without_its_condition_sees_one_tenant(world: StorageWorld) -> None:
    """A query that forgot the tenant counts the scope's own rows, in every table; without row-level security it counts all."""
    database = world.storage._database  # type: ignore[attr-defined]  # past the statements, which do not forget
    for name in OF_TENANTS:
        table = tables.metadata.tables[name]
        owners = select(table.c.tenant_id).distinct()
        with database.transaction(tenant_id=world.acme.tenant.id, write=False) as transaction:
            assert {row.tenant_id for row in transaction.rows(owners)} <= {world.acme.tenant.id}, name
        with database.transaction(tenant_id=None, write=False) as transaction:
            count = transaction.value(select(func.count(table.c.tenant_id.distinct())))
        assert count in (0, 2), name


def test_every_table_is_held() -> None:
    """The tables that are held to a tenant are all those that carry one, whatever was imported first."""
    code = "from minirag.providers.sqlalchemy.postgres_schema import OF_TENANTS; print(len(OF_TENANTS))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(printed) == 21 == len(OF_TENANTS)


def test_a_write_without_its_condition_reaches_one_tenant(world: StorageWorld) -> None:
    """An update and a delete that forgot the tenant change the scope's own rows alone; an insert for another is refused."""
    database = world.storage._database  # type: ignore[attr-defined]  # as above
    with world.storage.read(world.rival.scope) as reader:
        before = reader.sources(world.rival.bot.id)
    with database.transaction(tenant_id=world.acme.tenant.id, write=True) as transaction:
        assert transaction.run(text("UPDATE sources SET name = 'changed'")) == 1
        assert transaction.run(text("DELETE FROM chats")) == 1
        with pytest.raises(StorageError):
            transaction.run(
                text("INSERT INTO tenant_keys VALUES (:tenant, 'k', 'w', 'm', '')"), tenant=world.rival.tenant.id
            )
        with pytest.raises(StorageError):
            transaction.run(text("SELECT * FROM tenants"))
    with world.storage.read(world.rival.scope) as reader:
        assert reader.sources(world.rival.bot.id) == before
        assert reader.chat(world.rival.bot.id, world.rival.chat.id) == world.rival.chat


def test_of_the_tenants_one_sees_oneself(world: StorageWorld) -> None:
    """A statement that forgot the tenant finds its own row and whether it is closed, and cannot open or close it."""
    database = world.storage._database  # type: ignore[attr-defined]  # as above
    own = world.acme.tenant.id
    with database.transaction(tenant_id=own, write=True) as transaction:
        assert transaction.rows(text("SELECT id, suspended_at FROM tenants")) == [(own, None)]
        for statement in ("UPDATE tenants SET suspended_at = NULL", "DELETE FROM tenants", "SELECT slug FROM tenants"):
            with pytest.raises(StorageError):
                transaction.run(text(statement))


def test_a_user_who_cannot_take_the_role(postgres: PostgresServer, schema: str) -> None:
    """A user who may not make roles is told so at opening, and may do without row-level security."""
    user = f"plain_{schema}"
    postgres.execute(f"CREATE ROLE {user} LOGIN; GRANT ALL ON SCHEMA {schema} TO {user}")
    with pytest.raises(StorageError, match="rls='off'"):
        SqlAlchemyStorage(postgres.url(schema, user))
    storage = SqlAlchemyStorage(postgres.url(schema, user), rls="off")
    with storage.directory(write=True) as directory:
        directory.put_setting("name", "value")
    storage.close()


def test_a_user_who_may_make_roles_needs_no_more(postgres: PostgresServer, schema: str) -> None:
    """An ordinary user with CREATEROLE owns a workspace with row-level security."""
    user = f"maker_{schema}"
    postgres.execute(f"CREATE ROLE {user} LOGIN CREATEROLE; GRANT ALL ON SCHEMA {schema} TO {user} WITH GRANT OPTION")

    def make(*, read_only: bool = False) -> Storage:
        return SqlAlchemyStorage(postgres.url(schema, user), read_only=read_only)

    world = StorageWorld(make)
    with world.storage.read(world.acme.scope) as reader:
        assert reader.bots() == [world.acme.bot]
    with world.storage.directory(write=True) as directory:
        directory.delete_tenant(world.rival.tenant)
    world.close()
    for name in OF_TENANTS:
        found = postgres.execute(f"SELECT DISTINCT tenant_id FROM {name}", schema=schema)
        assert found in ([], [(world.acme.tenant.id,)]), name


def test_tables_of_another_program_are_refused(postgres: PostgresServer, schema: str) -> None:
    """A schema with another program's migrations is refused and not written to."""
    postgres.execute("CREATE TABLE alembic_version (version_num text)", schema=schema)
    with pytest.raises(StorageCorruptError, match="another program"):
        SqlAlchemyStorage(postgres.url(schema))


def test_a_url_without_a_database_is_refused(tmp_path: object) -> None:
    """A URL that names no database is refused before anything connects, and so is another driver."""
    pytest.importorskip("psycopg", reason="PostgreSQL's driver psycopg is not installed")
    for location in ("postgresql+psycopg://host", "postgresql+asyncpg://host/name"):
        with pytest.raises(ProviderOptionsError, match="://"):
            SqlAlchemyStorage(location)


def test_a_lost_index_is_found_and_made(postgres: PostgresServer, schema: str, world: StorageWorld) -> None:
    """A check names an index and a policy that are missing; a repair makes the index."""
    postgres.execute(
        "DROP INDEX ix_chats_tenant_id_bot_id; ALTER TABLE chats DISABLE ROW LEVEL SECURITY", schema=schema
    )
    found = {fault.ids: fault for fault in world.storage.verify(None)}
    assert set(found) == {("ix_chats_tenant_id_bot_id",), ("chats",)}
    world.storage.repair(None, found[("ix_chats_tenant_id_bot_id",)])
    assert [fault.ids for fault in world.storage.verify(None)] == [("chats",)]
