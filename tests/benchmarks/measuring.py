"""Times, interleaved and summed up by medians, and the table they are printed in."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Clock", "Figure", "interleaved", "percentile", "table", "timed"]


@dataclass(frozen=True)
class Figure:
    """One line of the result: what the library took, what the raw engines took, and how many times as much that is.

    Attributes:
        raw_is: what the library is compared with.
    """

    name: str
    unit: str
    library: float
    raw: float
    raw_is: str

    @property
    def ratio(self) -> float:
        """How many times the library's figure is the raw one."""
        return self.library / self.raw

    def record(self) -> dict[str, Any]:
        """Return the figure as it goes into JSON."""
        return {**asdict(self), "ratio": self.ratio}


Clock = Callable[[], float]
"""`time.perf_counter`, or `time.process_time` on a machine that others use too."""


def timed(work: Callable[[], object], clock: Clock) -> float:
    """Return how many seconds one call took."""
    began = clock()
    work()
    return clock() - began


def interleaved(works: Mapping[str, Sequence[Callable[[], object]]], clock: Clock) -> dict[str, list[float]]:
    """Return the seconds of every call, done in turns: one of each name, then the next of each.

    So what else the machine does meanwhile falls on all of them alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in zip(*works.values(), strict=True):
        for name, work in zip(works, turn, strict=True):
            seconds[name].append(timed(work, clock))
    return seconds


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so much of the values do not exceed; 0.5 is the median."""
    if share == 0.5:
        return statistics.median(values)
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [("measured", "library", "raw", "ratio", "raw is")]
    rows += [
        (f.name, f"{f.library:,.2f} {f.unit}", f"{f.raw:,.2f} {f.unit}", f"{f.ratio:.2f}", f.raw_is) for f in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    right = {1, 2, 3}
    lines = [
        "| "
        + " | ".join(c.rjust(w) if n in right else c.ljust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True)))
        + " |"
        for row in rows
    ]
    rule = "| " + " | ".join("-" * (w - 1) + ":" if n in right else "-" * w for n, w in enumerate(widths)) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])
