"""`PgVectorIndex`: the vectors of all bots in PostgreSQL, a table for each embedding space."""

from __future__ import annotations

from typing import Any

from minirag.errors import ProviderOptionsError, VectorIndexError
from minirag.interfaces.erasing import Purge
from minirag.interfaces.scope import TenantScope
from minirag.interfaces.snapshots import PartitionLostError
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.vector_index import VectorIndex, VectorPartition
from minirag.models.index import EmbeddingSpace
from minirag.providers.pgvector.building import drop_index
from minirag.providers.pgvector.connections import Connections
from minirag.providers.pgvector.options import PgVectorOptions, plain_dsn
from minirag.providers.pgvector.partition import Owner, PgVectorPartition
from minirag.providers.pgvector.rewriting import rewrite_tables
from minirag.providers.pgvector.statements import POSITIONS, WIDEST, Statements, index_name, table_name

__all__ = ["PgVectorIndex", "create"]

_CREATION_LOCK = 0x6D696E69726167
"""An advisory lock: tables that two processes create at once fail even with `IF NOT EXISTS`."""


def create(options: PgVectorOptions | None, context: ProviderContext) -> PgVectorIndex:
    """Return the index in the database of the options, or in the workspace's own."""
    options = options or PgVectorOptions()
    dsn = options.dsn.get_secret_value() if options.dsn is not None else context.location or ""
    plain = plain_dsn(dsn)
    if plain is None:
        raise ProviderOptionsError(
            "pgvector: the workspace lies in no PostgreSQL database; give options={'dsn': 'postgresql://...'}",
            provider="pgvector",
        )
    return PgVectorIndex(plain, options)


class PgVectorIndex(VectorIndex):
    """Makes handles on what the database keeps. It connects when it is first asked.

    Args:
        dsn: `postgresql://user:password@host/database`.
    """

    remote = True

    def __init__(self, dsn: str, options: PgVectorOptions | None = None) -> None:
        self._options = options or PgVectorOptions()
        settings = {
            "hnsw.ef_search": str(self._options.ef_search),
            "hnsw.iterative_scan": "relaxed_order",
            # A planner that takes a bot for small would rather compare all of its vectors and sort them.
            "enable_sort": "off",
        }
        self._connections = Connections(dsn, connect_timeout=self._options.connect_timeout, settings=settings)

    def partition(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace) -> VectorPartition:
        """Return a handle on the bot's vectors; the space's table is made when it is first needed.

        Raises:
            VectorIndexError: if the database cannot be asked, or cannot store vectors of so many dimensions.
        """
        if space.dimension > WIDEST:
            raise VectorIndexError(f"pgvector stores vectors of up to {WIDEST:,} dimensions, not {space.dimension:,}")
        statements = Statements(space, halfvec=self._options.halfvec)
        owner = Owner(space.fingerprint, scope.tenant_id, bot_id)
        self._connections.run(lambda connection: _make_tables(connection, statements))
        return PgVectorPartition(self._connections, statements, owner, self._options)

    def drop(self, scope: TenantScope, bot_id: str | None = None, *, keep: str | None = None) -> None:
        """Delete the vectors of a bot, or of a whole tenant, but for the space of the fingerprint `keep`."""
        try:
            indexes = self._connections.run(
                lambda connection: _delete(connection, tenant=scope.tenant_id, bot=bot_id, keep=keep)
            )
        except PartitionLostError:
            return  # there is no table, so nothing of the bot
        for name in indexes:
            drop_index(self._connections, name)

    def purge(self) -> Purge:
        """Write the tables of vectors anew, with their indexes; searches wait meanwhile."""
        return rewrite_tables(self._connections)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def _make_tables(connection: Any, statements: Statements) -> None:
    if _has_tables(connection, statements):
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_CREATION_LOCK,))
    if _has_tables(connection, statements):
        return  # another process was the first
    if connection.execute("SELECT to_regtype('vector') IS NULL").fetchone() == (True,):
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute(statements.create)


def _has_tables(connection: Any, statements: Statements) -> bool:
    names = (POSITIONS, statements.table)
    found = connection.execute("SELECT to_regclass(%s) IS NOT NULL AND to_regclass(%s) IS NOT NULL", names).fetchone()
    return bool(found == (True,))


def _delete(connection: Any, *, tenant: str, bot: str | None, keep: str | None) -> list[str]:
    """Delete what is kept of a bot or tenant; return the names of its HNSW indexes, which are to be dropped."""
    rows = connection.execute(
        f"DELETE FROM {POSITIONS} WHERE tenant = %(tenant)s AND bot = coalesce(%(bot)s, bot) "  # noqa: S608 - a constant
        "AND space IS DISTINCT FROM %(keep)s RETURNING space, bot, indexed",
        {"tenant": tenant, "bot": bot, "keep": keep},
    ).fetchall()
    for space, owner, _ in rows:
        if connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table_name(space),)).fetchone() == (True,):
            statement = f"DELETE FROM {table_name(space)} WHERE tenant = %s AND bot = %s"  # noqa: S608 - our own name
            connection.execute(statement, (tenant, owner))
    return [index_name(space, tenant, owner) for space, owner, indexed in rows if indexed]
