"""What is found without `exact=True`, once each index has built the engine that only proposes: nearly always the nearest."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.backends.places import BACKENDS, Backend, place
from tests.benchmarks.corpus import Corpus, make_corpus
from tests.benchmarks.embedding import CorpusEmbedder
from tests.servers.postgres_server import PostgresServer

QUERIES = 50
OF_A_SCAN = 5
"""Queries for an index that scores everything anyway."""
LEAST = 0.99
AT_ONCE = 2_000
REAL_THRESHOLDS = 10_000
"""Chunks from which every engine is built by itself; fewer are treated as many."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Corpus:
    """Documents of one chunk, with vectors of a mixture of Gaussians in 384 dimensions."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    return make_corpus(folder, request.config.getoption("chunks"), changed=0, queries=QUERIES)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_the_nearest_ten_are_found(
    backend: Backend,
    corpus: Corpus,
    postgres: PostgresServer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the ten nearest of each query, by all scores, at least 99 in 100 are among the ten that are found."""
    engine_from = None
    if corpus.size < REAL_THRESHOLDS:
        engine_from = 1_000
        monkeypatch.setattr("minirag.providers.faiss.plan.Plan.codes", lambda self, rows, dimension: rows >= 1_000)
    embedder = CorpusEmbedder(corpus.folder)
    with place(backend, tmp_path, postgres, engine_from=engine_from) as site, site.open(embedder=embedder) as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True, chunker="whole", language="en")
        for start in range(0, corpus.size, AT_ONCE):
            bot.add(corpus.documents(start, min(corpus.size, start + AT_ONCE)), progress=False)
        before = bot.stats().engine
        stats = bot.optimize()
        assert (stats.chunks, stats.indexed, stats.pending) == (corpus.size, corpus.size, 0)
        if backend.proposes:
            assert stats.engine != before, f"the engine is still {before!r}"
        queries = corpus.queries if backend.proposes else corpus.queries[:OF_A_SCAN]
        shares, seconds = [], [0.0, 0.0]
        for query in queries:
            keys = []
            for exact in (False, True):
                begun = time.perf_counter()
                keys.append({hit.key for hit in bot.search(query, k=10, mode="dense", exact=exact)})
                seconds[exact] += time.perf_counter() - begun
            shares.append(len(keys[0] & keys[1]) / len(keys[1]))
    mean = sum(shares) / len(shares)
    times = " and ".join(f"{1_000 * each / len(queries):.2f}" for each in seconds)
    print(f"{backend.name}: {corpus.size:,} chunks, {stats.engine}: overlap {mean:.4f}, {times} ms a search")
    assert mean >= LEAST, f"{stats.engine} finds {mean:.4f} of the nearest"
