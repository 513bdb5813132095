"""The best chunks of several segments, without scoring what cannot be among them."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.providers.bm25.ranking import rank
from minirag.providers.bm25.segments import MOST, SHIFT, Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from minirag.providers.bm25.analyzer import AnalyzedQuery
    from minirag.providers.bm25.segments import Integers
    from minirag.types import Keys, Scores

__all__ = ["Search"]

_SATURATION: Final = 1.5
"""BM25's k1: how fast further occurrences of a term stop counting."""
_LENGTH_WEIGHT: Final = 0.75
"""BM25's b: how much a chunk's length counts against it."""
_AT_ONCE: Final = 4_096
"""So many postings are read and summed before it is asked whether the others matter: asking costs as much as reading these."""
_FEW: Final = 1_024
"""So few allowed chunks are scored one by one, whatever the terms."""
_TIE: Final = 2e-6
"""Scores that differ by less may be equal when they are rounded to six decimals."""


class Search:
    """One query to one state of a partition.

    BM25 in Lucene's form. Source: Kamphuis, de Vries, Boytsov and Lin, "Which BM25 Do You Mean?", ECIR 2020, the form named
    "Lucene (accurate)", without its constant factor k1 + 1.

    Every score is the sum over the terms in their sorted order, in float64, so that it is the same to the last bit however it
    was reached.
    """

    def __init__(self, segments: Sequence[Segment], query: AnalyzedQuery, *, size: int, length: int) -> None:
        """Find the query's terms in segments that hold `size` chunks and `length` words together, one chunk at least."""
        self._segments = segments
        self._mean = max(length, 1) / size
        self._bases = [*accumulate((len(segment.keys) for segment in segments), initial=0)]
        # For each segment, where the postings of each term begin and end.
        self._places: list[list[tuple[int, int]]] = []
        self._counts = [0] * len(query.numbers)
        parts = [0.0] * len(query.numbers)
        holding = [0] * len(query.numbers)
        for segment in segments:
            places = []
            for term, (start, stop, most, shortest) in enumerate(segment.lists(query.numbers)):
                places.append((start, stop))
                if start < stop:
                    self._counts[term] += stop - start
                    holding[term] += stop - start if segment.alive is None else _alive(segment, start, stop)
                    parts[term] = max(parts[term], self._largest(most, shortest))
            self._places.append(places)
        # The inverse document frequency is that of the most frequent variant. Otherwise `wings`, left whole in one chunk of
        # unknown language, would be the rarest of words among a thousand English chunks that hold `wing`, and put that chunk
        # before them. Source: the treatment of synonyms in Lucene.
        held = [max(holding[variant] for variant in variants) for variants in query.variants]
        self._weights = [math.log(1 + (size - count + 0.5) / (count + 0.5)) for count in held]
        self._bounds = [weight * part for weight, part in zip(self._weights, parts, strict=True)]

    def best(self, k: int, wanted: Keys | None) -> tuple[Keys, Scores]:
        """Return the keys and scores of the best chunks, at least one asked for, of those wanted; these ascend.

        Terms are taken by how much they can add to a score. When all that are left can add no more than the k-th best chunk
        has already, a chunk that holds none of the others cannot win: from there on the postings are only looked up for the
        chunks that were met. Source: Turtle and Flood, "Query Evaluation: Strategies and Optimizations", 1995 (MaxScore).
        """
        order = sorted(filter(self._counts.__getitem__, range(len(self._counts))), key=lambda term: -self._bounds[term])
        total = sum(self._counts)
        if wanted is not None and (len(wanted) <= _FEW or 8 * len(wanted) <= total):
            return self._best_of_few(k, wanted)
        rest = [*accumulate((self._bounds[term] for term in reversed(order)), initial=0.0)][::-1]
        chunks: Integers = np.empty(0, np.uint32)
        sums: Scores = np.empty(0, np.float64)
        least = -math.inf
        taken = 0
        exact = True
        while taken < len(order) and rest[taken] >= least:
            first = taken
            size = 0
            while taken < len(order) and (
                taken == first or size + self._counts[order[taken]] <= max(_AT_ONCE, len(chunks))
            ):
                size += self._counts[order[taken]]
                taken += 1
            exact = first == 0
            new_chunks, new_parts = self._read(sorted(order[first:taken]), wanted)
            if not exact:
                new_chunks, new_parts = np.concatenate((chunks, new_chunks)), np.concatenate((sums, new_parts))
            chunks, sums = _summed(new_chunks, new_parts)
            least = _kth(sums, k)
        for position in range(taken, len(order)):
            kept = sums + rest[position] >= least
            chunks = chunks[kept]
            sums = sums[kept] + self._looked_up(chunks, [order[position]])
            least = max(least, _kth(sums, k))
            exact = False
        kept = sums >= least
        chunks, sums = chunks[kept], sums[kept]
        if not exact:
            sums = self._looked_up(chunks, range(len(self._counts)))
        return rank(self._keys(chunks), sums, k)

    def scores(self, keys: Keys) -> Scores:
        """Return the score of each key; NaN if it is absent."""
        scores = np.full(len(keys), np.nan)
        for number, segment in enumerate(self._segments):
            held, positions = segment.find(keys)
            if len(positions):
                scores[held] = self._scores_in(number, positions.astype(np.uint32), range(len(self._counts)))
        return scores

    def _best_of_few(self, k: int, wanted: Keys) -> tuple[Keys, Scores]:
        scores = self.scores(wanted)
        found = scores > 0
        return rank(wanted[found], scores[found], k)

    def _read(self, terms: Sequence[int], wanted: Keys | None) -> tuple[Integers, Scores]:
        """Return every chunk that holds one of the terms, and what that term adds, term by term in each segment."""
        chunks, parts = [], []
        for segment, places, base in zip(self._segments, self._places, self._bases, strict=False):
            held = [term for term in terms if places[term][1]]
            if not held:
                continue
            lists = [segment.read(*places[term]) for term in held]
            postings = lists[0] if len(lists) == 1 else np.concatenate(lists)
            weights = np.array([self._weights[term] for term in held]).repeat([len(some) for some in lists])
            at: Integers | int = places[held[0]][0]
            if len(segment.wide_at) and len(held) > 1:
                at = np.concatenate([np.arange(*places[term]) for term in held])
            positions = postings >> SHIFT
            added = weights * self._parts(segment, positions, segment.frequencies(postings, at))
            kept = None if segment.alive is None else segment.alive[positions]
            if wanted is not None:
                chosen = _contains(wanted, segment.keys[positions])
                kept = chosen if kept is None else kept & chosen
            if kept is not None:
                positions, added = positions[kept], added[kept]
            chunks.append(positions + np.uint32(base))
            parts.append(added)
        if len(chunks) == 1:
            return chunks[0], parts[0]
        return np.concatenate(chunks), np.concatenate(parts)

    def _looked_up(self, chunks: Integers, terms: Sequence[int]) -> Scores:
        """Return what some terms add to the scores of chunks, which ascend."""
        if len(self._segments) == 1:
            return self._scores_in(0, chunks, terms)
        edges = np.searchsorted(chunks, np.array(self._bases, np.uint32)).tolist()
        return np.concatenate(
            [
                self._scores_in(number, chunks[first:last] - np.uint32(self._bases[number]), terms)
                for number, (first, last) in enumerate(pairwise(edges))
            ]
        )

    def _scores_in(self, number: int, positions: Integers, terms: Sequence[int]) -> Scores:
        """Return what some terms add to the scores of chunks of one segment."""
        segment, places = self._segments[number], self._places[number]
        scores = np.zeros(len(positions))
        if not len(positions):
            return scores
        sought = positions << SHIFT
        for term in terms:
            start, stop = places[term]
            if start == stop:
                continue
            postings = segment.read(start, stop)
            at = postings.searchsorted(sought)
            found = postings.take(at, mode="clip")
            hit = ((found >> SHIFT) == positions).nonzero()[0]
            if len(hit):
                often = segment.frequencies(found[hit], start + at[hit])
                scores[hit] += self._weights[term] * self._parts(segment, positions[hit], often)
        return scores

    def _parts(self, segment: Segment, positions: Integers, often: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return BM25's factor of frequency and length, below 1."""
        lengths = segment.lengths[positions].astype(np.float64)
        norms = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * lengths / self._mean)
        return often / (often + norms)

    def _largest(self, most: int, shortest: float) -> float:
        """Return a number that this factor is not above for any chunk that holds a term."""
        lower = _SATURATION * (1 - _LENGTH_WEIGHT) / most if most < MOST else 0.0
        lower += _SATURATION * _LENGTH_WEIGHT * shortest / self._mean
        return (1 + 1e-9) / (1 + lower)

    def _keys(self, chunks: Integers) -> Keys:
        if len(self._segments) == 1:
            return self._segments[0].keys[chunks]
        edges = np.searchsorted(chunks, np.array(self._bases, np.uint32)).tolist()
        return np.concatenate(
            [
                segment.keys[chunks[first:last] - np.uint32(base)]
                for segment, base, first, last in zip(
                    self._segments, self._bases[:-1], edges[:-1], edges[1:], strict=True
                )
            ]
        )


def _alive(segment: Segment, start: int, stop: int) -> int:
    """Return how many postings of a term are of chunks that were not removed."""
    postings, gone = segment.read(start, stop), segment.gone
    assert segment.alive is not None
    if 8 * len(gone) > stop - start:
        return int(np.count_nonzero(segment.alive[postings >> SHIFT]))
    found = postings.take(np.searchsorted(postings, gone << SHIFT), mode="clip")
    return stop - start - int(np.count_nonzero((found >> SHIFT) == gone))


def _summed(chunks: Integers, parts: Scores) -> tuple[Integers, Scores]:
    """Return the chunks in order, each once, and the sum of its parts, added in the order in which they stand."""
    if bool((chunks[1:] > chunks[:-1]).all()):
        return chunks, parts
    order = chunks.argsort(kind="stable")  # they are a few ascending rows, which this sort merges
    chunks = chunks[order]
    first = np.empty(len(chunks), np.bool_)
    first[:1] = True
    np.not_equal(chunks[1:], chunks[:-1], out=first[1:])
    # Unlike `np.add.reduceat`, which sums in pairs, this adds one after the other.
    sums: Scores = np.asarray(np.bincount(first.cumsum() - 1, weights=parts[order]), np.float64)
    return chunks[first], sums


def _kth(sums: Scores, k: int) -> float:
    """Return what a chunk must reach that may be among the best k, or tie with the last of them."""
    if len(sums) < k:
        return -math.inf
    return float(np.partition(sums, len(sums) - k)[len(sums) - k]) - _TIE


def _contains(wanted: Keys, keys: Keys) -> NDArray[np.bool_]:
    """Return which of the keys are among the wanted ones, which are sorted."""
    if not len(wanted):
        return np.zeros(len(keys), np.bool_)
    found: NDArray[np.bool_] = wanted.take(np.searchsorted(wanted, keys), mode="clip") == keys
    return found
