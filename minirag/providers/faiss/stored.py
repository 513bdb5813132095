"""A partition's state in a snapshot."""

from __future__ import annotations

from typing import Final

import numpy as np

from minirag.interfaces.snapshots import SnapshotDamagedError, SnapshotReader, SnapshotWriter
from minirag.providers.faiss.codes import CodedRows
from minirag.providers.faiss.keys import KeyRun
from minirag.providers.faiss.rows import Rows
from minirag.providers.faiss.state import State

__all__ = ["FORMAT", "read_state", "write_state"]

FORMAT: Final = "faiss-2"


def write_state(state: State, writer: SnapshotWriter, *, refused: int) -> None:
    """Put the state into a snapshot: `refused`, `keys`, `alive` and `by_key` where there are any, the codes, and the rows."""
    writer.put("refused", np.asarray(refused, np.int64))
    writer.put("keys", state.keys)
    if state.alive is not None:
        writer.put("alive", state.alive.astype(np.uint8))
    if not _ascending(state.keys):
        living = state.living()
        writer.put("by_key", living[np.argsort(state.keys[living])])
    if state.coded is not None:
        state.coded.write(writer)
    writer.put("rows", *state.rows.wholes())


def read_state(reader: SnapshotReader, dimension: int) -> tuple[State, int]:
    """Return the state that a snapshot holds, and how many rows there were when codes were refused. The rows stay in the file and are checked as they are read.

    Raises:
        SnapshotDamagedError: if it is not what `write_state` wrote.
    """
    names = reader.names()
    keys = reader.array("keys")
    alive = np.array(reader.array("alive"), dtype=np.bool_) if "alive" in names else None
    matrix = reader.lazy("rows")
    if keys.dtype != np.int64 or matrix.shape[1:] != (dimension,):
        raise SnapshotDamagedError("the rows are not of the partition's dimension")
    rows = Rows(dimension, [matrix])
    if not rows.count == len(keys) == (len(keys) if alive is None else len(alive)):
        raise SnapshotDamagedError("there are not as many keys as rows")
    if "by_key" in names:
        positions = np.array(reader.array("by_key"))
        run = KeyRun(keys[positions], positions, 0)
    else:
        run = KeyRun(keys, None, 0)
    coded = CodedRows.read(reader, dimension) if "codes" in names else None
    if coded is not None and coded.count > len(keys):
        raise SnapshotDamagedError("there are more codes than rows")
    live = len(keys) if alive is None else int(np.count_nonzero(alive))
    state = State(keys, rows, (run,) if len(run.keys) else (), alive, live, coded)
    return state, int(reader.array("refused"))


def _ascending(keys: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
    return bool((keys[1:] > keys[:-1]).all())
