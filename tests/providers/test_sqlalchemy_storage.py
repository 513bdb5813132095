"""The storage on SQLAlchemy keeps the contract of `Storage`."""

from __future__ import annotations

from pathlib import Path

from minirag.interfaces.storage import Storage
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage import StorageConformance


class TestSqlAlchemyStorage(StorageConformance):
    """SQLite in a folder."""

    def make_storage(self, location: Path, *, read_only: bool = False) -> Storage:
        return SqlAlchemyStorage(location, read_only=read_only)
