"""The storage on PostgreSQL keeps the contract of `Storage`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from minirag.errors import StorageError
from minirag.interfaces.storage import Storage
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage import StorageConformance
from minirag.testing.storage_world import StorageWorld
from tests.providers.postgres_server import PostgresServer, postgres

__all__ = ["postgres"]


class TestPostgresStorage(StorageConformance):
    """PostgreSQL, a database for each location."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer) -> None:
        self._postgres = postgres
        self._databases: dict[Path, str] = {}

    def make_storage(self, location: Path, *, read_only: bool = False) -> Storage:
        database = self._databases.setdefault(location, "") or self._postgres.new_database()
        self._databases[location] = database
        return SqlAlchemyStorage(self._postgres.url(database), read_only=read_only)

    def test_s19_a_backup_is_one_state(self, world: StorageWorld, tmp_path: Path) -> None:
        """A backup is the server's: the error names its tool."""
        with pytest.raises(StorageError, match="pg_dump"):
            world.storage.backup(tmp_path)
