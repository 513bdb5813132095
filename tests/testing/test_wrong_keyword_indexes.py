"""Deliberately wrong keyword indexes fail `KeywordIndexConformance` by the clause they break."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from minirag.interfaces.keyword_index import IndexText, KeywordIndex, KeywordPartition
from minirag.interfaces.scope import TenantScope
from minirag.interfaces.snapshots import SnapshotReader, SnapshotWriter
from minirag.testing.keyword_index import KeywordIndexConformance

if TYPE_CHECKING:
    from minirag.types import Keys, Scores

LANGUAGES = ("de", "en")


class Right(KeywordPartition):
    """BM25 from the definition, over a dictionary that is replaced as a whole."""

    def __init__(self) -> None:
        self.held: dict[int, IndexText] = {}

    def __len__(self) -> int:
        return len(self.held)

    @property
    def analyzers(self) -> tuple[str, ...]:
        return tuple(sorted({text.language if text.language in LANGUAGES else "none" for text in self.held.values()}))

    def clear(self) -> None:
        self.held = {}

    def apply(self, removed: Keys, added: Sequence[IndexText]) -> None:
        gone = set(removed.tolist())
        kept = {key: text for key, text in self.held.items() if key not in gone}
        self.held = kept | {text.key: text for text in added}

    def terms(self, query: str) -> list[str]:
        return sorted(set(query.split()))

    def counts(self, held: dict[int, IndexText]) -> dict[int, Counter[str]]:
        return {key: Counter(f"{text.title or ''} {text.text}".split()) for key, text in held.items()}

    def statistics(self, counts: dict[int, Counter[str]]) -> dict[int, Counter[str]]:
        return counts

    def bm25(self, query: str) -> dict[int, float]:
        counts = self.counts(dict(self.held))
        known = self.statistics(counts)
        mean = sum(count.total() for count in known.values()) / max(len(known), 1)
        scores = dict.fromkeys(counts, 0.0)
        for term in self.terms(query):
            holding = sum(count[term] > 0 for count in known.values())
            weight = math.log(1 + (len(known) - holding + 0.5) / (holding + 0.5))
            for key, count in counts.items():
                if often := count[term]:
                    scores[key] += weight * often / (often + 1.5 * (0.25 + 0.75 * count.total() / mean))
        return scores

    def search(self, query: str, k: int, *, allowed: Keys | None = None) -> tuple[Keys, Scores]:
        chosen = None if allowed is None else set(allowed.tolist())
        found = {key: s for key, s in self.bm25(query).items() if s > 0 and (chosen is None or key in chosen)}
        ranked = sorted(found, key=lambda key: (-found[key], key))
        if k < len(ranked):
            least = round(found[ranked[k - 1]], 6)
            ranked = [key for key in ranked if round(found[key], 6) >= least]
        return np.asarray(ranked, np.int64), np.asarray([found[key] for key in ranked], np.float64)

    def scores(self, query: str, keys: Keys) -> Scores:
        scores = self.bm25(query)
        return np.asarray([scores.get(key, math.nan) for key in keys.tolist()], np.float64)

    def snapshot(self) -> Callable[[SnapshotWriter], None] | None:
        held = self.held
        return lambda writer: write(held, writer)

    def load(self, snapshot: SnapshotReader) -> None:
        texts = json.loads(snapshot.array("texts").tobytes())
        self.apply(np.empty(0, np.int64), [IndexText(**text) for text in texts])


def write(held: dict[int, IndexText], writer: SnapshotWriter) -> None:
    """Keep the texts of chunks as JSON."""
    texts = json.dumps([dataclasses.asdict(text) for text in held.values()])
    writer.put("texts", np.frombuffer(texts.encode(), np.uint8))


class NeverRemoves(Right):
    """Breaks K1: what is removed stays."""

    def apply(self, removed: Keys, added: Sequence[IndexText]) -> None:
        super().apply(removed[:0], added)


class RemovesLast(Right):
    """Breaks K1: what is both removed and added is gone."""

    def apply(self, removed: Keys, added: Sequence[IndexText]) -> None:
        super().apply(removed, added)
        super().apply(removed, [])


class CutsTies(Right):
    """Breaks K2: never more than k."""

    def search(self, query: str, k: int, *, allowed: Keys | None = None) -> tuple[Keys, Scores]:
        keys, scores = super().search(query, k, allowed=allowed)
        return keys[:k], scores[:k]


class FiltersLast(Right):
    """Breaks K2: the best k of all, and of these the allowed."""

    def search(self, query: str, k: int, *, allowed: Keys | None = None) -> tuple[Keys, Scores]:
        keys, scores = super().search(query, k)
        chosen = np.isin(keys, keys if allowed is None else allowed)
        return keys[chosen], scores[chosen]


class IgnoresTitles(Right):
    """Breaks K2: a title's words find nothing."""

    def counts(self, held: dict[int, IndexText]) -> dict[int, Counter[str]]:
        return {key: Counter(text.text.split()) for key, text in held.items()}


class FillsUp(Right):
    """Breaks K2: chunks without a query term too, as a search by vectors would."""

    def search(self, query: str, k: int, *, allowed: Keys | None = None) -> tuple[Keys, Scores]:
        keys, scores = super().search(query, k, allowed=allowed)
        others = sorted(set(self.held if allowed is None else allowed.tolist()) & set(self.held) - set(keys.tolist()))
        filling = others[: max(0, k - len(keys))]
        return np.append(keys, np.asarray(filling, np.int64)), np.append(scores, np.zeros(len(filling)))


class RemembersTheGone(Right):
    """Breaks K3: removed chunks still count in the statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.ever: dict[int, IndexText] = {}

    def apply(self, removed: Keys, added: Sequence[IndexText]) -> None:
        super().apply(removed, added)
        self.ever |= self.held

    def statistics(self, counts: dict[int, Counter[str]]) -> dict[int, Counter[str]]:
        return self.counts(self.ever)


class SharesStatistics(Right):
    """Breaks K3: statistics over the chunks of every bot."""

    everyone: list[SharesStatistics]

    def statistics(self, counts: dict[int, Counter[str]]) -> dict[int, Counter[str]]:
        shared: dict[int, Counter[str]] = {}
        for number, partition in enumerate(self.everyone):
            shared |= {hash((number, key)): count for key, count in self.counts(partition.held).items()}
        return shared


class SumsInFloat32(Right):
    """Breaks K3: seven digits."""

    def bm25(self, query: str) -> dict[int, float]:
        return {key: float(np.float32(score)) for key, score in super().bm25(query).items()}


class ZeroForAbsent(Right):
    """Breaks K4: an absent key looks like one without the terms."""

    def scores(self, query: str, keys: Keys) -> Scores:
        return np.nan_to_num(super().scores(query, keys))


class DropsStopWords(Right):
    """Breaks K5: stop words are not indexed."""

    def counts(self, held: dict[int, IndexText]) -> dict[int, Counter[str]]:
        stop_words = dict.fromkeys(("to", "be", "or", "not", "the", "a", "of"), 0)
        return {key: Counter({**count, **stop_words}) for key, count in super().counts(held).items()}


class TearsStates(Right):
    """Breaks K6: between removing and adding, readers see a gap."""

    def apply(self, removed: Keys, added: Sequence[IndexText]) -> None:
        super().apply(removed, [])
        time.sleep(0.002)
        super().apply(removed, added)


class ForgetsWhenOptimizing(Right):
    """Breaks K3: settling loses the chunk of the lowest key."""

    def optimize(self, stop: Callable[[], bool]) -> None:
        self.held = {key: text for key, text in self.held.items() if key != min(self.held)}


class KeepsTooFew(Right):
    """Breaks K7: a snapshot lacks the last chunk."""

    def snapshot(self) -> Callable[[SnapshotWriter], None] | None:
        held = dict(list(self.held.items())[:-1])
        return lambda writer: write(held, writer)


class KeepsWhatComesLater(Right):
    """Breaks K7: a snapshot is of the moment when it is written."""

    def snapshot(self) -> Callable[[SnapshotWriter], None] | None:
        return lambda writer: write(self.held, writer)


class StaysAsLoaded(Right):
    """Breaks K7: a loaded partition takes nothing more."""

    loaded = False

    def load(self, snapshot: SnapshotReader) -> None:
        super().load(snapshot)
        self.loaded = True

    def apply(self, removed: Keys, added: Sequence[IndexText]) -> None:
        if not self.loaded:
            super().apply(removed, added)


class KeepsNothing(Right):
    """Right: what cannot be kept says so."""

    def snapshot(self) -> Callable[[SnapshotWriter], None] | None:
        return None


class Index(KeywordIndex):
    """Makes partitions of one class."""

    def __init__(self, kind: type[Right]) -> None:
        self.kind = kind
        self.made: list[Right] = []

    def partition(self, scope: TenantScope, bot_id: str) -> KeywordPartition:
        partition = self.kind()
        self.made.append(partition)
        if isinstance(partition, SharesStatistics):
            partition.everyone = self.made  # type: ignore[assignment]
        return partition

    @property
    def snapshot_format(self) -> str:
        return "texts-1"

    def load(self, scope: TenantScope, bot_id: str, snapshot: SnapshotReader) -> KeywordPartition:
        partition = self.partition(scope, bot_id)
        assert isinstance(partition, Right)
        partition.load(snapshot)
        return partition

    def detect_language(self, text: str) -> str:
        return "none"

    def languages(self) -> tuple[str, ...]:
        return LANGUAGES


def failures(kind: type[Right]) -> set[str]:
    """Return the clauses that the suite says an index of these partitions breaks."""

    class Suite(KeywordIndexConformance):
        programmes = 6

        def make_index(self) -> KeywordIndex:
            return Index(kind)

    broken = set()
    for name in dir(Suite):
        if name.startswith("test_"):
            test: Callable[[], None] = getattr(Suite(), name)
            try:
                test()
            except AssertionError as error:
                broken.add(str(error)[:2])
    return broken


@pytest.mark.parametrize("kind", [Right, KeepsNothing])
def test_a_right_index_passes(kind: type[Right]) -> None:
    """An index written from the definition breaks nothing: the suite asks for no more than the contract."""
    assert failures(kind) == set()


@pytest.mark.parametrize(
    ("kind", "clause"),
    [
        (NeverRemoves, "K1"),
        (RemovesLast, "K1"),
        (CutsTies, "K2"),
        (FiltersLast, "K2"),
        (IgnoresTitles, "K2"),
        (FillsUp, "K2"),
        (RemembersTheGone, "K3"),
        (SharesStatistics, "K3"),
        (SumsInFloat32, "K3"),
        (ZeroForAbsent, "K4"),
        (DropsStopWords, "K5"),
        (TearsStates, "K6"),
        (ForgetsWhenOptimizing, "K3"),
        (KeepsTooFew, "K7"),
        (KeepsWhatComesLater, "K7"),
        (StaysAsLoaded, "K7"),
    ],
)
def test_a_wrong_index_fails_by_its_clause(kind: type[Right], clause: str) -> None:
    """The suite finds each wrong index, and names the clause that it breaks."""
    assert clause in failures(kind)
