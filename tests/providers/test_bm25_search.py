"""Searching BM25 without scoring everything finds what scoring everything finds, to the last bit."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minirag.interfaces.keyword_index import IndexText
from minirag.interfaces.snapshots import LazyArray, SnapshotDamagedError
from minirag.providers.bm25 import partition as partitions
from minirag.providers.bm25 import searching
from minirag.providers.bm25.analyzer import Analyzers
from minirag.providers.bm25.index import Bm25Index
from minirag.providers.bm25.partition import Bm25Partition
from minirag.providers.bm25.segments import Segment
from minirag.testing.snapshots import written_and_opened

ANALYZERS = Analyzers()
NOTHING = np.empty(0, np.int64)
VOCABULARY = [f"word{number}" for number in range(40)]


@pytest.fixture(autouse=True)
def eager_pruning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have small partitions searched as large ones are."""
    monkeypatch.setattr(searching, "_AT_ONCE", 4)
    monkeypatch.setattr(searching, "_FEW", 2)
    monkeypatch.setattr(partitions, "_MERGE_CHUNKS", 40)
    monkeypatch.setattr(partitions, "_LOOSE_LEAST", 10)


def text_of(key: int, text: str) -> IndexText:
    return IndexText(key=key, text=text, title=None, language="none")


def random_text(randomness: random.Random) -> str:
    """Return words of which some are in nearly every text and some in few; some texts repeat one very often."""
    words = randomness.choices(
        VOCABULARY, [1 / (1 + rank) for rank in range(len(VOCABULARY))], k=randomness.randrange(1, 14)
    )
    return " ".join([*words, *words[:1] * (300 if randomness.random() < 0.02 else 0)])


def brute(held: dict[int, str], query: str) -> dict[int, float]:
    """Return the score of every chunk that holds a term, by the formula and in plain Python."""
    counts = {key: Counter(text.split()) for key, text in held.items()}
    mean = sum(count.total() for count in counts.values()) / max(len(counts), 1)
    scores: dict[int, float] = {}
    for term in sorted(set(query.split())):
        holding = [key for key, count in counts.items() if count[term]]
        weight = math.log(1 + (len(held) - len(holding) + 0.5) / (len(holding) + 0.5))
        for key in holding:
            often = float(counts[key][term])
            norm = 1.5 * (1 - 0.75 + 0.75 * counts[key].total() / mean)
            scores[key] = scores.get(key, 0.0) + weight * (often / (often + norm))
    return scores


def best(scores: dict[int, float], k: int) -> tuple[list[int], list[float]]:
    """Return the best k keys with their scores, and whatever ties with the last."""
    ranked = sorted(scores, key=lambda key: (-scores[key], key))
    if k < len(ranked):
        least = np.rint(scores[ranked[k - 1]] * 1e6)
        ranked = [key for key in ranked if np.rint(scores[key] * 1e6) >= least]
    return ranked, [scores[key] for key in ranked]


def grown(randomness: random.Random, *, optimizing: bool = True) -> tuple[Bm25Partition, dict[int, str]]:
    """Return a partition with a history, and what it holds."""
    partition, held = Bm25Partition(ANALYZERS), dict[int, str]()
    for _ in range(randomness.randrange(1, 12)):
        removed = randomness.sample(sorted(held), min(len(held), randomness.randrange(0, 25)))
        added = {randomness.getrandbits(62): random_text(randomness) for _ in range(randomness.randrange(0, 60))}
        partition.apply(np.asarray(removed, np.int64), [text_of(key, text) for key, text in added.items()])
        held = {key: text for key, text in held.items() if key not in removed} | added
        if optimizing and randomness.random() < 0.2:
            partition.optimize(lambda: False)
    return partition, held


@given(
    seed=st.integers(0, 10**9),
    words=st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=7),
    k=st.integers(1, 30),
    at_once=st.sampled_from((4, 64, 4_096)),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pruned_search_equals_brute_force(seed: int, words: list[str], k: int, at_once: int) -> None:
    """Over any segments with removals, the best k with ties and their scores are those of the formula, to the last bit."""
    searching._AT_ONCE = at_once  # type: ignore[misc]  # the fixture puts it back
    randomness = random.Random(seed)
    partition, held = grown(randomness)
    query = " ".join(words)
    expected = brute(held, query)
    keys, scores = partition.search(query, k)
    assert (keys.tolist(), scores.tolist()) == best(expected, k)
    for share in (0.02, 0.3, 0.9):
        allowed = np.asarray([key for key in held if randomness.random() < share], np.int64)
        chosen = {key: expected[key] for key in allowed.tolist() if key in expected}
        keys, scores = partition.search(query, k, allowed=allowed)
        assert (keys.tolist(), scores.tolist()) == best(chosen, k)
    some = randomness.sample(sorted(held), min(len(held), 10))
    assert partition.scores(query, np.asarray(some, np.int64)).tolist() == [expected.get(key, 0.0) for key in some]


def test_many_ties_are_all_returned() -> None:
    """However many chunks tie with the k-th, each of them is found, across segments and rounds."""
    partition = Bm25Partition(ANALYZERS)
    for first in range(0, 400, 50):
        partition.apply(
            NOTHING,
            [text_of(key, "common rare" if key % 100 == 0 else "common other") for key in range(first, first + 50)],
        )
    keys, _ = partition.search("rare common", 10)
    assert set(keys[:4].tolist()) == {0, 100, 200, 300}
    assert len(keys) == 400


def test_frequent_terms_are_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the rare terms have given k good chunks, the postings of a frequent one are only looked up."""
    partition = Bm25Partition(ANALYZERS)
    partition.apply(
        NOTHING, [text_of(key, "common rare scarce" if key % 50 == 0 else "common other words") for key in range(1_000)]
    )
    read: list[list[int]] = []
    reading = searching.Search._read

    def watched(self: searching.Search, terms: list[int], wanted: None) -> object:
        read.append([self._counts[term] for term in terms])
        return reading(self, terms, wanted)

    monkeypatch.setattr(searching.Search, "_read", watched)
    assert len(partition.search("common rare scarce", 5)[0]) == 20
    assert read == [[20], [20]]


def test_the_same_query_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hybrid search, which asks for the best and then for scores, has its query analysed and looked up once."""
    partition = Bm25Partition(Analyzers())
    partition.apply(NOTHING, [text_of(1, "bravok"), text_of(2, "delzu")])
    made: list[object] = []
    listing = Segment.lists
    monkeypatch.setattr(Segment, "lists", lambda self, terms: made.append(terms) or listing(self, terms))
    partition.search("bravok", 1)
    partition.scores("bravok", np.asarray([1]))
    assert len(made) == 1
    partition.apply(np.asarray([2]), [])
    assert partition.search("bravok", 1)[1][0] == brute({1: "bravok"}, "bravok")[1]


def test_pending_says_when_optimizing_pays() -> None:
    """Many chunks outside the largest segment or removed are pending, few are not, and optimizing settles all."""
    partition = Bm25Partition(ANALYZERS)
    for first in range(0, 120, 40):
        partition.apply(NOTHING, [text_of(key, f"word{key}") for key in range(first, first + 40)])
    assert [segment.size for segment in partition._state.segments] == [40, 40, 40]
    assert partition.pending == 80
    partition.optimize(lambda: True)
    assert partition.pending == 80
    partition.optimize(lambda: False)
    assert partition.pending == 0
    assert [segment.size for segment in partition._state.segments] == [120]
    partition.apply(np.arange(5), [text_of(500, "bravok")])
    assert partition.pending == 0
    partition.apply(np.arange(30), [])
    assert partition.pending == 31
    partition.optimize(lambda: False)
    assert [len(segment.keys) for segment in partition._state.segments] == [91]


def test_writing_goes_on_while_optimizing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added, removed and replaced while segments are merged is neither lost nor undone."""
    partition, held = grown(random.Random(3), optimizing=False)
    merging, merge = [True], partitions.merge

    def during(segments: object, *stop: object) -> object:
        merged = merge(segments, *stop)  # type: ignore[arg-type]
        if merging.pop() if merging else False:
            gone = sorted(held)[:15]
            for key in gone[:10]:
                del held[key]
            held.update(dict.fromkeys(gone[10:], "word1 word2") | {7: "word3"})
            partition.apply(np.asarray(gone), [text_of(key, held[key]) for key in (*gone[10:], 7)])
        return merged

    monkeypatch.setattr(partitions, "merge", during)
    partition.optimize(lambda: False)
    assert len(partition) == len(held)
    for query in ("word1 word2", "word3", "word0 word9 word30"):
        found = partition.search(query, 5)
        assert (found[0].tolist(), found[1].tolist()) == best(brute(held, query), 5)


def test_a_segment_that_empties_while_optimizing_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added while a segment loses all its chunks to a writer does not take that segment's place."""
    partition = Bm25Partition(ANALYZERS)
    for first, last in ((0, 40), (40, 48)):
        partition.apply(NOTHING, [text_of(key, "bravok") for key in range(first, last)])
    assert [segment.size for segment in partition._state.segments] == [40, 8]
    merge = partitions.merge

    def during(segments: object, *stop: object) -> object:
        monkeypatch.setattr(partitions, "merge", merge)
        partition.apply(np.arange(40, 48), [text_of(100, "bravok")])
        return merge(segments, *stop)  # type: ignore[arg-type]

    monkeypatch.setattr(partitions, "merge", during)
    partition.optimize(lambda: False)
    assert set(partition.search("bravok", 50)[0].tolist()) == {*range(40), 100}


def test_clearing_while_optimizing_stays_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that was cleared while its segments were merged stays empty."""
    partition, _ = grown(random.Random(3), optimizing=False)
    merge = partitions.merge

    def during(segments: object, *stop: object) -> object:
        partition.clear()
        return merge(segments, *stop)  # type: ignore[arg-type]

    monkeypatch.setattr(partitions, "merge", during)
    partition.optimize(lambda: False)
    assert len(partition) == 0
    partition.apply(NOTHING, [text_of(1, "bravok")])
    assert partition.search("bravok", 1)[0].tolist() == [1]


def test_readers_are_not_disturbed_by_optimizing() -> None:
    """Searches beside `optimize` and `apply` in other threads find the same chunks as before."""
    partition, held = grown(random.Random(8), optimizing=False)
    expected = best(brute(held, "word1 word7 word20"), 5)
    stop = threading.Event()

    def optimize() -> None:
        while not stop.is_set():
            partition.optimize(lambda: False)
            partition.apply(NOTHING, [text_of(key, held[key]) for key in sorted(held)[:3]])

    thread = threading.Thread(target=optimize)
    thread.start()
    try:
        for _ in range(150):
            keys, scores = partition.search("word1 word7 word20", 5)
            assert (keys.tolist(), scores.tolist()) == expected
    finally:
        stop.set()
        thread.join()


@given(seed=st.integers(0, 10**9))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_loaded_partition_equals_brute_force(seed: int) -> None:
    """A partition from a snapshot answers exactly, goes on exactly, and its merged segments hold what they should."""
    randomness = random.Random(seed)
    partition, held = grown(randomness)
    with written_and_opened(partition.snapshot()) as snapshot:
        loaded = Bm25Partition.load(ANALYZERS, snapshot)
    for _ in range(2):
        for query in ("word0 word3", "word1 word12 word30", "word25"):
            keys, scores = loaded.search(query, 5)
            assert (keys.tolist(), scores.tolist()) == best(brute(held, query), 5)
        gone = randomness.sample(sorted(held), len(held) // 3)
        held = {key: text for key, text in held.items() if key not in gone} | {1: "word3 word25"}
        loaded.apply(np.asarray(gone, np.int64), [text_of(1, held[1])])
        loaded.optimize(lambda: False)


def test_a_loaded_partition_takes_little_memory() -> None:
    """What lies in a file is not counted, and postings stay there until they are read."""
    partition = Bm25Partition(ANALYZERS)
    partition.apply(NOTHING, [text_of(key, random_text(random.Random(key))) for key in range(500)])
    with written_and_opened(partition.snapshot()) as snapshot:
        loaded = Bm25Partition.load(ANALYZERS, snapshot)
    assert partition.nbytes > 10_000
    assert loaded.nbytes == 0
    assert all(isinstance(segment.postings, LazyArray) for segment in loaded._state.segments)
    loaded.apply(np.asarray([3]), [])
    assert 500 <= loaded.nbytes < 1_000


def test_a_damaged_snapshot_is_noticed() -> None:
    """A snapshot that lacks an array or has other postings than it says is not loaded."""
    index = Bm25Index()
    partition = Bm25Partition(ANALYZERS)
    partition.apply(NOTHING, [text_of(1, "bravok"), text_of(2, "delzu")])
    fill = partition.snapshot()
    with (
        written_and_opened(lambda writer: writer.put("segments", np.asarray(1))) as snapshot,
        pytest.raises(SnapshotDamagedError),
    ):
        index.load(None, "bot", snapshot)  # type: ignore[arg-type]

    class Shortened:
        def __init__(self, writer: object) -> None:
            self.writer = writer

        def put(self, name: str, array: object) -> None:
            self.writer.put(name, array[:1] if name.endswith("postings") else array)  # type: ignore[attr-defined,index]

    with (
        written_and_opened(lambda writer: fill(Shortened(writer))) as snapshot,  # type: ignore[arg-type]
        pytest.raises(SnapshotDamagedError, match="segment 0"),
    ):
        index.load(None, "bot", snapshot)  # type: ignore[arg-type]
