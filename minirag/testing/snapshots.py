"""Snapshots in temporary files, for suites whose providers can be kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from minirag._services.snapshot_files import SnapshotFileReader, SnapshotFileWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from minirag.interfaces.snapshots import SnapshotReader, SnapshotWriter

__all__ = ["written_and_opened"]


@contextmanager
def written_and_opened(fill: Callable[[SnapshotWriter], None]) -> Iterator[SnapshotReader]:
    """Have a snapshot written into a file, as a workspace does, and yield what reads it. Its arrays stay readable afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps a file that is mapped
        path = Path(folder) / "kept"
        with path.open("wb") as file:
            writer = SnapshotFileWriter(file)
            fill(writer)
            writer.finish({})
        yield SnapshotFileReader(path)
