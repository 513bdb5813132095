"""Deliberately wrong embedders fail `EmbedderConformance` by the clause they break."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
import pytest

from minirag.interfaces import Embedder, EmbeddingSpace
from minirag.providers.local.hashing import Hashing
from minirag.testing.embedder import EmbedderConformance

TESTS = [name for name in dir(EmbedderConformance) if name.startswith("test_")]


class Right(Embedder):
    """Hashed words, right by every clause; each wrong one changes one thing."""

    batch_size = 8
    max_tokens: int | None = None

    def __init__(self) -> None:
        self._hashing = Hashing()

    @property
    def space(self) -> EmbeddingSpace:
        return EmbeddingSpace(provider="right", model="v1", dimension=256)

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        return self._hashing.embed(texts, purpose=purpose)


class DoublePrecision(Right):
    """Breaks E1."""

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        return super().embed(texts, purpose=purpose).astype(np.float64)


class SortedByLength(Right):
    """Breaks E2: forgets to restore the order."""

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        return super().embed(sorted(texts, key=len), purpose=purpose)


class NotANumber(Right):
    """Breaks E3: divides the empty text by its length."""

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        vectors = super().embed(texts, purpose=purpose)
        vectors[[not text for text in texts]] = np.nan
        return vectors


class SeesItsNeighbours(Right):
    """Breaks E4: takes the batch's mean away, but only from larger batches."""

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        vectors = super().embed(texts, purpose=purpose)
        return vectors - 0.5 * vectors.mean(axis=0) if len(texts) > 1 else vectors


class Restless(Right):
    """Breaks E5: adds noise."""

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        vectors = super().embed(texts, purpose=purpose)
        noise = np.random.default_rng().normal(scale=0.01, size=vectors.shape)
        return (vectors + noise).astype(np.float32)


class NoRowsNoWidth(Right):
    """Breaks E6."""

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        return super().embed(texts, purpose=purpose) if texts else np.empty((0,), np.float32)


class NamesItselfAnew(Right):
    """Breaks E7: every instance has a space of its own."""

    _numbers = count()

    def __init__(self) -> None:
        super().__init__()
        self._number = next(self._numbers)

    @property
    def space(self) -> EmbeddingSpace:
        return super().space.model_copy(update={"revision": str(self._number)})


class OtherwiseWhenAwaited(Right):
    """Breaks E8: swaps the rows."""

    async def aembed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        return self.embed(texts, purpose=purpose)[::-1]


class RefusesBlanks(Right):
    """Breaks E9."""

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        if not all(text.strip() for text in texts):
            raise ValueError("blank text")
        return super().embed(texts, purpose=purpose)


class ReadsOn(Right):
    """Breaks E9: names a limit and reads beyond it."""

    max_tokens = 10


class SharesABuffer(Right):
    """Breaks E10: keeps its input on itself between two steps."""

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        self._texts = texts
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.002)
        return super().embed(self._texts, purpose=purpose)


def failed_clauses(make: Callable[[], Embedder]) -> set[str]:
    """Return the clauses, such as `"e01"`, whose tests fail for the embedder."""

    class Suite(EmbedderConformance):
        def make_embedder(self) -> Embedder:
            return make()

    return {name.split("_")[1] for name in TESTS if fails(getattr(Suite(), name))}


def fails(test: Callable[[], None]) -> bool:
    try:
        test()
    except (AssertionError, ValueError):
        return True
    return False


def test_the_right_one_passes() -> None:
    """What the wrong ones are made of fails nothing."""
    assert failed_clauses(Right) == set()


def test_every_clause_has_a_test() -> None:
    """E1 to E10, each once."""
    assert [name.split("_")[1] for name in TESTS] == [f"e{number:02}" for number in range(1, 11)]


@pytest.mark.parametrize(
    ("wrong", "clause"),
    [
        (DoublePrecision, "e01"),
        (SortedByLength, "e02"),
        (NotANumber, "e03"),
        (SeesItsNeighbours, "e04"),
        (Restless, "e05"),
        (NoRowsNoWidth, "e06"),
        (NamesItselfAnew, "e07"),
        (OtherwiseWhenAwaited, "e08"),
        (RefusesBlanks, "e09"),
        (ReadsOn, "e09"),
        (SharesABuffer, "e10"),
    ],
)
def test_a_wrong_one_fails_by_its_clause(wrong: Callable[[], Embedder], clause: str) -> None:
    """The test of the broken clause fails."""
    assert clause in failed_clauses(wrong)


def test_a_failure_names_its_clause() -> None:
    """Whoever reads the message finds the clause in the docstring of `Embedder`."""

    class Suite(EmbedderConformance):
        def make_embedder(self) -> Embedder:
            return DoublePrecision()

    with pytest.raises(AssertionError, match=r"^E1: embed returned float64, not float32"):
        Suite().test_e01_shape_and_type()
