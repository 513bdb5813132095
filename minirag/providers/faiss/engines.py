"""How a partition finds the vectors that may be among the nearest, and scores them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.types import Matrix, Scores, Vector

__all__ = ["LENGTH_LIMIT", "Engine", "ExactScan", "cosines"]

LENGTH_LIMIT: Final = 1.001
"""No vector is longer: float32 normalisation, with room to spare. Shorter ones are welcome, as is the zero vector."""

_BLOCK: Final = 2_048
"""Rows gathered or widened at once, so that the copy stays small (3 MB at 384 dimensions)."""

_TIE: Final = 1e-6
"""Scores that far apart may still be equal when rounded to six decimals."""


class Engine(Protocol):
    """Proposes candidates; `cosines` has the last word on their scores."""

    name: str

    def propose(
        self, vectors: Matrix, query: Vector, k: int, *, eligible: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """Return positions of rows that may be among the k nearest or tie with the k-th, at least min(k, eligible).

        Args:
            vectors: float32 `(n, dimension)`.
            eligible: the positions to choose from, ascending; None for all rows.
        """


class ExactScan:
    """Scores every eligible row in float32 on one thread, and proposes what float64 sums could still put in front.

    `numpy.vecdot` calls BLAS once a row, too short a product to be split over threads. Over 10,000 to 100,000 rows of 384
    it takes up to a fifth longer than FAISS's own kernel (`fvec_inner_products_ny`), since both wait for memory;
    `matrix @ query` and `faiss.knn` hand the work to a pool of threads, and on a busy machine took 2 to 40 times as long.
    """

    name = "exact"

    def propose(
        self, vectors: Matrix, query: Vector, k: int, *, eligible: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """Return the rows whose float32 score is within the error of float32 sums of the k-th best."""
        count = len(vectors) if eligible is None else len(eligible)
        if k >= count:
            return np.arange(count) if eligible is None else eligible
        scores = _scan(vectors, query, eligible)
        kth = np.float64(np.partition(scores, count - k)[count - k])
        # A float32 sum of n products is off by at most n * 2^-24 times the product of the norms (Higham, Accuracy and
        # Stability of Numerical Algorithms, section 3.1); the k-th score and its rivals may each be off by that much.
        error = (len(query) + 4) * 2.0**-24 * LENGTH_LIMIT**2
        chosen = np.flatnonzero(scores >= kth - (2 * error + _TIE))
        return chosen if eligible is None else eligible[chosen]


def _scan(vectors: Matrix, query: Vector, eligible: NDArray[np.int64] | None) -> Vector:
    """Return the float32 dot products of the eligible rows."""
    if eligible is None:
        return np.asarray(np.vecdot(vectors, query))
    if 3 * len(eligible) > len(vectors):  # reading rows here and there costs about three times as much as in turn
        return np.asarray(np.vecdot(vectors, query)[eligible])
    return np.concatenate(
        [np.vecdot(vectors[block], query) for block in _blocks(eligible)] or [np.empty(0, np.float32)]
    )


def cosines(vectors: Matrix, query: Vector, positions: NDArray[np.int64]) -> Scores:
    """Return the dot products of the rows at `positions`, as float64 sums over float32 values.

    Each row is summed by itself in one fixed order, so that its score does not depend on where it lies or what is
    scored beside it.
    """
    wide = query.astype(np.float64)
    sums = [(vectors[block] * wide).sum(axis=1) for block in _blocks(positions)]
    return np.concatenate(sums or [np.empty(0, np.float64)])


def _blocks(positions: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (positions[start : start + _BLOCK] for start in range(0, len(positions), _BLOCK))
