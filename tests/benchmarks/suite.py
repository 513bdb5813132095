"""All measurements, in the order they are taken, and what is kept of them."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Collection, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks import changing, ingesting, on_postgres, owners, processes, searching, starting
from tests.benchmarks.bench import MEASUREMENTS, Bench
from tests.benchmarks.measuring import Clock, Figure

__all__ = ["ORDER", "conditions", "measure"]

ORDER = (
    ingesting.ingest,
    ingesting.streaming,
    starting.imports,
    starting.opening,
    searching.search,
    searching.filters,
    processes.building,
    processes.memory,
    processes.together,
    owners.bots,
    owners.tenants,
    changing.changes,
    on_postgres.pgvector,
    on_postgres.postgres,
)
assert {work.__name__ for work in ORDER} == set(MEASUREMENTS)


def measure(size: int, folder: Path, clock: Clock, *, only: Collection[str] = ()) -> Iterator[tuple[str, Figure]]:
    """Yield every figure for `size` documents with its measurement's name; databases are made in `folder`."""
    bench = Bench(size, folder, clock)
    for work in ORDER:
        if not only or work.__name__ in only:
            for figure in work(bench):
                yield work.__name__, figure


def conditions() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for name in ("minirag-core", "faiss-cpu", "numpy")}
        | {"SQLite": sqlite3.sqlite_version},
    }
