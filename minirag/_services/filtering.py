"""Search under a filter: the best candidates are put to the filter, or the few allowed chunks are all scored.

Both give the same answer: exactly min(k, allowed) hits, those that scoring every allowed chunk would put first. They differ
in cost. Listing `n` allowed chunks costs `n` looks at chunks that lie anywhere. Finding `k` among the best candidates costs
`k * chunks / n` looks, but cheaper ones, since most candidates are turned down by an index. So a filter that allows few is
answered by its list, one that allows many by candidates; where neither is known beforehand, the share of the first candidates
that are allowed tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag._services.indexing import StaleViewError
from minirag.interfaces.storage import Reader
from minirag.interfaces.ties import reach
from minirag.models.filters import Filter

if TYPE_CHECKING:
    from minirag.interfaces import KeywordPartition, VectorPartition
    from minirag.types import Keys, Scores, Vector

__all__ = ["AllowedChunks", "best_worded", "nearest"]

_FIRST: Final = 150
"""Candidates asked for at first. A bot that has no more chunks is put to the filter whole."""
_MOST: Final = 3_200
"""Candidates, or 32 for each wanted hit, beyond which all allowed chunks are listed instead."""
_SAFETY: Final = 1.5
"""How many more candidates are taken than the share of allowed ones so far makes likely to be enough."""
_LISTING_COST: Final = 3
"""How much more it costs to list an allowed chunk than to put a candidate to an index."""
_LISTING_COST_REMOTE: Final = 0.5
"""The same where a server proposes the candidates and sends the vector of each."""
_AT_ONCE: Final = 4_096
"""Chunks scored at once, so that the copy of their vectors stays small."""


class AllowedChunks:
    """The chunks of a bot that a filter allows, as far as one search, in one view of the storage, has come to know them."""

    def __init__(self, reader: Reader, bot_id: str, where: Filter, *, rebuild: bool) -> None:
        """Look at a bot through a filter; `rebuild` as in `indexing.Partitions`."""
        self._reader = reader
        self._bot_id = bot_id
        self._where = where
        self._rebuild = rebuild
        self._keys: Keys | None = None
        self._sought_few = False
        self._verdicts: dict[int, bool] = {}
        self._chunks: int | None = None

    @property
    def count(self) -> int | None:
        """How many chunks the filter allows, if the search came to know."""
        if self._keys is not None:
            return len(self._keys)
        if self._chunks is not None and len(self._verdicts) >= self._chunks:
            return sum(self._verdicts.values())
        return None

    def search(
        self,
        propose: Callable[[int], tuple[Keys, Scores]],
        score: Callable[[Keys], Scores],
        k: int,
        *,
        chunks: int,
        listing_cost: float = _LISTING_COST,
    ) -> tuple[Keys, Scores]:
        """Return the best k allowed chunks of one retriever and their scores, best first; ties with the k-th follow beyond k.

        Args:
            propose: returns the best of all chunks, as `VectorPartition.search` does; fewer than asked if that are all.
            score: returns the score of each key, NaN for an absent one, minus infinity for one that is no hit at all.
            chunks: how many there are in the bot.
            listing_cost: how much more it costs to list an allowed chunk than to propose one and look at it.

        Raises:
            StaleViewError: if the index knows later writes than the reader; not with `rebuild`.
        """
        self._chunks = chunks
        if self._keys is None and not self._sought_few and chunks > _FIRST:
            self._sought_few = True
            limit = int(math.isqrt(k * chunks) / listing_cost)
            self._keys = self._reader.allowed_if_few(self._bot_id, self._where, limit=limit)
        if self._keys is None:
            found = self._among_best(propose, k, chunks)
            if found is not None:
                return found
            self._keys = self._reader.allowed(self._bot_id, self._where)
        return self._of_all(score, self._keys, k)

    def _among_best(
        self, propose: Callable[[int], tuple[Keys, Scores]], k: int, chunks: int
    ) -> tuple[Keys, Scores] | None:
        """Return the best k allowed ones among the best candidates; None if it takes too many of these to find so many."""
        asked = min(chunks, max(_FIRST, 4 * k))
        while True:
            keys, scores = propose(asked)
            looked = found = 0
            while looked < len(keys) and found < k:
                end = self._enough(k, looked, found, asked)
                # Whole groups of ties, so that the last hit's are all known.
                end = reach(scores, end)
                found += self._judge(keys[looked:end])
                looked = end
            if found >= k or len(keys) < asked or asked >= chunks:
                allowed = np.flatnonzero([self._verdicts.get(key, False) for key in keys[:looked].tolist()])
                return _first(keys[allowed], scores[allowed], k)
            wanted = math.ceil(_SAFETY * k * asked / max(found, 0.5))
            if wanted > min(chunks, max(_MOST, 32 * k)):
                return None
            asked = min(chunks, max(wanted, 4 * asked))

    def _enough(self, k: int, looked: int, found: int, asked: int) -> int:
        """Return how far to look among the candidates for a good chance of finding k."""
        if not looked:
            return asked if self._chunks is not None and self._chunks <= _FIRST else 2 * k + 4
        return looked + math.ceil(_SAFETY * (k - found) * looked / max(found, 0.5))

    def _judge(self, keys: Keys) -> int:
        """Put candidates to the filter, those of which that was not done yet; return how many it allows."""
        given = keys.tolist()
        unknown = [key for key in given if key not in self._verdicts]
        if unknown:
            self._verdicts |= self._reader.matching(self._bot_id, self._where, np.array(unknown, np.int64))
        if not self._rebuild and any(key not in self._verdicts for key in unknown):
            raise StaleViewError  # a chunk of a later write, which may have taken an allowed one's place
        return sum(self._verdicts.get(key, False) for key in given)

    def _of_all(self, score: Callable[[Keys], Scores], keys: Keys, k: int) -> tuple[Keys, Scores]:
        """Score each of the keys, and return the best."""
        parts = [score(keys[start : start + _AT_ONCE]) for start in range(0, len(keys), _AT_ONCE)]
        scores = np.concatenate([np.empty(0, np.float64), *parts])
        absent = np.isnan(scores)
        if absent.any():
            if not self._rebuild:
                raise StaleViewError(keys[absent])
            keys, scores = keys[~absent], scores[~absent]
        order = np.lexsort((keys, -scores))
        order = order[: np.count_nonzero(scores > -np.inf)]
        return _first(keys[order], scores[order], k)


def nearest(
    dense: VectorPartition, vector: Vector, k: int, *, exact: bool, allowed: AllowedChunks | None
) -> tuple[Keys, Scores]:
    """Return the k nearest of the bot's chunks, or of the allowed ones, as `VectorPartition.search` does."""

    def propose(count: int) -> tuple[Keys, Scores]:
        return dense.search(vector, count, exact=exact)

    if allowed is None:
        return propose(k)
    cost = _LISTING_COST_REMOTE if dense.remote else _LISTING_COST
    return allowed.search(propose, lambda keys: dense.scores(vector, keys), k, chunks=len(dense), listing_cost=cost)


def best_worded(keyword: KeywordPartition, query: str, k: int, *, allowed: AllowedChunks | None) -> tuple[Keys, Scores]:
    """Return the best k of the chunks that hold a query term, all or the allowed ones, as `KeywordPartition.search` does."""

    def propose(count: int) -> tuple[Keys, Scores]:
        return keyword.search(query, count)

    def score(keys: Keys) -> Scores:
        scores = keyword.scores(query, keys)
        return np.where(scores == 0.0, -np.inf, scores)

    return propose(k) if allowed is None else allowed.search(propose, score, k, chunks=len(keyword))


def _first(keys: Keys, scores: Scores, k: int) -> tuple[Keys, Scores]:
    """Return the first k of what is sorted by score, and what ties with the k-th."""
    end = reach(scores, k)
    return keys[:end], scores[:end]
