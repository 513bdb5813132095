"""Seeded documents, vectors and queries, kept in files, so that a million of them take no memory."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import minirag

__all__ = ["DIMENSION", "Corpus", "make_corpus", "spelled_row"]

DIMENSION = 384
_DIGITS = 4
_BLOCK = 10_000
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
_NUMBER_STEP, _SHADE_STEP = 1_000_003, 15_485_863
"""Primes: `row * step % size` meets every number below `size` once, in an order that has nothing to do with the rows'."""


class Corpus:
    """Documents of one chunk, some more for changed texts, and queries. Row `size + n` holds the changed text of row `n`.

    Attributes:
        size: how many documents there are.
        queries: three words each, so that keyword search has something to find.
        query_vectors: float32, shape `(len(queries), DIMENSION)`.
        vectors: float32, shape `(size and changed rows, DIMENSION)`, memory-mapped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
        self.size: int = kept["size"]
        self.queries: list[str] = kept["queries"]
        self.common: list[str] = kept["common"]
        self.query_vectors: Any = np.load(folder / "queries.npy")
        self.vectors: Any = np.load(folder / "vectors.npy", mmap_mode="r")
        self._ends: Any = np.load(folder / "ends.npy")
        with (folder / "texts.bin").open("rb") as file:
            self._texts = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def text(self, row: int) -> str:
        """Return a document's text, some 600 characters."""
        begin = int(self._ends[row - 1]) if row else 0
        return self._texts[begin : int(self._ends[row])].decode()

    def metadata(self, row: int) -> dict[str, Any]:
        """Return `number` and `shade`, each from 0 to size - 1 in an order of its own, and `page`."""
        row %= self.size
        return {"number": self.number(row), "shade": row * _SHADE_STEP % self.size, "page": row % 50}

    def number(self, row: Any) -> Any:
        """Return what the field `number` holds, for a row or an array of rows."""
        return row * _NUMBER_STEP % self.size

    def shade(self, row: Any) -> Any:
        """Return what the field `shade` holds, for a row or an array of rows."""
        return row * _SHADE_STEP % self.size

    def documents(self, begin: int, end: int, *, changed: bool = False) -> list[minirag.DocumentInput]:
        """Return documents as an application would hand them in, with their changed texts if wanted."""
        return [
            minirag.DocumentInput(
                text=self.text(row + self.size if changed else row), key=f"document-{row}", metadata=self.metadata(row)
            )
            for row in range(begin, end)
        ]

    @cached_property
    def bytes_given(self) -> int:
        """How many bytes one copy of the texts, keys and metadata takes."""
        sample = range(0, self.size, max(1, self.size // 1_000))
        beside = sum(len(json.dumps(self.metadata(row))) + len(f"document-{row}") for row in sample) / len(sample)
        return int(self._ends[self.size - 1]) + round(beside * self.size)

    @cached_property
    def nearest(self) -> Any:
        """The exact scores of the ten best rows of each query, best first, shape `(len(queries), 10)`."""
        return self.best(np.arange(self.size))[1]

    def best(self, rows: Any, queries: Any = None, k: int = 10) -> tuple[Any, Any]:
        """Return the best rows among some and their scores, rounded to six decimals, by brute force.

        A float32 product picks the candidates, float64 decides.

        Args:
            rows: which rows are allowed, ascending.
            queries: vectors, by default all of the corpus's.
        """
        queries = self.query_vectors if queries is None else queries
        kept = min(3 * k, len(rows))
        found = np.empty((len(queries), 0), np.int64)
        scores = np.empty((len(queries), 0), np.float32)
        for begin in range(0, len(rows), _BLOCK):
            part = rows[begin : begin + _BLOCK]
            near = queries @ self.vectors[part].T
            few = min(kept, len(part))
            places = np.argpartition(-near, few - 1, axis=1)[:, :few]
            found = np.concatenate([found, part[places]], axis=1)
            scores = np.concatenate([scores, np.take_along_axis(near, places, axis=1)], axis=1)
            order = np.argsort(-scores, axis=1)[:, :kept]
            found, scores = np.take_along_axis(found, order, axis=1), np.take_along_axis(scores, order, axis=1)
        exact = np.empty(found.shape, np.float64)
        for query, candidates in enumerate(found):
            exact[query] = self.vectors[candidates].astype(np.float64) @ queries[query].astype(np.float64)
        exact = np.round(exact, 6)
        order = np.argsort(-exact, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(found, order, axis=1), np.take_along_axis(exact, order, axis=1)


def make_corpus(folder: Path, size: int, *, changed: int, queries: int, seed: int = 7) -> Corpus:
    """Write a corpus of `size` documents, `changed` more and `queries` into `folder`; the same seed gives the same corpus.

    Vectors are a mixture of Gaussians in 64 dimensions with a decaying spectrum, turned into 384 by an orthonormal map,
    with a common offset and a little noise: nearer to what models give than independent coordinates are. Words follow
    Zipf's law.
    """
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    words = _words(random)
    common = words[:64]
    mixture = _mixture(random)
    rows = size + changed
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (rows, DIMENSION))
    ends = np.empty(rows, np.int64)
    end = 0
    with (folder / "texts.bin").open("wb") as file:
        for begin in range(0, rows, _BLOCK):
            count = min(_BLOCK, rows - begin)
            vectors[begin : begin + count] = mixture(count)
            texts = [
                f"{text} {_spelling(begin + n, common)}".encode() for n, text in enumerate(_texts(random, words, count))
            ]
            ends[begin : begin + count] = end + np.cumsum([len(text) for text in texts])
            end = int(ends[begin + count - 1])
            file.write(b"".join(texts))
    vectors.flush()
    np.save(folder / "ends.npy", ends)
    np.save(folder / "queries.npy", mixture(queries))
    searched = [
        " ".join(words[random.integers(low, high)] for low, high in ((100, 2_000), (500, 8_000), (2_000, 15_000)))
        for _ in range(queries)
    ]
    kept = {"size": size, "queries": searched, "common": common}
    (folder / "corpus.json").write_text(json.dumps(kept), encoding="utf-8")
    return Corpus(folder)


def spelled_row(text: str, digits: Mapping[str, int]) -> int:
    """Return the row that the last four words of a text spell."""
    row = 0
    for word in text.rsplit(" ", _DIGITS)[1:]:
        row = row * len(digits) + digits[word]
    return row


def _spelling(row: int, words: Sequence[str]) -> str:
    """Return `row` as four words, each a digit: words so frequent that four more change nothing."""
    digits = []
    for _ in range(_DIGITS):
        row, digit = divmod(row, len(words))
        digits.append(words[digit])
    return " ".join(reversed(digits))


def _mixture(random: np.random.Generator) -> Any:
    spectrum = 1 / np.sqrt(1 + np.arange(_LATENT))
    spectrum = (spectrum / np.linalg.norm(spectrum)).astype(np.float32)
    basis = np.linalg.qr(random.standard_normal((DIMENSION, _LATENT)))[0].T.astype(np.float32)
    centres = random.standard_normal((_CENTRES, _LATENT), dtype=np.float32) * spectrum
    share = 1 / np.sqrt(1 + np.arange(_CENTRES))
    offset = random.standard_normal(DIMENSION, dtype=np.float32) * np.float32(0.5 / np.sqrt(DIMENSION))

    def vectors(count: int) -> Any:
        chosen = random.choice(_CENTRES, count, p=share / share.sum())
        latent = (
            centres[chosen] + np.float32(0.6) * random.standard_normal((count, _LATENT), dtype=np.float32) * spectrum
        )
        noise = random.standard_normal((count, DIMENSION), dtype=np.float32) * np.float32(0.2 / np.sqrt(DIMENSION))
        rows = latent @ basis + offset + noise
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return vectors


def _texts(random: np.random.Generator, words: list[str], count: int) -> Iterator[str]:
    chances = np.cumsum(1 / (1 + np.arange(_VOCABULARY)))
    chances /= chances[-1]
    lengths = random.integers(61, 96, count)
    places = iter(np.searchsorted(chances, random.random(int(lengths.sum()))).tolist())
    for length in lengths.tolist():
        yield " ".join(words[next(places)] for _ in range(length))


def _words(random: np.random.Generator) -> list[str]:
    """Return distinct pseudo-words, most frequent and shortest first."""
    words: dict[str, None] = {}
    while len(words) < _VOCABULARY:
        syllables = 2 + (len(words) > 200) + (len(words) > 4_000)
        words["".join(_SYLLABLES[place] for place in random.integers(0, len(_SYLLABLES), syllables))] = None
    return list(words)
