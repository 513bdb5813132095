"""The best of many scores, with ties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from minirag.types import Keys, Scores

__all__ = ["rank"]

_TIE = 1e6


def rank(keys: Keys, scores: Scores, k: int) -> tuple[Keys, Scores]:
    """Return the k best keys and their scores, best first, and whatever ties with the last to six decimals.

    Equal scores are in the order of their keys.
    """
    if k < 1:
        return keys[:0], scores[:0]
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        near = (scores > least - 1 / _TIE).nonzero()[0]
        near = near[np.rint(scores[near] * _TIE) >= np.rint(least * _TIE)]
        keys, scores = keys[near], scores[near]
    order = np.lexsort((keys, -scores))
    return keys[order], scores[order]
