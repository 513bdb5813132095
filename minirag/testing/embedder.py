"""`EmbedderConformance`: the clauses of `Embedder`, one test each."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.interfaces.embedder import Embedder

if TYPE_CHECKING:
    from minirag.types import Matrix

__all__ = ["EmbedderConformance"]

SAME: Final = 0.999
"""The cosine from which on two vectors are the same."""

TEXTS: Final = (
    "The warranty of a laptop lasts two years from the day of purchase.",
    "Rain",
    "Bake the bread for forty minutes at two hundred degrees, then let it cool on a rack before you cut the first slice.",
    "Elephants live in herds led by the oldest female.",
    "Parliament passed the budget.",
    "A violin has four strings, tuned in fifths; its bow carries horsehair that is rubbed with rosin.",
    "Vaccines train the immune system.",
    "The train to the coast leaves at noon from platform nine, and the ticket office opens an hour before.",
)
"""Texts of different lengths and on different subjects, so that no two of their vectors are alike."""

ODD_TEXTS: Final = (
    "",
    " \t\n",
    "\x00\x07\ufffd",
    "!?…—",
    "7",
    "naïve café ΣΊΣΥΦΟΣ Straße",
    "知识库回答问题",
    "ナレッジベース 지식 베이스",
    "قاعدة معرفة",
    "база знаний ज्ञान คลังความรู้",
    "👩🏽‍🔬🇪🇺",
    "a\u0301\u0302\u0303" * 50,
    "x" * 100_000,
)
"""What applications send without meaning to."""


class EmbedderConformance(ABC):
    """The contract of `minirag.interfaces.Embedder` as tests. Subclass it in a test module, and pytest does the rest.

    ```python
    class TestMine(EmbedderConformance):
        def make_embedder(self):
            return Mine()
    ```

    Each test is named after the clause it holds. Every test makes an embedder and closes it.
    """

    @abstractmethod
    def make_embedder(self) -> Embedder:
        """Return a new embedder, made alike at every call."""

    def test_e01_shape_and_type(self) -> None:
        """E1: float32, one row a text, as wide as the space says."""
        with self._embedder() as embedder:
            for purpose in ("document", "query"):
                texts = TEXTS[: embedder.batch_size]
                vectors = embedder.embed(texts, purpose=purpose)
                assert isinstance(vectors, np.ndarray), f"E1: embed returned a {type(vectors).__name__}, not an array"
                assert vectors.dtype == np.float32, f"E1: embed returned {vectors.dtype}, not float32"
                expected = (len(texts), embedder.space.dimension)
                assert vectors.shape == expected, f"E1: shape {vectors.shape}, expected {expected}"

    def test_e02_order(self) -> None:
        """E2: row i is nearest to what text i gives alone."""
        with self._embedder() as embedder:
            texts = TEXTS[: embedder.batch_size]
            cosines = _unit(_embed(embedder, texts)) @ _unit(_embed_singly(embedder, texts)).T
            nearest = cosines.argmax(axis=1).tolist()
            assert nearest == list(range(len(texts))), f"E2: rows belong to texts {nearest}"

    def test_e03_finite(self) -> None:
        """E3: no NaN and no infinity."""
        with self._embedder() as embedder:
            for text in (*TEXTS, *ODD_TEXTS):
                vectors = _embed(embedder, [text])
                assert np.isfinite(vectors).all(), f"E3: a vector of {text[:40]!r} holds NaN or infinity"

    def test_e04_neighbours(self) -> None:
        """E4: a text's vector is the same alone, among others, and in another order."""
        with self._embedder() as embedder:
            texts = TEXTS[: embedder.batch_size]
            alone = _embed_singly(embedder, texts)
            _assert_same(alone, _embed(embedder, texts), "E4: beside other texts")
            _assert_same(alone, _embed(embedder, texts[::-1])[::-1], "E4: in reversed order")
            if embedder.batch_size > 1:
                beside = _embed(embedder, [texts[0], "word " * 2_000])
                _assert_same(alone[:1], beside[:1], "E4: beside a very long text")

    def test_e05_repeatable(self) -> None:
        """E5: the same text gives the same vector again, and from another instance."""
        with self._embedder() as embedder, self._embedder() as other:
            texts = TEXTS[: embedder.batch_size]
            first = _embed(embedder, texts)
            _assert_same(first, _embed(embedder, texts), "E5: at the second call")
            _assert_same(first, _embed(other, texts), "E5: from an instance made alike")

    def test_e06_no_texts(self) -> None:
        """E6: no texts give no rows, and the width all the same."""
        with self._embedder() as embedder:
            vectors = embedder.embed([], purpose="document")
            expected = (0, embedder.space.dimension)
            assert vectors.shape == expected, f"E6: shape {vectors.shape} for no texts, expected {expected}"
            assert vectors.dtype == np.float32, f"E6: embed returned {vectors.dtype} for no texts, not float32"

    def test_e07_space(self) -> None:
        """E7: the space is the same before and after use, and for two instances made alike."""
        with self._embedder() as embedder, self._embedder() as other:
            before = embedder.space
            _embed(embedder, TEXTS[:1])
            assert embedder.space == before, "E7: the space changed with use"
            assert embedder.space.fingerprint == other.space.fingerprint, "E7: two instances made alike differ in space"

    def test_e08_async(self) -> None:
        """E8: `aembed` returns what `embed` returns."""
        with self._embedder() as embedder:
            texts = TEXTS[: embedder.batch_size]
            for purpose in ("document", "query"):
                awaited = asyncio.run(embedder.aembed(texts, purpose=purpose))
                assert awaited.dtype == np.float32, f"E8: aembed returned {awaited.dtype}, not float32"
                _assert_same(embedder.embed(texts, purpose=purpose), awaited, "E8: from aembed")

    def test_e09_any_string(self) -> None:
        """E9: any string is taken, alone and among others; a long text is cut at the model's limit."""
        with self._embedder() as embedder:
            width = embedder.space.dimension
            for start in range(0, len(ODD_TEXTS), embedder.batch_size):
                texts = ODD_TEXTS[start : start + embedder.batch_size]
                vectors = _embed(embedder, texts)
                assert vectors.shape == (len(texts), width), f"E9: shape {vectors.shape} for odd texts"
            if embedder.max_tokens is not None:
                long = f"{TEXTS[0]} " * (embedder.max_tokens // 10 + 1)
                cut, longer = _embed(embedder, [long]), _embed(embedder, [long + TEXTS[2]])
                _assert_same(cut, longer, f"E9: beyond max_tokens={embedder.max_tokens}")

    def test_e10_threads(self) -> None:
        """E10: calls from several threads at once return what single calls return."""
        with self._embedder() as embedder:
            alone = _embed_singly(embedder, TEXTS)

            def embed_in_turn(first: int) -> tuple[list[int], Matrix]:
                order = [(first + step) % len(TEXTS) for step in range(len(TEXTS))]
                return order, _embed_singly(embedder, [TEXTS[number] for number in order])

            with ThreadPoolExecutor(4) as pool:
                for order, vectors in pool.map(embed_in_turn, range(len(TEXTS))):
                    _assert_same(alone[order], vectors, "E10: from several threads")

    @contextmanager
    def _embedder(self) -> Iterator[Embedder]:
        embedder = self.make_embedder()
        try:
            yield embedder
        finally:
            embedder.close()


def _embed(embedder: Embedder, texts: Sequence[str]) -> Matrix:
    return embedder.embed(texts, purpose="document")


def _embed_singly(embedder: Embedder, texts: Sequence[str]) -> Matrix:
    return np.concatenate([_embed(embedder, [text]) for text in texts])


def _unit(vectors: Matrix) -> Matrix:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Matrix = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _assert_same(expected: Matrix, found: Matrix, where: str) -> None:
    """Fail unless the rows are equal or their cosines reach `SAME`; NaN equals nothing."""
    assert found.shape == expected.shape, f"{where}: shape {found.shape}, expected {expected.shape}"
    cosines = (_unit(expected) * _unit(found)).sum(axis=1)
    same = (cosines >= SAME) | (expected == found).all(axis=1)
    assert same.all(), f"{where}: row {int(np.argmin(same))} has cosine {cosines[np.argmin(same)]:.4f}, expected {SAME}"
