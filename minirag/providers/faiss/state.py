"""What a partition holds between two writes, and how it is searched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from minirag.interfaces.candidates import float64_sums, rank
from minirag.providers.faiss.codes import CodedRows, Selection
from minirag.providers.faiss.exact import cosines, gathered, rivals, scanned
from minirag.providers.faiss.keys import KeyRun, find
from minirag.providers.faiss.plan import Plan
from minirag.providers.faiss.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.types import Keys, Matrix, Scores, Vector

__all__ = ["State"]


@dataclass(slots=True)
class State:
    """The partition between two writes. Rows never change once a state shows them; dead ones are only marked.

    Attributes:
        keys: the key of each row, by position.
        runs: the positions by key.
        alive: False where a row was removed or replaced; None while none was.
        live: how many rows are alive.
        coded: codes of the first rows, if there are any; those behind them are scanned.
    """

    keys: Keys
    rows: Rows
    runs: tuple[KeyRun, ...]
    alive: NDArray[np.bool_] | None
    live: int
    coded: CodedRows | None = None
    _living: Selection | None = field(default=None)

    @property
    def tail(self) -> int:
        """How many rows lie behind the coded ones."""
        return len(self.keys) - (self.coded.count if self.coded is not None else 0)

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Return the position of each key, -1 for an absent one."""
        return find(self.runs, keys, self.alive)

    def living(self) -> NDArray[np.int64]:
        """Return the positions of the living rows, ascending."""
        return np.arange(len(self.keys)) if self.alive is None else np.flatnonzero(self.alive)

    def search(self, query: Vector, k: int, allowed: Keys | None, plan: Plan, *, exact: bool) -> tuple[Keys, Scores]:
        """Return the k best, best first, and ties with the last of them."""
        if k == 0 or not self.live:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
        eligible = None if allowed is None else self._positions(allowed)
        if self.coded is not None and not exact:
            found = self._coded_search(query, k, eligible, plan)
            if found is not None:
                return rank(self.keys[found[0]], found[1], k)
        chosen = self._nearest(query, k, eligible)
        return rank(self.keys[chosen], cosines(self.rows, query, chosen), k)

    def _positions(self, keys: Keys) -> NDArray[np.int64]:
        """Return the positions of these keys' living rows, ascending, each once."""
        found = self.find(keys if (keys[1:] >= keys[:-1]).all() else np.sort(keys))
        mask = np.zeros(len(self.keys), dtype=np.bool_)
        mask[found[found >= 0]] = True
        return np.flatnonzero(mask)

    def _nearest(self, query: Vector, k: int, eligible: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Return the positions of all eligible rows that may be among the k nearest of these."""
        if eligible is None and self.alive is None:
            return rivals(scanned(self.rows, query, 0, len(self.keys)), k, len(query))
        if eligible is None:
            eligible = self.living()
        if k >= len(eligible):
            return eligible
        if 3 * len(eligible) > len(self.keys):  # reading rows here and there costs about three times as much as in turn
            return eligible[rivals(scanned(self.rows, query, 0, len(self.keys))[eligible], k, len(query))]
        return eligible[rivals(gathered(self.rows, query, eligible), k, len(query))]

    def _coded_search(
        self, query: Vector, k: int, eligible: NDArray[np.int64] | None, plan: Plan
    ) -> tuple[NDArray[np.int64], Scores] | None:
        """Return what the codes and the rows behind them propose, with its cosines; None where the scan is better.

        The codes have done their work if the rows they rank last are not among the best by exact scores. Where some are,
        as among many rows that are alike, more candidates are taken.
        """
        coded = self.coded
        assert coded is not None
        if eligible is not None and len(eligible) * len(query) <= plan.gathered_floats:
            return None
        selection = self._selection(coded, eligible)
        total = coded.count if selection is None else selection.count
        probes, count = plan.effort(coded.effort, coded.lists, k=k, rows=coded.count, eligible=total)
        behind, behind_scores = self._tail_scores(query, coded.count, eligible)
        while 4 * count <= total:
            proposed = coded.propose(query, count, probes, selection)
            if len(proposed) < count:
                if probes == coded.lists:
                    return None
                probes = coded.lists
                continue
            # Most often the nearest are among the first of the candidates, and the others need not be read.
            half = count // 2
            matrix = self.rows.take(proposed[:half])
            first, second = self._best_of(matrix, query, k, behind, behind_scores)
            if not len(first) or first[-1] >= half - half // 3:
                matrix = np.concatenate([matrix, self.rows.take(proposed[half:])])
                first, second = self._best_of(matrix, query, k, behind, behind_scores)
            if not len(first) or first[-1] < count - count // 32:
                scores = float64_sums(matrix[first], query)
                if not len(second):
                    return proposed[first], scores
                return np.concatenate([proposed[first], second]), np.concatenate(
                    [scores, cosines(self.rows, query, second)]
                )
            probes, count = min(2 * probes, coded.lists), 4 * count
        return None

    def _best_of(
        self, matrix: Matrix, query: Vector, k: int, behind: NDArray[np.int64], behind_scores: Vector
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of these rows may be among the k best, and the positions of those behind the coded ones that may."""
        rough = np.vecdot(matrix, query)
        if not len(behind):
            return rivals(rough, k, len(query)), behind
        chosen = rivals(np.concatenate([rough, behind_scores]), k, len(query))
        split = int(np.searchsorted(chosen, len(rough)))
        return chosen[:split], behind[chosen[split:] - len(rough)]

    def _selection(self, coded: CodedRows, eligible: NDArray[np.int64] | None) -> Selection | None:
        """Return the coded rows that may be proposed; None if all may."""
        if eligible is not None:
            mask = np.zeros(coded.count, dtype=np.bool_)
            mask[eligible[: np.searchsorted(eligible, coded.count)]] = True
            return Selection.of(mask)
        if self.alive is None:
            return None
        if self._living is None:  # counted once a state; two readers may both count, and get the same
            self._living = Selection.of(self.alive[: coded.count])
        return None if self._living.count == coded.count else self._living

    def _tail_scores(
        self, query: Vector, start: int, eligible: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], Vector]:
        """Return the positions of the eligible rows behind the coded ones, and their rough scores."""
        stop = len(self.keys)
        if start == stop:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        scores = scanned(self.rows, query, start, stop)
        if eligible is not None:
            positions = eligible[np.searchsorted(eligible, start) :]
        elif self.alive is not None:
            positions = np.flatnonzero(self.alive[start:]) + start
        else:
            return np.arange(start, stop), scores
        return positions, scores[positions - start]
