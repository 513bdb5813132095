"""`VectorIndexConformance`: the clauses of `VectorIndex` and `VectorPartition` as tests."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from minirag.interfaces.scope import mint_scope
from minirag.interfaces.vector_index import VectorIndex, VectorPartition
from minirag.models.index import EmbeddingSpace
from minirag.testing.snapshots import written_and_opened
from minirag.testing.vector_index_oracle import cosine, nearest, random_vectors, unit

if TYPE_CHECKING:
    from minirag.interfaces.snapshots import SnapshotWriter
    from minirag.testing.vector_index_oracle import Held
    from minirag.types import Keys, Vector

__all__ = ["VectorIndexConformance", "cosine", "nearest", "random_vectors"]


class VectorIndexConformance(ABC):
    """The contract of `VectorIndex` as tests. Subclass it in a test module and write `make_index`:

    ```python
    class TestMine(VectorIndexConformance):
        def make_index(self):
            return Mine()
    ```

    Each test is named after the clause it holds, and its message begins with it.
    """

    dimension: int = 48
    """Numbers in a vector."""

    size: int = 400
    """Vectors in most tests; raise it to where the index changes its engine."""

    programmes: int = 30
    """How many random sequences of calls are compared with a dictionary."""

    generations: int = 150
    """How often everything is replaced beside readers."""

    @abstractmethod
    def make_index(self) -> VectorIndex:
        """Return a new index; equal arguments at every call."""

    def test_v01_removes_then_adds(self) -> None:
        """V1: the partition holds what it held, less `removed`, plus `added`; what is in both is held."""
        vectors = random_vectors(5, self.dimension, seed=1)
        with self._partition() as partition:
            partition.apply(_keys(), _keys(1, 2, 3), vectors[:3])
            partition.apply(_keys(2, 3), _keys(3, 4), vectors[3:])
            self._check_held("V1", partition, {1: vectors[0], 3: vectors[3], 4: vectors[4]}, absent=[2])

    def test_v01_grows_in_batches(self) -> None:
        """V1: what came in many batches is what would have come in one."""
        held = self._random_held(seed=2)
        with self._partition() as partition:
            for start in range(0, self.size, 7):
                _add(partition, dict(list(held.items())[start : start + 7]))
            self._check_held("V1", partition, held)

    def test_v02_apply_is_idempotent(self) -> None:
        """V2: the same `apply` again changes nothing; removing what is absent does nothing."""
        held = self._random_held(seed=3)
        removed = list(held)[:50]
        left = {key: vector for key, vector in held.items() if key not in removed}
        with self._partition() as partition:
            _add(partition, held)
            for _ in range(3):
                partition.apply(_keys(*removed, 10**15), _keys(*left), np.stack(list(left.values())))
            self._check_held("V2", partition, left, absent=removed)

    def test_v02_adding_a_present_key_replaces_its_vector(self) -> None:
        """V2: a key added again has only its new vector."""
        old, new = random_vectors(2, self.dimension, seed=4)
        with self._partition() as partition:
            _add(partition, {7: old})
            _add(partition, {7: new})
            self._check_held("V2", partition, {7: new})

    def test_v03_returns_min_k_len_keys(self) -> None:
        """V3: min(k, len) keys, none of them twice."""
        held, query = self._random_held(seed=5), random_vectors(1, self.dimension, seed=6)[0]
        with self._partition() as partition:
            assert len(partition.search(query, 5)[0]) == 0, "V3: an empty partition returned keys"
            _add(partition, held)
            for k in (1, 2, 10, self.size - 1, self.size, 10 * self.size):
                keys = partition.search(query, k)[0].tolist()
                assert len(set(keys) & set(held)) == len(keys), f"V3: k={k} returned a key twice, or one not held"
                assert len(keys) == min(k, self.size), f"V3: k={k} of {self.size} returned {len(keys)} keys"

    def test_v04_scores_are_float64_cosines_in_descending_order(self) -> None:
        """V4: each score is the float64 sum over the stored float32 values, the best first."""
        held = self._random_held(seed=7)
        with self._partition() as partition:
            _add(partition, held)
            for query in random_vectors(5, self.dimension, seed=8):
                keys, scores = partition.search(query, 20)
                assert keys.dtype == np.int64, f"V4: keys are {keys.dtype}"
                assert scores.dtype == np.float64, f"V4: scores are {scores.dtype}"
                expected = [cosine(held[key], query) for key in keys.tolist()]
                assert np.allclose(scores, expected, rtol=0, atol=1e-10), "V4: scores are not float64 cosines"
                assert (np.diff(scores) <= 0).all(), "V4: scores are not in descending order"

    def test_v05_allowed_keys_come_first(self) -> None:
        """V5: min(k, allowed and present) keys, all allowed, whether few or many are, and however far they are."""
        held, query = self._random_held(seed=9), random_vectors(1, self.dimension, seed=10)[0]
        farthest = nearest(held, query, self.size)[::-1]
        with self._partition() as partition:
            _add(partition, held)
            for count in (0, 1, 5, self.size // 2, self.size):
                allowed = farthest[:count]
                keys = partition.search(query, 10, allowed=_keys(*allowed, *allowed[:3], 10**15))[0].tolist()
                assert set(keys) <= set(allowed), f"V5: a key beside the {count} allowed ones was returned"
                assert len(keys) == min(10, count), f"V5: {len(keys)} keys of {count} allowed ones for k=10"

    def test_v06_exact_returns_the_true_nearest(self) -> None:
        """V6: with `exact=True` the result is that of brute force, with and without a filter."""
        held = self._random_held(seed=11)
        with self._partition() as partition:
            _add(partition, held)
            for number, query in enumerate(random_vectors(10, self.dimension, seed=12)):
                allowed = list(held)[number::3] if number % 2 else None
                given = None if allowed is None else _keys(*allowed)
                keys = partition.search(query, 10, allowed=given, exact=True)[0].tolist()
                expected = nearest(held, query, 10, allowed=allowed)
                assert set(keys) == set(expected), f"V6: {len(set(expected) - set(keys))} of the nearest are missing"

    def test_v06_exact_separates_what_float32_cannot(self) -> None:
        """V6: neighbours whose float32 sums may come in the wrong order are the right ones."""
        query, direction = random_vectors(2, self.dimension, seed=13)
        held = {number: unit(query + np.float32(2e-3 + number * 4e-6) * direction) for number in range(60)}
        with self._partition() as partition:
            _add(partition, held)
            keys = partition.search(query, 20, exact=True)[0].tolist()
            assert set(keys) == set(nearest(held, query, 20)), "V6: candidates were lost before they were scored"

    def test_v07_ties_with_the_last_are_all_returned(self) -> None:
        """V7: every key whose rounded score equals the k-th one's follows, and no other."""
        near, tied, far = random_vectors(3, self.dimension, seed=14)
        held = {1: near, **dict.fromkeys(range(10, 19), tied), **dict.fromkeys(range(30, 40), far)}
        query = unit(near + np.float32(0.5) * tied - np.float32(0.5) * far)
        with self._partition() as partition:
            _add(partition, held)
            for k, exact in ((1, True), (2, True), (5, False), (10, True), (12, False), (20, True)):
                keys = partition.search(query, k, exact=exact)[0].tolist()
                expected = nearest(held, query, k)
                assert set(keys) == set(expected), f"V7: k={k} returned {len(keys)} keys, not {len(expected)}"
                allowed = partition.search(query, k, allowed=_keys(*held), exact=exact)[0].tolist()
                assert set(allowed) == set(expected), f"V7: k={k} lost ties under a filter"

    def test_v08_scores_of_given_keys(self) -> None:
        """V8: `scores` returns each key's cosine in the order of the keys, NaN for an absent one."""
        held = self._random_held(seed=15)
        query = random_vectors(1, self.dimension, seed=16)[0]
        asked = [*list(held)[:5], -1, *list(held)[3:4], 10**15]
        with self._partition() as partition:
            assert np.isnan(partition.scores(query, _keys(*asked))).all(), "V8: an empty partition has a score"
            _add(partition, held)
            expected = [cosine(held[key], query) if key in held else np.nan for key in asked]
            scores = partition.scores(query, _keys(*asked))
            assert np.allclose(scores, expected, rtol=0, atol=1e-10, equal_nan=True), "V8: scores differ"
            assert len(partition.scores(query, _keys())) == 0, "V8: no keys have a score"

    def test_v09_a_removed_key_is_never_returned(self) -> None:
        """V9: through many removals each remaining key keeps its own vector, and no removed one comes back."""
        held = dict(self._random_held(seed=17))
        rng = np.random.default_rng(18)
        gone: set[int] = set()
        with self._partition() as partition:
            _add(partition, held)
            while len(held) > 3:
                removed = rng.choice(list(held), max(1, len(held) // 3), replace=False).tolist()
                partition.apply(_keys(*removed), _keys(), np.empty((0, self.dimension), np.float32))
                gone.update(removed)
                for key in removed:
                    del held[key]
                self._check_held("V9", partition, held, absent=gone)

    def test_v09_a_removed_key_may_be_added_again(self) -> None:
        """V9: a key that comes back has its new vector."""
        held = self._random_held(seed=19)
        again = dict(zip(held, random_vectors(self.size, self.dimension, seed=20), strict=True))
        with self._partition() as partition:
            _add(partition, held)
            partition.apply(_keys(*held), _keys(), np.empty((0, self.dimension), np.float32))
            assert len(partition) == 0, "V9: something is left"
            _add(partition, again)
            self._check_held("V9", partition, again)

    def test_v10_readers_see_whole_applies(self) -> None:
        """V10: while one thread replaces all keys again and again, each search sees one generation, whole."""
        count, generations = 50, self.generations
        vectors = random_vectors(count, self.dimension, seed=21)
        seen: list[list[int]] = []
        failures: list[BaseException] = []
        done = threading.Event()
        with self._partition() as partition:
            partition.apply(_keys(), np.arange(count), vectors)

            def read() -> None:
                try:
                    while not done.is_set():
                        seen.append(partition.search(vectors[0], 10 * count)[0].tolist())
                except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
                    failures.append(error)

            readers = [threading.Thread(target=read) for _ in range(2)]
            for reader in readers:
                reader.start()
            try:
                for generation in range(1, generations):
                    old = np.arange(count) + (generation - 1) * count
                    partition.apply(old, old + count, vectors)
            finally:
                done.set()
                for reader in readers:
                    reader.join()
        assert not failures, f"V10: a search beside an apply failed: {failures[0]!r}"
        for keys in seen:
            whole = len(keys) == count and len({key // count for key in keys}) == 1
            assert whole, f"V10: a search saw {len(keys)} keys of generations {sorted({key // count for key in keys})}"

    def test_v11_clear_empties(self) -> None:
        """V11: after `clear` nothing is held, and the partition can be fed again."""
        held = self._random_held(seed=22)
        with self._partition() as partition:
            _add(partition, held).clear()
            self._check_held("V11", partition, {}, absent=held)
            self._check_held("V11", _add(partition, held), held)

    def test_v12_a_loaded_partition_answers_alike(self) -> None:
        """V12: what is loaded from a snapshot answers to the last bit as what wrote it, and goes on from there."""
        held = dict(self._random_held(seed=24))
        index = self.make_index()
        try:
            partition = _add(self._new_partition(index, "tenant", "bot"), held)
            for number in range(3):
                partition.optimize(lambda: False)
                gone = list(held)[: self.size // 10]
                held = {key: vector for key, vector in held.items() if key not in gone}
                partition.apply(_keys(*gone), _keys(), np.empty((0, self.dimension), np.float32))
                loaded = self._loaded(index, partition.snapshot())
                if loaded is None:
                    return
                for query in random_vectors(5, self.dimension, seed=25):
                    for kept, own in zip(loaded.search(query, 20), partition.search(query, 20), strict=True):
                        assert np.array_equal(kept, own), "V12: a loaded partition answers otherwise"
                more = dict(enumerate(random_vectors(1, self.dimension, seed=26 + number), number))
                held |= more
                partition = _add(loaded, more)
                self._check_held("V12", partition, held)
        finally:
            index.close()

    def test_v12_a_snapshot_is_of_its_moment(self) -> None:
        """V12: what is applied after `snapshot` was called is not in it, even if it is written later."""
        held = self._random_held(seed=27)
        index = self.make_index()
        try:
            partition = _add(self._new_partition(index, "tenant", "bot"), held)
            fill = partition.snapshot()
            partition.apply(_keys(*list(held)[:50]), _keys(1), random_vectors(1, self.dimension, seed=28))
            loaded = self._loaded(index, fill)
            if loaded is not None:
                self._check_held("V12", loaded, held, absent=[1])
        finally:
            index.close()

    def test_v13_optimize_changes_no_exact_answer(self) -> None:
        """V13: exact searches find before and after `optimize` the same, and nothing is pending then."""
        held, queries = self._random_held(seed=29), random_vectors(5, self.dimension, seed=30)
        with self._partition() as partition:
            _add(partition, held)
            before = [partition.search(query, 20, exact=True) for query in queries]
            partition.optimize(lambda: True)
            self._check_held("V13", partition, held)
            partition.optimize(lambda: False)
            self._check_held("V13", partition, held)
            assert partition.pending == 0, f"V13: {partition.pending} are pending after `optimize`"
            for query, (keys, scores) in zip(queries, before, strict=True):
                found, cosines = partition.search(query, 20, exact=True)
                assert np.array_equal(found, keys), "V13: an exact search finds otherwise after `optimize`"
                assert np.array_equal(scores, cosines), "V13: a score is another after `optimize`"

    def test_v13_optimize_loses_no_apply(self) -> None:
        """V13: what is added, replaced and removed while `optimize` runs is as if it had not run, and readers find all along."""
        held = dict(self._random_held(seed=31))
        fresh = random_vectors(200, self.dimension, seed=32)
        failures: list[BaseException] = []
        done = threading.Event()
        with self._partition() as partition:
            _add(partition, held)

            def settle() -> None:
                try:
                    while not done.is_set():
                        partition.optimize(lambda: False)
                        partition.search(fresh[0], 10)
                except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
                    failures.append(error)

            thread = threading.Thread(target=settle)
            thread.start()
            try:
                for number, vector in enumerate(fresh):
                    old, new = ([next(iter(held))], number) if number % 2 else ([], list(held)[-1])
                    partition.apply(_keys(*old), _keys(new), vector[np.newaxis])
                    held = {key: held[key] for key in held if key not in old} | {new: vector}
            finally:
                done.set()
                thread.join()
            self._check_held("V13", partition, held)
        assert not failures, f"V13: an `optimize` beside applies failed: {failures[0]!r}"

    def test_partitions_are_apart(self) -> None:
        """Partitions of two bots, or of two tenants, hold nothing of one another."""
        held = self._random_held(seed=23)
        index = self.make_index()
        try:
            first = self._new_partition(index, "tenant", "bot")
            _add(first, held)
            for tenant, bot in (("tenant", "other"), ("rival", "bot")):
                self._check_held("V1", self._new_partition(index, tenant, bot), {}, absent=held)
        finally:
            index.close()

    def test_random_programmes(self) -> None:
        """V1-V9, V11-V13: after any sequence of calls the partition answers as a dictionary would. Needs hypothesis."""
        from minirag.testing.vector_index_machine import run_programmes

        index = self.make_index()
        try:
            run_programmes(
                lambda: self._new_partition(index, "tenant", "bot"),
                lambda partition: self._loaded(index, partition.snapshot()),
                dimension=self.dimension,
                programmes=self.programmes,
            )
        finally:
            index.close()

    def _new_partition(self, index: VectorIndex, tenant: str, bot_id: str) -> VectorPartition:
        partition = index.partition(mint_scope(tenant), bot_id, self._space)
        if partition.kept() is not None:
            partition.clear()  # of what earlier tests have left there
        return partition

    @property
    def _space(self) -> EmbeddingSpace:
        return EmbeddingSpace(provider="conformance", model="random", dimension=self.dimension)

    def _loaded(self, index: VectorIndex, fill: Callable[[SnapshotWriter], None] | None) -> VectorPartition | None:
        """Return what is loaded from what a partition's `snapshot` gave; None if it cannot be kept."""
        if fill is None or not index.snapshot_format:
            return None
        with written_and_opened(fill) as snapshot:
            return index.load(mint_scope("tenant"), "bot", self._space, snapshot)

    @contextmanager
    def _partition(self) -> Iterator[VectorPartition]:
        index = self.make_index()
        try:
            yield self._new_partition(index, "tenant", "bot")
        finally:
            index.close()

    def _random_held(self, *, seed: int) -> dict[int, Vector]:
        """Return vectors under random keys of 63 bits, as the storage makes them."""
        keys = np.random.default_rng(seed).integers(0, 2**63 - 1, self.size).tolist()
        return dict(zip(keys, random_vectors(self.size, self.dimension, seed=seed), strict=True))

    def _check_held(self, clause: str, partition: VectorPartition, held: Held, *, absent: Iterable[int] = ()) -> None:
        """Fail unless the partition holds just these vectors, under their own keys."""
        assert len(partition) == len(held), f"{clause}: its length is {len(partition)}, not {len(held)}"
        query = random_vectors(1, self.dimension, seed=99)[0]
        found = partition.search(query, len(held) + 10, exact=True)[0].tolist()
        assert sorted(found) == sorted(held), f"{clause}: it returns other keys than it holds"
        scores = partition.scores(query, _keys(*held))
        expected = [cosine(vector, query) for vector in held.values()]
        assert np.allclose(scores, expected, rtol=0, atol=1e-10), f"{clause}: a key has another key's vector"
        assert np.isnan(partition.scores(query, _keys(*absent))).all(), f"{clause}: a removed key still has a score"


def _keys(*keys: int) -> Keys:
    return np.asarray(keys, dtype=np.int64)


def _add(partition: VectorPartition, held: Held) -> VectorPartition:
    partition.apply(_keys(), _keys(*held), np.stack(list(held.values())))
    return partition
