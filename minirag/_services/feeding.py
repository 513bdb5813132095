"""Feeding an index that is kept outside this process: what comes of a view that was lost does not stay in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from minirag.errors import StorageError
from minirag.interfaces import KeywordPartition, VectorPartition
from minirag.interfaces.storage import Reader

__all__ = ["feeding"]


@contextmanager
def feeding(reader: Reader, partition: VectorPartition | KeywordPartition) -> Iterator[None]:
    """Have what the block feeds to the partition come from a view that was held to the end, or be gone again.

    An erasure takes out what others have fed, once every view from before it has ended. Of a view whose connection was lost
    the storage cannot tell whether somebody still feeds from it; so whoever does looks afterwards.

    Raises:
        StorageError: if the view was lost; then the partition is empty, and is fed anew by whoever needs it next.
    """
    try:
        yield
    except Exception:
        _check(reader, partition)
        raise
    _check(reader, partition)


def _check(reader: Reader, partition: VectorPartition | KeywordPartition) -> None:
    try:
        reader.check_open()
    except StorageError:
        partition.clear()
        raise
