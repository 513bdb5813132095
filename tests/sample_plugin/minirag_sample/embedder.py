"""An embedder that counts character n-grams."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from minirag.interfaces import Embedder, EmbeddingSpace, ProviderContext

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose

__all__ = ["NgramEmbedder", "NgramOptions", "create"]


class NgramOptions(BaseModel):
    """What an application may choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimension: int = Field(default=256, ge=8, le=4_096)
    n: int = Field(default=3, ge=1, le=8)


class NgramEmbedder(Embedder):
    """Texts that share many runs of `n` characters lie near each other."""

    def __init__(self, options: NgramOptions) -> None:
        self._n = options.n
        self._space = EmbeddingSpace(
            provider="ngrams", model=f"{options.n}-grams", dimension=options.dimension, revision="1"
        )

    @property
    def space(self) -> EmbeddingSpace:
        """The length of the n-grams is the model's name: vectors of other lengths cannot be compared."""
        return self._space

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Return a vector of length one for each text; documents and queries are treated alike."""
        vectors = np.zeros((len(texts), self._space.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            # The marks at both ends give even an empty text an n-gram, so that no vector is zero.
            marked = f"\x02{' '.join(text.lower().split())}\x03"
            counts = Counter(marked[i : i + self._n] for i in range(max(1, len(marked) - self._n + 1)))
            for ngram, count in counts.items():
                column = zlib.crc32(ngram.encode("utf-8", "surrogatepass")) % self._space.dimension
                vectors[row, column] += count**0.5
            vectors[row] /= np.linalg.norm(vectors[row])
        return vectors


def create(options: NgramOptions, context: ProviderContext) -> NgramEmbedder:
    """Return the embedder; it needs nothing from the context."""
    return NgramEmbedder(options)
