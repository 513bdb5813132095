"""`python -m tests.benchmarks [--size N] [--cpu] [--json]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import tempfile
import time
from importlib.metadata import version
from pathlib import Path


def main() -> None:
    """Measure and print."""
    # Before NumPy and FAISS are imported: one thread each, as one search of the library takes.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--size", type=int, default=10_000, help="documents (default: 10,000)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--cpu", action="store_true", help="processor time, for a machine that others use too")
    chosen = parser.parse_args()
    if chosen.size < 1_000:
        parser.error("--size must be at least 1000")

    from tests.benchmarks.measuring import table
    from tests.benchmarks.suite import measure_all

    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="minirag-benchmarks-") as folder:
        figures = list(measure_all(chosen.size, Path(folder), time.process_time if chosen.cpu else time.perf_counter))
    if chosen.json:
        print(
            json.dumps(
                {"size": chosen.size, "cpu": chosen.cpu, "figures": [figure.record() for figure in figures]}, indent=1
            )
        )
        return
    versions = ", ".join(f"{name} {version(name)}" for name in ("minirag-core", "faiss-cpu", "numpy"))
    print(
        f"{chosen.size:,} documents of one chunk, 384 dimensions; one thread; {'processor' if chosen.cpu else 'elapsed'} time; Python {platform.python_version()},"
    )
    print(
        f"{versions}, SQLite {sqlite3.sqlite_version}; load {os.getloadavg()[0]:.1f}; {time.perf_counter() - began:.0f} s"
    )
    print()
    print(table(figures))


if __name__ == "__main__":
    main()
