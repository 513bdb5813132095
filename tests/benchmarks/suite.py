"""The measurements, one after the other, each with a check that what was measured is right."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

import minirag
from tests.benchmarks import growth
from tests.benchmarks.corpus import TAGS, Corpus, RowEmbedder, make_corpus
from tests.benchmarks.measuring import Clock, Figure, interleaved, percentile, timed
from tests.benchmarks.raw import RawEngines

__all__ = ["measure_all"]

_INGESTIONS = 3
_OPENINGS = 5
_ROUNDS = 3
_QUERIES = 200
_FEW, _HALF = 1, TAGS // 2


def measure_all(size: int, folder: Path, clock: Clock) -> Iterator[Figure]:
    """Yield every figure for `size` documents; databases are made in `folder`."""
    yield _import_time(clock)
    batch = min(1_000, size // 10)
    corpus = make_corpus(size, changed=batch * _ROUNDS, queries=_QUERIES)
    embedder = RowEmbedder(corpus)
    yield from _ingestion(corpus, embedder, folder, clock)
    location = folder / f"library-{_INGESTIONS - 1}"
    with closing(RawEngines(folder / "searched.sqlite3", corpus)) as raw:
        raw.ingest()
        raw.make_full_text()
        yield from _opening(location, embedder, raw, corpus.queries[0], clock)
        with minirag.Workspace.open(location, embedder=embedder) as workspace:
            bot = workspace.tenant("measured").bot("bot")
            check_results(bot, corpus)
            yield from _searches(bot, corpus, raw, clock)
            yield from _changes(bot, corpus, raw, batch, clock)
    yield from _growth(size, clock)


def check_results(bot: minirag.Bot, corpus: Corpus) -> None:
    """Assert that dense search finds what brute force finds, with and without a filter, and keyword search its words."""
    tags = np.array(corpus.tags)
    wide = corpus.vectors.astype(np.float64)
    for query, vector in zip(corpus.queries[:50], corpus.query_vectors[:50], strict=True):
        scores = np.round(wide @ vector.astype(np.float64), 6)
        for where, allowed in ((None, tags >= 0), ({"tag": {"$lt": _HALF}}, tags < _HALF), ({"tag": 0}, tags == 0)):
            best = np.sort(scores[allowed])[::-1][:10]
            hits = bot.search(query, mode="dense", where=where)
            found = [int(hit.key.removeprefix("document-")) for hit in hits]
            assert len(set(found)) == len(best)
            assert np.array_equal(scores[found], best), "recall against brute force is below 1"
            assert allowed[found].all()
        words = set(query.split())
        for hit in bot.search(query, mode="keyword"):
            assert words & set(hit.text.split())
            assert hit.text == corpus.texts[int(hit.key.removeprefix("document-"))]


def _import_time(clock: Clock) -> Figure:
    seconds: dict[str, list[float]] = {"minirag": [], "numpy": []}
    for _ in range(7):
        for module, found in seconds.items():
            script = (
                f"from time import {clock.__name__} as clock; began = clock(); import {module}; print(clock() - began)"
            )
            result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
            found.append(float(result.stdout))
    middle = {module: percentile(found, 0.5) for module, found in seconds.items()}
    return _times("import minirag", "ms", middle["minirag"], middle["numpy"], "import numpy")


def _ingestion(corpus: Corpus, embedder: RowEmbedder, folder: Path, clock: Clock) -> Iterator[Figure]:
    documents = corpus.documents()

    def library(number: int) -> None:
        with minirag.Workspace.open(folder / f"library-{number}", embedder=embedder) as workspace:
            bot = workspace.tenant("measured", create=True).bot("bot", create=True, chunker="whole")
            report = bot.add(documents, progress=False)
            assert report.counts["added"] == len(documents)

    def raw(number: int) -> None:
        with closing(RawEngines(folder / f"raw-{number}.sqlite3", corpus)) as engines:
            engines.ingest()

    works: dict[str, list[Callable[[], object]]] = {"raw": [], "library": []}
    for number in range(_INGESTIONS):
        works["raw"].append(lambda number=number: raw(number))
        works["library"].append(lambda number=number: library(number))
    seconds = {name: percentile(times, 0.5) for name, times in interleaved(works, clock).items()}
    size = len(documents)
    yield _times(
        "ingest, a document", "µs", seconds["library"] / size, seconds["raw"] / size, "rows + vectors + flat index"
    )
    disk = _bytes(folder / f"library-{_INGESTIONS - 1}"), _bytes(folder / f"raw-{_INGESTIONS - 1}.sqlite3")
    yield Figure("disk, a document", "B", disk[0] / size, disk[1] / size, "rows + vectors")


def _opening(location: Path, embedder: RowEmbedder, raw: RawEngines, query: str, clock: Clock) -> Iterator[Figure]:
    for mode in ("dense", "hybrid"):

        def library(mode: Any = mode) -> None:
            with minirag.Workspace.open(location, embedder=embedder) as workspace:
                bot = workspace.tenant("measured").bot("bot")
                assert len(bot.search(query, mode=mode)) == 10

        def reopened() -> None:
            raw.reopen()
            raw.flat_with_rows(0)

        seconds = interleaved({"raw": [reopened] * _OPENINGS, "library": [library] * _OPENINGS}, clock)
        middle = {name: percentile(times, 0.5) for name, times in seconds.items()}
        yield _times(f"open, first {mode} search", "ms", middle["library"], middle["raw"], "open, read vectors, search")


def _searches(bot: minirag.Bot, corpus: Corpus, raw: RawEngines, clock: Clock) -> Iterator[Figure]:
    few, half = {"tag": {"$lt": _FEW}}, {"tag": {"$lt": _HALF}}
    kinds: list[tuple[str, str, Any, Callable[[int], object], str]] = [
        ("dense search", "dense", None, raw.flat_with_rows, "flat index + rows"),
        ("dense, 5 % allowed", "dense", few, lambda query: raw.filtered(query, _FEW), "ids, selector, rows"),
        ("dense, 50 % allowed", "dense", half, lambda query: raw.filtered(query, _HALF), "ids, selector, rows"),
        ("keyword search", "keyword", None, raw.full_text, "FTS5 + rows"),
        ("hybrid search", "hybrid", None, raw.both, "flat index + FTS5 + rows"),
    ]
    works: dict[str, list[Callable[[], object]]] = {"flat": [lambda n=n: raw.flat(n) for n in range(_QUERIES)]}
    for name, mode, where, alone, _ in kinds:
        works[f"{name} raw"] = [lambda n=n, alone=alone: alone(n) for n in range(_QUERIES)]
        works[name] = [
            lambda query=query, mode=mode, where=where: bot.search(query, mode=mode, where=where)
            for query in corpus.queries
        ]
    interleaved(
        {name: calls[:10] for name, calls in works.items()}, clock
    )  # caches and connections, before anything counts
    seconds = interleaved(works, clock)
    flat = seconds["flat"]
    for share, word in ((0.5, "p50"), (0.99, "p99")):
        found = percentile(seconds["dense search"], share), percentile(flat, share)
        yield _times(f"dense search, {word}", "ms", *found, "flat index alone")
    for name, *_, raw_is in kinds:
        for share, word in ((0.5, "p50"), (0.99, "p99")):
            found = percentile(seconds[name], share), percentile(seconds[f"{name} raw"], share)
            yield _times(f"{name}, {word}", "ms", *found, raw_is)


def _changes(bot: minirag.Bot, corpus: Corpus, raw: RawEngines, batch: int, clock: Clock) -> Iterator[Figure]:
    ranges = [range(turn * batch, (turn + 1) * batch) for turn in range(_ROUNDS)]

    def update(numbers: range) -> None:
        documents = [
            minirag.DocumentInput(
                text=corpus.changed[n], key=f"document-{n}", metadata={"tag": corpus.tags[n], "page": n % 50}
            )
            for n in numbers
        ]
        report = bot.add(documents, progress=False)
        assert report.counts["updated"] == len(numbers)

    def delete(numbers: range) -> None:
        assert bot.documents.remove(*(f"document-{n}" for n in numbers)) == len(numbers)

    for name, mine, theirs in (("update", update, raw.update), ("delete", delete, raw.delete)):
        seconds = interleaved(
            {
                "raw": [lambda numbers=numbers, theirs=theirs: theirs(numbers) for numbers in ranges],
                "library": [lambda numbers=numbers, mine=mine: mine(numbers) for numbers in ranges],
            },
            clock,
        )
        middle = {side: percentile(times, 0.5) for side, times in seconds.items()}
        yield _times(f"{name} of {batch:,} documents", "ms", middle["library"], middle["raw"], "rows + flat index")
        after = timed(lambda: bot.search(corpus.queries[0], mode="dense"), clock)
        alone = timed(lambda: raw.flat_with_rows(0), clock)
        yield _times(f"first search after {name}", "ms", after, alone, "flat index + rows")
    assert bot.documents.count() == len(corpus.texts) - _ROUNDS * batch
    gone = {f"document-{n}" for n in range(_ROUNDS * batch)}
    for query in corpus.queries[:20]:
        assert not gone & {hit.key for hit in bot.search(query, k=50)}


def _growth(size: int, clock: Clock) -> Iterator[Figure]:
    few, many = growth.measure(size // 10, clock), growth.measure(size, clock)
    raw_is = f"{size // 10:,} documents"
    yield Figure(f"ingest {size:,} documents", "s", many["seconds"], few["seconds"], raw_is)
    yield Figure("memory added by that", "MB", many["added"] / 1e6, few["added"] / 1e6, raw_is)


def _times(name: str, unit: str, library: float, raw: float, raw_is: str) -> Figure:
    scale = {"ms": 1e3, "µs": 1e6}[unit]
    return Figure(name, unit, library * scale, raw * scale, raw_is)


def _bytes(place: Path) -> int:
    files = place.rglob("*") if place.is_dir() else place.parent.glob(f"{place.name}*")
    return sum(file.stat().st_size for file in files if file.is_file())
