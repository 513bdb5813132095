"""`QdrantPartition`: a handle on the vectors of one bot in a collection of Qdrant."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
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
from minirag.providers.qdrant.locking import SharedLock
from minirag.providers.qdrant.points import Owner, key_of
from minirag.providers.qdrant.translation import translated

if TYPE_CHECKING:
    from minirag.types import Keys, Matrix, Scores, Vector

__all__ = ["QdrantPartition"]

_UPSERTED: Final = 500
"""Vectors in one request, some 4 MB of JSON at 384 dimensions."""

_NAMED: Final = 50_000
"""Ids in one request, 2 MB of JSON; a longer list is searched in parts."""


class QdrantPartition(VectorPartition):
    """Searches and feeds what the collection keeps of one bot. Each search asks for the position in the same request.

    Args:
        collection: its name.
        lock: keeps a search of this process from seeing half of an `apply`.
        hnsw_ef: candidates in a search; None where the client searches by itself, and knows no such thing.
    """

    remote = True

    def __init__(
        self, client: Any, collection: str, owner: Owner, *, dimension: int, lock: SharedLock, hnsw_ef: int | None
    ) -> None:
        self._client = client
        self._collection = collection
        self._owner = owner
        self._dimension = dimension
        self._lock = lock
        self._hnsw_ef = hnsw_ef
        self._seen = 0
        with translated(), lock.writing():
            self._generation = self._begin()

    def __len__(self) -> int:
        """How many vectors the collection keeps of the bot."""
        with translated(), self._lock.reading():
            return int(self._client.count(self._collection, count_filter=self._owner.conditions(), exact=True).count)

    @property
    def engine(self) -> str:
        """Which mode of the client is in use."""
        return "qdrant local" if self._hnsw_ef is None else "qdrant"

    def kept(self) -> LogPosition:
        """Return up to where the log has been applied to what the collection keeps."""
        with translated(), self._lock.reading():
            position = self._position()
        self._check(position, 0)
        self._seen = position["sequence"]
        return LogPosition(position["sequence"], position["nonce"])

    def keep(self, position: LogPosition) -> None:
        """Note that all of the log up to `position` is applied, unless another process has come further."""
        from qdrant_client import models

        # Under these conditions, which the server checks as it writes, no other process's later note is lost.
        mine = models.Filter(
            must=[
                models.HasIdCondition(has_id=[self._owner.position_id]),
                models.FieldCondition(key="generation", match=models.MatchValue(value=self._generation)),
                models.FieldCondition(key="sequence", range=models.Range(lte=position.sequence)),
            ]
        )
        with translated(), self._lock.writing():
            self._check(self._position(), self._seen)
            self._client.set_payload(
                self._collection,
                payload={"sequence": position.sequence, "nonce": position.nonce},
                points=mine,
                wait=True,
            )
            self._check(self._position(), position.sequence)
        self._seen = position.sequence

    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        """Remove, then add. Of a key that is added twice the later vector stays.

        Other processes may see a part of it meanwhile.

        Raises:
            PartitionLostError: see `kept` of the interface.
            VectorIndexError: for arrays of another type or shape, or vectors longer than one or not finite.
        """
        check_apply(removed, added, vectors, dimension=self._dimension)
        keys, rows = without_twins(added, vectors)
        gone = np.setdiff1d(removed, keys)  # what comes anew is replaced in its place
        with translated(), self._lock.writing():
            self._check(self._position(), self._seen)
            for operation in self._operations(gone, keys, rows):
                self._client.batch_update_points(self._collection, [operation], wait=True)

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        """Return the keys of the nearest vectors and their cosines, best first; ties with the k-th follow beyond k.

        Raises:
            PartitionLostError: see `kept` of the interface.
            VectorIndexError: for a query or `allowed` of another type or shape, a query longer than one, or a negative `k`.
        """
        check_query(query, k, dimension=self._dimension)
        ids: list[str] | None = None
        if allowed is not None:
            check_keys(allowed, "allowed")
            ids = self._owner.ids(np.unique(allowed))

        def fetch(count: int) -> tuple[Keys, Matrix]:
            found = self._nearest(query, count, ids, exact=exact)
            enough = count if ids is None else min(count, len(ids))
            if exact or self._hnsw_ef is None or len(found[0]) >= enough:
                return found
            # A graph may end before it has met enough of what is allowed.
            return self._nearest(query, count, ids, exact=True)

        with translated(), self._lock.reading():
            return rank_fetched(fetch, query, k)

    def scores(self, query: Vector, keys: Keys) -> Scores:
        """Return the cosine of each key's vector, NaN where the collection does not keep it."""
        check_query(query, 0, dimension=self._dimension)
        check_keys(keys, "keys")
        wanted, places = np.unique(keys, return_inverse=True)
        scores = np.full(len(wanted), np.nan)
        with translated(), self._lock.reading():
            for part in _parts(self._owner.ids(wanted)):
                found, vectors, _ = self._ask(self._owner.conditions(part), limit=max(1, len(part)))
                scores[np.searchsorted(wanted, found)] = float64_sums(vectors, query)
        return scores[places]

    def clear(self) -> None:
        """Delete every vector of the bot. Other handles notice."""
        from qdrant_client import models

        with translated(), self._lock.writing():
            # First the position: whoever sees fewer vectors sees that they were begun anew. And last: whoever has begun to
            # feed them meanwhile has lost some.
            self._write_position()
            self._client.delete(
                self._collection, points_selector=models.FilterSelector(filter=self._owner.conditions()), wait=True
            )
            self._generation, self._seen = self._write_position(), 0

    def _begin(self) -> int:
        """Return the generation of what is kept; begin one if nothing is kept."""
        position = self._position()
        if position is None:
            self._write_position()
            position = self._position()  # another process may have been the later one
        if position is None:
            raise PartitionLostError("the position of the vectors was deleted as soon as it was written")
        return int(position["generation"])

    def _write_position(self) -> int:
        from qdrant_client import models

        generation = secrets.randbits(53)  # which JSON carries unharmed through any reader
        payload = self._owner.position_payload | {"generation": generation, "sequence": 0, "nonce": 0}
        point = models.PointStruct(id=self._owner.position_id, vector=[0.0] * self._dimension, payload=payload)
        self._client.upsert(self._collection, points=[point], wait=True)
        return generation

    def _position(self) -> Any:
        """Return the payload of the point that says where the log stands, or None."""
        points = self._client.retrieve(self._collection, ids=[self._owner.position_id], with_payload=True)
        return points[0].payload if points else None

    def _check(self, position: Any, seen: int) -> None:
        if position is None or position["generation"] != self._generation:
            raise PartitionLostError("the vectors were deleted or begun anew by another process")
        if position["sequence"] < seen:
            raise PartitionLostError(
                f"the vectors stand at {position['sequence']} of the log, and stood at {seen} before"
            )

    def _operations(self, gone: Keys, keys: Keys, rows: Matrix) -> Iterator[Any]:
        from qdrant_client import models

        for part in _parts(self._owner.ids(gone)) if len(gone) else ():
            yield models.DeleteOperation(delete=models.FilterSelector(filter=self._owner.conditions(part)))
        for start in range(0, len(keys), _UPSERTED):
            stop = start + _UPSERTED
            points = [
                models.PointStruct(id=point_id, vector=vector, payload=self._owner.payload)
                for point_id, vector in zip(self._owner.ids(keys[start:stop]), rows[start:stop].tolist(), strict=True)
            ]
            yield models.UpsertOperation(upsert=models.PointsList(points=points))

    def _nearest(self, query: Vector, count: int, ids: list[str] | None, *, exact: bool) -> tuple[Keys, Matrix]:
        """Return the nearest by the server's own scores."""
        from qdrant_client import models

        params = None if self._hnsw_ef is None else models.SearchParams(hnsw_ef=max(self._hnsw_ef, count), exact=exact)
        asked = {"query": query.tolist(), "params": params, "limit": count}
        if ids is None:
            keys, vectors, _ = self._ask(self._owner.conditions(), **asked)
            return keys, vectors
        parts = [self._ask(self._owner.conditions(part), **asked) for part in _parts(ids)]
        keys, vectors, rough = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        best = np.argsort(-rough, kind="stable")[:count]
        return keys[best], vectors[best]

    def _ask(self, conditions: Any, **asked: Any) -> tuple[Keys, Matrix, Scores]:
        """Return keys, vectors and the server's scores, once the position that came with them is checked."""
        from qdrant_client import models

        seen = self._seen
        place = models.Filter(must=[models.HasIdCondition(has_id=[self._owner.position_id])])
        answers = self._client.query_batch_points(
            self._collection,
            requests=[
                models.QueryRequest(filter=conditions, with_vector=True, **asked),
                models.QueryRequest(filter=place, with_payload=True, limit=1),
            ],
        )
        points, places = (answer.points for answer in answers)
        self._check(places[0].payload if places else None, seen)
        keys = np.array([key_of(point.id) for point in points], np.int64)
        vectors = np.array([point.vector for point in points], np.float32).reshape(len(points), self._dimension)
        return keys, vectors, np.array([point.score for point in points], np.float64)


def _parts(ids: list[str]) -> Iterator[list[str]]:
    """Yield ids in lists that fit into a request; an empty one if there are none, so that the position is checked."""
    for start in range(0, max(1, len(ids)), _NAMED):
        yield ids[start : start + _NAMED]
