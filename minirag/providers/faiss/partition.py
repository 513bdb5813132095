"""The vectors of one bot: append-only arrays, of which readers hold immutable snapshots."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minirag.errors import VectorIndexError
from minirag.interfaces.vector_index import VectorPartition
from minirag.providers.faiss.engines import LENGTH_LIMIT, Engine, ExactScan, cosines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.types import Keys, Matrix, Scores, Vector

__all__ = ["FaissPartition"]

_FIRST_CAPACITY: Final = 64
_SLACK: Final = 1_024
"""Dead rows that are tolerated before they are counted against the living."""


@dataclass(slots=True)
class _Snapshot:
    """The partition between two writes. Rows never change once a snapshot shows them; dead ones are only marked.

    Attributes:
        alive: False where a row was removed or replaced; None while none was.
        live: how many rows are alive.
    """

    keys: Keys
    vectors: Matrix
    alive: NDArray[np.bool_] | None
    live: int
    _sorted: tuple[Keys, NDArray[np.int64]] | None = field(default=None)

    def living(self) -> NDArray[np.int64] | None:
        """Return the positions of the living rows, ascending; None if all are."""
        return None if self.alive is None else np.flatnonzero(self.alive)

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Return the position of each key, -1 for an absent one."""
        if not self.live:
            return np.full(len(keys), -1, dtype=np.int64)
        if self._sorted is None:  # two readers may both sort; they get the same
            living = np.arange(len(self.keys)) if self.alive is None else np.flatnonzero(self.alive)
            order = np.argsort(self.keys[living])
            self._sorted = (self.keys[living[order]], living[order])
        known, positions = self._sorted
        places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[places] == keys, positions[places], -1)


class FaissPartition(VectorPartition):
    """Holds float32 vectors in one growing matrix and searches it without locks.

    A writer appends rows behind the end of every published snapshot, marks removed rows as dead in a fresh mask, and
    publishes both with one assignment. Dead rows are squeezed out, into new arrays, once there are a third as many
    as living ones. So n vectors added in batches cost O(n), and a reader keeps the state that it began with.
    """

    def __init__(self, dimension: int, *, scan: Engine | None = None) -> None:
        self._dimension = dimension
        self._scan = ExactScan() if scan is None else scan
        self._writing = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._keys = np.empty(0, dtype=np.int64)
        self._vectors = np.empty((0, self._dimension), dtype=np.float32)
        self._positions: dict[int, int] = {}
        self._snapshot = _Snapshot(self._keys, self._vectors, None, 0)

    def __len__(self) -> int:
        """Return how many vectors are alive."""
        return self._snapshot.live

    @property
    def engine(self) -> str:
        """Return what kind of search is in use: `"exact"`."""
        return self._scan.name

    @property
    def nbytes(self) -> int:
        """The memory its arrays take, reserved rows included, and about that of the positions by key."""
        return self._vectors.nbytes + self._keys.nbytes + 100 * len(self._positions)

    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        """Remove, then add. Of a key that is added twice the later vector stays.

        Raises:
            VectorIndexError: for arrays of another type or shape, or vectors longer than one or not finite; nothing is changed.
        """
        _check_keys(removed, "removed")
        _check_keys(added, "added")
        _check_array(vectors, "vectors", np.float32, (len(added), self._dimension))
        long = np.flatnonzero(~(np.vecdot(vectors, vectors, dtype=np.float64) <= LENGTH_LIMIT**2))
        if len(long):
            raise VectorIndexError(
                f"the vector of key {int(added[long[0]])} is longer than one or not finite; normalise it before it is added"
            )
        with self._writing:
            self._apply(removed, added, vectors)

    def _apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        before = self._snapshot
        start = len(before.keys)
        end = start + len(added)
        self._reserve(end)
        self._keys[start:end] = added
        self._vectors[start:end] = vectors
        positions = self._positions
        dead = [positions.pop(key) for key in removed.tolist() if key in positions]
        for position, key in enumerate(added.tolist(), start):
            if key in positions:
                dead.append(positions[key])
            positions[key] = position
        alive = before.alive
        if dead or alive is not None:
            alive = np.ones(end, dtype=np.bool_)
            if before.alive is not None:
                alive[:start] = before.alive
            alive[dead] = False
        self._publish(end, alive)
        if end - len(positions) > _SLACK + len(positions) // 3:
            self._squeeze()

    def _publish(self, end: int, alive: NDArray[np.bool_] | None) -> None:
        self._snapshot = _Snapshot(self._keys[:end], self._vectors[:end], alive, len(self._positions))

    def _reserve(self, rows: int) -> None:
        """Make room for so many rows. Snapshots keep the arrays they show."""
        if rows <= len(self._keys):
            return
        used = len(self._snapshot.keys)
        capacity = max(rows, _FIRST_CAPACITY, len(self._keys) * 3 // 2)
        keys = np.empty(capacity, dtype=np.int64)
        vectors = np.empty((capacity, self._dimension), dtype=np.float32)
        keys[:used] = self._keys[:used]
        vectors[:used] = self._vectors[:used]
        self._keys, self._vectors = keys, vectors

    def _squeeze(self) -> None:
        """Copy the living rows into new arrays."""
        living = self._snapshot.living()
        assert living is not None
        self._keys, self._vectors = self._keys[living], self._vectors[living]
        self._positions = {key: position for position, key in enumerate(self._keys.tolist())}
        self._publish(len(living), None)

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        """Return the keys of the nearest vectors and their cosines, best first; ties with the k-th follow beyond k.

        Raises:
            VectorIndexError: for a query or `allowed` of another type or shape, a query longer than one, or a negative `k`.
        """
        del exact  # every search is
        self._check_query(query)
        if k < 0:
            raise VectorIndexError(f"k must be at least 0, not {k!r}")
        snapshot = self._snapshot
        if allowed is None:
            eligible = snapshot.living()
        else:
            _check_keys(allowed, "allowed")
            found = snapshot.find(allowed)
            is_allowed = np.zeros(len(snapshot.keys), dtype=np.bool_)
            is_allowed[found[found >= 0]] = True
            eligible = np.flatnonzero(is_allowed)
        if k == 0 or not snapshot.live:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
        chosen = self._scan.propose(snapshot.vectors, query, k, eligible=eligible)
        scores, keys = cosines(snapshot.vectors, query, chosen), snapshot.keys[chosen]
        order = np.lexsort((keys, -scores))
        scores, keys = scores[order], keys[order]
        if len(keys) > k:
            rounded = np.round(scores, 6)
            k = int(np.count_nonzero(rounded >= rounded[k - 1]))
        return keys[:k], scores[:k]

    def scores(self, query: Vector, keys: Keys) -> Scores:
        """Return the cosine of each key's vector, NaN where the partition does not hold it."""
        self._check_query(query)
        _check_keys(keys, "keys")
        snapshot = self._snapshot
        positions = snapshot.find(keys)
        held = positions >= 0
        scores = np.full(len(keys), np.nan, dtype=np.float64)
        scores[held] = cosines(snapshot.vectors, query, positions[held])
        return scores

    def clear(self) -> None:
        """Forget every vector and give the memory back."""
        with self._writing:
            self._reset()

    def _check_query(self, query: Vector) -> None:
        _check_array(query, "query", np.float32, (self._dimension,))
        if not np.vecdot(query, query, dtype=np.float64) <= LENGTH_LIMIT**2:
            raise VectorIndexError(
                "the query's vector is longer than one or not finite; normalise it before the search"
            )


def _check_keys(keys: Keys, name: str) -> None:
    if not isinstance(keys, np.ndarray) or keys.dtype != np.int64 or keys.ndim != 1:
        raise VectorIndexError(f"{name} must be an int64 array of one dimension, not {_describe(keys)}")


def _check_array(array: Any, name: str, dtype: type[np.float32], shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        raise VectorIndexError(f"{name} must be a {dtype.__name__} array of shape {shape}, not {_describe(array)}")


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"a {type(value).__name__}"
