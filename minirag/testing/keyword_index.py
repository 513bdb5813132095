"""`KeywordIndexConformance`: the clauses of `KeywordIndex` and `KeywordPartition` as tests."""

from __future__ import annotations

import math
import random
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from minirag.interfaces.keyword_index import IndexText, KeywordIndex, KeywordPartition
from minirag.interfaces.scope import mint_scope
from minirag.testing.keyword_texts import (
    QUERIES,
    STOP_WORDS,
    WORDS,
    holding,
    keys_of,
    random_texts,
    run_programme,
    text_of,
)
from minirag.testing.snapshots import written_and_opened

__all__ = ["KeywordIndexConformance"]


class KeywordIndexConformance(ABC):
    """The contract of `KeywordIndex` as tests. Subclass it in a test module and write `make_index`:

    ```python
    class TestMine(KeywordIndexConformance):
        def make_index(self):
            return Mine()
    ```

    Each test is named after the clause it holds, and its message begins with it.
    """

    saturation: float = 1.5
    """The index's BM25 parameter k1."""

    length_weight: float = 0.75
    """The index's BM25 parameter b."""

    programmes: int = 25
    """How many random sequences of `apply` are compared with the oracle."""

    @abstractmethod
    def make_index(self) -> KeywordIndex:
        """Return a new index; equal arguments at every call."""

    def test_k1_removes_then_adds(self) -> None:
        """K1: the partition holds what it held, less `removed`, plus `added`; what is in both is held."""
        with self._partition() as partition:
            partition.apply(keys_of(), [text_of(1, "bravok"), text_of(2, "delzu"), text_of(3, "gamvix")])
            partition.apply(keys_of(2, 3), [text_of(3, "kilqo"), text_of(4, "limfa")])
            held = {key: not math.isnan(score) for key, score in _scores(partition, "kilqo", [1, 2, 3, 4, 5]).items()}
            assert held == {1: True, 2: False, 3: True, 4: True, 5: False}, f"K1: it holds {held}"
            assert len(partition) == 3, f"K1: its length is {len(partition)}, not 3"

    def test_k1_adding_a_present_key_replaces_its_text(self) -> None:
        """K1: `apply` is idempotent, and a key added again has only its new text."""
        with self._partition() as partition:
            for _ in range(2):
                partition.apply(keys_of(9), [text_of(1, "bravok"), text_of(2, "delzu")])
            assert len(partition) == 2, f"K1: the same apply twice holds {len(partition)} chunks, not 2"
            partition.apply(keys_of(), [text_of(1, "gamvix")])
            assert _found(partition, "bravok") == set(), "K1: a replaced text is still found"
            assert _found(partition, "gamvix") == {1}, "K1: the text that replaced another is not found"

    def test_k1_clear_forgets_every_chunk(self) -> None:
        """K1: after `clear` nothing is held, and the partition can be fed again."""
        with self._partition() as partition:
            partition.apply(keys_of(), [text_of(1, "bravok")])
            partition.clear()
            assert (len(partition), partition.analyzers) == (0, ()), "K1: something is held after clear"
            assert _found(partition, "bravok") == set(), "K1: a chunk is found after clear"
            partition.apply(keys_of(), [text_of(2, "bravok")])
            assert _found(partition, "bravok") == {2}, "K1: after clear, an added chunk is not found alone"

    def test_k2_returns_as_many_as_hold_a_term(self) -> None:
        """K2: min(k, chunks that hold a query term) keys, none twice, each holding one."""
        texts = random_texts(random.Random(1), 60)
        with self._partition() as partition:
            partition.apply(keys_of(), [text_of(key, text) for key, text in texts.items()])
            for query in ("bravok", "zuluk delzu", "absent", "absent kilqo", ""):
                expected = holding(texts, query)
                for k in (1, 5, len(texts), 10_000):
                    keys = partition.search(query, k)[0].tolist()
                    assert len(set(keys)) == len(keys), f"K2: a key is returned twice for {query!r}"
                    assert set(keys) <= expected, f"K2: {query!r} returned a chunk without its terms"
                    least = min(k, len(expected))
                    assert len(keys) >= least, f"K2: {query!r}, k={k} returned {len(keys)} keys, not {least}"

    def test_k2_searches_the_title(self) -> None:
        """K2: a chunk holds the words of its document's title."""
        with self._partition() as partition:
            partition.apply(
                keys_of(), [IndexText(key=7, text="delzu", title="bravok", language="none"), text_of(8, "delzu")]
            )
            assert _found(partition, "bravok") == {7}, "K2: a word of the title does not find the chunk"

    def test_k2_returns_ties_with_the_last(self) -> None:
        """K2: every key whose score ties with the k-th is returned, and no other."""
        with self._partition() as partition:
            partition.apply(
                keys_of(), [text_of(key, "bravok delzu") for key in range(10)] + [text_of(20, "bravok bravok")]
            )
            keys, scores = partition.search("bravok", 3)
            assert set(keys.tolist()) == {*range(10), 20}, f"K2: of 10 equal chunks and 1 better, k=3 gave {len(keys)}"
            assert keys[0] == 20, "K2: the best chunk is not first"
            assert partition.search("bravok", 1)[0].tolist() == [20], "K2: k=1 returned more than the best chunk"
            assert np.all(np.diff(scores) <= 0), "K2: scores do not descend"

    def test_k2_allowed_comes_first(self) -> None:
        """K2: with `allowed`, the best of the allowed chunks that hold a query term, whatever else there is."""
        randomness = random.Random(2)
        texts = random_texts(randomness, 80)
        with self._partition() as partition:
            partition.apply(keys_of(), [text_of(key, text) for key, text in texts.items()])
            for size in (0, 1, 5, 40, 80):
                allowed = randomness.sample(sorted(texts), size)
                given = np.asarray([*allowed, 10**12, *allowed[:1]], np.int64)
                expected = holding(texts, "bravok zuluk") & set(allowed)
                keys, scores = partition.search("bravok zuluk", 3, allowed=given)
                assert set(keys.tolist()) <= expected, "K2: a key is returned that was not allowed"
                least = min(3, len(expected))
                assert len(keys) >= least, f"K2: with {size} allowed, {len(keys)} keys, not {least}"
                alone = _scores(partition, "bravok zuluk", keys.tolist())
                assert list(alone.values()) == scores.tolist(), "K2: `allowed` changes scores"
                best = sorted(_scores(partition, "bravok zuluk", sorted(expected)).values(), reverse=True)[: len(keys)]
                assert scores.tolist() == best, "K2: with `allowed`, the best are not returned"

    def test_k3_scores_are_bm25(self) -> None:
        """K3: after any sequence of `apply`, scores are what the formula gives for the chunks held now."""
        for seed in range(self.programmes):
            with self._partition() as partition:
                held = run_programme(random.Random(seed), partition)
                for query in ("bravok", "novjek limfa bravok", " ".join(WORDS)):
                    expected = self._bm25(held, query)
                    scores = _scores(partition, query, list(held))
                    for key, score in scores.items():
                        assert score >= 0, f"K3: the score {score} is below 0"
                        close = math.isclose(score, expected[key], rel_tol=1e-9, abs_tol=1e-12)
                        assert close, (
                            f"K3: programme {seed}: the score is {score}, BM25 of what is held {expected[key]}"
                        )

    def test_k3_order_and_grouping_do_not_matter(self) -> None:
        """K3: scores are equal to the last bit however the same chunks came."""
        for seed in range(self.programmes):
            with self._partition() as partition, self._partition() as fresh:
                held = run_programme(random.Random(seed), partition)
                fresh.apply(keys_of(), [text_of(key, held[key]) for key in sorted(held)])
                assert len(partition) == len(fresh), f"K3: programme {seed}: {len(partition)} chunks, not {len(fresh)}"
                for query in QUERIES:
                    grown, built = partition.search(query, 7), fresh.search(query, 7)
                    grown_scores = dict(zip(*(column.tolist() for column in grown), strict=True))
                    built_scores = dict(zip(*(column.tolist() for column in built), strict=True))
                    assert grown_scores == built_scores, f"K3: programme {seed}: another history gives other scores"

    def test_k3_a_removed_language_leaves_no_trace(self) -> None:
        """K3: `analyzers` names the languages of the chunks held now, sorted, `"none"` for one without an analyser."""
        with self._index() as index:
            partition = index.partition(mint_scope("tenant"), "bot")
            known = index.languages()
            assert list(known) == sorted(known), "K3: languages() is not sorted"
            added = [IndexText(key=key, text="delzu", title=None, language=code) for key, code in enumerate(known)]
            partition.apply(keys_of(), [*added, IndexText(key=-1, text="delzu", title=None, language="xx")])
            assert partition.analyzers == tuple(sorted((*known, "none"))), f"K3: analyzers are {partition.analyzers}"
            partition.apply(keys_of(*range(len(known))), [])
            assert partition.analyzers == ("none",), f"K3: after removal analyzers are {partition.analyzers}"

    def test_k3_partitions_know_nothing_of_each_other(self) -> None:
        """K3: no score depends on the text of another bot, nor of a bot of the same name of another tenant."""
        with self._index() as index:
            scope = mint_scope("tenant")
            partition = index.partition(scope, "bot")
            partition.apply(keys_of(), [text_of(1, "bravok delzu"), text_of(2, "delzu")])
            before = _scores(partition, "bravok delzu", [1, 2])
            for other in (index.partition(scope, "other"), index.partition(mint_scope("rival"), "bot")):
                other.apply(keys_of(), [text_of(key, "bravok " * 9) for key in range(50)])
            assert _scores(partition, "bravok delzu", [1, 2]) == before, "K3: a score depends on another bot's text"
            assert _found(partition, "bravok") == {1}, "K3: a chunk of another bot is found"

    def test_k4_scores_of_given_keys(self) -> None:
        """K4: the score that `search` gives, 0.0 without a query term, NaN for an absent key, in the order asked."""
        with self._partition() as partition:
            partition.apply(keys_of(), [text_of(1, "bravok"), text_of(2, "delzu"), text_of(3, "bravok delzu")])
            partition.apply(keys_of(3), [])
            found = dict(zip(*(column.tolist() for column in partition.search("bravok", 9)), strict=True))
            scores = partition.scores("bravok", keys_of(3, 1, 2, 99, 1))
            assert scores.dtype == np.float64, f"K4: scores are {scores.dtype}, not float64"
            assert np.isnan(scores[[0, 3]]).all(), f"K4: an absent key has the scores {scores[[0, 3]]}, not NaN"
            assert scores[2] == 0.0, f"K4: a chunk without the term has the score {scores[2]}"
            assert scores[1] == scores[4] == found[1], f"K4: scores gives {scores[1]}, search {found[1]}"
            assert len(partition.scores("bravok", keys_of())) == 0, "K4: no keys gave scores"

    def test_k4_an_empty_partition_answers(self) -> None:
        """K4: without a chunk, every key is absent and every search empty."""
        with self._partition() as partition:
            assert np.isnan(partition.scores("bravok", keys_of(1))).all(), "K4: an empty partition gave a score"
            assert _found(partition, "bravok") == set(), "K4: an empty partition found something"

    def test_k5_stop_words_alone_are_searched(self) -> None:
        """K5: a query of stop words alone finds the chunks that hold them."""
        with self._partition() as partition:
            texts = ("Hamlet said to be or not to be", "Ophelia drowned", "a play of the king")
            partition.apply(
                keys_of(), [IndexText(key=n, text=t, title=None, language="en") for n, t in enumerate(texts)]
            )
            assert _found(partition, STOP_WORDS) == {0}, f"K5: {STOP_WORDS!r} did not find the chunk that holds it"

    def test_k6_readers_see_before_or_after(self) -> None:
        """K6: while one thread writes, another sees whole states only."""
        states = tuple([text_of(key, "bravok delzu") for key in range(first, first + 30)] for first in (0, 100))
        whole = tuple({text.key for text in state} for state in states)
        with self._partition() as partition:
            partition.apply(keys_of(), states[0])
            stop = threading.Event()

            def write() -> None:
                for number in range(60):
                    old, new = whole[number % 2], states[1 - number % 2]
                    partition.apply(keys_of(*old), new)
                stop.set()

            writer = threading.Thread(target=write)
            writer.start()
            torn: set[int] | None = None
            while not stop.is_set() and torn is None:
                found = _found(partition, "bravok")
                if found not in whole:
                    torn = found
            writer.join()
            assert torn is None, f"K6: a reader saw {len(torn or ())} chunks, which is no state there was"

    def test_k3_optimizing_changes_no_answer(self) -> None:
        """K3: scores are equal to the last bit after `optimize`, and after one that was told to stop at once."""
        for seed in range(self.programmes):
            with self._partition() as partition:
                held = run_programme(random.Random(seed), partition)
                before = [_ranked(partition, query, 7) for query in QUERIES]
                for stopped in (True, False):
                    partition.optimize(lambda stopped=stopped: stopped)  # type: ignore[misc]  # mypy cannot infer such a lambda
                    after = [_ranked(partition, query, 7) for query in QUERIES]
                    assert after == before, f"K3: programme {seed}: optimize changed an answer"
                assert len(partition) == len(held), "K3: optimize changed how many chunks are held"

    def test_k7_a_loaded_partition_answers_alike(self) -> None:
        """K7: a partition that was loaded from a snapshot answers as the one that wrote it, to the last bit."""
        for seed in range(self.programmes):
            with self._index() as index:
                partition = index.partition(mint_scope("tenant"), "bot")
                held = run_programme(random.Random(seed), partition)
                loaded = _kept(index, partition)
                if loaded is None:
                    return
                assert len(loaded) == len(held), f"K7: programme {seed}: {len(loaded)} chunks, not {len(held)}"
                assert loaded.analyzers == partition.analyzers, f"K7: programme {seed}: analyzers differ"
                keys = keys_of(*held, -7)
                for query in QUERIES:
                    alike = _ranked(loaded, query, 7) == _ranked(partition, query, 7)
                    assert alike, f"K7: programme {seed}: a loaded partition finds other chunks for {query!r}"
                    alike = np.array_equal(loaded.scores(query, keys), partition.scores(query, keys), equal_nan=True)
                    assert alike, f"K7: programme {seed}: a loaded partition gives other scores for {query!r}"

    def test_k7_a_loaded_partition_goes_on(self) -> None:
        """K7: what is applied to a loaded partition leaves it as if it had never been kept, and can be kept again."""
        for seed in range(self.programmes):
            with self._index() as index:
                scope = mint_scope("tenant")
                texts = random_texts(random.Random(seed), 30)
                first, second = list(texts)[:20], list(texts)[20:]
                partition, whole = index.partition(scope, "bot"), index.partition(scope, "other")
                for each in (partition, whole):
                    each.apply(keys_of(), [text_of(key, texts[key]) for key in first])
                for removed, added in ((first[:5], second[:5]), (first[5:8] + second[:2], second[5:])):
                    loaded = _kept(index, partition)
                    if loaded is None:
                        return
                    for each in (loaded, whole):
                        each.apply(keys_of(*removed), [text_of(key, texts[key]) for key in added])
                    partition = loaded
                    alike = all(_ranked(loaded, query, 7) == _ranked(whole, query, 7) for query in QUERIES)
                    assert alike, f"K7: seed {seed}: a loaded partition finds other chunks after apply"

    def test_k7_a_snapshot_is_of_its_moment(self) -> None:
        """K7: what is applied after `snapshot` was called is not in it, even if it is written later."""
        with self._index() as index:
            partition = index.partition(mint_scope("tenant"), "bot")
            partition.apply(keys_of(), [text_of(1, "bravok"), text_of(2, "bravok")])
            fill = partition.snapshot()
            if fill is None or not index.snapshot_format:
                return
            partition.apply(keys_of(1), [text_of(3, "bravok")])
            with written_and_opened(fill) as snapshot:
                loaded = index.load(mint_scope("tenant"), "bot", snapshot)
            found = _found(loaded, "bravok")
            assert found == {1, 2}, f"K7: a snapshot of the chunks 1 and 2 holds {sorted(found)}"

    def test_detects_only_what_it_can_analyse(self) -> None:
        """`detect_language` returns a code of `languages()` or `"none"`, and `"none"` where there is nothing to tell."""
        with self._index() as index:
            for text in ("", "   ", "12345 67890", "bravok delzu", "\x00", "東京都庁舎", "🙂🙂"):
                assert index.detect_language(text) == "none", f"a language was detected in {text!r}"
            english = "This is what they said when the train was late, and it was not that which we had hoped for. "
            assert index.detect_language(english * 3) in (*index.languages(), "none"), "an unknown code was detected"

    def _bm25(self, held: Mapping[int, str], query: str) -> dict[int, float]:
        """Return every chunk's score by the formula, from nothing but the texts."""
        counts = {key: Counter(text.split()) for key, text in held.items()}
        mean = sum(count.total() for count in counts.values()) / max(len(counts), 1)
        scores = dict.fromkeys(held, 0.0)
        for term in sorted(set(query.split())):
            matching = [key for key, count in counts.items() if count[term]]
            weight = math.log(1 + (len(held) - len(matching) + 0.5) / (len(matching) + 0.5))
            for key in matching:
                often = counts[key][term]
                relative = 1 - self.length_weight + self.length_weight * counts[key].total() / mean
                scores[key] += weight * often / (often + self.saturation * relative)
        return scores

    @contextmanager
    def _index(self) -> Iterator[KeywordIndex]:
        index = self.make_index()
        try:
            yield index
        finally:
            index.close()

    @contextmanager
    def _partition(self) -> Iterator[KeywordPartition]:
        with self._index() as index:
            yield index.partition(mint_scope("tenant"), "bot")


def _kept(index: KeywordIndex, partition: KeywordPartition) -> KeywordPartition | None:
    """Return what is loaded from a snapshot of the partition; None if it cannot be kept."""
    fill = partition.snapshot()
    if fill is None or not index.snapshot_format:
        return None
    with written_and_opened(fill) as snapshot:
        return index.load(mint_scope("tenant"), "bot", snapshot)


def _ranked(partition: KeywordPartition, query: str, k: int) -> tuple[list[int], list[float]]:
    keys, scores = partition.search(query, k)
    return keys.tolist(), scores.tolist()


def _found(partition: KeywordPartition, query: str) -> set[int]:
    return set(partition.search(query, 1_000)[0].tolist())


def _scores(partition: KeywordPartition, query: str, keys: Sequence[int]) -> dict[int, float]:
    wanted = list(keys)
    return dict(zip(wanted, partition.scores(query, keys_of(*wanted)).tolist(), strict=True))
