"""Times, taken in turns and summed up by medians; memory; and the table they are printed in."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Clock",
    "Figure",
    "anonymous_bytes",
    "bytes_in",
    "figure",
    "interleaved",
    "percentile",
    "private_bytes",
    "table",
    "timed",
]


@dataclass(frozen=True)
class Figure:
    """One line of the result: what the library took, what the raw engines took, and how many times as much that is.

    Attributes:
        raw: None where the raw engines have nothing to compare.
        raw_is: what the library is compared with.
    """

    name: str
    unit: str
    library: float
    raw: float | None = None
    raw_is: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the library's figure is the raw one."""
        return self.library / self.raw if self.raw else None

    def record(self) -> dict[str, Any]:
        """Return the figure as it goes into JSON, with four significant digits."""
        kept = {**asdict(self), "ratio": self.ratio}
        return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in kept.items()}


Clock = Callable[[], float]
"""`time.perf_counter`, or `time.process_time` on a machine that others use too."""

_TURN = 10
_SCALES = {"s": 1.0, "ms": 1e3, "µs": 1e6}


def figure(name: str, unit: str, library: float, raw: float | None = None, raw_is: str = "") -> Figure:
    """Return a figure of two times in seconds, in the unit `"s"`, `"ms"` or `"µs"`."""
    return Figure(name, unit, library * _SCALES[unit], None if raw is None else raw * _SCALES[unit], raw_is)


def timed(work: Callable[[], object], clock: Clock) -> float:
    """Return how many seconds one call took."""
    began = clock()
    work()
    return clock() - began


def interleaved(
    works: Mapping[str, Sequence[Callable[[], object]]], clock: Clock, *, turn: int = _TURN
) -> dict[str, list[float]]:
    """Return the seconds of every call, done in turns: some of each name, then the next of each.

    So what else the machine does meanwhile falls on all of them alike. A turn holds several calls, so that a small engine's memory
    is not pushed out of the processor's caches by a large one's before each of its calls, as it is not in an application.
    Who has fewer calls than others is done when they are.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for begin in range(0, max(map(len, works.values())), turn):
        for name, calls in works.items():
            seconds[name] += [timed(call, clock) for call in calls[begin : begin + turn]]
    return seconds


def percentile(values: Sequence[float], share: float = 0.5) -> float:
    """Return the value that so much of the values do not exceed; by default the median."""
    if share == 0.5:
        return statistics.median(values)
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


def bytes_in(place: Path) -> int:
    """Return how many bytes a folder, or a SQLite database's files, take on disk."""
    files = place.rglob("*") if place.is_dir() else place.parent.glob(f"{place.name}*")
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


def private_bytes() -> tuple[int, int]:
    """Return how much memory this process alone has resident, and how much of that is no mapped file. Linux only: else zeros."""
    rollup = Path("/proc/self/smaps_rollup")
    if not rollup.exists():
        return 0, 0
    sizes = {}
    for line in rollup.read_text(encoding="ascii").splitlines()[1:]:
        name, size = line.split()[:2]
        sizes[name.rstrip(":")] = int(size) * 1024
    return sizes["Private_Clean"] + sizes["Private_Dirty"], sizes["Anonymous"]


def anonymous_bytes() -> int:
    """Return how much memory this process has resident that is no mapped file; quicker than `private_bytes`."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [("measured", "library", "raw", "ratio", "raw is")]
    for one in figures:
        raw = "" if one.raw is None else f"{one.raw:,.2f} {one.unit}"
        ratio = "" if one.ratio is None else f"{one.ratio:.3g}"
        rows.append((one.name, f"{one.library:,.2f} {one.unit}".rstrip(), raw.rstrip(), ratio, one.raw_is))
    return "\n".join(markdown(rows, right={1, 2, 3}))


def markdown(rows: Sequence[Sequence[str]], *, right: set[int]) -> list[str]:
    """Return the lines of a Markdown table whose first row is its head, some columns set to the right."""
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if n in right else c.ljust(w) for n, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (w - 1) + (":" if n in right else "-") for n, w in enumerate(widths)]
    return [line(rows[0]), line(rule), *map(line, rows[1:])]
