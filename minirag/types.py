"""Identifiers and aliases that every layer shares."""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import TYPE_CHECKING, Literal, TypeAlias

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

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def new_id() -> str:
    """Return a new identifier: 20 characters that sort by time (in steps of 128 nanoseconds), with 45 random bits.

    Sorted by time, rows that are written together lie together in the database, and a listing by id is in order of birth.
    """
    number = (time.time_ns() >> 7) << 45 | int.from_bytes(os.urandom(6)) >> 3
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(90, -1, -10)])


def utc_now() -> dt.datetime:
    """Return the present time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)
