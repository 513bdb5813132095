"""The BM25 index keeps the contract, however its segments come to lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirag.interfaces.keyword_index import IndexText, KeywordIndex
from minirag.interfaces.scope import mint_scope
from minirag.providers.bm25.analyzer import Analyzers
from minirag.providers.bm25.index import Bm25Index, create
from minirag.providers.bm25.merging import merge
from minirag.providers.bm25.partition import Bm25Partition
from minirag.providers.bm25.ranking import rank
from minirag.providers.bm25.segments import Segment, build
from minirag.testing.keyword_index import KeywordIndexConformance

ANALYZERS = Analyzers()
NOTHING = np.empty(0, np.int64)
TEXTS = (
    "the wing of an aircraft",
    "wings",
    "der Flügel der Flugzeuge",
    "東京の翼",
    "to be or not to be",
    "",
    "wing " * 300,
)
QUERIES = ("wing", "der flügel", "翼", "the", "aircraft wing 東京 flugzeug", "be")

chunks = st.builds(
    IndexText,
    key=st.integers(0, 15),
    text=st.sampled_from(TEXTS),
    title=st.sampled_from((None, "Wings")),
    language=st.sampled_from(("en", "de", "none")),
)
programmes = st.lists(st.tuples(st.lists(st.integers(0, 15), max_size=6), st.lists(chunks, max_size=6)), max_size=12)


def partition_of(*steps: tuple[list[int], list[IndexText]]) -> Bm25Partition:
    """Return a new partition after these removals and additions."""
    partition = Bm25Partition(ANALYZERS)
    for removed, added in steps:
        partition.apply(np.asarray(removed, np.int64), added)
    return partition


def plain(key: int, text: str) -> IndexText:
    """Return a chunk without a title, of unknown language."""
    return IndexText(key=key, text=text, title=None, language="none")


class TestBm25(KeywordIndexConformance):
    """Every clause, held by the built-in index."""

    def make_index(self) -> KeywordIndex:
        return create()


@given(programme=programmes)
@settings(max_examples=120, deadline=None)
def test_every_history_equals_building_afresh(programme: list[tuple[list[int], list[IndexText]]]) -> None:
    """Whatever was added, replaced and removed before, all answers are to the last bit those of a fresh partition."""
    held: dict[int, IndexText] = {}
    for removed, added in programme:
        held = {key: chunk for key, chunk in held.items() if key not in removed}
        held |= {chunk.key: chunk for chunk in added}
    grown, fresh = partition_of(*programme), partition_of(([], list(held.values())))
    keys = np.arange(16)
    assert len(grown) == len(fresh) == len(held)
    assert grown.analyzers == fresh.analyzers
    for query in QUERIES:
        np.testing.assert_array_equal(grown.scores(query, keys), fresh.scores(query, keys))
        for allowed in (None, keys[:8]):
            found, expected = grown.search(query, 3, allowed=allowed), fresh.search(query, 3, allowed=allowed)
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])


def test_single_additions_leave_few_segments() -> None:
    """Adding one chunk at a time keeps the number of segments logarithmic, so that searches stay fast."""
    partition = partition_of(*(([], [plain(key, f"word{key % 50}")]) for key in range(500)))
    assert len(partition) == 500
    assert len(partition._state.segments) <= 6


def counted(counts: dict[int, dict[int, int]]) -> Segment:
    """Return the segment of chunks by key, each with its terms and their frequencies."""
    words = [
        (place, term) for place, key in enumerate(counts) for term, often in counts[key].items() for _ in range(often)
    ]
    chunks, terms = np.asarray(words, np.int64).T
    return build(list(counts), np.zeros(len(counts), np.uint8), chunks=chunks, terms=terms, which=np.arange(len(terms)))


def postings(segment: Segment) -> dict[int, dict[int, int]]:
    """Return what a segment holds: for each term the keys of its chunks, and how often they hold it."""
    found = {}
    for term, (start, stop, _, _) in zip(segment.terms.tolist(), segment.lists(segment.terms), strict=True):
        read = segment.read(start, stop)
        keys = segment.keys[read >> 8].tolist()
        found[term] = dict(zip(keys, segment.frequencies(read, start).tolist(), strict=True))
    return found


def test_removals_give_their_memory_back() -> None:
    """A segment that has lost most of its chunks is copied without them, and an empty one is dropped."""
    partition = partition_of(([], [plain(key, "bravok delzu") for key in range(100)]))
    partition.apply(np.arange(40), [])
    assert [len(segment.keys) for segment in partition._state.segments] == [100]
    partition.apply(np.arange(60), [])
    assert [len(segment.keys) for segment in partition._state.segments] == [40]
    partition.apply(np.arange(100), [])
    assert partition._state.segments == ()


def test_removed_terms_leave_the_postings() -> None:
    """Merging forgets the terms that only removed chunks held."""
    partition = partition_of(([], [plain(1, "bravok delzu"), plain(2, "delzu")]), ([1], [plain(3, "gamvix")]))
    assert [len(segment.terms) for segment in partition._state.segments] == [2]


def test_a_readers_state_is_not_changed_by_the_writer() -> None:
    """What a reader holds is the same after the writer removed and merged."""
    partition = partition_of(([], [plain(key, "bravok") for key in range(10)]))
    state = partition._state
    before = [segment.alive is None for segment in state.segments]
    partition.apply(np.arange(4), [plain(20, "bravok")])
    assert [segment.alive is None for segment in state.segments] == before == [True]
    assert state.size == 10


@pytest.mark.parametrize("most", [254, 255, 256, 65_536])
def test_frequencies_of_any_size_are_kept(most: int) -> None:
    """A posting has one byte for the frequency; what does not fit is not lost."""
    segment = counted({1: {7: most, 8: 1}, 2: {7: 3}})
    assert postings(segment) == {7: {1: most, 2: 3}, 8: {1: 1}}
    assert segment.lengths.tolist() == [most + 1, 3]
    assert len(segment.wide) == (most >= 255)


def test_merging_keeps_every_posting() -> None:
    """A merged segment has the postings of its parts in the order of term and chunk, wide ones too, and none of removed chunks."""
    parts = [counted({9: {5: 300, 9: 1}, 10: {5: 2}, 11: {3: 1}}), counted({2: {5: 4, 2: 1}, 4: {9: 500}})]
    merged = merge([parts[0].without(np.asarray([2])), parts[1]])
    assert merged is not None
    assert postings(merged) == {2: {2: 1}, 5: {9: 300, 10: 2, 2: 4}, 9: {9: 1, 4: 500}}
    assert merged.starts.tolist() == [0, 1, 4, 6]
    assert merged.sorted_keys.tolist() == [2, 4, 9, 10]
    assert merge([parts[0].without(np.asarray([0]))], lambda: True) is None


def test_no_chunk_exceeds_what_a_segment_says_of_a_term() -> None:
    """The highest frequency and the least length for it bound those of every chunk, after merging too."""
    parts = [counted({1: {7: 3, 8: 300}, 2: {7: 9}}), counted({3: {7: 2}, 4: {8: 5, 7: 1}})]
    merged = merge(parts)
    assert merged is not None
    assert merged.most.tolist() == [9, 255]
    assert [least <= bound for least, bound in zip(merged.shortest.tolist(), [1.0, 303 / 300], strict=True)] == [
        True,
        True,
    ]
    assert merged.shortest.tolist() == pytest.approx([1.0, 303 / 300])


def test_rank_returns_ties_to_six_decimals() -> None:
    """Scores that round to the k-th's are returned with it, best first, equal ones by key."""
    keys, scores = np.asarray([5, 4, 3, 2, 1]), np.asarray([0.1, 0.5000001, 0.5, 0.5, 0.9])
    found, values = rank(keys, scores, 2)
    assert found.tolist() == [1, 4, 2, 3]
    assert values.tolist() == [0.9, 0.5000001, 0.5, 0.5]
    assert rank(keys, scores, 0)[0].tolist() == []
    assert rank(keys, scores, 9)[0].tolist() == [1, 4, 2, 3, 5]


def test_a_later_chunk_of_the_same_key_wins() -> None:
    """Of two chunks of one key in one call, the later is held."""
    partition = partition_of(([], [plain(1, "bravok"), plain(1, "delzu")]))
    assert len(partition) == 1
    assert partition.search("delzu", 5)[0].tolist() == [1]
    assert partition.search("bravok", 5)[0].tolist() == []


def test_mixed_languages_are_found_by_their_own_stems() -> None:
    """One query finds inflected forms in every language that the partition holds."""
    index = Bm25Index()
    partition = index.partition(mint_scope("tenant"), "bot")
    texts = {"en": "He books a flight", "de": "Die Bücher liegen dort", "none": "booking"}
    added = [IndexText(key=n, text=t, title=None, language=code) for n, (code, t) in enumerate(texts.items())]
    partition.apply(NOTHING, added)
    assert set(partition.search("booked Büchern", 5)[0].tolist()) == {0, 1}
    assert partition.search("booking", 5)[0].tolist() == [2, 0]


def test_a_stray_chunk_of_unknown_language_is_not_preferred() -> None:
    """A word that is stemmed in a thousand chunks and left whole in one weighs the same in all of them."""
    english = [IndexText(key=key, text="models fly", title=None, language="en") for key in range(50)]
    stray = IndexText(key=50, text="models fly", title=None, language="none")
    partition = partition_of(([], [*english, stray, plain(51, "delzu fly")]))
    assert len(set(partition.scores("models", np.arange(51)).tolist())) == 1
