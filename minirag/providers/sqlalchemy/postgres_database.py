"""`PostgresDatabase`: one database of a PostgreSQL server as one process holds it open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Engine, create_engine, event

from minirag.errors import ProviderNotInstalledError, ProviderOptionsError, StorageError
from minirag.interfaces.erasing import Purge
from minirag.interfaces.traces import Traces
from minirag.interfaces.upkeep import StoredFault
from minirag.models.erasures import ErasureKind
from minirag.providers.sqlalchemy.database import Database
from minirag.providers.sqlalchemy.engine import pooled
from minirag.providers.sqlalchemy.postgres_checks import faults_of_schema, make_indexes
from minirag.providers.sqlalchemy.postgres_compiler import PostgresCompiler
from minirag.providers.sqlalchemy.postgres_schema import prepare_role, prepare_schema
from minirag.providers.sqlalchemy.postgres_statistics import Statistics
from minirag.providers.sqlalchemy.postgres_transaction import PostgresTransaction
from minirag.providers.sqlalchemy.transaction import Transaction
from minirag.providers.sqlalchemy.translation import translated

__all__ = ["PostgresDatabase", "PostgresSettings"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """How connections are made.

    Attributes:
        rls: whether transactions of a tenant take the role that row-level security holds to the tenant's rows.
        full: whether each commit waits for the disk, whatever the server's default is.
        busy_timeout: seconds to wait for another writer.
    """

    url: URL
    rls: bool = True
    full: bool = False
    read_only: bool = False
    busy_timeout: float = 30.0
    pool_size: int = 8


class PostgresDatabase(Database):
    """A database of a server.

    Connections belong to one user, who owns the tables. A transaction of a tenant takes a role that may use rows only, and of
    these only those whose tenant is the one that the transaction named when it began.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        super().__init__(read_only=settings.read_only)
        self._settings = settings
        self._role: str | None = None
        self._engine = _make_engine(settings)
        self._statistics = Statistics(self._engine)
        try:
            self.workspace_id = prepare_schema(self._engine, read_only=settings.read_only)
            if settings.rls:
                self._role = prepare_role(self._engine, self.workspace_id, read_only=settings.read_only)
        except BaseException:
            self._engine.dispose()
            raise

    def begin(self, engine: Engine, *, tenant_id: str | None, write: bool) -> Transaction:
        return PostgresTransaction(
            engine, tenant_id=tenant_id, write=write, beginning=self._beginning, written=self._statistics.note
        )

    def _beginning(self, tenant_id: str | None, write: bool) -> str:  # noqa: FBT001 - see `Beginning`
        """Return the statements that begin a transaction, for one round trip."""
        parts = ["BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE" if write else _BEGIN_READ]
        if write:
            parts.append(f"SET LOCAL lock_timeout = {max(1, round(self._settings.busy_timeout * 1_000))}")
            if self._settings.full:
                parts.append("SET LOCAL synchronous_commit = on")
        owner = "" if tenant_id is None else tenant_id.replace("'", "''")
        parts.append(f"SELECT set_config('minirag.tenant', '{owner}', true)")
        if tenant_id is not None and self._role is not None:
            parts.append(f'SET LOCAL ROLE "{self._role}"')
        if write:
            parts.append(f"SELECT pg_advisory_xact_lock(hashtextextended('{owner}', 0))")
        return "; ".join(parts)

    def faults(self, transaction: Transaction, *, deep: bool) -> list[StoredFault]:
        del deep
        return faults_of_schema(transaction)

    def mend(self, transaction: Transaction, fault: StoredFault) -> None:
        if fault.kind == "schema":
            make_indexes(transaction)

    def copy(self, folder: Path) -> None:
        raise StorageError(
            f"a PostgreSQL database is not copied into a folder such as {str(folder)!r}; use pg_dump, which makes a copy "
            "of one state while others write"
        )

    def old_reads(self) -> str | None:
        from minirag.providers.sqlalchemy.postgres_purging import old_reads

        return self._outside_transactions(old_reads)

    def purge(self, traces: Traces, kind: ErasureKind) -> tuple[Purge, Any]:
        from minirag.providers.sqlalchemy.postgres_purging import purge_tables

        return self._outside_transactions(
            lambda driver: purge_tables(driver, traces, kind, busy_timeout=self._settings.busy_timeout)
        )

    def _outside_transactions(self, work: Callable[[Any], T]) -> T:
        """Return what `work` does with a connection of the driver's in no transaction."""
        engine, _ = self.checked(write=True)
        with translated():
            lent = engine.raw_connection()
        try:
            with translated():
                return work(lent.driver_connection)
        finally:
            lent.close()


_BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def _make_engine(settings: PostgresSettings) -> Engine:
    """Return an engine whose connections are in no transaction: these are begun by hand."""
    try:
        import psycopg
    except ImportError as problem:
        raise ProviderNotInstalledError(
            'PostgreSQL needs the package psycopg; run: pip install "minirag-core[postgres]"',
            provider="sqlalchemy",
        ) from problem
    if not settings.url.database:
        raise ProviderOptionsError("the database URL names no database; write postgresql+psycopg://user@host/database")
    engine = create_engine(
        settings.url,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        use_native_hstore=False,
        **pooled(settings.pool_size),
    )
    engine.dialect.statement_compiler = PostgresCompiler

    class Whole(psycopg.adapt.Loader):  # type: ignore[misc]  # its types are not looked into
        """Sums of integers, which PostgreSQL gives as decimals, as integers again."""

        def load(self, data: Any) -> int:
            return int(bytes(data))

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.adapters.register_loader("numeric", Whole)

    return engine
