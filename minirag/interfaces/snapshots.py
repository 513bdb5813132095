"""Snapshots: how a partition's arrays are kept in a file, and what every partition that is fed from the log has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.interfaces.records import LogPosition

__all__ = [
    "LazyArray",
    "LogFedPartition",
    "PartitionLostError",
    "SnapshotDamagedError",
    "SnapshotReader",
    "SnapshotWriter",
]


class SnapshotDamagedError(Exception):
    """A snapshot's bytes are not those that were written. The partition is fed from the storage again; never leaves the core."""


class PartitionLostError(SnapshotDamagedError):
    """What a partition keeps outside this process is gone, or older than this process has seen it, or was cleared by another.

    The core makes a new handle, and feeds it from where `kept` then says that it stands.
    """


class LazyArray(ABC):
    """An array in a snapshot, memory-mapped. Only the parts that are read are checked, each once in a process.

    Every method raises `SnapshotDamagedError` for a part that is not what was written.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    def __len__(self) -> int:
        """The length of its first axis."""
        return self.shape[0]

    @abstractmethod
    def rows(self, positions: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of the rows at these positions of the first axis."""

    @abstractmethod
    def part(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows `start` to `stop` of the first axis, read-only and not copied."""

    @abstractmethod
    def whole(self) -> NDArray[Any]:
        """Return the whole array, read-only and not copied."""


class SnapshotReader(ABC):
    """The arrays of one snapshot, by name."""

    @abstractmethod
    def array(self, name: str) -> NDArray[Any]:
        """Return a whole array, checked, read-only, memory-mapped.

        Raises:
            SnapshotDamagedError: if there is none of this name, or it is damaged.
        """

    @abstractmethod
    def lazy(self, name: str) -> LazyArray:
        """Return an array whose parts are checked as they are read."""

    @abstractmethod
    def names(self) -> frozenset[str]:
        """Return the names of all arrays."""


class SnapshotWriter(ABC):
    """Takes the arrays of one snapshot, one after the other."""

    @abstractmethod
    def put(self, name: str, *parts: NDArray[Any]) -> None:
        """Write an array of a plain dtype: one, or several of equal rows as one. They may be mapped, and larger than memory."""


class LogFedPartition(ABC):
    """What partitions of vectors and of postings have in common: they cost memory, can be settled, and can be kept.

    Searches and one `apply` may go on during `optimize` and while a snapshot is written.
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many entries it holds."""

    @property
    def nbytes(self) -> int:
        """The memory it takes of its own, for the workspace's budget; 0 if unknown. Mapped files do not count."""
        return 0

    @property
    def pending(self) -> int:
        """How many entries `optimize` would settle: found now, but more slowly than they could be. 0 if none."""
        return 0

    def kept(self) -> LogPosition | None:
        """Return up to where the log has been applied to what is kept outside this process, `LogPosition(0, 0)` if nowhere.

        None for a partition that lives in this process alone. One that does not is fed by every process that uses it:
        overlapping parts of the log may be applied by several at once, which does no harm, since a key is never used
        again once it was removed. Its `search`, `scores`, `apply` and `keep` raise `PartitionLostError` where what is
        kept has a lower sequence than this handle has seen, or was cleared since by another.
        """
        return None

    def keep(self, position: LogPosition) -> None:
        """Note, beside what is kept outside this process, that all of the log up to `position` is applied.

        Raises:
            PartitionLostError: if another handle has cleared the partition since this one began.
        """
        del position

    def optimize(self, stop: Callable[[], bool]) -> None:
        """Settle what is pending, beside running searches; called by one thread at a time.

        It gives up within a second or so of `stop()` becoming true, and has then changed nothing.
        """
        del stop

    def snapshot(self) -> Callable[[SnapshotWriter], None] | None:
        """Return a function that writes the state as it is now, whatever is applied later; None if it cannot be kept."""
        return None
