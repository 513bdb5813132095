"""Deliberately wrong vector indexes fail `VectorIndexConformance` by the clause they break."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from minirag.interfaces.scope import TenantScope
from minirag.interfaces.snapshots import SnapshotReader, SnapshotWriter
from minirag.interfaces.vector_index import VectorIndex, VectorPartition
from minirag.models.index import EmbeddingSpace
from minirag.testing.vector_index import VectorIndexConformance
from minirag.testing.vector_index_oracle import cosine, nearest

if TYPE_CHECKING:
    from minirag.types import Keys, Matrix, Scores, Vector


class Right(VectorPartition):
    """Brute force over a dictionary that is replaced as a whole."""

    def __init__(self) -> None:
        self.held: dict[int, Vector] = {}

    def __len__(self) -> int:
        return len(self.held)

    @property
    def engine(self) -> str:
        return "dictionary"

    def clear(self) -> None:
        self.held = {}

    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        gone = set(removed.tolist())
        kept = {key: vector for key, vector in self.held.items() if key not in gone}
        self.held = kept | dict(zip(added.tolist(), vectors.copy(), strict=True))

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        held = self.held
        keys = nearest(held, query, k, allowed=None if allowed is None else allowed.tolist())
        return np.asarray(keys, np.int64), np.asarray([cosine(held[key], query) for key in keys], np.float64)

    def scores(self, query: Vector, keys: Keys) -> Scores:
        held = self.held
        found = [cosine(held[key], query) if key in held else np.nan for key in keys.tolist()]
        return np.asarray(found, np.float64)

    def remembered(self) -> dict[int, Vector]:
        """Return what a snapshot is to hold."""
        return self.held

    def snapshot(self) -> Callable[[SnapshotWriter], None]:
        held = self.remembered()
        return lambda writer: self.write(writer, held)

    @staticmethod
    def write(writer: SnapshotWriter, held: dict[int, Vector]) -> None:
        writer.put("keys", np.asarray(list(held), np.int64))
        writer.put("vectors", np.stack(list(held.values())) if held else np.empty((0, 48), np.float32))


class AddsBeforeItRemoves(Right):
    """A key in both lists is lost."""

    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        gone = set(removed.tolist())
        all_of_them = self.held | dict(zip(added.tolist(), vectors.copy(), strict=True))
        self.held = {key: vector for key, vector in all_of_them.items() if key not in gone}


class KeepsTheFirstVector(Right):
    """Adding a key that is present does nothing."""

    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        before = self.held
        super().apply(removed, added, vectors)
        gone = set(removed.tolist())
        self.held |= {key: vector for key, vector in before.items() if key in self.held and key not in gone}


class ReturnsAKeyTwice(Right):
    """Replaced vectors leave a second entry: the best key comes twice, in place of the last."""

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        keys, scores = super().search(query, k, allowed=allowed, exact=exact)
        return np.repeat(keys, 2)[: len(keys)], np.repeat(scores, 2)[: len(keys)]


class ScoresInFloat32(Right):
    """The engine's own scores are handed on."""

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        keys, scores = super().search(query, k, allowed=allowed, exact=exact)
        return keys, scores.astype(np.float32).astype(np.float64)


class FiltersAfterwards(Right):
    """The nearest of all are found first, and those that are not allowed are dropped then."""

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        keys, scores = super().search(query, k)
        kept = np.ones(len(keys), dtype=bool) if allowed is None else np.isin(keys, allowed)
        return keys[kept], scores[kept]


class MissesOne(Right):
    """An approximate search that does not heed `exact`: the second best is never found."""

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        keys, scores = super().search(query, k + 1, allowed=allowed, exact=exact)
        if len(keys) <= max(k, 2):
            return keys, scores
        return np.delete(keys, 1), np.delete(scores, 1)


class LosesTies(Right):
    """The result is cut at k."""

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        keys, scores = super().search(query, k, allowed=allowed, exact=exact)
        return keys[:k], scores[:k]


class ProposesInFloat32(Right):
    """The k best by float32 sums are chosen, and only then scored in float64."""

    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        held = self.held if allowed is None else {key: self.held[key] for key in allowed.tolist() if key in self.held}
        rough = {key: np.cumsum(vector * query, dtype=np.float32)[-1] for key, vector in held.items()}
        best = sorted(rough, key=lambda key: -rough[key])[:k]
        return super().search(query, k, allowed=np.asarray(best, np.int64))


class ScoresAbsentKeysZero(Right):
    """An absent key cannot be told from an unrelated one."""

    def scores(self, query: Vector, keys: Keys) -> Scores:
        return np.nan_to_num(super().scores(query, keys))


class ShiftsPositions(Right):
    """Vectors lie in a list, from which one is taken out while the keys stay where they were."""

    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        before = list(self.held.values())
        gone = set(removed.tolist())
        places = [place for place, key in enumerate(self.held) if key in gone]
        kept = [key for key in self.held if key not in gone]
        if places:
            del before[-len(places) :]
        self.held = dict(zip(kept, before, strict=True)) | dict(zip(added.tolist(), vectors.copy(), strict=True))


class RemovesAndThenAdds(Right):
    """The two halves of an `apply` can be seen apart."""

    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        super().apply(removed, added[:0], vectors[:0])
        time.sleep(0.0005)
        super().apply(removed[:0], added, vectors)


class ClearsNothing(Right):
    """`clear` forgets to."""

    def clear(self) -> None:
        return None


class KeepsTheDead(Right):
    """What the last `apply` removed is in the snapshot still."""

    def __init__(self) -> None:
        super().__init__()
        self.dead: dict[int, Vector] = {}

    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        before = self.held
        super().apply(removed, added, vectors)
        self.dead = {key: vector for key, vector in before.items() if key not in self.held}

    def remembered(self) -> dict[int, Vector]:
        return self.held | self.dead


class KeepsLater(Right):
    """The snapshot is of the moment when it is written."""

    def snapshot(self) -> Callable[[SnapshotWriter], None]:
        return lambda writer: self.write(writer, self.remembered())


class OptimizesTwice(Right):
    """`optimize` works on a copy, and puts it in place of what came meanwhile."""

    def optimize(self, stop: Callable[[], bool]) -> None:
        copy = dict(self.held)
        time.sleep(0.002)
        self.held = copy


class OptimizesRoughly(Right):
    """`optimize` keeps the vectors in half the bits, and takes these for the exact ones."""

    def optimize(self, stop: Callable[[], bool]) -> None:
        self.held = {key: vector.astype(np.float16).astype(np.float32) for key, vector in self.held.items()}


class Index(VectorIndex):
    def __init__(self, make: Callable[[], Right]) -> None:
        self.make = make

    def partition(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace) -> VectorPartition:
        return self.make()

    @property
    def snapshot_format(self) -> str:
        return "dictionary"

    def load(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace, snapshot: SnapshotReader) -> VectorPartition:
        loaded = self.make()
        loaded.apply(np.empty(0, np.int64), np.array(snapshot.array("keys")), np.array(snapshot.array("vectors")))
        return loaded


class SharedIndex(VectorIndex):
    """One partition for everybody."""

    def __init__(self) -> None:
        self.only = Right()

    def partition(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace) -> VectorPartition:
        return self.only


class Suite(VectorIndexConformance):
    size = 60
    __test__ = False

    def __init__(self, make_index: Callable[[], VectorIndex]) -> None:
        self.make = make_index

    def make_index(self) -> VectorIndex:
        return self.make()

    def failures(self) -> dict[str, str]:
        """Return the messages of the clauses' tests that fail, by the tests' names."""
        failed = {}
        for name in dir(self):
            if name.startswith("test_") and name != "test_random_programmes":
                try:
                    getattr(self, name)()
                except AssertionError as error:
                    failed[name] = str(error)
        return failed


def test_a_right_index_passes() -> None:
    """The oracle itself keeps every clause, so the failures below are the wrong indexes' own."""
    assert Suite(lambda: Index(Right)).failures() == {}


@pytest.mark.parametrize(
    ("partition", "test"),
    [
        (AddsBeforeItRemoves, "test_v01_removes_then_adds"),
        (KeepsTheFirstVector, "test_v02_adding_a_present_key_replaces_its_vector"),
        (ReturnsAKeyTwice, "test_v03_returns_min_k_len_keys"),
        (ScoresInFloat32, "test_v04_scores_are_float64_cosines_in_descending_order"),
        (FiltersAfterwards, "test_v05_allowed_keys_come_first"),
        (MissesOne, "test_v06_exact_returns_the_true_nearest"),
        (ProposesInFloat32, "test_v06_exact_separates_what_float32_cannot"),
        (LosesTies, "test_v07_ties_with_the_last_are_all_returned"),
        (ScoresAbsentKeysZero, "test_v08_scores_of_given_keys"),
        (ShiftsPositions, "test_v09_a_removed_key_is_never_returned"),
        (RemovesAndThenAdds, "test_v10_readers_see_whole_applies"),
        (ClearsNothing, "test_v11_clear_empties"),
        (KeepsTheDead, "test_v12_a_loaded_partition_answers_alike"),
        (KeepsLater, "test_v12_a_snapshot_is_of_its_moment"),
        (OptimizesRoughly, "test_v13_optimize_changes_no_exact_answer"),
        (OptimizesTwice, "test_v13_optimize_loses_no_apply"),
    ],
)
def test_a_wrong_index_fails_by_its_clause(partition: type[Right], test: str) -> None:
    """Each wrong index fails the test of the clause that it breaks, whose message names the clause."""
    failures = Suite(lambda: Index(partition)).failures()
    assert test in failures
    assert failures[test].startswith(f"V{int(test[6:8])}:")


def test_an_index_that_shares_its_partitions_fails() -> None:
    """Two bots in one partition are found out."""
    assert "test_partitions_are_apart" in Suite(SharedIndex).failures()


@pytest.mark.parametrize(
    "partition",
    [
        KeepsTheDead,
        OptimizesRoughly,
        FiltersAfterwards,
        LosesTies,
        ShiftsPositions,
        KeepsTheFirstVector,
        ScoresAbsentKeysZero,
    ],
)
def test_random_programmes_find_wrong_indexes_too(partition: type[Right]) -> None:
    """The state machine alone tells these from a dictionary."""
    with pytest.raises(AssertionError):
        Suite(lambda: Index(partition)).test_random_programmes()
