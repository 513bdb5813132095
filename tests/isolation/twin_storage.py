"""`TwinStorage`: the storage on SQLite, each of whose tenants has twins; its directory does not list them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import event

from minirag.interfaces.erasing import ErasureRecord
from minirag.interfaces.storage import Directory
from minirag.models.tenants import Tenant, TenantCounts
from minirag.providers.sqlalchemy.directory import SqlAlchemyDirectory
from minirag.providers.sqlalchemy.engine import database_file
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from tests.isolation.twins import give_twins, is_twin


class TwinDirectory(SqlAlchemyDirectory):
    """The directory is about all tenants, so its listings would hold the twins. Nothing else of it is changed."""

    def tenants(self) -> list[Tenant]:
        return [tenant for tenant in super().tenants() if not is_twin(tenant.id)]

    def tenant_counts(self) -> Mapping[str, TenantCounts]:
        return {tenant_id: counts for tenant_id, counts in super().tenant_counts().items() if not is_twin(tenant_id)}

    def erasures(self, **asked: Any) -> list[ErasureRecord]:
        return [record for record in super().erasures(**asked) if not is_twin(record.receipt.tenant)]


class TwinStorage(SqlAlchemyStorage):
    """A storage in which every row that is written for a tenant is there for its twins as well.

    Attributes:
        touched: the tables in which a statement has touched a twin's row.

    Args:
        empty: the folder of a database without tenants, of which a new one is a copy.
    """

    def __init__(self, location: Path, *, read_only: bool = False, empty: Path | None = None) -> None:
        self.file = database_file(str(location))
        if empty is not None and not self.file.exists():
            self.file.parent.mkdir()
            shutil.copyfile(database_file(str(empty)), self.file)
        super().__init__(location, read_only=read_only)
        if empty is None and not read_only:
            give_twins(self.file)
        self.touched: list[str] = []
        event.listen(self._database._engine, "connect", self.listen)
        self._database._engine.dispose()  # the connection that was made before

    def listen(self, connection: sqlite3.Connection, _: object = None) -> None:
        """Have the triggers tell: what they raise may be taken for a refusal that a clause expects."""
        connection.create_function("touched", 1, self.touched.append)

    def directory(self, *, write: bool = False) -> AbstractContextManager[Directory]:
        return self._database.block(TwinDirectory, tenant_id=None, write=write)
