"""The raw engines: SQLite with rows and vectors as blobs, a flat FAISS index, an FTS5 table. No tenants, no evidence."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tests.benchmarks.corpus import DIMENSION, Corpus

__all__ = ["RawEngines"]

_BATCH = 1_000


class RawEngines:
    """What an application would write without a library, as short as it can be."""

    def __init__(self, file: Path, corpus: Corpus) -> None:
        self._corpus = corpus
        self._file = file
        self._connect()
        self._rows.executescript(
            "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
            "CREATE TABLE rows (id INTEGER PRIMARY KEY, key TEXT UNIQUE, text TEXT, tag INT, page INT, vector BLOB);"
            "CREATE INDEX by_tag ON rows (tag);"
        )
        self._index = self._new_index()

    def _connect(self) -> None:
        self._rows = sqlite3.connect(self._file)
        self._rows.execute("PRAGMA synchronous = NORMAL")

    @staticmethod
    def _new_index() -> Any:
        return faiss.IndexIDMap2(faiss.IndexFlatIP(DIMENSION))

    def ingest(self) -> None:
        """Write all rows, a thousand a transaction, and add their vectors."""
        corpus = self._corpus
        for start in range(0, len(corpus.texts), _BATCH):
            numbers = range(start, min(start + _BATCH, len(corpus.texts)))
            with self._rows:
                self._rows.executemany(
                    "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (n, f"document-{n}", corpus.texts[n], corpus.tags[n], n % 50, corpus.vectors[n].tobytes())
                        for n in numbers
                    ],
                )
            self._index.add_with_ids(corpus.vectors[start : start + _BATCH], np.arange(numbers.start, numbers.stop))

    def make_full_text(self) -> None:
        """Fill an FTS5 table."""
        self._rows.execute("CREATE VIRTUAL TABLE words USING fts5(text, content='')")
        with self._rows:
            self._rows.execute("INSERT INTO words (rowid, text) SELECT id, text FROM rows")

    def reopen(self) -> None:
        """Close, open again, and read every vector into an index."""
        self._rows.close()
        self._connect()
        found = self._rows.execute("SELECT id, vector FROM rows").fetchall()
        self._index = self._new_index()
        matrix = np.frombuffer(b"".join(vector for _, vector in found), np.float32).reshape(-1, DIMENSION)
        self._index.add_with_ids(matrix, np.array([number for number, _ in found]))

    def flat(self, query: int, *, k: int = 10) -> list[int]:
        """Return the nearest rows by FAISS alone."""
        return self._index.search(self._corpus.query_vectors[query : query + 1], k)[1][0].tolist()

    def flat_with_rows(self, query: int) -> list[Any]:
        """Return the nearest rows, read from SQLite."""
        return self._read(self.flat(query))

    def filtered(self, query: int, most: int) -> list[Any]:
        """Return the nearest rows with a tag below `most`: their ids from SQLite, a selector for FAISS."""
        found = self._rows.execute("SELECT id FROM rows WHERE tag < ?", (most,)).fetchall()
        ids = np.array([number for (number,) in found], np.int64)
        allowed = faiss.SearchParameters(sel=faiss.IDSelectorBatch(ids))
        vector = self._corpus.query_vectors[query : query + 1]
        return self._read(self._index.search(vector, 10, params=allowed)[1][0].tolist())

    def full_text(self, query: int) -> list[Any]:
        """Return the best rows by FTS5's BM25."""
        return self._read(self._full_text(query, 10))

    def both(self, query: int) -> list[Any]:
        """Return rows by both, fused by rank over the best hundred of each."""
        scores: dict[int, float] = {}
        for found in (self.flat(query, k=100), self._full_text(query, 100)):
            for rank, number in enumerate(found, start=1):
                scores[number] = scores.get(number, 0.0) + 1 / (60 + rank)
        return self._read(sorted(scores, key=lambda number: -scores[number])[:10])

    def update(self, numbers: range) -> None:
        """Give rows the changed texts and vectors."""
        texts, vectors = self._corpus.changed, self._corpus.changed_vectors
        with self._rows:
            self._rows.executemany(
                "UPDATE rows SET text = ?, vector = ? WHERE id = ?",
                [(texts[n], vectors[n].tobytes(), n) for n in numbers],
            )
        self._index.remove_ids(np.array(numbers))
        self._index.add_with_ids(vectors[numbers.start : numbers.stop], np.array(numbers))

    def delete(self, numbers: range) -> None:
        """Delete rows and their vectors."""
        with self._rows:
            self._rows.executemany("DELETE FROM rows WHERE key = ?", [(f"document-{n}",) for n in numbers])
        self._index.remove_ids(np.array(numbers))

    def close(self) -> None:
        """Close the database."""
        self._rows.close()

    def _full_text(self, query: int, limit: int) -> list[int]:
        words = " OR ".join(self._corpus.queries[query].split())
        found = self._rows.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?", (words, limit))
        return [number for (number,) in found]

    def _read(self, numbers: list[int]) -> list[Any]:
        marks = ",".join("?" * len(numbers))
        return self._rows.execute(
            f"SELECT id, key, text, tag, page FROM rows WHERE id IN ({marks})", numbers
        ).fetchall()
