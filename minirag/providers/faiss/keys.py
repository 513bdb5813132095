"""Where a key's row lies: sorted runs, merged as they grow alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.types import Keys

__all__ = ["KeyRun", "appended", "find", "run_of"]


@dataclass(frozen=True, slots=True)
class KeyRun:
    """Some keys, ascending, each once.

    Attributes:
        positions: the row of each key; None where they follow one another from `start`, which takes no memory.
    """

    keys: Keys
    positions: NDArray[np.int64] | None
    start: int

    def rows(self) -> NDArray[np.int64]:
        """Return the row of each key."""
        return np.arange(self.start, self.start + len(self.keys)) if self.positions is None else self.positions


def run_of(keys: Keys, start: int, alive: NDArray[np.bool_] | None) -> KeyRun:
    """Return the run of rows `start` onwards that have these keys, without those that are not alive (a mask of these rows)."""
    if alive is not None and not alive.all():
        living = np.flatnonzero(alive)
        return _sorted_run(keys[living], living + start)
    if (keys[1:] > keys[:-1]).all():
        return KeyRun(keys, None, start)
    return _sorted_run(keys, np.arange(start, start + len(keys)))


def appended(runs: tuple[KeyRun, ...], run: KeyRun, keys: Keys, alive: NDArray[np.bool_] | None) -> tuple[KeyRun, ...]:
    """Return the runs with one more, of at most a logarithm of the rows: as digits are carried, like ones are merged.

    Args:
        keys: the keys of all rows, by position.
        alive: which rows are alive, or None if all are; the dead ones of merged runs are dropped.
    """
    merged = list(runs)
    while merged and len(merged[-1].keys) < 2 * len(run.keys):
        run = _merge(merged.pop(), run, keys, alive)
    return (*merged, run) if len(run.keys) else tuple(merged)


def _merge(first: KeyRun, second: KeyRun, keys: Keys, alive: NDArray[np.bool_] | None) -> KeyRun:
    end = first.start + len(first.keys)
    adjoin = first.positions is None and second.positions is None and second.start == end
    ascending = not len(first.keys) or not len(second.keys) or first.keys[-1] < second.keys[0]
    if adjoin and ascending:
        return KeyRun(keys[first.start : end + len(second.keys)], None, first.start)
    positions = np.concatenate([first.rows(), second.rows()])
    if alive is not None:
        positions = positions[alive[positions]]
    return _sorted_run(keys[positions], positions)


def _sorted_run(keys: Keys, positions: NDArray[np.int64]) -> KeyRun:
    if not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys)
        keys, positions = keys[order], positions[order]
    return KeyRun(keys, positions, 0)


def find(runs: tuple[KeyRun, ...], keys: Keys, alive: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Return the position of each key's living row, -1 for an absent one."""
    found = np.full(len(keys), -1, dtype=np.int64)
    for run in runs:
        places = np.minimum(np.searchsorted(run.keys, keys), len(run.keys) - 1)
        hits = np.flatnonzero(run.keys[places] == keys)
        if len(hits):
            places = places[hits]
            positions = places + run.start if run.positions is None else run.positions[places]
            if alive is not None:
                living = alive[positions]
                hits, positions = hits[living], positions[living]
            found[hits] = positions
    return found
