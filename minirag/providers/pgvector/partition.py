"""`PgVectorPartition`: a handle on the vectors of one bot in PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minirag.interfaces.candidates import (
    check_apply,
    check_keys,
    check_query,
    float64_sums,
    rank_fetched,
    without_twins,
)
from minirag.interfaces.records import LogPosition
from minirag.interfaces.snapshots import PartitionLostError
from minirag.interfaces.vector_index import VectorPartition
from minirag.providers.pgvector.building import build_index, drop_index
from minirag.providers.pgvector.connections import Connections
from minirag.providers.pgvector.encoding import COPY_BEGIN, COPY_END, QueryVector, copy_rows, read_vectors
from minirag.providers.pgvector.options import PgVectorOptions
from minirag.providers.pgvector.statements import Statements, index_name

if TYPE_CHECKING:
    from minirag.types import Keys, Matrix, Scores, Vector

__all__ = ["Owner", "PgVectorPartition"]

_FEW: Final = 10_000
"""Allowed keys up to which all are compared: they are looked up by the primary key, and none is missed."""

_HALF_ERROR: Final = 2e-3
"""By how much a cosine may be off that is made of numbers of half the size, 11 bits each."""

_COPY_BLOCK: Final = 5_000
"""Rows that are encoded at once, 8 MB at 384 dimensions."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose vectors they are. `values` go into every statement."""

    space: str
    tenant: str
    bot: str

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of every statement's conditions."""
        return {"space": self.space, "tenant": self.tenant, "bot": self.bot}


class PgVectorPartition(VectorPartition):
    """Searches and feeds what the database keeps of one bot. Each call is one transaction, and each search one statement.

    A bot of few vectors has all of them compared; a large one gets an HNSW index of its own in `optimize`.
    """

    remote = True

    def __init__(
        self, connections: Connections, statements: Statements, owner: Owner, options: PgVectorOptions
    ) -> None:
        self._connections = connections
        self._statements = statements
        self._owner = owner
        self._options = options
        self._index = index_name(owner.space, owner.tenant, owner.bot)
        self._seen = 0
        self._pending: int | None = None
        self._counted: tuple[Any, int] = None, 0
        self._generation, self._indexed = self._begin()

    def __len__(self) -> int:
        """How many vectors the database keeps of the bot. They are counted again when the position beside them was written."""
        version = self._row(self._statements.version)
        if version is None:
            return int(self._row(self._statements.count)[0])
        if version != self._counted[0]:
            *version, count = self._row(self._statements.version_and_count) or (*version, 0)
            self._counted = tuple(version), count
        return self._counted[1]

    @property
    def engine(self) -> str:
        """Whether searches use an HNSW index or compare every vector."""
        return "pgvector hnsw" if self._indexed else "pgvector exact"

    @property
    def pending(self) -> int:
        """How many vectors wait for an HNSW index; 0 below `index_from`."""
        if self._indexed or not self._statements.indexable:
            return 0
        if self._pending is None:
            most = self._options.index_from
            (count,) = self._row(self._statements.count_up_to, most=most)
            self._pending = len(self) if count >= most else 0
        return self._pending

    def kept(self) -> LogPosition:
        """Return up to where the log has been applied to what the database keeps."""
        sequence, nonce = self._connections.ask(self._read_position)
        self._seen = sequence
        return LogPosition(sequence, nonce)

    def keep(self, position: LogPosition) -> None:
        """Note that all of the log up to `position` is applied, unless another process has come further."""

        def note(connection: Any) -> None:
            if self._lock(connection) <= position.sequence:
                values = self._owner.values | {"sequence": position.sequence, "nonce": position.nonce}
                connection.execute(self._statements.keep, values)

        self._connections.run(note)
        self._seen = position.sequence

    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        """Remove, then add, in one transaction. Of a key that is added twice the later vector stays.

        Raises:
            PartitionLostError: see `kept` of the interface.
            VectorIndexError: for arrays of another type or shape, or vectors longer than one or not finite.
        """
        check_apply(removed, added, vectors, dimension=self._statements.dimension)
        keys, rows = without_twins(added, vectors)
        gone = np.setdiff1d(removed, keys)  # what comes anew is replaced in its place

        def change(connection: Any) -> None:
            self._lock(connection)
            if len(gone):
                connection.execute(self._statements.remove, self._owner.values | {"keys": gone})
            if len(keys):
                self._add(connection, keys, rows)

        self._connections.run(change)
        self._pending = None

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        """Return the keys of the nearest vectors and their cosines, best first; ties with the k-th follow beyond k.

        Raises:
            PartitionLostError: see `kept` of the interface.
            VectorIndexError: for a query or `allowed` of another type or shape, a query longer than one, or a negative `k`.
        """
        check_query(query, k, dimension=self._statements.dimension)
        values = self._owner.values | {"query": QueryVector(query)}
        if allowed is not None:
            check_keys(allowed, "allowed")
            values["keys"] = np.unique(allowed)
        by_index = self._indexed and not exact and (allowed is None or len(values["keys"]) > _FEW)

        def fetch(count: int, *, exact: bool) -> tuple[Keys, Matrix]:
            statement = self._statements.search[exact, allowed is not None]
            return self._look(statement, values | {"count": count})

        def fetch_by_index(count: int) -> tuple[Keys, Matrix]:
            found = fetch(count, exact=False)
            # An index may end before it has met enough of what is allowed.
            return found if len(found[0]) == count else fetch(count, exact=True)

        if by_index:
            return rank_fetched(fetch_by_index, query, k, error=_HALF_ERROR if self._statements.halved else None)
        return rank_fetched(lambda count: fetch(count, exact=True), query, k)

    def scores(self, query: Vector, keys: Keys) -> Scores:
        """Return the cosine of each key's vector, NaN where the database does not keep it."""
        check_query(query, 0, dimension=self._statements.dimension)
        check_keys(keys, "keys")
        wanted, places = np.unique(keys, return_inverse=True)
        found, vectors = self._look(self._statements.pick, self._owner.values | {"keys": wanted})
        scores = np.full(len(wanted), np.nan)
        scores[np.searchsorted(wanted, found)] = float64_sums(vectors, query)
        return scores[places]

    def clear(self) -> None:
        """Delete every vector of the bot, and its HNSW index, without which it is fed faster. Other handles notice."""
        generation = _new_generation()

        def restart(connection: Any) -> None:
            connection.execute(self._statements.restart, self._owner.values | {"generation": generation})
            connection.execute(self._statements.clear, self._owner.values)

        self._connections.run(restart)
        self._generation, self._seen, self._pending = generation, 0, None
        if self._indexed:
            self._indexed = False
            drop_index(self._connections, self._index)

    def optimize(self, stop: Callable[[], bool]) -> None:
        """Build the HNSW index if the bot is large enough and has none, beside searches and applies."""
        if not self.pending or stop():
            return
        statement = self._statements.build(
            self._index,
            self._owner.tenant,
            self._owner.bot,
            m=self._options.m,
            ef_construction=self._options.ef_construction,
        )
        if build_index(self._connections, self._index, statement, memory=self._options.build_memory, stop=stop):
            values = self._owner.values | {"generation": self._generation}
            self._connections.run(lambda connection: connection.execute(self._statements.mark_indexed, values))
            self._indexed = True

    def _begin(self) -> tuple[int, bool]:
        """Return the generation of what is kept, and whether it has an index; begin one if nothing is kept."""

        def read(connection: Any) -> Any:
            values = self._owner.values | {"generation": _new_generation()}
            row = connection.execute(self._statements.place, values).fetchone()
            if row is None:
                connection.execute(self._statements.begin, values)
                row = connection.execute(self._statements.place, values).fetchone()
            return row

        row = self._connections.run(read)
        if row is None:
            raise PartitionLostError("the position of the vectors was deleted as soon as it was written")
        return row[0], row[3]

    def _read_position(self, connection: Any) -> tuple[int, int]:
        row = connection.execute(self._statements.place, self._owner.values).fetchone()
        if row is None or row[0] != self._generation:
            raise PartitionLostError("the vectors were deleted or begun anew by another process")
        return row[1], row[2]

    def _lock(self, connection: Any) -> int:
        """Have the writers of this bot wait for one another; return the sequence that is kept."""
        row = connection.execute(self._statements.lock, self._owner.values).fetchone()
        self._check(None if row is None else row[0], 0 if row is None else row[1], self._seen)
        return int(row[1])

    def _check(self, generation: int | None, sequence: int, seen: int) -> None:
        if generation != self._generation:
            raise PartitionLostError("the vectors were deleted or begun anew by another process")
        if sequence < seen:
            raise PartitionLostError(f"the vectors stand at {sequence} of the log, and stood at {seen} before")

    def _look(self, statement: str, values: dict[str, Any]) -> tuple[Keys, Matrix]:
        """Return the keys and vectors that a statement finds, once the position beside them is checked."""
        seen = self._seen  # before the statement: another thread may note a later one meanwhile

        def read(connection: Any) -> list[Any]:
            with connection.cursor(binary=True) as cursor:
                return cursor.execute(statement, values).fetchall()  # type: ignore[no-any-return]  # its types are not looked into

        rows = self._connections.ask(read)
        generation, sequence, indexed, _, _ = rows[0]
        self._check(generation, sequence or 0, seen)
        self._indexed = indexed
        found = [row for row in rows if row[3] is not None]
        keys = np.array([row[3] for row in found], np.int64)
        return keys, read_vectors([row[4] for row in found], self._statements.dimension)

    def _add(self, connection: Any, keys: Keys, vectors: Matrix) -> None:
        connection.execute(self._statements.stage)
        with connection.cursor().copy(self._statements.copy) as copy:
            copy.write(COPY_BEGIN)
            for start in range(0, len(keys), _COPY_BLOCK):
                copy.write(copy_rows(keys[start : start + _COPY_BLOCK], vectors[start : start + _COPY_BLOCK]))
            copy.write(COPY_END)
        connection.execute(self._statements.add, self._owner.values)

    def _row(self, statement: str, **values: Any) -> Any:
        """Return the first row of a statement, None if there is none."""
        given = self._owner.values | values
        return self._connections.ask(lambda connection: connection.execute(statement, given).fetchone())


def _new_generation() -> int:
    return secrets.randbits(62)
