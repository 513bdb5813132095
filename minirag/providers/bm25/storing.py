"""Segments in a snapshot: which arrays are written, and which are read when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.interfaces.snapshots import SnapshotDamagedError
from minirag.providers.bm25.segments import Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minirag.interfaces.snapshots import SnapshotReader, SnapshotWriter

__all__ = ["read_segments", "write_segments"]

_WHOLE: Final = ("keys", "lengths", "languages", "terms", "starts", "wide_at", "wide", "most", "shortest", "gone")


def write_segments(segments: Sequence[Segment], writer: SnapshotWriter) -> None:
    """Write all arrays of the segments."""
    writer.put("segments", np.asarray(len(segments)))
    for number, segment in enumerate(segments):
        for name in _WHOLE:
            writer.put(f"{number}/{name}", getattr(segment, name))
        if segment.positions is not None:
            writer.put(f"{number}/sorted_keys", segment.sorted_keys)
            writer.put(f"{number}/positions", segment.positions)
        postings = segment.postings
        writer.put(f"{number}/postings", postings if isinstance(postings, np.ndarray) else postings.whole())


def read_segments(reader: SnapshotReader) -> list[Segment]:
    """Return the segments of a snapshot. Their postings, nearly all of it, are read and checked as searches need them.

    Raises:
        SnapshotDamagedError: if anything else is not what was written.
    """
    return [_segment(reader, number) for number in range(int(reader.array("segments")))]


def _segment(reader: SnapshotReader, number: int) -> Segment:
    arrays = {name: reader.array(f"{number}/{name}") for name in _WHOLE}
    sorted_keys, positions = arrays["keys"], None
    if f"{number}/positions" in reader.names():
        sorted_keys, positions = reader.array(f"{number}/sorted_keys"), reader.array(f"{number}/positions")
    alive = None
    if len(arrays["gone"]):
        alive = np.ones(len(arrays["keys"]), np.bool_)
        alive[arrays["gone"]] = False
    postings = reader.lazy(f"{number}/postings")
    if not len(arrays["keys"]) or len(postings) != int(arrays["starts"][-1]):
        raise SnapshotDamagedError(f"segment {number} has other postings than it says")
    return Segment(**arrays, sorted_keys=sorted_keys, positions=positions, postings=postings, alive=alive, mapped=True)
