"""What the measurements compare with must itself be right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.corpus import Corpus, make_corpus
from tests.benchmarks.embedding import CorpusEmbedder
from tests.benchmarks.raw import RawEngines

SIZE = 1_200


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A small corpus."""
    return make_corpus(tmp_path_factory.mktemp("made") / "corpus", SIZE, changed=50, queries=5)


def test_each_text_has_its_own_vector(corpus: Corpus) -> None:
    """The embedder tells a document's row by its text, a changed one's too, and a query's."""
    embedder = CorpusEmbedder(corpus.folder)
    rows = [0, 1, 63, 64, SIZE - 1, SIZE, SIZE + 49]
    given = embedder.embed([corpus.text(row) for row in rows], purpose="document")
    assert np.array_equal(given, corpus.vectors[rows])
    assert np.array_equal(embedder.embed(corpus.queries, purpose="query"), corpus.query_vectors)


def test_the_same_seed_makes_the_same_corpus(corpus: Corpus, tmp_path: Path) -> None:
    """Figures of two runs are about the same documents."""
    again = make_corpus(tmp_path / "again", SIZE, changed=50, queries=5)
    assert again.text(700) == corpus.text(700)
    assert np.array_equal(again.vectors, corpus.vectors)
    assert again.queries == corpus.queries


def test_fields_take_every_value_once(corpus: Corpus) -> None:
    """So a range of values allows exactly as many documents as it is wide."""
    rows = np.arange(SIZE)
    for values in (corpus.number(rows), corpus.shade(rows)):
        assert sorted(values) == list(range(SIZE))
    assert corpus.metadata(7)["number"] == corpus.number(7)
    assert corpus.metadata(7)["shade"] == corpus.shade(7)


def test_brute_force_agrees_with_full_precision(corpus: Corpus) -> None:
    """The best rows are those of a product in float64 over all allowed ones."""
    rows = np.arange(0, SIZE, 3)
    found, scores = corpus.best(rows)
    wide = np.round(corpus.query_vectors.astype(np.float64) @ corpus.vectors[rows].astype(np.float64).T, 6)
    assert np.array_equal(scores, -np.sort(-wide, axis=1)[:, :10])
    assert set(found.ravel()) <= set(rows)


def test_the_raw_engines_find_what_brute_force_finds(corpus: Corpus, tmp_path: Path) -> None:
    """With a filter too, after rows were changed and deleted, and when opened again."""
    raw = RawEngines(tmp_path / "raw.sqlite3", corpus, words=True)
    raw.add(0, 1_000, source="kept")
    raw.add(1_000, SIZE, source="gone")
    assert raw.flat(0) == corpus.best(np.arange(SIZE))[0][0].tolist()
    raw.forget_words("source = ?", ("gone",))
    raw.delete("gone")
    raw.close()
    again = RawEngines(tmp_path / "raw.sqlite3", corpus, words=True)
    assert again.flat(1) == corpus.best(np.arange(1_000))[0][1].tolist()
    low = np.flatnonzero(corpus.number(np.arange(1_000)) < 100)
    found = {row[0] for row in again.filtered(2, "number < ?", (100,))}
    assert found == set(corpus.best(low)[0][2].tolist())
    again.update(0, 50)
    assert {row[0] for row in again.flat_with_rows(0)} == set(again.flat(0))
    again.close()
