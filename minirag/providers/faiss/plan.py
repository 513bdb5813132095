"""When a partition is coded, how, and when it is settled: the numbers, measured in docs/explanation/dense-engines.md."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Effort", "Plan"]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of the coded rows a search looks at.

    Attributes:
        share: of the lists that are probed.
        candidates: the rows with the best codes, which are scored exactly.
    """

    share: float
    candidates: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of the dense engine.

    Attributes:
        coded_floats: a partition of so many numbers (rows times dimension) is coded.
        coded_rows: and of at least so many rows.
        tail_floats: so many numbers are scanned beside the codes before they are pending.
        gathered_floats: so many numbers of allowed rows are scored exactly, even far apart.
        dead_rows: so many dead rows are tolerated before they are counted against the living.
        list_rows: rows that a list has at least, on average: to open one costs as much as to compare some 400 codes.
        axes: dimensions that codes keep; each pair takes four bits, each of up to half as many by itself.
        sample: rows from which axes and codes are learnt.
        rounds: rounds of k-means.
        outgrown: the codes are learnt anew when there are so many times the rows that they were learnt from.
        least_codes: codes that are compared in any case: some 0.1 ms, which buys the queries that are like no row.
        questions: searches by which a new engine is compared with the exact scan, half of them for a row, half between two.
        missed: of the true 10 nearest of these, the share that may be missed.
        candidates: tried in turn, with all lists, until so many suffice; if none does, the partition is scanned.
        shares: then tried in turn, with so many candidates, until so many lists suffice.
    """

    coded_floats: int = 3_000_000
    coded_rows: int = 4_096
    tail_floats: int = 400_000
    gathered_floats: int = 600_000
    dead_rows: int = 1_024
    list_rows: int = 512
    axes: int = 192
    sample: int = 6_144
    rounds: int = 6
    outgrown: int = 4
    least_codes: int = 20_000
    questions: int = 128
    missed: float = 0.005
    candidates: tuple[int, ...] = (200, 300, 500, 800)
    shares: tuple[float, ...] = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.32, 0.4, 0.5, 0.7, 1.0)

    def codes(self, rows: int, dimension: int) -> bool:
        """Tell whether a partition of so many living rows is worth coding."""
        return rows >= self.coded_rows and rows * dimension >= self.coded_floats and dimension >= 8

    def lists(self, rows: int) -> int:
        """Return into how many lists so many rows are divided."""
        return max(1, min(rows // self.list_rows, math.isqrt(rows) * 4 // 3))

    def tail(self, dimension: int) -> int:
        """Return how many rows may lie behind the coded ones before they are pending."""
        return max(16, self.tail_floats // dimension)

    def squeezes(self, dead: int, live: int) -> bool:
        """Tell whether so many dead rows are worth copying the living ones."""
        return dead > self.dead_rows + live // 3

    def effort(self, proved: Effort, lists: int, *, k: int, rows: int, eligible: int) -> tuple[int, int]:
        """Return how many lists to probe and how many candidates to take.

        More results, and rows that only some of all may be, lie in more lists than the ten nearest of all do.
        """
        wider = max(1.0, k / 10) ** 0.2 * (rows / max(1, eligible)) ** 0.7
        probes = round(max(proved.share, self.least_codes / max(1, rows)) * lists * wider)
        return max(1, min(lists, probes)), proved.candidates + 3 * max(0, k - 10)
