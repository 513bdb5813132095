"""A PostgreSQL server of its own: pgvector's index beside plain SQL, and the library there beside SQLite and FAISS."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minirag
from minirag.interfaces.scope import mint_scope
from minirag.models.index import EmbeddingSpace
from minirag.providers.pgvector.encoding import COPY_BEGIN, COPY_END, copy_rows
from minirag.providers.pgvector.index import PgVectorIndex
from minirag.providers.pgvector.options import PgVectorOptions
from tests.benchmarks.bench import Bench, measurement
from tests.benchmarks.corpus import DIMENSION
from tests.benchmarks.measuring import Figure, figure, interleaved, percentile, timed
from tests.servers.postgres_server import PostgresServer

__all__ = ["pgvector", "postgres"]

_LARGEST = 100_000
_BATCH = 1_000
_SHARES = ((0.5, "half"), (0.1, "10 %"), (0.01, "1 %"), (0.001, "0.1 %"))
_SPACE = EmbeddingSpace(provider="benchmark", model="mixture", dimension=DIMENSION)
_NONE: Any = np.empty(0, np.int64)
Calls = list[Callable[[], object]]


@contextmanager
def _server() -> Iterator[PostgresServer]:
    """Start a server, and stop it. It does not wait for the disk, which makes rates comparable, not absolute."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        try:
            yield server
        finally:
            server.stop()


class _Plain:
    """A table, an index and a search as an application would write them by hand: no tenants, no bots, no log."""

    def __init__(self, dsn: str, options: PgVectorOptions) -> None:
        import psycopg

        self._options = options
        self._connection: Any = psycopg.connect(dsn, autocommit=True)
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        self._connection.execute("SELECT '[1]'::vector")  # its settings are known from now on
        self._connection.execute(f"CREATE TABLE plain (key bigint PRIMARY KEY, embedding vector({DIMENSION}) NOT NULL)")
        for name, value in (
            ("hnsw.ef_search", str(options.ef_search)),
            ("hnsw.iterative_scan", "relaxed_order"),
            ("maintenance_work_mem", f"{options.build_memory}MB"),
        ):
            self._connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    def add(self, keys: Any, vectors: Any) -> None:
        with self._connection.cursor().copy("COPY plain FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.write(COPY_BEGIN + copy_rows(keys, vectors) + COPY_END)

    def build(self) -> None:
        options = self._options
        self._connection.execute(
            "CREATE INDEX ON plain USING hnsw (embedding vector_ip_ops) "
            f"WITH (m = {options.m}, ef_construction = {options.ef_construction})"
        )

    def search(self, query: Any, allowed: Any = None) -> list[int]:
        vector = str(query.tolist())
        among = "" if allowed is None else "WHERE key = ANY(%s)"
        found = self._connection.execute(
            f"SELECT key FROM plain {among} ORDER BY embedding <#> %s::vector LIMIT 10",
            (vector,) if allowed is None else (allowed, vector),
        )
        return [key for (key,) in found.fetchall()]

    def close(self) -> None:
        self._connection.close()


@measurement
def pgvector(bench: Bench) -> Iterator[Figure]:
    """The index by itself: fed, built and searched under filters, beside `COPY`, the same index and a plain `SELECT`."""
    size = min(bench.size, _LARGEST)
    vectors: Any = np.array(bench.corpus.vectors[:size])
    keys = np.random.default_rng(5).permutation(size).astype(np.int64) * 1_000_003 + 17
    with _server() as server:
        dsn = server.new_database().replace("+psycopg", "")
        options = PgVectorOptions(index_from=1_000)
        plain = _Plain(dsn, options)
        index = PgVectorIndex(dsn, options)
        large = index.partition(mint_scope("tenant"), "large", _SPACE)
        fed: dict[str, float] = {"library": 0.0, "plain": 0.0}
        for begin in range(0, size, _BATCH):
            some = keys[begin : begin + _BATCH], vectors[begin : begin + _BATCH]
            fed["plain"] += timed(partial(plain.add, *some), bench.clock)
            fed["library"] += timed(partial(large.apply, _NONE, *some), bench.clock)
        built = {
            "plain": timed(plain.build, bench.clock),
            "library": timed(partial(large.optimize, lambda: False), bench.clock),
        }
        assert large.engine == "pgvector hnsw"
        rates = {side: size / (fed[side] + built[side]) for side in fed}
        yield Figure("pgvector, fed and built", "vectors/s", rates["library"], rates["plain"], "COPY, the same index")
        yield figure("pgvector, of that fed", "s", fed["library"], fed["plain"], "COPY")
        yield from _searched(bench, large, plain, keys, vectors)
        small = index.partition(mint_scope("other"), "small", _SPACE)
        small.apply(_NONE, keys[:5] + 1, vectors[:5])
        queries = bench.corpus.query_vectors
        for query in queries[:20]:
            assert sorted(small.search(query, 10)[0].tolist()) == sorted((keys[:5] + 1).tolist())
        seconds = [timed(partial(small.search, query, 10), bench.clock) for query in queries]
        yield figure("pgvector, bot of 5 beside it, p50", "ms", percentile(seconds))
        yield figure("pgvector, bot of 5 beside it, p99", "ms", percentile(seconds, 0.99))
        yield Figure("pgvector, index", "MB", _index_bytes(server, dsn) / 1e6)
        plain.close()
        index.close()

        dsn = server.new_database().replace("+psycopg", "")
        index = PgVectorIndex(dsn, PgVectorOptions(index_from=1_000, halfvec=True))
        large = index.partition(mint_scope("tenant"), "large", _SPACE)
        for begin in range(0, size, _BATCH):
            large.apply(_NONE, keys[begin : begin + _BATCH], vectors[begin : begin + _BATCH])
        large.optimize(lambda: False)
        yield Figure("pgvector, index with halfvec", "MB", _index_bytes(server, dsn) / 1e6)
        yield Figure("pgvector, halfvec: recall@10", "", _recall(bench, large, keys, vectors, None))
        index.close()


def _searched(bench: Bench, large: Any, plain: _Plain, keys: Any, vectors: Any) -> Iterator[Figure]:
    """Search all and under filters, in turns with the plain table; compare with brute force."""
    queries = bench.corpus.query_vectors
    random = np.random.default_rng(13)
    for share, word in ((None, "all"), *_SHARES):
        rows = (
            None
            if share is None
            else np.sort(random.choice(len(keys), max(1, round(len(keys) * share)), replace=False))
        )
        allowed = None if rows is None else np.sort(keys[rows])
        listed = None if allowed is None else allowed.tolist()
        yield Figure(f"pgvector, {word}: recall@10", "", _recall(bench, large, keys, vectors, rows))
        count = min(len(queries), 100)
        works: dict[str, Calls] = {
            "library": [partial(large.search, queries[n], 10, allowed=allowed) for n in range(count)],
            "plain": [partial(plain.search, queries[n], listed) for n in range(count)],
        }
        interleaved({name: calls[:10] for name, calls in works.items()}, bench.clock)
        seconds = interleaved(works, bench.clock)
        for part, name in ((0.5, "p50"), (0.99, "p99")):
            found = [percentile(seconds[side], part) for side in ("library", "plain")]
            yield figure(f"pgvector, {word}, {name}", "ms", *found, "plain SELECT of keys")


def _recall(bench: Bench, partition: Any, keys: Any, vectors: Any, rows: Any) -> float:
    """Return the share of the ten best that are found, or of all if there are fewer; assert that so many are found, all allowed."""
    queries = bench.corpus.query_vectors
    among = np.arange(len(keys)) if rows is None else rows
    best = bench.corpus.best(among, queries)[1]
    order = np.argsort(keys)
    allowed = None if rows is None else np.sort(keys[rows])
    right = 0
    for query, wanted in zip(queries, best, strict=True):
        found = partition.search(query, 10, allowed=allowed)[0][:10]
        assert len(found) == min(10, len(among)), "too few hits"
        assert allowed is None or np.isin(found, allowed).all(), "a hit that is not allowed"
        scores = vectors[order[np.searchsorted(keys, found, sorter=order)]].astype(np.float64) @ query.astype(
            np.float64
        )
        right += int((np.round(scores, 6) >= wanted[-1]).sum())
    return float(right / best.size)


def _index_bytes(server: PostgresServer, dsn: str) -> int:
    """Return how large the index of the library is."""
    import psycopg

    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relname LIKE 'minirag_hnsw%'"
        ).fetchone()
    assert row is not None, server
    return int(row[0])


@measurement
def postgres(bench: Bench) -> Iterator[Figure]:
    """A workspace in PostgreSQL with pgvector, beside the one in SQLite with FAISS: taken in, searched, filtered."""
    corpus, size = bench.corpus, bench.size
    if size > _LARGEST:
        return
    built = bench.built
    with _server() as server, bench.bot() as near:
        index = {"provider": "pgvector", "options": {"index_from": 1_000}}
        options: Any = {"embedder": bench.embedder, "index": index, "cache_dir": bench.folder / "cache"}
        with minirag.Workspace.open(server.new_database(), **options) as workspace:
            bot = workspace.tenant("measured", create=True).bot(
                "bot", create=True, chunker="whole", language="none", filterable=("number",)
            )
            spent = 0.0
            for begin in range(0, size, _BATCH):
                documents = corpus.documents(begin, min(begin + _BATCH, size))
                spent += timed(partial(bot.add, documents, progress=False), bench.clock)
            yield Figure(
                "in PostgreSQL, adding alone",
                "documents/s",
                size / spent,
                size / sum(built.library),
                "SQLite and FAISS",
            )
            yield figure("in PostgreSQL, optimize()", "s", timed(bot.optimize, bench.clock))
            for mode in ("dense", "keyword", "hybrid"):
                yield from _beside(bench, bot, near, f"{mode} search", mode=mode)
            for share, word in _SHARES:
                where = {"number": {"$lt": round(size * share)}}
                rows = np.flatnonzero(corpus.number(np.arange(size)) < round(size * share))
                best = corpus.best(rows)[1]
                right = 0
                for number, query in enumerate(corpus.queries):
                    hits = bot.search(query, mode="dense", where=where)
                    assert len(hits) == min(10, len(rows)), "too few hits"
                    found = [int(hit.key.removeprefix("document-")) for hit in hits]
                    assert np.isin(found, rows).all(), "a hit that the filter does not allow"
                    scores = corpus.vectors[found].astype(np.float64) @ corpus.query_vectors[number].astype(np.float64)
                    right += int((np.round(scores, 6) >= best[number][-1]).sum())
                yield Figure(f"in PostgreSQL, {word} allowed: recall@10", "", right / best.size)
                yield from _beside(bench, bot, near, f"dense, {word} allowed", mode="dense", where=where)


def _beside(bench: Bench, bot: minirag.Bot, near: minirag.Bot, name: str, **options: Any) -> Iterator[Figure]:
    works: dict[str, Calls] = {
        side: [partial(one.search, query, **options) for query in bench.corpus.queries[:100]]
        for side, one in (("far", bot), ("near", near))
    }
    interleaved({side: calls[:10] for side, calls in works.items()}, bench.clock)
    seconds = interleaved(works, bench.clock)
    for part, word in ((0.5, "p50"), (0.99, "p99")):
        found = [percentile(seconds[side], part) for side in ("far", "near")]
        yield figure(f"in PostgreSQL, {name}, {word}", "ms", *found, "SQLite and FAISS")
