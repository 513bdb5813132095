"""A storage in a schema of its own on the PostgreSQL server; modules on other storages have worlds of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minirag.interfaces.storage import Storage
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage_world import StorageWorld
from tests.servers.postgres_server import PostgresServer


@pytest.fixture
def schema(postgres: PostgresServer) -> str:
    """A new schema."""
    return postgres.new_schema()


@pytest.fixture
def world(postgres: PostgresServer, schema: str) -> Iterator[StorageWorld]:
    """A storage in it, with two customers."""

    def make(*, read_only: bool = False) -> Storage:
        return SqlAlchemyStorage(postgres.url(schema), read_only=read_only)

    world = StorageWorld(make)
    yield world
    world.close()
