"""`RerankerConformance`: the clauses of `Reranker`, one test each."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from minirag.interfaces.reranker import Reranker
from minirag.testing.embedder import ODD_TEXTS, TEXTS

__all__ = ["RerankerConformance"]

TOLERANCE: Final = 0.001
"""By how much two scores may differ and still be the same, absolutely or as a share of the larger."""

QUESTIONS: Final = {
    "How many years does the warranty of a laptop last from the day of purchase?": 0,
    "When does the train to the coast leave from platform nine?": 7,
    "What do elephants that live in herds follow, the oldest female?": 3,
}
"""Questions, each with the place in `TEXTS` of the one text that answers it, largely in the same words."""


class RerankerConformance(ABC):
    """The contract of `minirag.interfaces.Reranker` as tests. Subclass it in a test module, and pytest does the rest.

    ```python
    class TestMine(RerankerConformance):
        def make_reranker(self):
            return Mine()
    ```

    Each test is named after the clause it holds. Every test makes a reranker and closes it.
    """

    @abstractmethod
    def make_reranker(self) -> Reranker:
        """Return a new reranker, made alike at every call."""

    def test_r01_one_finite_score_a_text(self) -> None:
        """R1: a list of finite floats, as long as the texts, also where two texts are equal."""
        with self._reranker() as reranker:
            for query in QUESTIONS:
                for texts in (TEXTS, TEXTS[:1], (*TEXTS, *TEXTS)):
                    _check(reranker.scores(query, texts), len(texts), "R1")

    def test_r01_higher_is_better(self) -> None:
        """R1: the text that answers a question has the highest score, at its own place."""
        with self._reranker() as reranker:
            for query, answer in QUESTIONS.items():
                for texts in (TEXTS, TEXTS[::-1]):
                    scores = reranker.scores(query, texts)
                    _check(scores, len(texts), "R1")
                    best = texts[max(range(len(texts)), key=scores.__getitem__)]
                    assert best == TEXTS[answer], (
                        f"R1: {best[:40]!r} scores higher than the text that answers {query!r}"
                    )

    def test_r02_no_texts(self) -> None:
        """R2: no texts give an empty list."""
        with self._reranker() as reranker:
            for query in (*QUESTIONS, ""):
                scores = reranker.scores(query, [])
                assert scores == [], f"R2: {scores!r} for no texts"

    def test_r03_order_and_neighbours(self) -> None:
        """R3: a text's score is the same alone, among others, and in another order."""
        with self._reranker() as reranker:
            for query in QUESTIONS:
                scores = reranker.scores(query, TEXTS)
                _same(scores, reranker.scores(query, TEXTS[::-1])[::-1], "R3: in reversed order")
                alone = [score for text in TEXTS for score in reranker.scores(query, [text])]
                _same(scores, alone, "R3: alone")
                beside = reranker.scores(query, [*TEXTS, "word " * 2_000])[: len(TEXTS)]
                _same(scores, beside, "R3: beside a very long text")

    def test_r04_repeatable(self) -> None:
        """R4: the same scores at the second call, and from another instance."""
        with self._reranker() as reranker, self._reranker() as other:
            for query in QUESTIONS:
                scores = reranker.scores(query, TEXTS)
                _same(scores, reranker.scores(query, TEXTS), "R4: at the second call")
                _same(scores, other.scores(query, TEXTS), "R4: from an instance made alike")

    def test_r05_async(self) -> None:
        """R5: `ascores` returns what `scores` returns, for no texts too."""
        with self._reranker() as reranker:
            for query in (*QUESTIONS, ""):
                for texts in (TEXTS, ()):
                    awaited = asyncio.run(reranker.ascores(query, texts))
                    _check(awaited, len(texts), "R5")
                    _same(reranker.scores(query, texts), awaited, "R5: from ascores")

    def test_r06_any_string(self) -> None:
        """R6: any string is taken, as query and as text."""
        with self._reranker() as reranker:
            for query in (*QUESTIONS, *ODD_TEXTS):
                _check(reranker.scores(query, TEXTS[:2]), 2, f"R6: query {query[:40]!r}")
            for query in ("", *QUESTIONS):
                _check(reranker.scores(query, ODD_TEXTS), len(ODD_TEXTS), "R6: odd texts")

    def test_r07_threads(self) -> None:
        """R7: calls from several threads at once return what single calls return."""
        with self._reranker() as reranker:
            alone = {query: reranker.scores(query, TEXTS) for query in QUESTIONS}
            queries = list(QUESTIONS) * 4
            with ThreadPoolExecutor(4) as pool:
                for query, scores in zip(
                    queries, pool.map(lambda query: reranker.scores(query, TEXTS), queries), strict=True
                ):
                    _same(alone[query], scores, "R7: from several threads")

    def test_r08_name(self) -> None:
        """R8: the name says something, and does not change with use."""
        with self._reranker() as reranker, self._reranker() as other:
            before = reranker.name
            assert isinstance(before, str), f"R8: name is a {type(before).__name__}, not a str"
            assert before.strip(), "R8: name is blank"
            reranker.scores(next(iter(QUESTIONS)), TEXTS[:1])
            assert reranker.name == before, "R8: the name changed with use"
            assert other.name == before, "R8: two instances made alike differ in name"

    @contextmanager
    def _reranker(self) -> Iterator[Reranker]:
        reranker = self.make_reranker()
        try:
            yield reranker
        finally:
            reranker.close()


def _check(scores: object, count: int, where: str) -> None:
    """Fail unless `scores` is a list of so many finite floats."""
    assert isinstance(scores, list), f"{where}: a {type(scores).__name__}, not a list"
    assert len(scores) == count, f"{where}: {len(scores)} scores for {count} texts"
    for place, score in enumerate(scores):
        assert isinstance(score, float), f"{where}: score {place} is a {type(score).__name__}, not a float"
        assert math.isfinite(score), f"{where}: score {place} is {score}"


def _same(expected: Sequence[float], found: Sequence[float], where: str) -> None:
    """Fail unless the scores are the same within `TOLERANCE`; NaN equals nothing."""
    assert len(found) == len(expected), f"{where}: {len(found)} scores, expected {len(expected)}"
    for place, (one, other) in enumerate(zip(expected, found, strict=True)):
        same = math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        assert same, f"{where}: score {place} is {other}, expected {one}"
