"""The float32 rows of a partition: immutable parts, mapped or in memory, the last of which grows behind its readers' backs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from minirag.interfaces.snapshots import LazyArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.types import Matrix

    Part: TypeAlias = NDArray[np.float32] | LazyArray

__all__ = ["Rows", "RowsWriter"]

_FIRST_CAPACITY: Final = 64
_ONE_BLOCK: Final = 8 << 20
"""Bytes up to which rows are moved to a larger block: a small partition lies in one piece, which is scanned fastest."""
_LARGEST_BLOCK: Final = 512 << 20


class Rows:
    """The rows that one state of a partition shows, by position. Nothing of it ever changes."""

    __slots__ = ("_starts", "count", "dimension", "parts")

    def __init__(self, dimension: int, parts: Sequence[Part]) -> None:
        self.dimension = dimension
        self.parts = tuple(parts)
        self._starts = np.cumsum([0, *map(len, self.parts)])
        self.count = int(self._starts[-1])

    @property
    def nbytes(self) -> int:
        """The memory they take. Mapped parts take none."""
        return sum(part.nbytes for part in self.parts if isinstance(part, np.ndarray))

    def take(self, positions: NDArray[np.int64]) -> Matrix:
        """Return a copy of the rows at these positions, in their order."""
        if len(self.parts) == 1:
            return _take(self.parts[0], positions)
        taken = np.empty((len(positions), self.dimension), dtype=np.float32)
        order = np.argsort(positions)
        ascending = positions[order]
        ends = np.searchsorted(ascending, self._starts)
        for part, start, first, last in zip(self.parts, self._starts, ends, ends[1:], strict=False):
            if first < last:
                taken[order[first:last]] = _take(part, ascending[first:last] - start)
        return taken

    def between(self, start: int, stop: int, *, block: int | None = None) -> Iterator[tuple[int, Matrix]]:
        """Yield rows `start` to `stop` in order and uncopied, in pieces of at most `block` rows, each with its position."""
        for part, offset in zip(self.parts, self._starts.tolist(), strict=False):
            first, last = max(start - offset, 0), min(stop - offset, len(part))
            step = block or max(last - first, 1)
            for begin in range(first, last, step):
                yield offset + begin, _slice(part, begin, min(begin + step, last))

    def wholes(self) -> list[Matrix]:
        """Return all rows in order and uncopied, as one array or several."""
        return [_slice(part, 0, len(part)) for part in self.parts] or [np.empty((0, self.dimension), dtype=np.float32)]


class RowsWriter:
    """Appends rows. What it has shown never moves and never changes, and no row beyond the first few megabytes is copied twice.

    A block is twice as large as all before it in memory; its unused rest is address space, not memory, until it is written.
    """

    def __init__(self, dimension: int, parts: Sequence[Part] = ()) -> None:
        self._dimension = dimension
        self._row = 4 * dimension
        self._closed: list[Part] = [part for part in parts if len(part)]
        self._block = np.empty((0, dimension), dtype=np.float32)
        self._used = 0

    def show(self) -> Rows:
        """Return what was appended so far."""
        open_part = [self._block[: self._used]] if self._used or not self._closed else []
        return Rows(self._dimension, [*self._closed, *open_part])

    def append(self, vectors: Matrix) -> Rows:
        """Append rows and return all."""
        while len(vectors):
            room = len(self._block) - self._used
            if len(vectors) > room:
                room = self._make_room(len(vectors), room)
            count = min(room, len(vectors))
            self._block[self._used : self._used + count] = vectors[:count]
            self._used += count
            vectors = vectors[count:]
        return self.show()

    def _make_room(self, count: int, room: int) -> int:
        """Return how many rows the open block has room for, at least one."""
        if (self._used + count) * self._row <= _ONE_BLOCK:
            capacity = max(self._used + count, _FIRST_CAPACITY, min(2 * self._used, _ONE_BLOCK // self._row))
            block = np.empty((capacity, self._dimension), dtype=np.float32)
            block[: self._used] = self._block[: self._used]
            self._block = block
            return capacity - self._used
        if room:
            return room
        if self._used:
            self._closed.append(self._block)
        in_memory = sum(len(part) for part in self._closed if isinstance(part, np.ndarray))
        capacity = max(count, _ONE_BLOCK // self._row, min(2 * in_memory, _LARGEST_BLOCK // self._row))
        self._block, self._used = np.empty((capacity, self._dimension), dtype=np.float32), 0
        return capacity


def _take(part: Part, positions: NDArray[np.int64]) -> Matrix:
    return part.rows(positions) if isinstance(part, LazyArray) else part.take(positions, axis=0)


def _slice(part: Part, start: int, stop: int) -> Matrix:
    return part.part(start, stop) if isinstance(part, LazyArray) else part[start:stop]
