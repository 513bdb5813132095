"""What a right vector index would answer: brute force over a dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from minirag.types import Matrix, Vector

    Held: TypeAlias = Mapping[int, Vector]
    """What a partition should hold."""

__all__ = ["cosine", "nearest", "random_vectors", "unit"]


def random_vectors(count: int, dimension: int, *, seed: int) -> Matrix:
    """Return float32 vectors of length one, shape `(count, dimension)`."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def cosine(vector: Vector, query: Vector) -> float:
    """Return the dot product of two float32 vectors of length one, summed in float64."""
    return float(np.dot(vector.astype(np.float64), query.astype(np.float64)))


def nearest(held: Held, query: Vector, k: int, *, allowed: Iterable[int] | None = None) -> list[int]:
    """Return the keys of the k nearest vectors, best first, and those that tie with the k-th at six decimals."""
    keys = list(held) if allowed is None else [key for key in dict.fromkeys(allowed) if key in held]
    scores = {key: cosine(held[key], query) for key in keys}
    ranked = sorted(keys, key=lambda key: (-scores[key], key))
    if len(ranked) <= k:
        return ranked
    least = np.round(scores[ranked[k - 1]], 6)
    return [key for key in ranked if np.round(scores[key], 6) >= least]


def unit(vector: Vector) -> Vector:
    """Return the vector of this direction and length one."""
    wide = vector.astype(np.float64)
    return np.asarray(wide / np.linalg.norm(wide), dtype=np.float32)
