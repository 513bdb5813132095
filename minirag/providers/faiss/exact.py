"""Exact scores: rough ones in float32 that find the candidates, and final ones in float64 that rank them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.interfaces.ties import reach

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.providers.faiss.rows import Rows
    from minirag.types import Keys, Matrix, Scores, Vector

__all__ = ["LENGTH_LIMIT", "cosines", "float64_sums", "gathered", "ranked", "rivals", "scanned"]

LENGTH_LIMIT: Final = 1.001
"""No vector is longer: float32 normalisation, with room to spare. Shorter ones are welcome, as is the zero vector."""

_BLOCK: Final = 2_048
"""Rows gathered or widened at once, so that the copy stays small (3 MB at 384 dimensions)."""

_TIE: Final = 1e-6
"""Scores that far apart may still be equal when rounded to six decimals."""


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
    """Return the places in `rough` of those that may be among the k best, or tie with the k-th, by float64 sums.

    A float32 sum of n products is off by at most n * 2^-24 times the product of the norms (Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.1); the k-th score and its rivals may each be off by that much.
    """
    count = len(rough)
    if k >= count:
        return np.arange(count)
    parted = rough.copy()
    parted.partition(count - k)
    error = (dimension + 4) * 2.0**-24 * LENGTH_LIMIT**2
    return (rough >= float(parted[count - k]) - (2 * error + _TIE)).nonzero()[0]


def cosines(rows: Rows, query: Vector, positions: NDArray[np.int64]) -> Scores:
    """Return the dot products of the rows at `positions`, as `float64_sums`."""
    if len(positions) <= _BLOCK:
        return float64_sums(rows.take(positions), query)
    return np.concatenate([float64_sums(rows.take(block), query) for block in _blocks(positions)])


def float64_sums(matrix: Matrix, query: Vector) -> Scores:
    """Return the dot product of each row, as a float64 sum over float32 values.

    Each row is summed by itself in one fixed order, so that its score does not depend on where it lies or what is
    scored beside it.
    """
    return np.asarray(np.vecdot(matrix.astype(np.float64), query.astype(np.float64)))


def ranked(keys: Keys, scores: Scores, k: int) -> tuple[Keys, Scores]:
    """Return the k best, best first, and those whose score ties with the k-th at six decimals."""
    order = np.lexsort((keys, -scores))
    order = order[: reach(scores[order], k)]
    return keys[order], scores[order]


def _blocks(positions: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [positions[start : start + _BLOCK] for start in range(0, len(positions), _BLOCK)]
