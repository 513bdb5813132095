"""A hypothesis state machine that drives a vector partition beside a plain dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from minirag.interfaces.vector_index import VectorPartition
from minirag.testing.vector_index_oracle import cosine, nearest, random_vectors

if TYPE_CHECKING:
    from minirag.types import Matrix, Vector

__all__ = ["run_programmes"]

_KEYS = st.integers(0, 25)
_SEEDS = st.integers(0, 12)
"""Few vectors, so that several keys often hold the same one and tie."""


def run_programmes(
    make_partition: Callable[[], VectorPartition],
    reload: Callable[[VectorPartition], VectorPartition | None],
    *,
    dimension: int,
    programmes: int,
) -> None:
    """Drive so many new partitions through random calls; fail where one differs from a dictionary.

    Args:
        reload: returns what is loaded from a snapshot of a partition, None if it cannot be kept.
    """
    pool = random_vectors(13, dimension, seed=1)

    class Machine(_VectorPartitionMachine):
        def __init__(self) -> None:
            super().__init__(make_partition(), reload, pool)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=programmes,
            stateful_step_count=20,
            deadline=None,
            database=None,
            derandomize=True,
            report_multiple_bugs=False,
            phases=[Phase.generate],  # making a failing programme shorter takes minutes, and it has only 20 steps
            suppress_health_check=list(HealthCheck),
        ),
    )


class _VectorPartitionMachine(RuleBasedStateMachine):
    def __init__(
        self, partition: VectorPartition, reload: Callable[[VectorPartition], VectorPartition | None], pool: Matrix
    ) -> None:
        super().__init__()
        self.partition = partition
        self.reload = reload
        self.pool = pool
        self.held: dict[int, Vector] = {}

    @initialize(seeds=st.lists(_SEEDS, min_size=12, max_size=12))
    def fill(self, *, seeds: list[int]) -> None:
        self.apply(removed=[], added=dict(enumerate(seeds, 7)))

    @rule(removed=st.lists(_KEYS, max_size=5), added=st.dictionaries(_KEYS, _SEEDS, max_size=12))
    def apply(self, *, removed: list[int], added: dict[int, int]) -> None:
        vectors = self.pool[list(added.values())]
        self.partition.apply(np.asarray(removed, np.int64), np.asarray(list(added), np.int64), vectors)
        for key in removed:
            self.held.pop(key, None)
        self.held.update(zip(added, vectors, strict=True))

    @rule()
    def clear(self) -> None:
        self.partition.clear()
        self.held.clear()

    @rule(stopped=st.booleans())
    def optimize(self, *, stopped: bool) -> None:
        self.partition.optimize(lambda: stopped)

    @rule()
    def keep_and_load(self) -> None:
        loaded = self.reload(self.partition)
        if loaded is not None:
            self.partition = loaded

    @rule(
        seed=_SEEDS,
        k=st.integers(1, 9) | st.just(30),
        allowed=st.none() | st.lists(_KEYS, max_size=20),
        exact=st.booleans(),
    )
    def search(self, *, seed: int, k: int, allowed: list[int] | None, exact: bool) -> None:
        given = None if allowed is None else np.asarray(allowed, np.int64)
        keys, scores = self.partition.search(self.pool[seed], k, allowed=given, exact=exact)
        expected = nearest(self.held, self.pool[seed], k, allowed=allowed)
        assert len(set(keys.tolist())) == len(keys), "V3: a key is returned twice"
        if exact:
            assert set(keys.tolist()) == set(expected), f"V6, V7: {sorted(keys.tolist())}, not {sorted(expected)}"
        eligible = len(self.held) if allowed is None else len(set(allowed) & set(self.held))
        assert len(keys) >= min(k, eligible), f"V3, V5: {len(keys)} keys of {eligible} for k={k}"
        assert set(keys.tolist()) <= set(self.held if allowed is None else allowed), "V5: a key that is not allowed"
        true = [cosine(self.held[key], self.pool[seed]) for key in keys.tolist()]
        assert np.allclose(scores, true, rtol=0, atol=1e-10), "V4: scores are not the cosines of the keys"

    @rule(seed=_SEEDS, keys=st.lists(_KEYS, max_size=10))
    def scores(self, *, seed: int, keys: list[int]) -> None:
        query = self.pool[seed]
        expected = [cosine(self.held[key], query) if key in self.held else np.nan for key in keys]
        scores = self.partition.scores(query, np.asarray(keys, np.int64))
        assert np.allclose(scores, expected, rtol=0, atol=1e-10, equal_nan=True), "V8: scores differ"

    @invariant()
    def length(self) -> None:
        assert len(self.partition) == len(self.held), f"V1: its length is {len(self.partition)}, not {len(self.held)}"
