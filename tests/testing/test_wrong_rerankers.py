"""Deliberately wrong rerankers fail `RerankerConformance` by the clause they break."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest

from minirag.interfaces import Reranker
from minirag.testing.reranker import RerankerConformance

TESTS = [name for name in dir(RerankerConformance) if name.startswith("test_")]


class Right(Reranker):
    """The share of the query's words that a text has, right by every clause; each wrong one changes one thing."""

    @property
    def name(self) -> str:
        return "right:words"

    def scores(self, query: str, texts: Sequence[str]) -> Any:
        wanted = set(re.findall(r"\w+", query.lower()))
        return [len(wanted & set(re.findall(r"\w+", text.lower()))) / (len(wanted) or 1) for text in texts]


class Distances(Right):
    """Breaks R1: lower is better."""

    def scores(self, query: str, texts: Sequence[str]) -> Any:
        return [-score for score in super().scores(query, texts)]


class BestFirst(Right):
    """Breaks R1 and R3: sorts the scores, as the vendors' answers are."""

    def scores(self, query: str, texts: Sequence[str]) -> Any:
        return sorted(super().scores(query, texts), reverse=True)


class OnlyTheTop(Right):
    """Breaks R1: leaves out what scores 0, everywhere."""

    def scores(self, query: str, texts: Sequence[str]) -> Any:
        return [score for score in super().scores(query, texts) if score > 0]


class RefusesNothing(Right):
    """Breaks R2: divides by the number of texts; the asynchronous twin too."""

    def scores(self, query: str, texts: Sequence[str]) -> Any:
        len(query) / len(texts)
        return super().scores(query, texts)


class ComparesItsTexts(Right):
    """Breaks R3: the best text always has 1."""

    def scores(self, query: str, texts: Sequence[str]) -> Any:
        scores = super().scores(query, texts)
        return [score / (max(scores) or 1.0) for score in scores]


class Restless(Right):
    """Breaks R4: adds noise."""

    def scores(self, query: str, texts: Sequence[str]) -> Any:
        return [score + random.uniform(0.0, 0.03) for score in super().scores(query, texts)]


class OtherwiseWhenAwaited(Right):
    """Breaks R5: reverses the scores."""

    async def ascores(self, query: str, texts: Sequence[str]) -> Any:
        return self.scores(query, texts)[::-1]


class RefusesBlankQueries(Right):
    """Breaks R6."""

    def scores(self, query: str, texts: Sequence[str]) -> Any:
        if texts and len(texts) < 8 and not query.strip():
            raise ValueError("blank query")
        return super().scores(query, texts)


class NotANumberForBlanks(Right):
    """Breaks R6: a blank text has no score."""

    def scores(self, query: str, texts: Sequence[str]) -> Any:
        scores = super().scores(query, texts)
        return [score if text.strip() else float("nan") for score, text in zip(scores, texts, strict=True)]


class SharesItsQuery(Right):
    """Breaks R7: keeps its input on itself between two steps."""

    def scores(self, query: str, texts: Sequence[str]) -> Any:
        self._query = query
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.002)
        return super().scores(self._query, texts)


class NamesItselfAnew(Right):
    """Breaks R8: every instance has a name of its own."""

    _numbers = count()

    def __init__(self) -> None:
        self._number = next(self._numbers)

    @property
    def name(self) -> str:
        return f"right:{self._number}"


def failed_clauses(make: Callable[[], Reranker]) -> set[str]:
    """Return the clauses, such as `"r01"`, whose tests fail for the reranker."""

    class Suite(RerankerConformance):
        def make_reranker(self) -> Reranker:
            return make()

    return {name.split("_")[1] for name in TESTS if fails(getattr(Suite(), name))}


def fails(test: Callable[[], None]) -> bool:
    try:
        test()
    except (AssertionError, ValueError, ZeroDivisionError):
        return True
    return False


def test_the_right_one_passes() -> None:
    """What the wrong ones are made of fails nothing."""
    assert failed_clauses(Right) == set()


@pytest.mark.parametrize(
    ("wrong", "clauses"),
    [
        (Distances, {"r01"}),
        (BestFirst, {"r01", "r03"}),
        (OnlyTheTop, {"r01", "r05", "r06"}),
        (RefusesNothing, {"r02", "r05"}),
        (ComparesItsTexts, {"r03"}),
        (Restless, {"r03", "r04", "r05", "r07"}),
        (OtherwiseWhenAwaited, {"r05"}),
        (RefusesBlankQueries, {"r06"}),
        (NotANumberForBlanks, {"r06"}),
        (SharesItsQuery, {"r07"}),
        (NamesItselfAnew, {"r08"}),
    ],
)
def test_a_wrong_reranker_fails_by_its_clause(wrong: Callable[[], Reranker], clauses: set[str]) -> None:
    """Each wrong reranker fails the clauses it breaks, and no other."""
    assert failed_clauses(wrong) == clauses
