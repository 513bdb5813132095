"""The coded engine: what it finds, what becomes of rows added and removed around it, and how it is built beside searches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from minirag.interfaces.snapshots import SnapshotDamagedError, SnapshotWriter
from minirag.providers.faiss.keys import KeyRun, appended, find, run_of
from minirag.providers.faiss.partition import FaissPartition
from minirag.providers.faiss.plan import Plan
from minirag.providers.faiss.rows import RowsWriter
from minirag.providers.faiss.stored import read_state
from minirag.testing.snapshots import written_and_opened
from minirag.testing.vector_index_oracle import random_vectors

NONE = np.empty(0, np.int64)
PLAN = Plan(
    coded_floats=0, coded_rows=1_000, tail_floats=32 * 100, gathered_floats=32 * 200, list_rows=128, least_codes=0
)
COUNT = 8_000


def _never() -> bool:
    return False


def _alike(count: int, *, seed: int, dimension: int = 32) -> Any:
    """Return vectors as embeddings are: around some centres, with a common part."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((40, dimension)) / np.sqrt(1 + np.arange(dimension))
    vectors = centres[random.integers(0, 40, count)] + 0.3 * random.standard_normal((count, dimension)) / np.sqrt(
        1 + np.arange(dimension)
    )
    vectors += 0.5
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _coded(count: int = COUNT, plan: Plan = PLAN) -> tuple[FaissPartition, Any]:
    partition = FaissPartition(32, plan=plan)
    vectors = _alike(count, seed=1)
    for start in range(0, count, 999):
        partition.apply(NONE, np.arange(start, min(start + 999, count)), vectors[start : start + 999])
    partition.optimize(_never)
    assert partition.engine == "ivf-pq"
    return partition, vectors


def _recall(partition: FaissPartition, queries: Any, k: int = 10, allowed: Any = None) -> float:
    found = 0
    for query in queries:
        keys = partition.search(query, k, allowed=allowed)[0][:k]
        truth = partition.search(query, k, allowed=allowed, exact=True)[0][:k]
        assert len(keys) == len(truth)
        found += len(set(keys.tolist()) & set(truth.tolist()))
    return found / (k * len(queries))


@pytest.mark.parametrize("k", [1, 10, 100])
def test_codes_find_what_the_scan_finds(k: int) -> None:
    """Recall against the exact search is at least 0.99 for rows like those held."""
    partition, _ = _coded()
    assert _recall(partition, _alike(100, seed=2), k) >= 0.99


@pytest.mark.parametrize("share", [0.03, 0.1, 0.5])
def test_codes_find_what_is_allowed(share: float) -> None:
    """Recall among allowed rows is at least 0.99, whether they are few or many."""
    partition, _ = _coded()
    allowed = np.flatnonzero(np.random.default_rng(3).random(COUNT) < share)
    assert _recall(partition, _alike(60, seed=2), allowed=allowed) >= 0.99


def test_a_filter_against_the_query_returns_k() -> None:
    """Where only the rows farthest from the query are allowed, k of them are returned, and the nearest of these."""
    partition, _ = _coded()
    query = _alike(1, seed=2)[0]
    farthest = partition.search(query, COUNT, exact=True)[0][-600:]
    keys = partition.search(query, 10, allowed=farthest)[0]
    assert len(keys) >= 10
    assert len(set(keys.tolist()) & set(farthest[:10].tolist())) >= 9


def test_large_k_is_exact() -> None:
    """When many results are asked for, all rows are scored."""
    partition, _ = _coded()
    query = _alike(1, seed=2)[0]
    for k in (3_000, COUNT - 1, COUNT, 2 * COUNT):
        assert np.array_equal(partition.search(query, k)[0], partition.search(query, k, exact=True)[0])


def test_many_rows_alike_are_all_returned() -> None:
    """Ties with the k-th are returned even if there are more of them than candidates."""
    partition, vectors = _coded()
    partition.apply(NONE, np.arange(1_500) + 50_000, np.repeat(vectors[7:8], 1_500, axis=0))
    partition.optimize(_never)
    assert partition.pending == 0
    assert partition.engine == "ivf-pq"
    assert len(partition.search(vectors[7], 10)[0]) == 1_501


def test_rows_behind_the_codes_are_found() -> None:
    """A row is found as soon as it is added, and replaced and removed ones are gone, before and after `optimize`."""
    partition, vectors = _coded()
    fresh = _alike(150, seed=5)
    partition.apply(np.arange(50), np.arange(150) + COUNT, fresh)
    partition.apply(NONE, np.arange(100, 110), fresh[:10])
    for _ in range(2):
        assert partition.search(fresh[20], 1)[0][0] == COUNT + 20
        assert partition.search(fresh[3], 2)[0].tolist() == [103, COUNT + 3]
        assert partition.search(vectors[4], 1)[0][0] != 4
        assert partition.search(vectors[104], 1)[1][0] < 0.9999
        partition.optimize(_never)
    assert partition.pending == 0


def test_removed_rows_are_squeezed_out() -> None:
    """`optimize` gives the memory of removed rows back, and the codes find the others."""
    partition, _ = _coded()
    before = partition.nbytes
    partition.apply(np.arange(0, COUNT, 2), NONE, np.empty((0, 32), np.float32))
    assert partition.pending == COUNT // 2
    partition.optimize(_never)
    assert (partition.pending, partition.engine, len(partition)) == (0, "ivf-pq", COUNT // 2)
    assert partition.nbytes < 0.6 * before
    assert _recall(partition, _alike(60, seed=2)) >= 0.99


def test_what_outgrew_its_codes_is_learnt_anew() -> None:
    """With four times the rows there are more lists."""
    partition, _ = _coded(plan=replace(PLAN, candidates=(200, 300, 500, 800, 3_000)))
    coded = partition._state.coded
    partition.apply(NONE, np.arange(26_000) + 10_000, _alike(26_000, seed=6))
    partition.optimize(_never)
    again = partition._state.coded
    assert coded is not None
    assert again is not None
    assert again.lists > coded.lists
    assert again.count == 34_000


def test_codes_that_do_not_suffice_are_refused() -> None:
    """Rows without any structure stay scanned, and are not tried again before there are twice as many."""
    partition = FaissPartition(256, plan=Plan(coded_floats=0, coded_rows=1_000, axes=16, candidates=(20,)))
    noise = random_vectors(4_100, 256, seed=1)
    partition.apply(NONE, np.arange(2_000), noise[:2_000])
    assert partition.pending == 2_000
    partition.optimize(_never)
    assert (partition.engine, partition.pending) == ("exact", 0)
    partition.apply(NONE, np.arange(2_000) + 2_000, noise[2_000:4_000])
    assert partition.pending == 4_000


@pytest.mark.parametrize("steps", [0, 1, 5, 12])
def test_optimize_gives_up_when_asked(steps: int) -> None:
    """Wherever `stop` becomes true, nothing has changed."""
    partition = FaissPartition(32, plan=PLAN)
    partition.apply(NONE, np.arange(COUNT), _alike(COUNT, seed=1))
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps

    partition.optimize(stop)
    assert asked == steps + 1
    assert (partition.engine, partition.pending) == ("exact", COUNT)


def test_clear_beside_optimize_is_not_undone() -> None:
    """What was cleared while it was being coded does not come back."""
    partition = FaissPartition(32, plan=PLAN)
    partition.apply(NONE, np.arange(COUNT), _alike(COUNT, seed=1))

    def stop() -> bool:
        partition.clear()
        return False

    partition.optimize(stop)
    assert (len(partition), partition.engine) == (0, "exact")


def test_the_hosts_threads_stay_as_they_were() -> None:
    """Neither coding nor searching changes how many threads OpenMP uses on the calling thread."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(before + 1)
    try:
        partition, vectors = _coded()
        partition.search(vectors[0], 10)
        assert faiss.omp_get_max_threads() == before + 1
    finally:
        faiss.omp_set_num_threads(before)


def test_a_coded_search_runs_beside_others() -> None:
    """Searches on several threads find what one alone finds."""
    partition, vectors = _coded()
    expected = [partition.search(query, 10)[0].tolist() for query in vectors[:200]]
    found: list[list[list[int]]] = []
    threads = [
        threading.Thread(target=lambda: found.append([partition.search(q, 10)[0].tolist() for q in vectors[:200]]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def _without(name: str, fill: Callable[[SnapshotWriter], None], other: Any = None) -> Callable[[SnapshotWriter], None]:
    """Return what writes a snapshot in which one array is missing, or another."""

    class Writer(SnapshotWriter):
        def __init__(self, inner: SnapshotWriter) -> None:
            self.inner = inner

        def put(self, written: str, *parts: Any) -> None:
            if written != name:
                self.inner.put(written, *parts)
            elif other is not None:
                self.inner.put(written, other)

    return lambda writer: fill(Writer(writer))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("keys", None),
        ("keys", np.arange(COUNT - 1)),
        ("keys", np.arange(COUNT, dtype=np.float64)),
        ("alive", np.ones(3, np.uint8)),
        ("axes", None),
        ("axes", np.eye(16, 32, dtype=np.float32)),
        ("codes", np.arange(200, dtype=np.uint8)),
        ("coded", np.arange(5)),
        ("coded", np.arange(4)),
        ("refused", None),
        ("rows", None),
        ("rows", np.zeros((COUNT, 31), np.float32)),
    ],
)
def test_a_snapshot_that_does_not_fit_is_damaged(name: str, other: Any) -> None:
    """A snapshot whose arrays are missing or contradict one another is refused, not searched."""
    partition, _ = _coded()
    partition.apply(np.arange(3), NONE, np.empty((0, 32), np.float32))
    fill = partition.snapshot()
    with written_and_opened(_without(name, fill, other)) as reader, pytest.raises(SnapshotDamagedError):
        read_state(reader, 32)


def test_a_loaded_partition_costs_little_memory() -> None:
    """The rows of a loaded partition stay in the file; what it takes itself is codes and keys, and rows added since."""
    partition, vectors = _coded()
    with written_and_opened(partition.snapshot()) as reader:
        loaded = FaissPartition(32, plan=PLAN, state=read_state(reader, 32)[0])
    assert loaded.engine == "ivf-pq"
    assert loaded.nbytes < partition.nbytes / 2
    loaded.apply(NONE, np.asarray([COUNT]), vectors[:1])
    assert loaded.search(vectors[0], 2)[0].tolist() == [0, COUNT]
    assert loaded.nbytes < partition.nbytes / 2


def test_rows_never_move_once_they_are_many() -> None:
    """Rows shown to a reader stay where they are; parts are few; all of them are read back as they were written."""
    writer = RowsWriter(512)
    vectors = random_vectors(30_000, 512, seed=1)
    first = None
    for start in range(0, 30_000, 700):
        rows = writer.append(vectors[start : start + 700])
        first = first or (rows if rows.count > 5_000 else None)
    assert first is not None
    assert np.array_equal(first.take(np.arange(5_000)), vectors[:5_000])
    assert first.parts[0] is rows.parts[0] or np.shares_memory(first.parts[0], rows.parts[0])
    assert len(rows.parts) <= 4
    asked = np.random.default_rng(2).permutation(30_000)[:500]
    assert np.array_equal(rows.take(asked), vectors[asked])
    assert np.array_equal(
        np.concatenate([part for _, part in rows.between(777, 29_000, block=1_000)]), vectors[777:29_000]
    )
    assert np.array_equal(np.concatenate(rows.wholes()), vectors)


@pytest.mark.parametrize("ascending", [True, False])
def test_keys_are_found_as_in_a_dictionary(ascending: bool) -> None:
    """After any adds and removes each living key has its row, others none, and the runs are few."""
    random = np.random.default_rng(1)
    runs: tuple[KeyRun, ...] = ()
    keys, alive, held = NONE, np.empty(0, np.bool_), dict[int, int]()
    for step in range(200):
        count = int(random.integers(1, 30))
        added = np.arange(count) + 100 * step if ascending else random.permutation(3_000)[:count].astype(np.int64)
        gone = {*added.tolist(), *random.permutation(3_000)[:5].tolist()} & set(held)
        keys, alive = np.concatenate([keys, added]), np.concatenate([alive, np.ones(count, np.bool_)])
        alive[[held.pop(key) for key in gone]] = False
        start = len(keys) - count
        held |= {int(key): position for position, key in enumerate(added, start)}
        runs = appended(runs, run_of(keys[start:], start, None), keys, alive)
    asked = np.arange(-2, 21_000)
    assert find(runs, asked, alive).tolist() == [held.get(key, -1) for key in asked.tolist()]
    assert len(runs) <= 12
