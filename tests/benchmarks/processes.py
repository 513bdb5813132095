"""What a process holds, and several threads or processes at once."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.bench import Bench, measurement
from tests.benchmarks.measuring import Figure, figure, percentile, timed

__all__ = ["building", "memory", "together"]

_SECONDS = 2.0
_LONGEST = 900.0


@measurement
def building(bench: Bench) -> Iterator[Figure]:
    """Searches while the larger engine is built beside them, from nothing but the database."""
    _ = bench.built
    clock = (
        time.thread_time if bench.clock is time.process_time else bench.clock
    )  # the builder's time is not the search's
    shutil.rmtree(bench.location / "index", ignore_errors=True)
    queries, seconds = bench.corpus.queries, []
    scans = [timed(partial(bench.raw.flat, n), clock) for n in range(20)]
    with bench.workspace() as workspace:
        bot = workspace.tenant("measured").bot("bot")
        yield figure(
            "first search without derived files", "ms", timed(partial(bot.search, queries[0], mode="dense"), clock)
        )
        began = time.perf_counter()
        bot.optimize(wait=False)
        while time.perf_counter() - began < _LONGEST:
            seconds += [timed(partial(bot.search, query, mode="dense"), clock) for query in queries[:20]]
            if len(seconds) >= 100 and bot.stats().pending == 0:
                break
        else:
            raise AssertionError(f"the larger engine was not ready after {_LONGEST} s")
        scan = percentile(scans)
        for share, word in ((0.5, "p50"), (1.0, "longest")):
            yield figure(
                f"dense search while the engine is built, {word}",
                "ms",
                percentile(seconds, share),
                scan,
                "flat index alone",
            )
        bot.optimize()


@measurement
def memory(bench: Bench) -> Iterator[Figure]:
    """Private resident memory of a process that has searched."""
    _ = bench.built
    raw = bench.child("raw_memory", bench.raw_file)
    for mode in ("dense", "hybrid"):
        mine = bench.child("memory", bench.location, mode)
        yield Figure(
            f"private memory after {mode} searches",
            "MB",
            mine["private"] / 1e6,
            raw["private"] / 1e6,
            "flat index, loaded",
        )
        yield Figure(
            f"of that, no mapped file, {mode}",
            "MB",
            mine["anonymous"] / 1e6,
            raw["anonymous"] / 1e6,
            "flat index, loaded",
        )


@measurement
def together(bench: Bench) -> Iterator[Figure]:
    """Dense searches a second: one thread, two threads, two processes."""
    _ = bench.built
    if (os.cpu_count() or 1) < 2:
        return
    seconds = _SECONDS if bench.size >= 10_000 else _SECONDS / 4
    sides = {"library": ("throughput", bench.location), "raw": ("raw_throughput", bench.raw_file)}
    rates: dict[str, dict[str, float]] = {side: {} for side in sides}
    for name, processes, threads in (("one thread", 1, 1), ("two threads", 1, 2), ("two processes", 2, 1)):
        for side, work in sides.items():
            found = bench.children([(*work, threads, seconds)] * processes)
            rates[side][name] = sum(one["rate"] for one in found)
    for name, rate in rates["library"].items():
        yield Figure(f"dense searches a second, {name}", "/s", rate, rates["raw"][name], "flat index + rows")
