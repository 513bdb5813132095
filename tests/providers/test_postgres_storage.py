"""The storage on PostgreSQL keeps the contract of `Storage`."""

from __future__ import annotations

from pathlib import Path

import pytest

from minirag.errors import StorageError
from minirag.interfaces.storage import Storage
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage import StorageConformance
from minirag.testing.storage_world import StorageWorld
from tests.servers.postgres_server import PostgresServer


class TestPostgresStorage(StorageConformance):
    """PostgreSQL, a schema for each location."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer) -> None:
        self._postgres = postgres
        self._schemas: dict[Path, str] = {}

    def make_storage(self, location: Path, *, read_only: bool = False) -> Storage:
        if location not in self._schemas:
            self._schemas[location] = self._postgres.new_schema()
        return SqlAlchemyStorage(self._postgres.url(self._schemas[location]), read_only=read_only)

    def test_s19_a_backup_is_one_state(self, world: StorageWorld, tmp_path: Path) -> None:
        """A backup is the server's: the error names its tool."""
        with pytest.raises(StorageError, match="pg_dump"):
            world.storage.backup(tmp_path)
