"""PostgreSQL's planner knows early how large tables are, and looks listed chunks up instead of reading a whole bot."""

from __future__ import annotations

import pytest

from minirag.providers.sqlalchemy import statements
from minirag.providers.sqlalchemy.postgres_transaction import _driver_form
from minirag.testing.storage_world import StorageWorld, draft
from tests.servers.postgres_server import PostgresServer


def write(world: StorageWorld, documents: range) -> None:
    """Write documents of the customer's bot in one transaction."""
    customer = world.acme
    drafts = [draft(customer, f"note-{number}", f"A text, {number}. " * 5) for number in documents]
    with world.storage.write(customer.scope) as writer:
        space = customer.bot.space.fingerprint
        assert None not in writer.write_versions(customer.bot.id, drafts, space=space, keep_versions=None)


def counted(postgres: PostgresServer, schema: str) -> float:
    """Return how many chunks the planner takes the table for; -1 if it was never looked at."""
    ((rows,),) = postgres.execute("SELECT reltuples FROM pg_class WHERE oid = 'chunks'::regclass", schema=schema)
    assert isinstance(rows, float)
    return rows


def test_tables_that_grow_fast_are_looked_at(world: StorageWorld, postgres: PostgresServer, schema: str) -> None:
    """Not for a few rows, but before the first thousands are through, and again when they have doubled."""
    write(world, range(3))
    assert counted(postgres, schema) == -1
    write(world, range(3, 200))
    first = counted(postgres, schema)
    assert first >= 200
    write(world, range(200, 210))
    assert counted(postgres, schema) == first
    write(world, range(210, 700))
    assert counted(postgres, schema) >= 700


def test_a_failed_write_counts_nothing(world: StorageWorld, postgres: PostgresServer, schema: str) -> None:
    """What was rolled back is no reason to look."""
    customer = world.acme
    drafts = [draft(customer, f"note-{number}", "A text.") for number in range(200)]

    def fail() -> None:
        with world.storage.write(customer.scope) as writer:
            writer.write_versions(customer.bot.id, drafts, space=customer.bot.space.fingerprint, keep_versions=None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert counted(postgres, schema) == -1


def test_hits_are_looked_up_by_their_keys(world: StorageWorld, postgres: PostgresServer, schema: str) -> None:
    """However few rows the planner takes a list for: the primary key finds each, and the chunks are not read through."""
    write(world, range(600))
    customer = world.acme
    sql, fixed = _driver_form(statements.HITS)
    assert "= ANY (ARRAY" in sql
    keys = [key for (key,) in postgres.execute("SELECT key FROM chunks ORDER BY key LIMIT 8", schema=schema)]
    values = {**fixed, "scope": customer.scope.tenant_id, "bot_id": customer.bot.id, "keys": str(keys)}
    for name, value in sorted(values.items(), key=lambda each: -len(each[0])):
        sql = sql.replace(f"%({name})s", f"'{value}'")
    plan = "\n".join(str(line) for (line,) in postgres.execute(f"EXPLAIN {sql}", schema=schema))
    assert "Seq Scan on chunks" not in plan
    assert "pk_chunks" in plan


def test_a_foreign_key_is_checked_by_the_primary_key(
    world: StorageWorld, postgres: PostgresServer, schema: str
) -> None:
    """With thousands of tenants of one bot each beside a large one, too: no check reads a bot through."""
    del world
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres.url(schema).replace("+psycopg", "")) as connection:
        connection.execute("SET session_replication_role = replica")  # no document need be there
        for owners, rows in (("lpad(i::text, 4, '0')", 4_000), ("'large'", 4_000)):
            connection.execute(
                f'INSERT INTO chunks (tenant_id, bot_id, key, document_id, start, "end", metadata) '
                f"SELECT 't' || {owners}, 'b' || {owners}, i, 'd', 0, 1, '{{}}' FROM generate_series(1, {rows}) AS i"
            )
        connection.execute("ANALYZE chunks")
        connection.execute("SET plan_cache_mode = force_generic_plan")  # as the plans of such checks are
        connection.execute(
            "PREPARE found(text, text, bigint) AS SELECT 1 FROM ONLY chunks AS x "
            "WHERE tenant_id = $1 AND bot_id = $2 AND key = $3 FOR KEY SHARE"
        )
        plan = str(connection.execute("EXPLAIN EXECUTE found('tlarge', 'blarge', 7)").fetchall())
    assert "pk_chunks" in plan
