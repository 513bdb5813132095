"""The rule of ties (clause V7): how far a list of the best reaches, so that none that scores as its last entry does is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minirag.types import Scores

__all__ = ["reach"]


def reach(scores: Scores, k: int) -> int:
    """Return how many of some scores, which descend, are the first k, at least one, or equal the k-th to six decimals."""
    if k >= len(scores):
        return len(scores)
    rounded = scores.round(6)
    return int((rounded >= rounded[k - 1]).sum())
