"""The raw engines: SQLite with rows and vectors as blobs, a flat FAISS index, an FTS5 table. No tenants, no evidence."""

from __future__ import annotations

import copy
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tests.benchmarks.corpus import DIMENSION, Corpus

__all__ = ["RawEngines", "RawWords", "flat_over"]

_COLUMNS = "id, key, text, owner, source, number, shade, page"


class RawEngines:
    """What an application would write without a library, as short as it can be. Owners stand for tenants or bots."""

    def __init__(self, file: Path, corpus: Corpus, *, words: bool = False) -> None:
        self._corpus = corpus
        self._file = file
        self._words = words
        self._connect()
        self._rows.executescript(
            "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
            "CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, key TEXT UNIQUE, text TEXT, owner INT, source TEXT,"
            " number INT, shade INT, page INT, vector BLOB);"
            "CREATE INDEX IF NOT EXISTS by_owner ON rows (owner); CREATE INDEX IF NOT EXISTS by_source ON rows (source);"
            "CREATE INDEX IF NOT EXISTS by_number ON rows (number);"
        )
        if words:
            self._rows.execute(
                "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text, content='rows', content_rowid='id')"
            )
        self._load()

    def _connect(self) -> None:
        self._rows = sqlite3.connect(self._file)
        self._rows.execute("PRAGMA synchronous = NORMAL")

    def _load(self) -> None:
        """Read every vector into an index."""
        self._index = faiss.IndexFlatIP(DIMENSION)
        ids: list[int] = []
        found = self._rows.execute("SELECT id, vector FROM rows ORDER BY id")
        while part := found.fetchmany(20_000):
            ids += [number for number, _ in part]
            self._index.add(np.frombuffer(b"".join(vector for _, vector in part), np.float32).reshape(-1, DIMENSION))
        self._room = np.array(ids, np.int64)
        self._count = len(ids)

    @property
    def _ids(self) -> Any:
        """The row of each vector in the index, ascending."""
        return self._room[: self._count]

    def add(self, begin: int, end: int, *, owned: int | None = None, source: str = "") -> None:
        """Write rows of the corpus in one transaction, and add their vectors to the index; each `owned` rows have an owner."""
        corpus = self._corpus
        numbers = range(begin, end)
        vectors = np.ascontiguousarray(corpus.vectors[begin:end])
        rows = []
        for place, n in enumerate(numbers):
            fields = corpus.metadata(n)
            rows.append(
                (
                    n,
                    f"document-{n}",
                    corpus.text(n),
                    n // owned if owned else 0,
                    source,
                    fields["number"],
                    fields["shade"],
                    fields["page"],
                    vectors[place].tobytes(),
                )
            )
        with self._rows:
            self._rows.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            if self._words:
                self._rows.executemany(
                    "INSERT INTO words (rowid, text) VALUES (?, ?)", [(row[0], row[2]) for row in rows]
                )
        self._index.add(vectors)
        if self._count + len(rows) > len(self._room):
            self._room = np.resize(self._room, max(1_000, 2 * (self._count + len(rows))))
        self._room[self._count : self._count + len(rows)] = numbers
        self._count += len(rows)

    def flat(self, query: int, *, k: int = 10) -> list[int]:
        """Return the nearest rows by FAISS alone."""
        places = self._index.search(self._corpus.query_vectors[query : query + 1], k)[1][0]
        found: list[int] = self._ids[places[places >= 0]].tolist()
        return found

    def flat_with_rows(self, query: int) -> list[Any]:
        """Return the nearest rows, read from SQLite."""
        return self._read(self.flat(query))

    def filtered(self, query: int, condition: str, values: Sequence[int | str]) -> list[Any]:
        """Return the nearest rows among those that SQLite lists: few are gathered, for many FAISS gets a selector."""
        listed = self._rows.execute(f"SELECT id FROM rows WHERE {condition}", values).fetchall()
        places = np.searchsorted(self._ids, np.array([number for (number,) in listed], np.int64))
        places.sort()
        vector = self._corpus.query_vectors[query]
        if len(places) <= 20_000:
            scores = self._matrix()[places] @ vector
            best = places[np.argsort(-scores)[:10]]
        else:
            allowed = faiss.SearchParameters(sel=faiss.IDSelectorBatch(places))
            best = self._index.search(vector[None], 10, params=allowed)[1][0]
        return self._read(self._ids[best].tolist())

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

    def update(self, begin: int, end: int) -> None:
        """Give rows their changed texts and vectors."""
        corpus = self._corpus
        vectors = np.ascontiguousarray(corpus.vectors[corpus.size + begin : corpus.size + end])
        changed = [(corpus.text(corpus.size + n), vectors[n - begin].tobytes(), n) for n in range(begin, end)]
        with self._rows:
            self._rows.executemany("UPDATE rows SET text = ?, vector = ? WHERE id = ?", changed)
        self._matrix()[np.searchsorted(self._ids, np.arange(begin, end))] = vectors

    def delete(self, source: str) -> None:
        """Delete a source's rows and their vectors."""
        listed = self._rows.execute("SELECT id FROM rows WHERE source = ?", (source,)).fetchall()
        with self._rows:
            self._rows.execute("DELETE FROM rows WHERE source = ?", (source,))
        places = np.searchsorted(self._ids, np.array([number for (number,) in listed], np.int64))
        self._index.remove_ids(faiss.IDSelectorBatch(places))
        self._room = np.delete(self._ids, places)
        self._count = len(self._room)

    def forget_words(self, condition: str, values: Sequence[int | str]) -> None:
        """Take the texts of rows out of the full-text table, before they are changed or deleted."""
        with self._rows:
            self._rows.execute(
                f"INSERT INTO words (words, rowid, text) SELECT 'delete', id, text FROM rows WHERE {condition}", values
            )

    def learn_words(self, condition: str, values: Sequence[int | str]) -> None:
        """Put the texts of rows into the full-text table."""
        with self._rows:
            self._rows.execute(f"INSERT INTO words (rowid, text) SELECT id, text FROM rows WHERE {condition}", values)

    @contextmanager
    def other_thread(self) -> Iterator[RawEngines]:
        """Lend the index with a connection of the calling thread's own: SQLite's belong to the thread that made them."""
        mine = copy.copy(self)
        mine._connect()
        faiss.omp_set_num_threads(1)  # counts for this thread alone
        try:
            yield mine
        finally:
            mine._rows.close()

    def close(self) -> None:
        """Close the database."""
        self._rows.close()

    def remove(self) -> None:
        """Close the database and delete its file; its journal goes when it is closed."""
        self.close()
        self._file.unlink()

    def _matrix(self) -> Any:
        return faiss.rev_swig_ptr(self._index.get_xb(), self._index.ntotal * DIMENSION).reshape(-1, DIMENSION)

    def _full_text(self, query: int, limit: int) -> list[int]:
        words = " OR ".join(self._corpus.queries[query].split())
        found = self._rows.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?", (words, limit))
        return [number for (number,) in found]

    def _read(self, numbers: list[int]) -> list[Any]:
        marks = ",".join("?" * len(numbers))
        return self._rows.execute(f"SELECT {_COLUMNS} FROM rows WHERE id IN ({marks})", numbers).fetchall()


def flat_over(corpus: Corpus, rows: int) -> Callable[[int], list[int]]:
    """Return a search of a flat index over the first rows alone."""
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(np.ascontiguousarray(corpus.vectors[:rows]))

    def search(query: int) -> list[int]:
        found: list[int] = index.search(corpus.query_vectors[query : query + 1], 10)[1][0].tolist()
        return found

    return search


class RawWords:
    """bm25s over the same words, all in memory; raises `ModuleNotFoundError` where it is not installed."""

    def __init__(self, corpus: Corpus) -> None:
        import bm25s

        ids: dict[str, int] = {}
        tokens = [[ids.setdefault(word, len(ids)) for word in corpus.text(row).split()] for row in range(corpus.size)]
        self._engine = bm25s.BM25()
        self._engine.index((tokens, ids), show_progress=False)
        self._queries = corpus.queries

    def search(self, query: int, k: int = 10) -> tuple[list[int], list[float]]:
        """Return the best rows and their scores."""
        rows, scores = self._engine.retrieve([self._queries[query].split()], k=k, show_progress=False)
        return rows[0].tolist(), scores[0].tolist()
