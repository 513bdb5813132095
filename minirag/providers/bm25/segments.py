"""Postings in arrays: immutable segments, and how they are built and read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from minirag.interfaces.snapshots import LazyArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from minirag.types import Keys

    Integers: TypeAlias = NDArray[np.integer]
    Mask: TypeAlias = NDArray[np.bool_]
    Postings: TypeAlias = NDArray[np.uint32]

__all__ = ["LARGEST", "MOST", "SHIFT", "Segment", "build", "by_key"]

SHIFT: Final = np.uint32(8)
"""A posting is one number: the chunk's position in its segment above these bits, how often it holds the term in them."""
MOST: Final = np.uint32(255)
"""A frequency that says: this often or oftener, see `Segment.wide`."""
LARGEST: Final = 1 << 24
"""No segment has more chunks, so that positions fit into a posting."""
_SPREAD: Final = 32 - int(SHIFT)


@dataclass(frozen=True, slots=True)
class Segment:
    """Some chunks and their postings. Never changed: a removal makes a new one that shares all but `alive`.

    Attributes:
        keys: int64 `(n,)`; a chunk's position here is its number in the postings.
        sorted_keys: the keys in their order: `keys` itself, if they ascend.
        positions: int32 `(n,)`, the position of each of `sorted_keys`; None if the keys ascend.
        lengths: `(n,)`, how many terms each chunk has, repetitions counted.
        languages: uint8 `(n,)`, positions in `LANGUAGE_CODES`.
        terms: int64 `(t,)`, the numbers of the terms, sorted.
        starts: int64 `(t + 1,)`, where each term's postings begin.
        postings: uint32 `(p,)`, those of a term in the order of their chunks. In memory, or in a snapshot.
        wide_at: int64 `(w,)`, sorted, which postings have a frequency of `MOST` or more.
        wide: uint32 `(w,)`, their frequencies.
        most: uint8 `(t,)`, no chunk holds the term oftener; `MOST` if that is unknown.
        shortest: float32 `(t,)`, no chunk that holds the term has a lower length divided by frequency.
        gone: uint32, sorted, the positions of the chunks that were removed.
        alive: bool `(n,)`, False for those; None if there are none.
        mapped: whether all arrays but the last two are those of a snapshot.
    """

    keys: Keys
    sorted_keys: Keys
    positions: Integers | None
    lengths: Integers
    languages: Integers
    terms: Integers
    starts: Integers
    postings: Postings | LazyArray
    wide_at: Integers
    wide: Integers
    most: Integers
    shortest: NDArray[np.float32]
    gone: Integers
    alive: Mask | None
    mapped: bool = False

    @property
    def size(self) -> int:
        """How many chunks were not removed."""
        return len(self.keys) - len(self.gone)

    @property
    def nbytes(self) -> int:
        """The memory that its arrays take, without those of a snapshot."""
        own = self.gone.nbytes + (0 if self.alive is None else self.alive.nbytes)
        if self.mapped:
            return own
        names = ("keys", "lengths", "languages", "terms", "starts", "postings", "wide_at", "wide", "most", "shortest")
        for name in names:
            own += int(getattr(self, name).nbytes)
        return own if self.positions is None else own + self.sorted_keys.nbytes + self.positions.nbytes

    def find(self, keys: Keys) -> tuple[Mask, Integers]:
        """Return which of the keys are held and alive, and the positions of those."""
        at: Integers = np.minimum(np.searchsorted(self.sorted_keys, keys), len(self.keys) - 1)
        held = self.sorted_keys[at] == keys
        if self.positions is not None:
            at = self.positions[at]
        if self.alive is not None:
            held &= self.alive[at]
        return held, at[held]

    def without(self, positions: Integers) -> Segment:
        """Return the segment with the chunks at these positions, all alive, removed."""
        gone = np.sort(np.concatenate((self.gone, positions.astype(np.uint32))))
        alive = np.ones(len(self.keys), np.bool_)
        alive[gone] = False
        return replace(self, gone=gone, alive=alive)

    def lists(self, terms: Integers) -> list[tuple[int, int, int, float]]:
        """Return where the postings of each term begin and end, its `most` and its `shortest`; zeros for one that no chunk holds."""
        if not len(self.terms):
            return [(0, 0, 0, 0.0)] * len(terms)
        at = self.terms.searchsorted(terms)
        held = self.terms.take(at, mode="clip") == terms
        return [
            (int(self.starts[place]), int(self.starts[place + 1]), int(self.most[place]), float(self.shortest[place]))
            if here
            else (0, 0, 0, 0.0)
            for place, here in zip(at.tolist(), held.tolist(), strict=True)
        ]

    def read(self, start: int, stop: int) -> Postings:
        """Return some postings, not copied.

        Raises:
            SnapshotDamagedError: if they are in a snapshot, and not what was written.
        """
        if isinstance(self.postings, LazyArray):
            return self.postings.part(start, stop)
        return self.postings[start:stop]

    def frequencies(self, postings: Postings, at: Integers | int) -> NDArray[np.float64]:
        """Return how often the chunk of each posting holds the term. `at` says where they were read, or the first of a row."""
        often = (postings & MOST).astype(np.float64)
        if len(self.wide_at):
            over = np.flatnonzero(often == MOST)
            where = at + over if isinstance(at, int) else at[over]
            often[over] = self.wide[np.searchsorted(self.wide_at, where)]
        return often


def build(keys: Sequence[int], languages: Integers, *, chunks: Integers, terms: Integers, which: Integers) -> Segment:
    """Return the segment of at least one chunk, of ascending keys.

    Args:
        languages: of each chunk, a position in `LANGUAGE_CODES`.
        chunks: int64 `(m,)`, the position of the chunk that each word of the text is in.
        terms: numbers of terms, in any order; some may be equal.
        which: int64 `(m,)`, the position in `terms` of the term that each word is.
    """
    distinct, ranks = np.unique(terms, return_inverse=True)
    # One sort of one number a word groups it by term and chunk.
    words = (ranks.astype(np.int64)[which] << _SPREAD) | chunks
    words.sort()
    first = np.append(np.flatnonzero(np.diff(words, prepend=-1)), len(words))
    often = np.diff(first)
    words = words[first[:-1]]
    held = words & (LARGEST - 1)
    lengths = np.bincount(chunks, minlength=len(keys))
    starts = np.searchsorted(words, np.arange(len(distinct) + 1) << _SPREAD)
    wide_at = np.flatnonzero(often >= MOST)
    narrow = np.minimum(often, MOST)
    ascending = np.asarray(keys, np.int64)
    some = starts[:-1]
    return Segment(
        keys=ascending,
        sorted_keys=ascending,
        positions=None,
        lengths=_narrow(lengths),
        languages=np.asarray(languages, np.uint8),
        terms=distinct,
        starts=starts,
        postings=(held << int(SHIFT) | narrow).astype(np.uint32),
        wide_at=wide_at,
        wide=often[wide_at].astype(np.uint32),
        most=(np.maximum.reduceat(narrow, some) if len(some) else narrow).astype(np.uint8),
        shortest=_floor(np.minimum.reduceat(lengths[held] / often, some) if len(some) else np.empty(0)),
        gone=np.empty(0, np.uint32),
        alive=None,
    )


def by_key(keys: Keys) -> tuple[Keys, Integers | None]:
    """Return the keys in their order and the positions they had; None if they ascend."""
    if bool(np.all(keys[1:] > keys[:-1])):
        return keys, None
    positions = np.argsort(keys).astype(np.int32)
    return keys[positions], positions


def _narrow(values: Integers) -> Integers:
    return values.astype(np.uint16 if int(values.max(initial=0)) < 1 << 16 else np.uint32)


def _floor(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return float32 numbers that are not above the given ones."""
    return np.nextafter(values.astype(np.float32), np.float32(0))
