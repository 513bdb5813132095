"""What modules of provider tests share: pauses that are not waited for, and a storage on the PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from minirag.interfaces.storage import Storage
from minirag.providers.http.client import HttpClient
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage_world import StorageWorld
from tests.servers.postgres_server import PostgresServer


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are noted down instead of waited for."""
    noted: list[float] = []
    decide = HttpClient._pause

    def note(self: HttpClient, *arguments: Any, **keywords: Any) -> float | None:
        pause = decide(self, *arguments, **keywords)
        if pause is not None:
            noted.append(pause)
        return None if pause is None else 0.0

    monkeypatch.setattr(HttpClient, "_pause", note)
    return noted


@pytest.fixture
def schema(postgres: PostgresServer) -> str:
    """A new schema."""
    return postgres.new_schema()


@pytest.fixture
def world(postgres: PostgresServer, schema: str) -> Iterator[StorageWorld]:
    """A storage in it, with two customers; modules on other storages have worlds of their own."""

    def make(*, read_only: bool = False) -> Storage:
        return SqlAlchemyStorage(postgres.url(schema), read_only=read_only)

    world = StorageWorld(make)
    yield world
    world.close()
