"""The twins themselves: they hold what their originals hold, with other contents, and nothing may touch them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from minirag.errors import StorageError
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.providers.sqlalchemy.tables import metadata
from minirag.testing.storage_world import StorageWorld
from tests.isolation.probes import declare, raw
from tests.isolation.twin_storage import TwinStorage
from tests.isolation.twins import AFTER, BEFORE

OF_NOBODY = {"settings"}
EMPTY = {"api_tokens", "audit_events", "erasures", "tenant_limits", "users"}
"""Tables of which a new world has no rows."""

UPDATE = "UPDATE chats SET title = 'taken' WHERE id = :chat"
DELETE = "DELETE FROM chats WHERE id = :chat"
READ = "SELECT text FROM messages WHERE chat_id = :chat ORDER BY tenant_id"
MAKE = (
    "INSERT INTO chats (tenant_id, id, bot_id, title, created_at, updated_at) "
    "SELECT tenant_id, 'new', bot_id, title, created_at, updated_at FROM chats WHERE id = :chat ORDER BY tenant_id DESC LIMIT 1"
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StorageWorld]:
    with closing(StorageWorld(partial(TwinStorage, tmp_path / "kb"))) as world:
        declare(world, "year")
        world.write(world.acme, "dated", "Short.", metadata={"year": 2024})
        yield world


def run(world: StorageWorld, sql: str) -> list[Any]:
    """Run SQL that forgot its tenant, with the id of acme's chat."""
    storage = world.storage
    assert isinstance(storage, SqlAlchemyStorage)
    with storage._database.transaction(tenant_id=world.acme.tenant.id, write=True) as transaction:
        if not sql.startswith("SELECT"):
            return [transaction.run(text(sql), chat=world.acme.chat.id)]
        return [row[0] for row in transaction.rows(text(sql), chat=world.acme.chat.id)]


def test_twins_hold_the_same_rows(world: StorageWorld) -> None:
    """There are as many rows of each twin as of the original in every table, and none of another tenant."""
    mine = (world.acme.tenant.id, world.rival.tenant.id)
    with raw(world) as connection:
        for table in metadata.tables.keys() - OF_NOBODY:
            owner = "id" if table == "tenants" else "tenant_id"
            found = dict(connection.execute(f"SELECT {owner}, count(*) FROM {table} GROUP BY 1"))
            assert bool(found) == (table not in EMPTY), table
            assert found.keys() <= {prefix + tenant for tenant in mine for prefix in ("", BEFORE, AFTER)}, table
            for tenant in mine:
                assert found.get(BEFORE + tenant) == found.get(AFTER + tenant) == found.get(tenant), table


def test_an_unscoped_read_finds_more(world: StorageWorld, tmp_path: Path) -> None:
    """It finds the twins' rows too, with texts of their own; where there are no twins it finds what it should."""
    mine = world.acme.message.text
    before, found, after = run(world, READ)
    assert found == mine
    assert mine not in {before, after}
    with closing(StorageWorld(partial(SqlAlchemyStorage, tmp_path / "plain"))) as plain:
        assert run(plain, READ) == [plain.acme.message.text]


@pytest.mark.parametrize("sql", [UPDATE, DELETE, MAKE])
def test_an_unscoped_write_is_refused_and_told(world: StorageWorld, tmp_path: Path, sql: str) -> None:
    """Whoever catches the error, it is known; where there are no twins nothing is."""
    with pytest.raises(StorageError, match="another tenant"):
        run(world, sql)
    assert isinstance(world.storage, TwinStorage)
    assert world.storage.touched == ["chats"]
    with closing(StorageWorld(partial(SqlAlchemyStorage, tmp_path / "plain"))) as plain:
        assert run(plain, sql) == [1]


def test_a_twin_keeps_what_its_original_changes(world: StorageWorld) -> None:
    """A deleted chat is there for the twins, and may be put again."""
    acme = world.acme
    with world.storage.write(acme.scope) as writer:
        writer.delete_chat(acme.bot.id, acme.chat.id)
    assert len(run(world, READ)) == 2
    with world.storage.write(acme.scope) as writer:
        writer.put_chat(acme.chat)
        assert writer.chats(acme.bot.id) == [acme.chat]


def test_the_directory_does_not_list_twins(world: StorageWorld) -> None:
    """Else every clause about the list of tenants would have to know of them."""
    with world.storage.directory() as directory:
        assert directory.tenants() == [world.acme.tenant, world.rival.tenant]
        assert directory.tenant_counts().keys() == {world.acme.tenant.id, world.rival.tenant.id}
