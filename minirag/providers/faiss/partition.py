"""The vectors of one bot: readers hold an immutable state, a writer publishes the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.interfaces.candidates import check_apply, check_keys, check_query
from minirag.interfaces.vector_index import VectorPartition
from minirag.providers.faiss.exact import cosines
from minirag.providers.faiss.keys import appended, run_of
from minirag.providers.faiss.plan import Plan
from minirag.providers.faiss.rows import Rows, RowsWriter
from minirag.providers.faiss.settling import Settled, settle, squeezed, to_settle
from minirag.providers.faiss.state import State
from minirag.providers.faiss.stored import write_state

if TYPE_CHECKING:
    from minirag.interfaces.snapshots import SnapshotWriter
    from minirag.types import Keys, Matrix, Scores, Vector

__all__ = ["FaissPartition"]

_FIRST_CAPACITY: Final = 64


class FaissPartition(VectorPartition):
    """Holds float32 vectors and searches them without locks.

    A writer appends rows behind the end of every published state, marks removed rows as dead in a fresh mask, and
    publishes both with one assignment. So n vectors added in batches cost O(n), and a reader keeps the state that it
    began with. `optimize` codes the rows of a large partition, and squeezes dead ones out, beside readers and writer;
    of a small one `apply` squeezes them out.
    """

    def __init__(
        self, dimension: int, *, plan: Plan | None = None, state: State | None = None, refused: int = 0
    ) -> None:
        self._dimension = dimension
        self._plan = Plan() if plan is None else plan
        self._writing = threading.Lock()
        self._settling = False
        self._refused = refused
        self._take_over(state or State(np.empty(0, dtype=np.int64), Rows(dimension, ()), (), None, 0))

    def _take_over(self, state: State) -> None:
        """Begin anew from a state whose positions are its own. Called with the lock, or by nobody else."""
        self._keys = state.keys
        self._writer = RowsWriter(self._dimension, state.rows.parts)
        self._generation = object()
        self._state = state

    def __len__(self) -> int:
        """Return how many vectors are alive."""
        return self._state.live

    @property
    def engine(self) -> str:
        """Return what kind of search is in use: `"exact"` or `"ivf-pq"`."""
        coded = self._state.coded
        return "exact" if coded is None else coded.name

    @property
    def nbytes(self) -> int:
        """The memory its rows, keys and codes take. Mapped rows take none."""
        state = self._state
        runs = sum(run.positions.nbytes + run.keys.nbytes for run in state.runs if run.positions is not None)
        mask = 0 if state.alive is None else state.alive.nbytes
        coded = 0 if state.coded is None else state.coded.nbytes
        return state.rows.nbytes + state.keys.nbytes + runs + mask + coded

    @property
    def pending(self) -> int:
        """How many rows `optimize` would code or squeeze out; 0 while that would not pay."""
        return to_settle(self._state, self._plan, refused=self._refused)

    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        """Remove, then add. Of a key that is added twice the later vector stays.

        Raises:
            VectorIndexError: for arrays of another type or shape, or vectors longer than one or not finite; nothing is changed.
        """
        check_apply(removed, added, vectors, dimension=self._dimension)
        with self._writing:
            self._apply(removed, added, vectors)

    def _apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        before = self._state
        start, end = len(before.keys), len(before.keys) + len(added)
        gone = np.concatenate([removed, added]) if len(removed) else added
        dead = before.find(gone)
        dead = np.array(sorted(set(dead[dead >= 0].tolist())), np.int64)
        twice = _earlier_twins(added)
        alive = before.alive
        if len(dead) or len(twice) or alive is not None:
            alive = np.ones(end, dtype=np.bool_)
            if before.alive is not None:
                alive[:start] = before.alive
            alive[dead] = False
            alive[start + twice] = False
        if len(added):
            self._append_keys(start, end, added)
            rows = self._writer.append(vectors)
            keys = self._keys[:end]
            run = run_of(keys[start:], start, None if alive is None else alive[start:])
            runs = appended(before.runs, run, keys, alive)
        else:
            keys, rows, runs = before.keys, before.rows, before.runs
        live = before.live - len(dead) + len(added) - len(twice)
        self._state = State(keys, rows, runs, alive, live, before.coded)
        if before.coded is None and not self._settling and self._plan.squeezes(end - live, live):
            self._take_over(squeezed(self._state, lambda: False))

    def _append_keys(self, start: int, end: int, added: Keys) -> None:
        if end > len(self._keys) or not self._keys.flags.writeable:
            keys = np.empty(max(end, _FIRST_CAPACITY, start * 3 // 2), dtype=np.int64)
            keys[:start] = self._keys[:start]
            self._keys = keys
        self._keys[start:end] = added

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        """Return the keys of the nearest vectors and their cosines, best first; ties with the k-th follow beyond k.

        Raises:
            VectorIndexError: for a query or `allowed` of another type or shape, a query longer than one, or a negative `k`.
        """
        check_query(query, k, dimension=self._dimension)
        if allowed is not None:
            check_keys(allowed, "allowed")
        return self._state.search(query, k, allowed, self._plan, exact=exact)

    def scores(self, query: Vector, keys: Keys) -> Scores:
        """Return the cosine of each key's vector, NaN where the partition does not hold it."""
        check_query(query, dimension=self._dimension)
        check_keys(keys, "keys")
        state = self._state
        positions = state.find(keys)
        held = np.flatnonzero(positions >= 0)
        scores = np.full(len(keys), np.nan, dtype=np.float64)
        scores[held] = cosines(state.rows, query, positions[held])
        return scores

    def clear(self) -> None:
        """Forget every vector and give the memory back."""
        with self._writing:
            self._refused = 0
            self._take_over(State(np.empty(0, dtype=np.int64), Rows(self._dimension, ()), (), None, 0))

    def optimize(self, stop: Callable[[], bool]) -> None:
        """Code the rows that are not, and squeeze dead ones out, if there is enough of either. One thread at a time."""
        with self._writing:
            state, generation = self._state, self._generation
            self._settling = True
        try:
            settled = settle(state, self._plan, stop, refused=self._refused)
            if settled is not None:
                with self._writing:
                    if self._generation is generation:
                        self._publish(state, settled)
        finally:
            self._settling = False

    def _publish(self, before: State, settled: Settled) -> None:
        """Put what was settled from `before` in its place, with all that was applied since."""
        now, start = self._state, len(before.keys)
        self._refused = settled.refused
        if settled.moved is None:
            self._state = replace(now, coded=settled.coded, _living=None)
            return
        state = replace(settled.moved, coded=settled.coded)
        if now.alive is not None:
            alive = now.alive[before.living()]
            live = int(np.count_nonzero(alive))
            state = replace(state, alive=alive if live < len(alive) else None, live=live)
        self._take_over(state)
        later = now.living()
        later = later[np.searchsorted(later, start) :]
        if len(later):
            self._apply(np.empty(0, dtype=np.int64), now.keys[later], now.rows.take(later))

    def snapshot(self) -> Callable[[SnapshotWriter], None]:
        """Return a function that writes the state as it is now."""
        state, refused = self._state, self._refused
        return lambda writer: write_state(state, writer, refused=refused)


def _earlier_twins(added: Keys) -> Keys:
    """Return the places of keys that come again later in the array."""
    if (added[1:] > added[:-1]).all():
        return np.empty(0, dtype=np.int64)
    _, last = np.unique(added[::-1], return_index=True)
    earlier = np.ones(len(added), dtype=np.bool_)
    earlier[len(added) - 1 - last] = False
    return np.flatnonzero(earlier)
