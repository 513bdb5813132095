"""`SqlAlchemyStorage`: everything of all tenants in one SQLite file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from minirag.errors import ProviderOptionsError
from minirag.interfaces.scope import TenantScope
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.storage import Directory, Reader, Storage, Writer
from minirag.providers.sqlalchemy.database import Database
from minirag.providers.sqlalchemy.directory import SqlAlchemyDirectory
from minirag.providers.sqlalchemy.engine import Settings, database_file
from minirag.providers.sqlalchemy.reader import SqlAlchemyReader
from minirag.providers.sqlalchemy.writer import SqlAlchemyWriter

__all__ = ["SqlAlchemyOptions", "SqlAlchemyStorage", "create"]

Durability: TypeAlias = Literal["normal", "full"]


class SqlAlchemyOptions(BaseModel):
    """Options of the storage `sqlalchemy`.

    Attributes:
        busy_timeout: seconds a write waits for another writer.
        durability: `"full"` also survives loss of power; None leaves it to the workspace.
        pool_size: connections that are kept open; more are opened when needed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    busy_timeout: float = Field(default=30.0, ge=0, le=3_600)
    durability: Durability | None = None
    pool_size: int = Field(default=8, ge=1, le=1_000)


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
    )


class SqlAlchemyStorage(Storage):
    """A storage on SQLAlchemy; at present for SQLite.

    Args:
        location: a folder, which then holds `minirag.sqlite3`, or a URL `sqlite:///path/to/file`.
        durability: `"full"` also survives loss of power.
        read_only: write nothing, not one byte.
        busy_timeout: seconds a write waits for another writer before it raises `StorageBusyError`.
        pool_size: connections that are kept open.
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        *,
        durability: Durability = "normal",
        read_only: bool = False,
        busy_timeout: float = 30.0,
        pool_size: int = 8,
    ) -> None:
        self._database = Database(
            Settings(
                file=database_file(os.fspath(location)),
                full=durability == "full",
                read_only=read_only,
                busy_timeout=busy_timeout,
                pool_size=pool_size,
            )
        )

    @property
    def workspace_id(self) -> str:
        return self._database.workspace_id

    @property
    def read_only(self) -> bool:
        return self._database.read_only

    @contextmanager
    def directory(self, *, write: bool = False) -> Iterator[Directory]:
        with self._database.transaction(tenant_id=None, write=write) as transaction:
            yield SqlAlchemyDirectory(transaction)

    @contextmanager
    def read(self, scope: TenantScope) -> Iterator[Reader]:
        with self._database.transaction(tenant_id=scope.tenant_id, write=False) as transaction:
            yield SqlAlchemyReader(transaction)

    @contextmanager
    def write(self, scope: TenantScope) -> Iterator[Writer]:
        with self._database.transaction(tenant_id=scope.tenant_id, write=True) as transaction:
            yield SqlAlchemyWriter(transaction)

    def close(self) -> None:
        self._database.close()
