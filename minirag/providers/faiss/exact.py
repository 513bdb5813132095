"""Exact scores: rough ones in float32 that find the candidates, and final ones in float64 that rank them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.interfaces.candidates import certain_gap, float64_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.providers.faiss.rows import Rows
    from minirag.types import Scores, Vector

__all__ = ["cosines", "gathered", "rivals", "scanned"]

_BLOCK: Final = 2_048
"""Rows gathered or widened at once, so that the copy stays small (3 MB at 384 dimensions)."""


def scanned(rows: Rows, query: Vector, start: int, stop: int) -> Vector:
    """Return the float32 dot products of rows `start` to `stop`, on one thread.

    `numpy.vecdot` calls BLAS once a row, too short a product to be split over threads. Over 10,000 to 100,000 rows of 384
    it takes up to a fifth longer than FAISS's own kernel (`fvec_inner_products_ny`), since both wait for memory;
    `matrix @ query` and `faiss.knn` hand the work to a pool of threads, and on a busy machine took 2 to 40 times as long.
    """
    if len(rows.parts) == 1 and stop - start <= _BLOCK and isinstance(whole := rows.parts[0], np.ndarray):
        return np.asarray(np.vecdot(whole[start:stop], query))
    pieces = [np.vecdot(matrix, query) for _, matrix in rows.between(start, stop, block=_BLOCK)]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.empty(0, np.float32)])


def gathered(rows: Rows, query: Vector, positions: NDArray[np.int64]) -> Vector:
    """Return the float32 dot products of the rows at `positions`."""
    if len(positions) <= _BLOCK:
        return np.asarray(np.vecdot(rows.take(positions), query))
    return np.concatenate([np.vecdot(rows.take(block), query) for block in _blocks(positions)])


def rivals(rough: Vector, k: int, dimension: int) -> NDArray[np.int64]:
    """Return the places in `rough` of those that may be among the k best, or tie with the k-th, by float64 sums."""
    count = len(rough)
    if k >= count:
        return np.arange(count)
    parted = rough.copy()
    parted.partition(count - k)
    return (rough >= float(parted[count - k]) - certain_gap(dimension)).nonzero()[0]


def cosines(rows: Rows, query: Vector, positions: NDArray[np.int64]) -> Scores:
    """Return the dot products of the rows at `positions`, as `float64_sums`."""
    if len(positions) <= _BLOCK:
        return float64_sums(rows.take(positions), query)
    return np.concatenate([float64_sums(rows.take(block), query) for block in _blocks(positions)])


def _blocks(positions: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [positions[start : start + _BLOCK] for start in range(0, len(positions), _BLOCK)]
