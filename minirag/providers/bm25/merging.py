"""Many segments become one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.providers.bm25.segments import MOST, SHIFT, Segment, by_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from minirag.providers.bm25.segments import Integers, Mask, Postings

__all__ = ["merge"]

_PIECE: Final = 1 << 21
"""Postings that are moved at once: what a merge needs beside its result does not grow with the segments."""


@dataclass(slots=True)
class _Part:
    """A segment on its way into a larger one.

    Attributes:
        counts: int64 `(t,)`, how many postings of each term stay.
        ranks: int64 `(t,)`, the positions of its terms among those of the result.
        numbers: uint32 `(n,)`, the new position of each chunk; None if all stay, then it moves by `base`.
        begins: int64 `(t,)`, where its postings of each term come to lie.
    """

    segment: Segment
    base: int
    counts: Integers
    numbers: Integers | None
    ranks: Integers
    begins: Integers


def merge(segments: Sequence[Segment], stop: Callable[[], bool] = lambda: False) -> Segment | None:
    """Return one segment of all that is alive in several, of which some chunk is; None if `stop()` became true.

    Linear in the postings: each segment's block of a term is copied to its place behind that of the segment before.
    """
    parts = _parts(segments)
    terms = np.sort(np.concatenate([part.segment.terms[part.counts > 0] for part in parts]))
    terms = terms[np.diff(terms, prepend=-1) > 0]  # several times faster than `np.unique`
    totals = np.zeros(len(terms), np.int64)
    most = np.zeros(len(terms), np.uint8)
    shortest = np.full(len(terms), np.inf, np.float32)
    for part in parts:
        kept = np.flatnonzero(part.counts)
        ranks = np.searchsorted(terms, part.segment.terms[kept])
        part.begins[kept] = totals[ranks]
        totals[ranks] += part.counts[kept]
        most[ranks] = np.maximum(most[ranks], part.segment.most[kept])
        shortest[ranks] = np.minimum(shortest[ranks], part.segment.shortest[kept])
        part.ranks[kept] = ranks
    starts = np.concatenate(([0], np.cumsum(totals)))
    postings = np.empty(starts[-1], np.uint32)
    wide_at: list[Integers] = [np.empty(0, np.int64)]
    wide: list[Integers] = [np.empty(0, np.uint32)]
    for part in parts:
        part.begins += starts[part.ranks]
        for first, last in _pieces(part.segment):
            if stop():
                return None
            target, moved, over, frequencies = _moved(part, first, last)
            postings[target] = moved
            wide_at.append(target[over])
            wide.append(frequencies)
    where = np.concatenate(wide_at)
    order = np.argsort(where)
    keys = np.concatenate([_kept(part.segment.keys, part.segment.alive) for part in parts])
    sorted_keys, positions = by_key(keys)
    return Segment(
        keys=keys,
        sorted_keys=sorted_keys,
        positions=positions,
        lengths=np.concatenate([_kept(part.segment.lengths, part.segment.alive) for part in parts]),
        languages=np.concatenate([_kept(part.segment.languages, part.segment.alive) for part in parts]),
        terms=terms,
        starts=starts,
        postings=postings,
        wide_at=where[order],
        wide=np.concatenate(wide)[order],
        most=most,
        shortest=shortest,
        gone=np.empty(0, np.uint32),
        alive=None,
    )


def _parts(segments: Sequence[Segment]) -> list[_Part]:
    parts = []
    base = 0
    for segment in segments:
        counts = np.diff(segment.starts)
        numbers = None
        if segment.alive is not None:
            numbers = (np.cumsum(segment.alive) - 1 + base).astype(np.uint32)
            counts = counts.copy()
            for first, last in _pieces(segment):
                block = segment.read(int(segment.starts[first]), int(segment.starts[last]))
                before = np.concatenate(([0], np.cumsum(segment.alive[block >> SHIFT])))
                counts[first:last] = np.diff(before[segment.starts[first : last + 1] - segment.starts[first]])
        empty = np.zeros(len(counts), np.int64)
        parts.append(_Part(segment, base, counts, numbers, ranks=empty, begins=empty.copy()))
        base += segment.size
    return parts


def _pieces(segment: Segment) -> list[tuple[int, int]]:
    """Return ranges of terms that have some `_PIECE` postings together, or one term that has more."""
    count = len(segment.starts) - 1
    if not count:
        return []
    goals = np.arange(0, int(segment.starts[-1]), _PIECE)
    edges = np.unique(np.append(np.searchsorted(segment.starts[:-1], goals), count)).tolist()
    return list(pairwise(edges))


def _moved(part: _Part, first: int, last: int) -> tuple[Integers, Postings, Integers, Integers]:
    """Return where the postings of some terms go, what they are there, which are wide, and the frequencies of those."""
    segment, counts = part.segment, part.counts[first:last]
    start = int(segment.starts[first])
    block = segment.read(start, int(segment.starts[last]))
    at = None
    if part.numbers is None:
        moved = block + (np.uint32(part.base) << SHIFT)
    else:
        assert segment.alive is not None
        chunks = block >> SHIFT
        at = np.flatnonzero(segment.alive[chunks])
        block = block[at]
        moved = (part.numbers[chunks[at]] << SHIFT) | (block & MOST)
    target = np.repeat(part.begins[first:last] - (np.cumsum(counts) - counts), counts)
    target += np.arange(len(target))
    if not len(segment.wide_at):
        return target, moved, np.empty(0, np.int64), np.empty(0, np.uint32)
    over = np.flatnonzero((block & MOST) == MOST)
    where = start + (over if at is None else at[over])
    return target, moved, over, segment.wide[np.searchsorted(segment.wide_at, where)]


def _kept(values: Integers, alive: Mask | None) -> Integers:
    return values if alive is None else values[alive]
