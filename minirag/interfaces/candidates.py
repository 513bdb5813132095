"""What vector indexes have in common: the arguments they refuse, and final scores in float64, ranked by the rule of ties."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minirag.errors import VectorIndexError
from minirag.interfaces.ties import reach

if TYPE_CHECKING:
    from minirag.types import Keys, Matrix, Scores, Vector

__all__ = [
    "certain_gap",
    "check_apply",
    "check_keys",
    "check_query",
    "float64_sums",
    "rank",
    "rank_fetched",
    "without_twins",
]

_LENGTH_LIMIT: Final = 1.001
"""No vector is longer: float32 normalisation, with room to spare. Shorter ones are welcome, as is the zero vector."""

_MARGIN: Final = 16
"""How many candidates are fetched beyond k, so that ties and float32 sums in the wrong order are seldom at the edge."""

_GROWTH: Final = 4
_TIE: Final = 1e-6
"""Scores that far apart may still be equal when rounded to six decimals."""


def rank_fetched(
    fetch: Callable[[int], tuple[Keys, Matrix]], query: Vector, k: int, *, error: float | None = None
) -> tuple[Keys, Scores]:
    """Return the k nearest and those that tie with the k-th, of candidates fetched in the order of rough scores.

    Args:
        fetch: returns so many of the nearest keys and their float32 vectors, fewer only if there are no more.
        error: by how much a rough score may be off, as `certain_gap` takes it.
    """
    if k == 0:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    gap = certain_gap(len(query), error=error)
    count = k + _MARGIN
    while True:
        keys, vectors = fetch(count)
        scores = float64_sums(vectors, query)
        if len(keys) < count or scores.min() + gap < np.partition(scores, -k)[-k]:
            return rank(keys, scores, k)
        count *= _GROWTH


def certain_gap(dimension: int, *, error: float | None = None) -> float:
    """Return how far apart two rough scores must be for their order, and that they are no tie, to be certain.

    Args:
        error: by how much a rough score may be off. If not given, it is a float32 sum of n products, which is off by at
            most n * 2^-24 times the product of the norms (Higham, Accuracy and Stability of Numerical Algorithms,
            section 3.1).
    """
    if error is None:
        error = (dimension + 4) * 2.0**-24 * _LENGTH_LIMIT**2
    return 2 * error + _TIE


def rank(keys: Keys, scores: Scores, k: int) -> tuple[Keys, Scores]:
    """Return the k best, best first, and those whose score ties with the k-th at six decimals."""
    order = np.lexsort((keys, -scores))
    order = order[: reach(scores[order], k)]
    return keys[order], scores[order]


def float64_sums(vectors: Matrix, query: Vector) -> Scores:
    """Return the dot product of each row, as a float64 sum over float32 values.

    Each row is summed by itself in one fixed order, so that its score does not depend on where it lies or what is
    scored beside it.
    """
    return np.asarray(np.vecdot(vectors.astype(np.float64), query.astype(np.float64)))


def without_twins(added: Keys, vectors: Matrix) -> tuple[Keys, Matrix]:
    """Return the keys in ascending order and their vectors; of a key that comes twice, the later one."""
    keys, last = np.unique(added[::-1], return_index=True)
    return keys, vectors[len(added) - 1 - last]


def check_apply(removed: Keys, added: Keys, vectors: Matrix, *, dimension: int) -> None:
    """Refuse what `apply` cannot take.

    Raises:
        VectorIndexError: for arrays of another type or shape, or vectors longer than one or not finite.
    """
    check_keys(removed, "removed")
    check_keys(added, "added")
    _check_array(vectors, "vectors", (len(added), dimension))
    with np.errstate(over="ignore", invalid="ignore"):
        long = np.flatnonzero(~(np.vecdot(vectors, vectors) <= _LENGTH_LIMIT**2))
    if len(long):
        raise VectorIndexError(
            f"the vector of key {int(added[long[0]])} is longer than one or not finite; normalise it before it is added"
        )


def check_query(query: Vector, k: int = 0, *, dimension: int) -> None:
    """Refuse what `search` and `scores` cannot take.

    Raises:
        VectorIndexError: for a query of another type or shape, longer than one or not finite, or a negative `k`.
    """
    if k < 0:
        raise VectorIndexError(f"k must be at least 0, not {k!r}")
    _check_array(query, "query", (dimension,))
    if not np.vecdot(query, query, dtype=np.float64) <= _LENGTH_LIMIT**2:
        raise VectorIndexError("the query's vector is longer than one or not finite; normalise it before the search")


def check_keys(keys: Keys, name: str) -> None:
    """Refuse keys that are no int64 array.

    Raises:
        VectorIndexError: naming the argument.
    """
    if not isinstance(keys, np.ndarray) or keys.dtype != np.int64 or keys.ndim != 1:
        raise VectorIndexError(f"{name} must be an int64 array of one dimension, not {_describe(keys)}")


def _check_array(array: Any, name: str, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.shape != shape:
        raise VectorIndexError(f"{name} must be a float32 array of shape {shape}, not {_describe(array)}")


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"a {type(value).__name__}"
