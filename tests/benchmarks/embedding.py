"""The embedder that looks vectors up, so that the cost of a model is left out of what is measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minirag.interfaces import Embedder, EmbeddingSpace
from tests.benchmarks.corpus import DIMENSION, spelled_row

__all__ = ["CorpusEmbedder"]


class CorpusEmbedder(Embedder):
    """Returns the row that belongs to a text of the corpus in `folder`.

    A document's text spells its row at its end, so nothing must be remembered of a million texts.
    """

    batch_size = 1_000

    def __init__(self, folder: Path) -> None:
        kept = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
        self._queries = {query: row for row, query in enumerate(kept["queries"])}
        self._query_vectors = np.load(folder / "queries.npy")
        self._digits = {word: digit for digit, word in enumerate(kept["common"])}
        self._vectors = np.load(folder / "vectors.npy", mmap_mode="r")

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the synthetic vectors."""
        return EmbeddingSpace(provider="benchmark", model="mixture", dimension=DIMENSION)

    def embed(self, texts: Sequence[str], *, purpose: str) -> Any:
        """Return one row a text."""
        if purpose == "query":
            return self._query_vectors[[self._queries[text] for text in texts]]
        return self._vectors[[spelled_row(text, self._digits) for text in texts]]
