"""Seeded vectors, texts and queries, and the embedder that looks the vectors up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

import minirag
from minirag.interfaces import Embedder, EmbeddingSpace

__all__ = ["DIMENSION", "TAGS", "Corpus", "RowEmbedder", "make_corpus", "make_texts"]

DIMENSION = 384
TAGS = 20
_LATENT = 64
_CENTRES = 1_000
_VOCABULARY = 20_000
_SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "la",
    "me",
    "ni",
    "po",
    "ru",
    "sta",
    "tre",
    "vin",
    "kor",
    "zel",
    "ash",
    "ing",
]


@dataclass(frozen=True)
class Corpus:
    """Documents of one chunk each, changed texts for some of them, and queries; a vector for every text.

    Attributes:
        vectors: float32, shape `(len(texts), DIMENSION)`, of length one.
        changed: new texts for the first documents, with their vectors.
        queries: three words each, so that keyword search has something to find.
    """

    texts: list[str]
    vectors: Any
    tags: list[int]
    changed: list[str]
    changed_vectors: Any
    queries: list[str]
    query_vectors: Any

    def documents(self) -> list[minirag.DocumentInput]:
        """Return the documents as an application would hand them in."""
        return [
            minirag.DocumentInput(text=text, key=f"document-{number}", metadata={"tag": tag, "page": number % 50})
            for number, (text, tag) in enumerate(zip(self.texts, self.tags, strict=True))
        ]


class RowEmbedder(Embedder):
    """Returns the row that belongs to a text: the cost of a model is left out of what is measured."""

    batch_size = 512

    def __init__(self, corpus: Corpus) -> None:
        texts = [*corpus.texts, *corpus.changed, *corpus.queries]
        self._rows = {text: row for row, text in enumerate(texts)}
        self._matrix = np.concatenate([corpus.vectors, corpus.changed_vectors, corpus.query_vectors])

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the synthetic vectors."""
        return EmbeddingSpace(provider="benchmark", model="mixture", dimension=DIMENSION)

    def embed(self, texts: Sequence[str], *, purpose: str) -> Any:
        """Return one row a text."""
        return self._matrix[[self._rows[text] for text in texts]]


def make_corpus(size: int, *, changed: int, queries: int, seed: int = 7) -> Corpus:
    """Return a corpus of `size` documents of about 600 characters; the same seed gives the same corpus.

    Vectors are a mixture of Gaussians in 64 dimensions with a decaying spectrum, turned into 384 by an orthonormal map,
    with a common offset and a little noise: nearer to what models give than independent coordinates are. Words follow
    Zipf's law.
    """
    random = np.random.default_rng(seed)
    spectrum = 1 / np.sqrt(1 + np.arange(_LATENT))
    spectrum /= np.linalg.norm(spectrum)
    basis = np.linalg.qr(random.standard_normal((DIMENSION, _LATENT)))[0].T
    centres = random.standard_normal((_CENTRES, _LATENT)) * spectrum
    share = 1 / np.sqrt(1 + np.arange(_CENTRES))
    offset = random.standard_normal(DIMENSION) * 0.5 / np.sqrt(DIMENSION)

    def vectors(count: int) -> Any:
        chosen = random.choice(_CENTRES, count, p=share / share.sum())
        latent = centres[chosen] + 0.6 * random.standard_normal((count, _LATENT)) * spectrum
        noise = random.standard_normal((count, DIMENSION)) * 0.2 / np.sqrt(DIMENSION)
        rows = latent @ basis + offset + noise
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    words = _words(random)
    text = make_texts(random, words)

    def query() -> str:
        return " ".join(
            words[random.integers(low, high)] for low, high in ((100, 2_000), (500, 8_000), (2_000, 15_000))
        )

    return Corpus(
        texts=list(islice(text, size)),
        vectors=vectors(size),
        tags=random.integers(0, TAGS, size).tolist(),
        changed=list(islice(text, changed)),
        changed_vectors=vectors(changed),
        queries=[query() for _ in range(queries)],
        query_vectors=vectors(queries),
    )


def make_texts(random: np.random.Generator, words: list[str] | None = None) -> Iterator[str]:
    """Yield texts of about 600 characters, without end."""
    words = words or _words(random)
    chances = np.cumsum(1 / (1 + np.arange(_VOCABULARY)))
    chances /= chances[-1]
    while True:
        places = np.searchsorted(chances, random.random(int(random.integers(65, 100))))
        yield " ".join(words[place] for place in places)


def _words(random: np.random.Generator) -> list[str]:
    """Return distinct pseudo-words, most frequent and shortest first."""
    words: dict[str, None] = {}
    while len(words) < _VOCABULARY:
        syllables = 2 + (len(words) > 200) + (len(words) > 4_000)
        words["".join(_SYLLABLES[place] for place in random.integers(0, len(_SYLLABLES), syllables))] = None
    return list(words)
