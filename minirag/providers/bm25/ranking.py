"""The best of many scores, with ties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minirag.interfaces.ties import reach

if TYPE_CHECKING:
    from minirag.types import Keys, Scores

__all__ = ["rank"]

_TIE = 1e-6
"""Scores that differ by less may be equal when they are rounded to six decimals."""


def rank(keys: Keys, scores: Scores, k: int) -> tuple[Keys, Scores]:
    """Return the k best keys and their scores, best first, and whatever ties with the last to six decimals.

    Equal scores are in the order of their keys.
    """
    if k < 1:
        return keys[:0], scores[:0]
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        near = (scores > least - _TIE).nonzero()[0]
        keys, scores = keys[near], scores[near]
    order = np.lexsort((keys, -scores))
    order = order[: reach(scores[order], k)]
    return keys[order], scores[order]
