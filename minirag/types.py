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


def new_id() -> str:
    """Return a new identifier: 20 characters, sorted by time, with 55 random bits.

    Ids are sorted by time so that rows written together lie together in the database.
    """
    number = (time.time_ns() // 1_000_000 & (1 << 45) - 1) << 55 | int.from_bytes(os.urandom(7)) >> 1
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(95, -1, -5))


def utc_now() -> dt.datetime:
    """Return the present time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)
