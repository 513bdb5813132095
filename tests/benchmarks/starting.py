"""What a new process costs: the import alone, and up to its first result."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks.bench import Bench, measurement
from tests.benchmarks.measuring import Figure, figure, percentile

__all__ = ["imports", "opening"]


@measurement
def imports(bench: Bench) -> Iterator[Figure]:
    """`import minirag` in a new process."""
    seconds: dict[str, list[float]] = {"minirag": [], "numpy": []}
    for _ in range(bench.rounds):
        for module, found in seconds.items():
            script = f"from time import {bench.clock.__name__} as clock; began = clock(); import {module}; print(clock() - began)"
            result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
            found.append(float(result.stdout))
    yield figure("import minirag", "ms", percentile(seconds["minirag"]), percentile(seconds["numpy"]), "import numpy")


@measurement
def opening(bench: Bench) -> Iterator[Figure]:
    """A new process to its first ten hits, imports included; the files are in the system's cache."""
    _ = bench.built
    modes = ("dense", "keyword", "hybrid")
    mine: dict[str, list[float]] = {mode: [] for mode in modes}
    raw: list[float] = []
    for _ in range(bench.rounds):
        raw.append(bench.child("raw_first_result", bench.raw_file)["seconds"])
        for mode in modes:
            mine[mode].append(bench.child("first_result", bench.location, mode)["seconds"])
    for mode in modes:
        yield figure(
            f"new process to first {mode} result",
            "ms",
            percentile(mine[mode]),
            percentile(raw),
            "read vectors, flat search",
        )
