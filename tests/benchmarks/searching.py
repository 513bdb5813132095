"""Searches of one bot that holds every document, without a filter and with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import minirag
from minirag.types import SearchMode
from tests.benchmarks.bench import Bench, measurement
from tests.benchmarks.measuring import Figure, figure, interleaved, percentile

__all__ = ["filters", "search"]

Calls = list[Callable[[], object]]


@measurement
def search(bench: Bench) -> Iterator[Figure]:
    """Ten hits with their texts and metadata, by each mode."""
    with bench.bot() as bot:
        yield Figure("dense recall@10 against brute force", "", _recall(bot, bench))
        raw, queries = bench.raw, bench.corpus.queries
        few = range(min(len(queries), 20_000_000 // bench.size))  # a flat scan of a million vectors takes its time

        works: dict[str, Calls] = {
            "flat": [partial(raw.flat, n) for n in few],
            "flat with rows": [partial(raw.flat_with_rows, n) for n in few],
            "FTS5": [partial(raw.full_text, n) for n in few],
            "both": [partial(raw.both, n) for n in few],
            "exact": [partial(bot.search, queries[n], mode="dense", exact=True) for n in few],
        }
        modes: tuple[SearchMode, ...] = ("dense", "keyword", "hybrid")
        for mode in modes:
            works[mode] = [partial(bot.search, query, mode=mode) for query in queries]
        words = bench.words
        if words is not None:
            works["bm25s"] = [partial(words.search, n) for n in range(len(queries))]
        seconds = _warm(works, bench)
        compared = [
            ("dense", "flat", "flat index alone"),
            ("dense", "flat with rows", "flat index + rows"),
            ("exact", "flat with rows", "flat index + rows"),
            ("keyword", "FTS5", "FTS5 + rows"),
            ("keyword", "bm25s", "bm25s, without rows"),
            ("hybrid", "both", "flat index + FTS5 + rows"),
        ]
        for mode, other, raw_is in compared:
            for share, word in ((0.5, "p50"), (0.99, "p99")):
                if other in seconds:
                    found = percentile(seconds[mode], share), percentile(seconds[other], share)
                    yield figure(f"{mode} search, {word}", "ms", *found, raw_is)
        if words is not None:
            yield Figure("keyword top 10 in common with bm25s", "", _agreement(bot, bench))


def _warm(works: dict[str, Calls], bench: Bench) -> dict[str, list[float]]:
    interleaved({name: calls[:10] for name, calls in works.items()}, bench.clock)  # caches and connections
    return interleaved(works, bench.clock)


def _rows(hits: minirag.SearchResults) -> list[int]:
    return [int(hit.key.removeprefix("document-")) for hit in hits]


def _recall(bot: minirag.Bot, bench: Bench) -> float:
    """Return the share of the ten best that dense search finds; assert that the texts are the documents' own."""
    corpus, right = bench.corpus, 0
    for number, query in enumerate(corpus.queries):
        hits = bot.search(query, mode="dense")
        right += _right(bench, _rows(hits), number, corpus.nearest[number])
        assert hits[0].text == corpus.text(_rows(hits)[0])
    assert len(_rows(bot.search(corpus.queries[0], mode="dense", exact=True))) == 10
    exact = bot.search(corpus.queries[0], mode="dense", exact=True)
    assert _right(bench, _rows(exact), 0, corpus.nearest[0]) == 10, "the exact search is not exact"
    return right / (10 * len(corpus.queries))


def _right(bench: Bench, rows: list[int], query: int, best: Any) -> int:
    """Return how many rows are as near as the worst of the best: equally near ones may stand for each other."""
    assert len(set(rows)) == len(best), "too few hits"
    wide = bench.corpus.vectors[rows].astype(np.float64) @ bench.corpus.query_vectors[query].astype(np.float64)
    return int((np.round(wide, 6) >= best[-1]).sum())


def _agreement(bot: minirag.Bot, bench: Bench) -> float:
    """Return the share of keyword search's ten best that are among bm25s's, or as good as its tenth."""
    words = bench.words
    assert words is not None
    common = wanted = 0
    for number, query in enumerate(bench.corpus.queries):
        rows, scores = words.search(number, 50)
        last = sorted(scores, reverse=True)[9] * (1 - 1e-5)  # it counts in float32
        good = {row for row, score in zip(rows, scores, strict=True) if score >= last}
        found = _rows(bot.search(query, mode="keyword"))
        common += len(good.intersection(found))
        wanted += len(found)
    return common / wanted


@measurement
def filters(bench: Bench) -> Iterator[Figure]:
    """Dense searches with values never used before, over a declared field and one that is not."""
    size, corpus, raw = bench.size, bench.corpus, bench.raw
    random = np.random.default_rng(11)
    count = 40 if size <= 100_000 else 20
    checked = 10 if size > 100_000 else count  # brute force over half a million vectors takes its time
    numbers = np.arange(size)
    fields = {"number": (corpus.number(numbers), "declared"), "shade": (corpus.shade(numbers), "not declared")}
    with bench.bot() as bot:
        for share, word in ((None, "5 allowed"), (0.1, "10 % allowed"), (0.5, "half allowed")):
            works: dict[str, Calls] = {name: [] for name in ("unfiltered", "raw", *fields)}
            checks: list[tuple[int, str, Any]] = []
            for n in range(count + 10):  # ten to warm up
                for field in fields:
                    where, condition, values = _condition(random, field, size, share)
                    works[field].append(partial(bot.search, corpus.queries[n], mode="dense", where=where))
                    if field == "number":
                        works["raw"].append(partial(raw.filtered, n, condition, values))
                    if n < checked:
                        checks.append((n, field, where))
                works["unfiltered"].append(partial(bot.search, corpus.queries[n], mode="dense"))
            recall = _filtered_recall(bench, bot, checks, {field: values for field, (values, _) in fields.items()})
            seconds = interleaved(works, bench.clock)
            middle = {name: percentile(found[10:]) for name, found in seconds.items()}
            for field, (_, declared) in fields.items():
                name = f"dense, {word}, {declared}, p50"
                yield figure(name, "ms", middle[field], middle["unfiltered"], "no filter")
                if field == "number":
                    yield figure(name, "ms", middle[field], middle["raw"], "indexed column, gathered or selector")
            yield Figure(f"dense, {word}: recall@10", "", recall)


def _condition(random: np.random.Generator, field: str, size: int, share: float | None) -> tuple[Any, str, list[int]]:
    """Return a filter with fresh values, and the same in SQL."""
    if share is None:
        chosen = random.choice(size, 5, replace=False).tolist()
        return {field: {"$in": chosen}}, f"{field} IN (?, ?, ?, ?, ?)", chosen
    width = int(size * share)
    low = int(random.integers(0, size - width))
    return {field: {"$gte": low, "$lt": low + width}}, f"{field} >= ? AND {field} < ?", [low, low + width]


def _filtered_recall(
    bench: Bench, bot: minirag.Bot, checks: list[tuple[int, str, Any]], values: dict[str, Any]
) -> float:
    """Return the share of the best allowed rows that are found; assert that all are allowed and none is missing."""
    right = wanted = 0
    for number, field, where in checks:
        bounds = where[field]
        of = values[field]
        allowed = np.isin(of, bounds["$in"]) if "$in" in bounds else (of >= bounds["$gte"]) & (of < bounds["$lt"])
        rows = np.flatnonzero(allowed)
        best = bench.corpus.best(rows, bench.corpus.query_vectors[number : number + 1])[1][0]
        found = _rows(bot.search(bench.corpus.queries[number], mode="dense", where=where))
        assert allowed[found].all(), "a hit that the filter does not allow"
        right += _right(bench, found, number, best)
        wanted += len(best)
    return right / wanted
