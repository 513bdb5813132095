"""`SqlAlchemyStorage`: everything of all tenants in one database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from minirag.errors import ProviderOptionsError
from minirag.interfaces.erasing import ErasureRecord, Purge
from minirag.interfaces.scope import TenantScope
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.storage import Directory, Reader, Storage, Writer
from minirag.interfaces.traces import Traces
from minirag.interfaces.upkeep import StoredFault, Tell, ignore
from minirag.providers.sqlalchemy.database import Database
from minirag.providers.sqlalchemy.directory import SqlAlchemyDirectory
from minirag.providers.sqlalchemy.opening import is_postgres, open_database
from minirag.providers.sqlalchemy.reader import SqlAlchemyReader
from minirag.providers.sqlalchemy.writer import SqlAlchemyWriter

__all__ = ["SqlAlchemyOptions", "SqlAlchemyStorage", "create"]

Durability: TypeAlias = Literal["normal", "full"]
RowLevelSecurity: TypeAlias = Literal["on", "off"]


class SqlAlchemyOptions(BaseModel):
    """Options of the storage `sqlalchemy`.

    Attributes:
        busy_timeout: seconds a write waits for another writer.
        durability: `"full"` also survives loss of power; None leaves it to the workspace.
        pool_size: connections that are kept open; more are opened when needed.
        rls: `"on"`: PostgreSQL itself holds each transaction to its tenant's rows (row-level security), for which the
            user must be able to make and take a role; `"off"` leaves it to the statements. SQLite has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    busy_timeout: float = Field(default=30.0, ge=0, le=3_600)
    durability: Durability | None = None
    pool_size: int = Field(default=8, ge=1, le=1_000)
    rls: RowLevelSecurity = "on"


def create(options: SqlAlchemyOptions | None, context: ProviderContext) -> SqlAlchemyStorage:
    """Return the storage at the context's location."""
    options = options or SqlAlchemyOptions()
    if context.location is None:
        raise ProviderOptionsError("the storage needs a location; give a folder or sqlite:///path/to/file")
    durability = options.durability or context.settings.get("durability", "normal")
    return SqlAlchemyStorage(
        context.location,
        durability="full" if durability == "full" else "normal",
        read_only=bool(context.settings.get("read_only", False)),
        busy_timeout=options.busy_timeout,
        pool_size=options.pool_size,
        rls=options.rls,
    )


class SqlAlchemyStorage(Storage):
    """A storage on SQLAlchemy, in SQLite or PostgreSQL.

    Args:
        location: a folder, which then holds `minirag.sqlite3`, a URL: `sqlite:///path/to/file` or
            `postgresql+psycopg://user@host/database`, or `:memory:` for a new database that is gone at `close`.
        durability: `"full"` also survives loss of power.
        read_only: write nothing, not one byte.
        busy_timeout: seconds a write waits for another writer before it raises `StorageBusyError`.
        pool_size: connections that are kept open.
        rls: whether PostgreSQL itself holds each transaction to its tenant's rows.
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        *,
        durability: Durability = "normal",
        read_only: bool = False,
        busy_timeout: float = 30.0,
        pool_size: int = 8,
        rls: RowLevelSecurity = "on",
    ) -> None:
        self._database: Database = open_database(
            os.fspath(location),
            full=durability == "full",
            read_only=read_only,
            busy_timeout=busy_timeout,
            pool_size=pool_size,
            rls=rls == "on",
        )
        self.remote = is_postgres(os.fspath(location))

    @property
    def workspace_id(self) -> str:
        return self._database.workspace_id

    @property
    def read_only(self) -> bool:
        return self._database.read_only

    def directory(self, *, write: bool = False) -> AbstractContextManager[Directory]:
        return self._database.block(SqlAlchemyDirectory, tenant_id=None, write=write)

    def read(self, scope: TenantScope) -> AbstractContextManager[Reader]:
        return self._database.block(SqlAlchemyReader, tenant_id=scope.tenant_id, write=False)

    def write(self, scope: TenantScope) -> AbstractContextManager[Writer]:
        return self._database.block(SqlAlchemyWriter, tenant_id=scope.tenant_id, write=True)

    def verify(self, scope: TenantScope | None, *, deep: bool = True, tell: Tell = ignore) -> Iterator[StoredFault]:
        # Checks, repairs and copies are rare, and their statements take a while to make: not when a workspace is opened.
        from minirag.providers.sqlalchemy.checking import check_tenant

        if scope is not None:
            begin = partial(self._database.transaction, tenant_id=scope.tenant_id, write=False)
            yield from check_tenant(begin, deep=deep, tell=tell)
            return
        with self._database.transaction(tenant_id=None, write=False) as transaction:
            yield from self._database.faults(transaction, deep=deep)

    def repair(self, scope: TenantScope | None, fault: StoredFault) -> None:
        from minirag.providers.sqlalchemy.repairing import repair_rows

        tenant_id = None if scope is None else scope.tenant_id
        with self._database.transaction(tenant_id=tenant_id, write=True) as transaction:
            if scope is None:
                self._database.mend(transaction, fault)
            else:
                repair_rows(transaction, fault)

    def old_reads(self) -> str | None:
        return self._database.old_reads()

    def purge(self, traces: Traces, record: ErasureRecord) -> Purge:
        purged, found = self._database.purge(traces, record.receipt.kind)
        left = traces.only(found)
        return replace(purged, leftovers=len(left) - len(self.held(left)))

    def held(self, traces: Traces) -> Traces:
        from minirag.providers.sqlalchemy.purging import mark_rows

        found = traces.nothing()
        if len(traces):
            with self._database.transaction(tenant_id=None, write=False) as transaction:
                transaction.use(lambda connection: mark_rows(connection, traces, found))
        return traces.only(found)

    def backup(self, folder: Path) -> None:
        self._database.copy(folder)

    def close(self) -> None:
        self._database.close()
