"""Identifiers and aliases that every layer shares."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[np.float32]
    """One embedding, shape `(dimension,)`."""
    Matrix: TypeAlias = NDArray[np.float32]
    """Embeddings, shape `(n, dimension)`."""
    Keys: TypeAlias = NDArray[np.int64]
    """Chunk keys, shape `(n,)`."""
    Scores: TypeAlias = NDArray[np.float64]
    """Scores, shape `(n,)`."""

__all__ = [
    "MEMORY",
    "JsonValue",
    "MetadataValue",
    "Purpose",
    "SearchMode",
    "new_id",
    "utc_now",
]

MetadataValue: TypeAlias = str | bool | int | float | dt.date | dt.datetime | list[str] | list[int] | None
JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
Purpose: TypeAlias = Literal["document", "query"]
SearchMode: TypeAlias = Literal["hybrid", "dense", "keyword"]

MEMORY: Final = ":memory:"
"""The location of a workspace that is in memory alone, and gone when it is closed."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_COUNTER_BITS = 38
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1


class _Counter:
    """Counts on from a random number; a forked process begins anew, so that it does not count as its parent does."""

    def __init__(self) -> None:
        self._process = 0
        self._numbers = itertools.count()

    def next(self) -> int:
        if self._process != os.getpid():
            self._numbers = itertools.count(int.from_bytes(os.urandom(5)) >> 3)
            self._process = os.getpid()
        return next(self._numbers)


_counter = _Counter()


def new_id() -> str:
    """Return a new identifier: 16 characters that sort by time, and within a millisecond as one process made them.

    42 bits are the time in steps of 2^20 nanoseconds, 38 a counter that begins at random in each process. Sorted by time,
    rows that are written together lie together in the database, and a listing by id is in order of birth.
    """
    moment = time.time_ns() >> 20
    counted = (moment & 3) << _COUNTER_BITS | _counter.next() & _COUNTER_MASK
    return _same_for_milliseconds(moment >> 2) + _letters(counted)


def _letters(number: int) -> str:
    """Return 40 bits as eight characters."""
    return _PAIRS[number >> 30] + _PAIRS[number >> 20 & 1023] + _PAIRS[number >> 10 & 1023] + _PAIRS[number & 1023]


_same_for_milliseconds = lru_cache(maxsize=1)(_letters)


def utc_now() -> dt.datetime:
    """Return the present time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)
