"""The SQL of one embedding space. Every statement on vectors has the tenant and the bot among its conditions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from minirag.models.index import EmbeddingSpace

__all__ = ["POSITIONS", "WIDEST", "Statements", "index_name", "table_name"]

POSITIONS: Final = "minirag_vector_positions"
WIDEST: Final = 16_000
"""Dimensions that pgvector can store."""

_WIDEST_INDEXED: Final = 2_000
_WIDEST_HALVED: Final = 4_000
_MINE: Final = "space = %(space)s AND tenant = %(tenant)s AND bot = %(bot)s"
_OURS: Final = "tenant = %(tenant)s AND bot = %(bot)s"

_SEARCH = """
WITH place AS (SELECT generation, sequence, indexed FROM {positions} WHERE {mine}),
found AS MATERIALIZED (
    SELECT key, embedding FROM {table} WHERE {ours} {among} ORDER BY {distance} LIMIT %(count)s)
SELECT generation, sequence, indexed, key, embedding
FROM (SELECT 1) AS one LEFT JOIN place ON true LEFT JOIN found ON true"""
"""One statement, so that the vectors and the position are those of one moment."""

_PICK = """
WITH place AS (SELECT generation, sequence, indexed FROM {positions} WHERE {mine}),
found AS (SELECT key, embedding FROM {table} WHERE {ours} AND key = ANY(%(keys)b::bigint[]))
SELECT generation, sequence, indexed, key, embedding
FROM (SELECT 1) AS one LEFT JOIN place ON true LEFT JOIN found ON true"""


def table_name(fingerprint: str) -> str:
    """Return the name of a space's table."""
    return f"minirag_vectors_{fingerprint}"


def index_name(fingerprint: str, tenant: str, bot: str) -> str:
    """Return the name of a bot's HNSW index."""
    owner = hashlib.sha256(f"{tenant}\0{bot}".encode()).hexdigest()[:16]
    return f"minirag_hnsw_{fingerprint}_{owner}"


class Statements:
    """The statements of one space.

    Attributes:
        indexable: whether vectors of this dimension can have an HNSW index.
        halved: whether that index holds numbers of half the size.
    """

    def __init__(self, space: EmbeddingSpace, *, halfvec: bool) -> None:
        self.dimension = space.dimension
        self.fingerprint = space.fingerprint
        self.table = table_name(space.fingerprint)
        self.indexable = space.dimension <= _WIDEST_HALVED
        self.halved = self.indexable and (halfvec or space.dimension > _WIDEST_INDEXED)
        self._half = f"halfvec({space.dimension})"
        self.create = _filled(
            "CREATE TABLE IF NOT EXISTS {positions} (space text NOT NULL, tenant text NOT NULL, bot text NOT NULL, "
            "generation bigint NOT NULL, sequence bigint NOT NULL DEFAULT 0, nonce bigint NOT NULL DEFAULT 0, "
            "indexed boolean NOT NULL DEFAULT false, PRIMARY KEY (space, tenant, bot)); "
            "CREATE TABLE IF NOT EXISTS {table} (tenant text NOT NULL, bot text NOT NULL, key bigint NOT NULL, "
            "embedding vector({dimension}) NOT NULL, PRIMARY KEY (tenant, bot, key)); "
            # Of a table that was lost nothing is applied any more.
            "DELETE FROM {positions} WHERE space = '{space}'",
            self.table,
            space=space.fingerprint,
            dimension=str(space.dimension),
        )
        self.place = self._fill("SELECT generation, sequence, nonce, indexed FROM {positions} WHERE {mine}")
        self.begin = self._fill(
            "INSERT INTO {positions} (space, tenant, bot, generation) "
            "VALUES (%(space)s, %(tenant)s, %(bot)s, %(generation)s) ON CONFLICT DO NOTHING"
        )
        # Both name the table too, so that a lost one is noticed by those who only look at the position. The lock is an
        # update, so that the row has another version whenever vectors may have changed.
        self.lock = self._fill(
            "UPDATE {positions} SET nonce = nonce WHERE {mine} AND {present} RETURNING generation, sequence"
        )
        self.version = self._fill("SELECT xmin::text, ctid::text FROM {positions} WHERE {mine} AND {present}")
        self.version_and_count = self._fill(
            "SELECT xmin::text, ctid::text, (SELECT count(*) FROM {table} WHERE {ours}) FROM {positions} WHERE {mine}"
        )
        self.keep = self._fill("UPDATE {positions} SET sequence = %(sequence)s, nonce = %(nonce)s WHERE {mine}")
        self.restart = self._fill(
            "INSERT INTO {positions} (space, tenant, bot, generation) "
            "VALUES (%(space)s, %(tenant)s, %(bot)s, %(generation)s) ON CONFLICT (space, tenant, bot) "
            "DO UPDATE SET generation = excluded.generation, sequence = 0, nonce = 0, indexed = false"
        )
        self.mark_indexed = self._fill(
            "UPDATE {positions} SET indexed = true WHERE {mine} AND generation = %(generation)s"
        )
        self.remove = self._fill("DELETE FROM {table} WHERE {ours} AND key = ANY(%(keys)b::bigint[])")
        self.stage = (
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.table}_new (key bigint, embedding vector({space.dimension})) "
            "ON COMMIT DELETE ROWS"
        )
        self.copy = f"COPY {self.table}_new (key, embedding) FROM STDIN WITH (FORMAT BINARY)"
        self.add = self._fill(
            "INSERT INTO {table} AS held (tenant, bot, key, embedding) "
            "SELECT %(tenant)s, %(bot)s, key, embedding FROM {table}_new ON CONFLICT (tenant, bot, key) "
            "DO UPDATE SET embedding = excluded.embedding WHERE held.embedding <> excluded.embedding"
        )
        self.clear = self._fill("DELETE FROM {table} WHERE {ours}")
        self.count = self._fill("SELECT count(*) FROM {table} WHERE {ours}")
        self.count_up_to = self._fill(
            "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {ours} LIMIT %(most)s) AS counted"
        )
        self.pick = self._fill(_PICK)
        query = "%(query)b::real[]::vector"
        nearest = f"embedding::{self._half} <#> {query}::{self._half}" if self.halved else f"embedding <#> {query}"
        among = "AND key = ANY(%(keys)b::bigint[])"
        # A sum is no expression of any index, so that every row is compared.
        scanned = f"(embedding <#> {query}) + 0"
        self.search = {
            (exact, filtered): self._fill(
                _SEARCH, among=among if filtered else "", distance=scanned if exact else nearest
            )
            for exact in (False, True)
            for filtered in (False, True)
        }

    def build(self, name: str, tenant: str, bot: str, *, m: int, ef_construction: int) -> str:
        """Return the statement that builds the HNSW index of one bot. Small bots cost it nothing, and large ones have their own."""
        expression = f"(embedding::{self._half}) halfvec_ip_ops" if self.halved else "embedding vector_ip_ops"
        return (
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {self.table} USING hnsw ({expression}) "
            f"WITH (m = {m}, ef_construction = {ef_construction}) "
            f"WHERE tenant = {_quoted(tenant)} AND bot = {_quoted(bot)}"
        )

    def _fill(self, text: str, **parts: str) -> str:
        return _filled(text, self.table, **parts)


def _filled(text: str, table: str, **parts: str) -> str:
    present = f"NOT EXISTS (SELECT 1 FROM {table} WHERE false)"  # noqa: S608 - our own name
    return text.format(table=table, positions=POSITIONS, mine=_MINE, ours=_OURS, present=present, **parts)


def _quoted(text: str) -> str:
    """Return a literal; an index's condition takes no parameter."""
    return "'" + text.replace("'", "''") + "'"
