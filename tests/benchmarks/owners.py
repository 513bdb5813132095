"""Many bots and many tenants in one workspace: what one of them costs beside the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks.bench import Bench, measurement
from tests.benchmarks.measuring import Figure, figure, interleaved, percentile, timed
from tests.benchmarks.raw import RawEngines, flat_over

__all__ = ["bots", "tenants"]

_OF_A_BOT = 100
_BOTS_OF_A_TENANT = 100
_OF_A_TENANT = 20
_OF_THE_LARGE = 10_000
_BUDGET = 16 * 2**20


@measurement
def bots(bench: Bench) -> Iterator[Figure]:
    """As many bots of 100 chunks as the corpus fills, and one of 10,000 beside them."""
    corpus, count = bench.corpus, bench.size // _OF_A_BOT
    large = min(_OF_THE_LARGE, bench.size)
    raw = RawEngines(bench.folder / "bots.sqlite3", corpus)
    location = bench.folder / "bots"
    with bench.workspace(location) as workspace:
        for number in range(count):
            slug = f"tenant-{number // _BOTS_OF_A_TENANT}"
            bot = workspace.tenant(slug, create=True).bot(
                f"bot-{number}", create=True, chunker="whole", language="none"
            )
            begin = number * _OF_A_BOT
            bot.add(corpus.documents(begin, begin + _OF_A_BOT), progress=False)
            raw.add(begin, begin + _OF_A_BOT, owned=_OF_A_BOT)
        bot = workspace.tenant("tenant-0").bot("large", create=True, chunker="whole", language="none")
        bot.add(corpus.documents(0, large), progress=False)
        bot.optimize()
    queries = corpus.queries
    with bench.workspace(location) as workspace:
        some = [
            workspace.tenant(f"tenant-{number // _BOTS_OF_A_TENANT}").bot(f"bot-{number}")
            for number in range(0, count, max(1, count // 60))
        ]
        warm, cold = some[:10], some[10:]
        for bot in warm:
            bot.search(queries[0], mode="dense")
        first = [timed(partial(bot.search, queries[1], mode="dense"), bench.clock) for bot in cold]
        yield figure("bot of 100, first search of it, p50", "ms", percentile(first))
        yield figure("bot of 100, first search of it, p99", "ms", percentile(first, 0.99))
        numbers = [int(bot.name.removeprefix("bot-")) for bot in warm]
        seconds = interleaved(
            {
                "library": [partial(warm[n % 10].search, queries[n], mode="dense") for n in range(len(queries))],
                "raw": [partial(raw.filtered, n, "owner = ?", [numbers[n % 10]]) for n in range(len(queries))],
            },
            bench.clock,
        )
        yield figure(
            "bot of 100 among all, p50",
            "ms",
            percentile(seconds["library"]),
            percentile(seconds["raw"]),
            "rows of one owner, NumPy",
        )
        bot = workspace.tenant("tenant-0").bot("large")
        alone = flat_over(corpus, large)
        works: dict[str, list[Callable[[], object]]] = {
            "library": [partial(bot.search, query, mode="dense") for query in queries],
            "raw": [partial(alone, n) for n in range(len(queries))],
        }
        interleaved({name: calls[:10] for name, calls in works.items()}, bench.clock)
        seconds = interleaved(works, bench.clock)
        yield figure(
            f"bot of {large:,} beside them, p50",
            "ms",
            percentile(seconds["library"]),
            percentile(seconds["raw"]),
            "flat index over its own vectors",
        )
    _remove(raw, location)


@measurement
def tenants(bench: Bench) -> Iterator[Figure]:
    """Up to 10,000 tenants of 20 chunks, each made and filled by one call; then a search in each."""
    corpus, count = bench.corpus, min(10_000, bench.size // _OF_A_TENANT)
    raw = RawEngines(bench.folder / "tenants.sqlite3", corpus)
    location = bench.folder / "tenants"
    with bench.workspace(location) as workspace:

        def make(number: int) -> None:
            bot = workspace.tenant(f"tenant-{number}", create=True).bot("bot", create=True, chunker="whole")
            begin = number * _OF_A_TENANT
            bot.add(corpus.documents(begin, begin + _OF_A_TENANT), progress=False)

        def make_raw(number: int) -> None:
            raw.add(number * _OF_A_TENANT, (number + 1) * _OF_A_TENANT, owned=_OF_A_TENANT)

        seconds = interleaved(
            {
                "library": [partial(make, n) for n in range(count)],
                "raw": [partial(make_raw, n) for n in range(count)],
            },
            bench.clock,
        )
        rate, raw_rate = (count / sum(seconds[name]) for name in ("library", "raw"))
        yield Figure(
            "tenants made and filled with 20 chunks", "tenants/s", rate, raw_rate, "rows of one owner, one transaction"
        )
        for number in range(0, count, max(1, count // 20)):
            hits = workspace.tenant(f"tenant-{number}").bot("bot").search(corpus.queries[0], k=50)
            assert {int(hit.key.removeprefix("document-")) // _OF_A_TENANT for hit in hits} == {number}
            assert len(hits) == _OF_A_TENANT
    found = bench.child("tenants_memory", location, _BUDGET)
    yield Figure(
        f"memory after a search in every tenant, budget {_BUDGET // 2**20} MiB",
        "MB",
        found["all"] / 1e6,
        found["tenth"] / 1e6,
        "after a tenth of them",
    )
    _remove(raw, location)


def _remove(raw: RawEngines, location: Path) -> None:
    """Free the disk: a million documents take gigabytes, and nothing else is measured on these."""
    raw.remove()
    shutil.rmtree(location)
