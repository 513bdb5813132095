"""`Hashing`: a deterministic embedder for tests: fast, the same everywhere, knows no meaning."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import Field

from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.models.base import Model
from minirag.models.index import EmbeddingSpace

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose

__all__ = ["Hashing", "HashingOptions", "create"]

_WORD: Final = re.compile(r"\w+")
_CACHED_WORDS: Final = 65_536
_LONGEST_CACHED: Final = 64  # characters


class HashingOptions(Model):
    """Options of the provider `hashing`.

    Attributes:
        dimension: numbers in a vector.
    """

    dimension: int = Field(default=256, ge=1, le=65_536, strict=True)


class Hashing(Embedder):
    """Counts words and their character trigrams into hashed places, with hashed signs.

    Texts that share words, or parts of words, lie near each other. Every vector has length one, in any process and on
    any platform the same; a text without words, or whose counts cancel, gets the first unit vector.

    Source: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.
    """

    batch_size = 256

    def __init__(self, *, dimension: int = 256) -> None:
        self._space = EmbeddingSpace(provider="hashing", model="words-trigrams", dimension=dimension, revision="1")
        self._places: dict[str, tuple[int, ...]] = {}

    @property
    def space(self) -> EmbeddingSpace:
        """The space of this dimension."""
        return self._space

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:  # noqa: ARG002 - both purposes are alike
        """Return one vector of length one a text: float32, shape `(len(texts), dimension)`."""
        dimension = self._space.dimension
        counts = np.zeros((len(texts), 2 * dimension))
        for row, text in enumerate(texts):
            places: list[int] = []
            for word in _WORD.findall(text.lower()):
                places += self._places.get(word) or self._hash(word)
            if places:
                counts[row] = np.bincount(places, minlength=2 * dimension)
        vectors = counts[:, :dimension] - counts[:, dimension:]
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        empty = norms[:, 0] == 0.0
        vectors[empty, 0] = norms[empty] = 1.0
        unit: Matrix = (vectors / norms).astype(np.float32)
        return unit

    def _hash(self, word: str) -> tuple[int, ...]:
        """Return the places of a word's features; a place past the dimension counts against the one it wraps to."""
        padded = f"<{word}>"
        features = [padded, *(padded[start : start + 3] for start in range(len(padded) - 2))]
        places = tuple(self._place(feature) for feature in features)
        if len(word) <= _LONGEST_CACHED:
            if len(self._places) >= _CACHED_WORDS:
                self._places.clear()
            self._places[word] = places
        return places

    def _place(self, feature: str) -> int:
        digest = hashlib.blake2b(feature.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % (2 * self._space.dimension)


def create(options: HashingOptions, context: ProviderContext) -> Hashing:  # noqa: ARG001 - needs no credentials
    """Return the embedder that `options` describe."""
    return Hashing(dimension=options.dimension)
