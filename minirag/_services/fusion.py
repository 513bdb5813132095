"""Two ranked lists become one: scores scaled and mixed, or ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from minirag.types import Keys, Scores

__all__ = [
    "KNOWN_WEIGHT",
    "RANK_CONSTANT",
    "UNKNOWN_WEIGHT",
    "convex",
    "dense_weight",
    "rank_fusion",
    "ranks_of",
    "scaled",
    "united",
]

UNKNOWN_WEIGHT: Final = 0.35
"""The dense part's share where the embedder knows none of the words: keyword search is then the one to trust."""
KNOWN_WEIGHT: Final = 0.65
"""The dense part's share where the embedder knows all of the words."""
EVEN_WEIGHT: Final = 0.5
"""The dense part's share where the embedder does not say what it knows."""
RANK_CONSTANT: Final = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""


def dense_weight(query: float | None, partition: float | None) -> float:
    """Return the dense part's share in a hybrid score, from the known shares of the words of query and partition.

    The lesser of the two counts: an English question over Finnish documents is as foreign as the reverse.
    """
    if query is None or partition is None:
        return EVEN_WEIGHT
    known = min(1.0, max(0.0, min(query, partition)))
    return UNKNOWN_WEIGHT + (KNOWN_WEIGHT - UNKNOWN_WEIGHT) * known


def united(
    dense: tuple[Keys, Scores],
    keyword: tuple[Keys, Scores],
    score_dense: Callable[[Keys], Scores],
    score_keyword: Callable[[Keys], Scores],
) -> tuple[Keys, Scores, Scores]:
    """Return the keys that either retriever found, each once, with the dense and the keyword score of each.

    A retriever is asked only for the scores of what it did not find itself.
    """
    near = dict(zip(dense[0].tolist(), dense[1].tolist(), strict=True))
    worded = dict(zip(keyword[0].tolist(), keyword[1].tolist(), strict=True))
    for known, others, score in ((near, worded, score_dense), (worded, near, score_keyword)):
        missing = [key for key in others if key not in known]
        if missing:
            known.update(zip(missing, score(np.array(missing, np.int64)).tolist(), strict=True))
    keys = list(near)
    return np.array(keys, np.int64), np.array(list(near.values())), np.array([worded[key] for key in keys])


def scaled(scores: Scores) -> Scores:
    """Return scores scaled to [0, 1] by their own minimum and maximum; all 1 if they are equal and positive, else 0."""
    if not len(scores):
        return scores
    low, high = float(scores.min()), float(scores.max())
    if high > low:
        return (scores - low) / (high - low)
    return np.full_like(scores, 1.0 if high > 0.0 else 0.0)


def convex(dense: Scores, keyword: Scores, weight: float) -> Scores:
    """Return `weight` of the scaled dense scores plus the rest of the scaled keyword scores, in [0, 1].

    Source: Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", TOIS 2023.
    """
    return np.clip(weight * scaled(dense) + (1.0 - weight) * scaled(keyword), 0.0, 1.0)


def ranks_of(scores: Scores) -> Scores:
    """Return each score's rank from 1; equal scores (to six decimals) share the better rank."""
    descending = -scores.round(6)
    return np.sort(descending).searchsorted(descending, side="left").astype(np.float64) + 1.0


def rank_fusion(dense: Scores, keyword: Scores) -> Scores:
    """Return reciprocal rank fusion scaled to [0, 1]; a chunk without a query term gets nothing from keywords."""
    fused = 1.0 / (RANK_CONSTANT + ranks_of(dense))
    fused += np.where(keyword > 0.0, 1.0 / (RANK_CONSTANT + ranks_of(keyword)), 0.0)
    return fused / (2.0 / (RANK_CONSTANT + 1))
