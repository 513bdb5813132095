"""Postings in arrays: immutable segments, how they are built, merged and read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from minirag.types import Keys

    Integers: TypeAlias = NDArray[np.integer]
    Mask: TypeAlias = NDArray[np.bool_]

__all__ = ["CountedChunk", "Segment", "build", "merge"]


@dataclass(frozen=True, slots=True)
class CountedChunk:
    """A chunk after analysis: how often it holds each term, and its language's position in `LANGUAGE_CODES`."""

    key: int
    counts: dict[int, int]
    language: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Some chunks and their postings. Never changed: a removal makes a new one that shares all but `alive`.

    Attributes:
        keys: int64 `(n,)`, in the order of arrival; a chunk's position here is its number in the postings.
        sorted_keys: int64 `(n,)`, the keys in their order.
        by_key: int32 `(n,)`, the position of each of `sorted_keys`.
        lengths: int32 `(n,)`, how many terms each chunk has, repetitions counted.
        languages: uint8 `(n,)`, positions in `LANGUAGE_CODES`.
        terms: int64 `(t,)`, the numbers of the terms, sorted.
        starts: int64 `(t + 1,)`, where each term's postings begin.
        chunks: int32 `(p,)`, the chunks that hold the term.
        frequencies: `(p,)`, how often, in the narrowest unsigned type.
        alive: bool `(n,)`, False for a chunk that was removed; None if none was.
        size: how many are alive.
    """

    keys: Keys
    sorted_keys: Keys
    by_key: Integers
    lengths: Integers
    languages: Integers
    terms: Integers
    starts: Integers
    chunks: Integers
    frequencies: Integers
    alive: Mask | None
    size: int

    @property
    def nbytes(self) -> int:
        """The memory its arrays take."""
        arrays = (getattr(self, name) for name in self.__slots__ if name != "size")
        return sum(array.nbytes for array in arrays if array is not None)

    def find(self, keys: Keys) -> tuple[Mask, Integers]:
        """Return which of the keys are held and alive, and the positions of those."""
        at = np.minimum(np.searchsorted(self.sorted_keys, keys), len(self.keys) - 1)
        held = self.sorted_keys[at] == keys
        positions = self.by_key[at]
        if self.alive is not None:
            held &= self.alive[positions]
        return held, positions[held]

    def without(self, positions: Integers) -> Segment:
        """Return the segment with the chunks at these positions, all alive, removed."""
        alive = np.ones(len(self.keys), np.bool_) if self.alive is None else self.alive.copy()
        alive[positions] = False
        return replace(self, alive=alive, size=self.size - len(positions))

    def postings(self, terms: Integers) -> list[slice]:
        """Return where in `chunks` and `frequencies` the postings of each term lie: an empty slice if there are none."""
        at = np.searchsorted(self.terms, terms)
        held = self.terms[np.minimum(at, len(self.terms) - 1)] == terms if len(self.terms) else at < 0
        return [
            slice(int(self.starts[place]), int(self.starts[place + 1])) if here else slice(0, 0)
            for place, here in zip(at.tolist(), held.tolist(), strict=True)
        ]


def build(counted: Sequence[CountedChunk]) -> Segment:
    """Return the segment of at least one chunk; no two of the same key."""
    terms: list[int] = []
    frequencies: list[int] = []
    sizes: list[int] = []
    for chunk in counted:
        terms += chunk.counts
        frequencies += chunk.counts.values()
        sizes.append(len(chunk.counts))
    numbers = np.asarray(terms, np.int64)
    order = np.argsort(numbers, kind="stable")
    distinct, starts = np.unique(numbers[order], return_index=True)
    return _segment(
        keys=np.asarray([chunk.key for chunk in counted], np.int64),
        lengths=np.asarray([sum(chunk.counts.values()) for chunk in counted], np.int32),
        languages=np.asarray([chunk.language for chunk in counted], np.uint8),
        terms=distinct,
        starts=np.append(starts, len(numbers)),
        chunks=np.repeat(np.arange(len(counted), dtype=np.int32), sizes)[order],
        frequencies=_narrow(np.asarray(frequencies, np.int64)[order]),
    )


def merge(segments: Sequence[Segment]) -> Segment:
    """Return one segment of all that is alive in several, of which some chunk is.

    Linear in the postings: each segment's block of a term is copied to its place behind that of the segment before.
    """
    whole = [_compact(segment) for segment in segments]
    terms = np.unique(np.concatenate([segment.terms for segment in whole]))
    counts = np.zeros((len(whole), len(terms)), np.int64)
    for row, segment in zip(counts, whole, strict=True):
        row[np.searchsorted(terms, segment.terms)] = np.diff(segment.starts)
    starts = np.concatenate(([0], np.cumsum(counts.sum(axis=0))))
    chunks = np.empty(starts[-1], np.int32)
    frequencies = np.empty(starts[-1], np.result_type(*(segment.frequencies for segment in whole)))
    begins = starts[:-1] + np.cumsum(counts, axis=0) - counts
    base = 0
    for begin, segment in zip(begins, whole, strict=True):
        shift = begin[np.searchsorted(terms, segment.terms)] - segment.starts[:-1]
        target = np.repeat(shift, np.diff(segment.starts))
        target += np.arange(len(target))
        chunks[target] = segment.chunks + np.int32(base)
        frequencies[target] = segment.frequencies
        base += len(segment.keys)
    return _segment(
        keys=np.concatenate([segment.keys for segment in whole]),
        lengths=np.concatenate([segment.lengths for segment in whole]),
        languages=np.concatenate([segment.languages for segment in whole]),
        terms=terms,
        starts=starts,
        chunks=chunks,
        frequencies=frequencies,
    )


def _compact(segment: Segment) -> Segment:
    """Return the segment without its removed chunks and without the terms that only they held."""
    alive = segment.alive
    if alive is None:
        return segment
    kept = alive[segment.chunks]
    before = np.concatenate(([0], np.cumsum(kept)))
    starts = before[segment.starts]
    held = np.diff(starts) > 0
    renumbered = (np.cumsum(alive) - 1).astype(np.int32)
    return _segment(
        keys=segment.keys[alive],
        lengths=segment.lengths[alive],
        languages=segment.languages[alive],
        terms=segment.terms[held],
        starts=np.append(starts[:-1][held], starts[-1]),
        chunks=renumbered[segment.chunks[kept]],
        frequencies=segment.frequencies[kept],
    )


def _segment(
    *,
    keys: Keys,
    lengths: Integers,
    languages: Integers,
    terms: Integers,
    starts: Integers,
    chunks: Integers,
    frequencies: Integers,
) -> Segment:
    by_key = np.argsort(keys).astype(np.int32)
    return Segment(
        keys=keys,
        sorted_keys=keys[by_key],
        by_key=by_key,
        lengths=lengths,
        languages=languages,
        terms=terms,
        starts=starts,
        chunks=chunks,
        frequencies=frequencies,
        alive=None,
        size=len(keys),
    )


def _narrow(values: Integers) -> Integers:
    largest = int(values.max(initial=0))
    return values.astype(np.uint8 if largest < 1 << 8 else np.uint16 if largest < 1 << 16 else np.uint32)
