"""Taking documents in: rates, and what is then on the disk and in memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from tests.benchmarks.bench import Bench, measurement
from tests.benchmarks.measuring import Figure, bytes_in, figure

__all__ = ["ingest", "streaming"]

_LARGEST = 100_000


@measurement
def ingest(bench: Bench) -> Iterator[Figure]:
    """Batches of a thousand documents, each on disk when its call returns; dense and keyword search ready at the end."""
    built, size = bench.built, bench.size
    rate, raw_rate = size / (sum(built.library) + built.settled), size / sum(built.raw)
    yield Figure("ingest, until searches are fast", "documents/s", rate, raw_rate, "rows, vectors, flat index, FTS5")
    yield Figure(
        "ingest, adding alone", "documents/s", size / sum(built.library), raw_rate, "rows, vectors, flat index, FTS5"
    )
    yield figure("of that, optimize()", "s", built.settled)
    alike, tenth = built.alike, built.alike // 10
    if tenth:
        first = sum(built.rows[:tenth]) / sum(built.library[:tenth])
        last = sum(built.rows[alike - tenth : alike]) / sum(built.library[alike - tenth : alike])
        yield Figure("last tenth's rate of ingest", "documents/s", last, first, "first tenth")
    given = bench.corpus.bytes_given
    mine, raw = (bytes_in(place) - given for place in (bench.location, bench.raw_file))
    yield Figure("disk, beyond text and metadata", "B/document", mine / size, raw / size, "rows, vectors, FTS5")


@measurement
def streaming(bench: Bench) -> Iterator[Figure]:
    """One `add` of a generator: neither the seconds a document takes nor the memory should grow with their number."""
    most = min(bench.size, _LARGEST)
    few, many = (bench.child("streaming", bench.folder / f"streamed-{count}", count) for count in (most // 10, most))
    for place in bench.folder.glob("streamed-*"):
        shutil.rmtree(place)
    yield figure(
        "one add of a generator, a document",
        "ms",
        many["seconds"] / most,
        10 * few["seconds"] / most,
        "a tenth as many",
    )
    yield Figure(
        "one add of a generator, memory it adds at most",
        "MB",
        many["added"] / 1e6,
        few["added"] / 1e6,
        "a tenth as many",
    )
