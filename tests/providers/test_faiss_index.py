"""The embedded vector index keeps its contract, at every size and under bad input."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from minirag.errors import VectorIndexError
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.vector_index import VectorIndex
from minirag.providers.faiss.exact import scanned
from minirag.providers.faiss.index import FaissIndex, create
from minirag.providers.faiss.partition import FaissPartition
from minirag.providers.faiss.plan import Plan
from minirag.testing.vector_index import VectorIndexConformance
from minirag.testing.vector_index_oracle import nearest, random_vectors

NONE = np.empty(0, np.int64)

CODED_EARLY = Plan(
    coded_floats=0,
    coded_rows=60,
    tail_floats=32 * 48,
    gathered_floats=48 * 100,
    dead_rows=50,
    candidates=(150,),
    rounds=2,
)
"""So that a few hundred rows pass through all that a million would."""


class TestFaissIndex(VectorIndexConformance):
    """The clauses at a few hundred vectors."""

    programmes = 20

    def make_index(self) -> VectorIndex:
        return create(None, ProviderContext())


class TestCodedFaissIndex(VectorIndexConformance):
    """The clauses where a few hundred vectors are coded already, with so many candidates that none is missed."""

    size = 1_200
    programmes = 3

    def make_index(self) -> VectorIndex:
        return FaissIndex(plan=CODED_EARLY)


class TestFaissIndexOfSeveralThousands(VectorIndexConformance):
    """The clauses at a size where rows are read in blocks and squeezed."""

    size = 3_000
    dimension = 32
    programmes = 1

    def make_index(self) -> VectorIndex:
        return FaissIndex()


def _filled(count: int = 100, dimension: int = 8) -> tuple[FaissPartition, Any]:
    partition = FaissPartition(dimension)
    vectors = random_vectors(count, dimension, seed=1)
    partition.apply(NONE, np.arange(count), vectors)
    return partition, vectors


@pytest.mark.parametrize(
    ("removed", "added", "vectors", "message"),
    [
        ([1], NONE, np.empty((0, 8), np.float32), "removed must be an int64 array of one dimension, not a list"),
        (NONE, np.arange(2.0), np.zeros((2, 8), np.float32), "added must be an int64 array.*not float64"),
        (NONE, np.arange(2), np.zeros((2, 8)), r"vectors must be a float32 array of shape \(2, 8\), not float64"),
        (NONE, np.arange(2), np.zeros((2, 7), np.float32), r"shape \(2, 8\), not float32 of shape \(2, 7\)"),
        (NONE, np.arange(2), np.zeros((3, 8), np.float32), r"shape \(3, 8\)"),
        (NONE, np.arange(1), np.full((1, 8), np.nan, np.float32), "the vector of key 0 is longer than one or not"),
        (NONE, np.arange(1), np.full((1, 8), np.inf, np.float32), "not finite"),
        (NONE, np.arange(1), np.ones((1, 8), np.float32), "normalise it"),
    ],
)
def test_wrong_arrays_change_nothing(removed: Any, added: Any, vectors: Any, message: str) -> None:
    """`apply` refuses arrays of another type, shape or length of vector, and keeps what it holds."""
    partition, _ = _filled()
    with pytest.raises(VectorIndexError, match=message):
        partition.apply(removed, added, vectors)
    assert len(partition) == 100


@pytest.mark.parametrize(
    ("query", "k", "allowed"),
    [
        (np.zeros(7, np.float32), 1, None),
        (np.zeros(8), 1, None),
        (np.full(8, np.nan, np.float32), 1, None),
        (np.full(8, 1e30, np.float32), 1, None),
        ([0.0] * 8, 1, None),
        (np.zeros(8, np.float32), -1, None),
        (np.zeros(8, np.float32), 1, [1]),
    ],
)
def test_wrong_searches_are_refused(query: Any, k: int, allowed: Any) -> None:
    """A query of another type, shape or length, a negative k and keys of another type are errors."""
    partition, _ = _filled()
    with pytest.raises(VectorIndexError):
        partition.search(query, k, allowed=allowed)


def test_zero_vectors_score_zero() -> None:
    """A text without a direction is held, scores 0 against everything, and finds everything tied."""
    partition, vectors = _filled()
    partition.apply(NONE, np.asarray([500]), np.zeros((1, 8), np.float32))
    assert partition.scores(vectors[0], np.asarray([500])).tolist() == [0.0]
    assert len(partition.search(np.zeros(8, np.float32), 3)[0]) == 101


def test_k_zero_returns_nothing() -> None:
    """No hits are wanted and none are returned."""
    partition, vectors = _filled()
    assert len(partition.search(vectors[0], 0)[0]) == 0


def test_of_a_key_added_twice_the_later_vector_stays() -> None:
    """A key twice in one call is held once."""
    partition, vectors = _filled(2)
    partition.apply(NONE, np.asarray([9, 9]), vectors)
    assert len(partition) == 3
    assert partition.scores(vectors[1], np.asarray([9]))[0] == pytest.approx(1, abs=1e-6)


def test_scores_do_not_depend_on_position_or_company() -> None:
    """A vector's score is the same to the last bit wherever it lies and whatever is scored beside it."""
    partition, vectors = _filled(3_000, 37)
    alone = FaissPartition(37)
    query = vectors[5]
    together = partition.scores(query, np.arange(3_000))
    for key in (0, 1, 2_047, 2_048, 2_999):
        alone.clear()
        alone.apply(NONE, np.asarray([key]), vectors[key : key + 1])
        assert alone.search(query, 1)[1][0] == together[key]


def test_memory_follows_what_is_held() -> None:
    """Replacing everything over and over does not grow the arrays without bound."""
    partition, vectors = _filled(2_000)
    for _ in range(20):
        partition.apply(NONE, np.arange(2_000), vectors)
    assert len(partition._keys) < 3 * 2_000 + 1_024


def test_a_reader_keeps_the_state_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that was overtaken by removals, growth and a squeeze answers from before them."""
    partition, vectors = _filled(1_500)
    held = dict(enumerate(vectors))
    begun, go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return scanned(*arguments)

    monkeypatch.setattr("minirag.providers.faiss.state.scanned", slow)
    found: list[Any] = []
    reader = threading.Thread(target=lambda: found.append(partition.search(vectors[0], 10)))
    reader.start()
    assert begun.wait(30)
    partition.apply(np.arange(1_400), np.arange(5_000, 9_000), random_vectors(4_000, 8, seed=2))
    partition.apply(np.arange(5_000, 9_000), NONE, np.empty((0, 8), np.float32))
    assert len(partition) == 100
    go_on.set()
    reader.join(30)
    assert set(found[0][0].tolist()) == set(nearest(held, vectors[0], 10))


def test_an_exact_search_needs_no_faiss() -> None:
    """Neither making nor searching an exact partition imports faiss, whose import takes longer than many searches."""
    script = (
        "import sys, numpy as np\n"
        "from minirag.providers.faiss.index import FaissIndex\n"
        "from minirag.providers.faiss.partition import FaissPartition\n"
        "partition = FaissPartition(4)\n"
        "partition.apply(np.empty(0, np.int64), np.arange(2), np.eye(2, 4, dtype=np.float32))\n"
        "partition.search(np.eye(1, 4, dtype=np.float32)[0], 1)\n"
        "assert 'faiss' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
