"""Keys and vectors in the binary formats of PostgreSQL and pgvector, made of whole arrays at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from minirag.types import Keys, Matrix, Vector

__all__ = ["COPY_BEGIN", "COPY_END", "QueryVector", "copy_rows", "key_array", "read_vectors"]

COPY_BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""How a binary `COPY` begins: signature, flags, and the length of an extension that is not there."""

COPY_END: Final = b"\xff\xff"
_BIGINT_OID: Final = 20
_REAL_OID: Final = 700
_VECTOR_HEADER: Final = 4
"""Bytes before a vector's numbers: its dimension and a spare field, two each."""


def copy_rows(keys: Keys, vectors: Matrix) -> bytes:
    """Return rows `(key bigint, embedding vector)` as a binary `COPY` takes them."""
    dimension = vectors.shape[1]
    rows = np.zeros(
        len(keys),
        dtype=[
            ("fields", ">i2"),
            ("key_length", ">i4"),
            ("key", ">i8"),
            ("vector_length", ">i4"),
            ("dimension", ">i2"),
            ("spare", ">i2"),
            ("numbers", ">f4", (dimension,)),
        ],
    )
    rows["fields"] = 2
    rows["key_length"] = 8
    rows["key"] = keys
    rows["vector_length"] = _VECTOR_HEADER + 4 * dimension
    rows["dimension"] = dimension
    rows["numbers"] = vectors
    return rows.tobytes()


def key_array(keys: Keys) -> bytes:
    """Return keys as a binary `bigint[]`."""
    if not len(keys):
        return np.array([0, 0, _BIGINT_OID], dtype=">i4").tobytes()
    header = np.array([1, 0, _BIGINT_OID, len(keys), 1], dtype=">i4")
    rows = np.empty(len(keys), dtype=[("length", ">i4"), ("key", ">i8")])
    rows["length"] = 8
    rows["key"] = keys
    return header.tobytes() + rows.tobytes()


class QueryVector:
    """A vector as a parameter, sent as a binary `real[]`: text takes a millisecond to write and to read."""

    def __init__(self, vector: Vector) -> None:
        self.vector = vector

    def encoded(self) -> bytes:
        """Return the array's binary form."""
        header = np.array([1, 0, _REAL_OID, len(self.vector), 1], dtype=">i4")
        numbers = np.empty(len(self.vector), dtype=[("length", ">i4"), ("number", ">f4")])
        numbers["length"] = 4
        numbers["number"] = self.vector
        return header.tobytes() + numbers.tobytes()


def read_vectors(values: Sequence[bytes], dimension: int) -> Matrix:
    """Return vectors that came in binary, float32, shape `(n, dimension)`."""
    rows = np.frombuffer(b"".join(values), dtype=[("header", ">i4"), ("numbers", ">f4", (dimension,))])
    return rows["numbers"].astype(np.float32)
