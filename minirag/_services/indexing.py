"""Partitions in memory, kept level with each bot's change log."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np

from minirag._services.feeding import feeding
from minirag._services.snapshots import SnapshotFolder
from minirag._services.turns import Turns
from minirag.errors import VectorIndexError
from minirag.interfaces import KeywordIndex, KeywordPartition, TenantScope, VectorIndex, VectorPartition
from minirag.interfaces.records import LogPosition
from minirag.interfaces.snapshots import SnapshotDamagedError, SnapshotReader
from minirag.interfaces.storage import Reader
from minirag.models.tenants import BotRecord

if TYPE_CHECKING:
    from minirag.types import Keys

__all__ = ["KEYWORD", "Loaded", "PartitionName", "Partitions", "StaleViewError"]

P = TypeVar("P", VectorPartition, KeywordPartition)
PartitionName = tuple[str, str, str]
"""Tenant id, bot id, and the embedding space's fingerprint or `KEYWORD`."""

KEYWORD: Final = "keyword"
_EMPTY: Final = LogPosition(0, 0)
_NONE: Final[Keys] = np.empty(0, dtype=np.int64)
_OVERHEAD: Final = 4_096
"""Bytes that an entry costs beside what its partition says of itself."""

_FAR: Final = 100
"""So many log rows are not applied in the time of a search."""
_BRIEFLY: Final = 0.05
"""Seconds within which another search has replayed a few rows. Whoever gives the turn away waits for it anew."""

_LOG = logging.getLogger("minirag")


class StaleViewError(Exception):
    """The reader's view is older than the partition: another thread has seen later writes. Never leaves `_services`.

    Attributes:
        keys: those that the view does not know.
    """

    def __init__(self, keys: Keys = _NONE) -> None:
        super().__init__()
        self.keys = keys


@dataclass(slots=True)
class Loaded(Generic[P]):
    """One partition, the log position it stands at, and the lock of its one writer.

    Attributes:
        form: the `snapshot_format` of its index.
        load: makes a partition of a snapshot.
        changed: entries that came or went since the partition was last kept in a snapshot.
        size: the bytes it is counted with.
        remote: whether its entries are kept outside this process.
        born: the log position from which it was fed anew, 0 if never.
    """

    partition: P
    scope: TenantScope
    form: str
    load: Callable[[SnapshotReader], P]
    position: LogPosition = _EMPTY
    changed: int = 0
    size: int = _OVERHEAD
    remote: bool = False
    born: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class _Source(Generic[P]):
    """How a kind of partition is made, loaded and fed.

    Attributes:
        form: the index's `snapshot_format`.
        feed: yields, for all of the bot's chunks or those of some keys, the keys that are present and what
            `apply` takes after the keys to remove.
        nothing: what `apply` takes if nothing is added.
    """

    form: str
    make: Callable[[], P]
    load: Callable[[SnapshotReader], P]
    feed: Callable[[Keys | None], Iterator[tuple[Keys, tuple[Any, ...]]]]
    nothing: tuple[Any, ...]


class Partitions:
    """The partitions that searches of this process have needed, least recently used first out.

    A partition is a cache. It begins with its snapshot, if there is one that the log continues, and else with what the
    storage holds; it replays the log when others have written; and it is built anew when the log is not a continuation
    of what it has seen.

    Attributes:
        vectors: makes the partitions of vectors.
        snapshots: the folder of snapshots; None if none are kept.
    """

    def __init__(
        self,
        vectors: VectorIndex,
        keywords: KeywordIndex,
        *,
        budget: int | None = None,
        snapshots: SnapshotFolder | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.vectors = vectors
        self._keywords = keywords
        self._budget = budget
        self.snapshots = snapshots
        self._turns = turns or Turns()
        self._loaded: OrderedDict[PartitionName, Loaded[Any]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self.changed: Callable[[PartitionName, Loaded[Any]], None] = _ignore
        """Called after a partition was brought level, by `Maintenance`."""

    def dense(
        self, reader: Reader, scope: TenantScope, bot: BotRecord, *, position: LogPosition, rebuild: bool = False
    ) -> VectorPartition:
        """Return the bot's vectors, at the reader's position, which is given, or later.

        Raises:
            StaleViewError: if the partition is ahead of the reader; take a new view, and after some tries `rebuild`.
        """
        name = (scope.tenant_id, bot.id, bot.space.fingerprint)
        if (ready := self._ready(name, position)) is not None:
            return ready.partition  # type: ignore[no-any-return]  # of this name there is no other kind
        source = _Source(
            form=self.vectors.snapshot_format,
            make=lambda: self.vectors.partition(scope, bot.id, bot.space),
            load=lambda snapshot: self.vectors.load(scope, bot.id, bot.space, snapshot),
            feed=lambda keys: ((some, (some, vectors)) for some, vectors in reader.vectors(bot.id, keys)),
            nothing=(_NONE, np.empty((0, bot.space.dimension), dtype=np.float32)),
        )
        return self._level(reader, scope, name, source, wanted=position, rebuild=rebuild)

    def keyword(
        self, reader: Reader, scope: TenantScope, bot: BotRecord, *, position: LogPosition, rebuild: bool = False
    ) -> KeywordPartition:
        """Return the bot's postings, at the reader's position or later; raises as `dense` does."""
        name = (scope.tenant_id, bot.id, KEYWORD)
        if (ready := self._ready(name, position)) is not None:
            return ready.partition  # type: ignore[no-any-return]  # as above
        source = _Source(
            form=self._keywords.snapshot_format,
            make=lambda: self._keywords.partition(scope, bot.id),
            load=lambda snapshot: self._keywords.load(scope, bot.id, snapshot),
            feed=lambda keys: (
                (np.array([text.key for text in texts], np.int64), (texts,))
                for texts in reader.index_texts(bot.id, keys)
            ),
            nothing=((),),
        )
        return self._level(reader, scope, name, source, wanted=position, rebuild=rebuild)

    def fresh(self) -> Partitions:
        """Return partitions of the same indexes and snapshots of which none is loaded, for a check that is to disturb nothing."""
        return Partitions(self.vectors, self._keywords, snapshots=self.snapshots)

    def get(self, name: PartitionName) -> Loaded[Any] | None:
        """Return a partition if it is loaded."""
        return self._loaded.get(name)

    def forget(self, scope: TenantScope, bot_id: str | None = None) -> None:
        """Drop the partitions of a bot, or of a whole tenant, wherever they are kept: there is no such bot any more."""
        self._drop(lambda name: name[0] == scope.tenant_id and bot_id in (None, name[1]))
        if self.snapshots is not None:
            self.snapshots.delete(scope.tenant_id, bot_id)
        self._drop_kept(scope, bot_id)

    def forget_spaces(self, scope: TenantScope, bot_id: str, *, keep: str) -> None:
        """Drop a bot's vectors of every other embedding space than the one of this fingerprint."""
        kept = (keep, KEYWORD)
        self._drop(lambda name: name[:2] == (scope.tenant_id, bot_id) and name[2] not in kept)
        if self.snapshots is not None:
            self.snapshots.delete(scope.tenant_id, bot_id, keep=kept)
        self._drop_kept(scope, bot_id, keep=keep)

    def damaged(self, scope: TenantScope, bot_id: str) -> None:
        """Drop a bot's partitions and snapshots, of which a search has found one to be damaged."""
        _LOG.warning("an index of bot %s was damaged or lost; it is made anew from the database", bot_id)
        self.make_anew(scope.tenant_id, bot_id)

    def make_anew(self, tenant_id: str, bot_id: str) -> None:
        """Drop a bot's partitions of this process, and its snapshots; the next search has them made anew."""
        self._drop(lambda name: name[:2] == (tenant_id, bot_id))
        if self.snapshots is not None:
            self.snapshots.delete(tenant_id, bot_id)

    def purge(self, reader: Reader, scope: TenantScope, bot: BotRecord, keys: Keys) -> None:
        """Take those keys out of a bot's vectors that are no chunks of it, if the vectors are kept outside this process.

        Two processes that apply the same part of the log there may leave a key of a chunk that has gone since: one has
        added it after the other has removed it.

        Args:
            reader: of a view that began after the keys were met, so that none of them can be of a later write.
        """
        loaded = self._loaded.get((scope.tenant_id, bot.id, bot.space.fingerprint))
        if loaded is None or not loaded.remote or not len(keys):
            return
        present = reader.order(bot.id, keys)
        gone = np.array([key for key in keys.tolist() if key not in present], np.int64)
        with loaded.lock:
            loaded.partition.apply(gone, _NONE, np.empty((0, bot.space.dimension), dtype=np.float32))

    def clear(self) -> None:
        """Drop every partition; snapshots stay."""
        self._drop(lambda _: True)

    def replace(self, name: PartitionName, entry: Loaded[P], partition: P, position: LogPosition) -> None:
        """Put a partition, such as one just loaded from its snapshot, in the place of an equal one that stands at `position`."""
        with entry.lock:
            if entry.position == position:
                entry.partition = partition
        self._count(name, entry)

    def _drop(self, chosen: Callable[[PartitionName], bool]) -> None:
        with self._lock:
            for name in [name for name in self._loaded if chosen(name)]:
                self._size -= self._loaded.pop(name).size

    def _ready(self, name: PartitionName, position: LogPosition) -> Loaded[Any] | None:
        """Return a partition that stands where it is wanted: nearly always, and then no more is to be done."""
        loaded = self._loaded.get(name)
        if loaded is None or loaded.position != position:
            return None
        with self._lock:
            if name in self._loaded:
                self._loaded.move_to_end(name)
        return loaded

    def _level(
        self,
        reader: Reader,
        scope: TenantScope,
        name: PartitionName,
        source: _Source[P],
        *,
        wanted: LogPosition,
        rebuild: bool,
    ) -> P:
        """Bring a partition to the wanted position, the reader's: by replaying what changed, or anew beside the old one."""
        with self._lock:
            entry = self._loaded.get(name)
            if entry is None:
                entry = self._loaded[name] = Loaded(source.make(), scope, source.form, source.load)
                self._size += entry.size
            self._loaded.move_to_end(name)
        loaded: Loaded[P] = entry
        with self._writing(loaded, far=wanted.sequence - loaded.position.sequence > _FAR):
            if loaded.position == _EMPTY and wanted != _EMPTY:
                self._begin(name, loaded, source)
            have = loaded.position
            if have.sequence > wanted.sequence and not rebuild:
                raise StaleViewError
            # Removed entries stay in memory and in snapshots for a while; those that were erased must not.
            tainted = not loaded.remote and loaded.born < reader.erased_at(name[1])
            if have != wanted or tainted:
                with feeding(reader, loaded.partition) if loaded.remote else nullcontext():
                    if (
                        not tainted
                        and 0 < have.sequence <= wanted.sequence
                        and reader.nonce_at(name[1], have.sequence) == have.nonce
                    ):
                        loaded.changed += _replay(reader, name[1], loaded.partition, source, after=have.sequence)
                    else:
                        # A new partition, not a cleared one: searches under way keep the one they began with.
                        partition = source.make()
                        if loaded.remote:
                            partition.clear()  # of which searches under way take note
                        if wanted.sequence:
                            for _, added in source.feed(None):
                                partition.apply(_NONE, *added)
                        loaded.partition = partition
                        loaded.changed, loaded.born = len(partition), wanted.sequence
                if loaded.remote:
                    loaded.partition.keep(wanted)
            # Else another thread has been here, or the snapshot stands where the log does.
            loaded.position = wanted
            partition = loaded.partition
        self._count(name, loaded)
        self.changed(name, loaded)
        return partition

    @contextmanager
    def _writing(self, loaded: Loaded[P], *, far: bool) -> Iterator[None]:
        """Hold a partition's lock. Others search meanwhile if that means to wait for it, or to go `far` with it."""
        if not loaded.lock.acquire(timeout=_BRIEFLY):
            with self._turns.stepping_aside():
                loaded.lock.acquire()
        try:
            with self._turns.stepping_aside() if far else nullcontext():
                yield
        finally:
            loaded.lock.release()

    def _begin(self, name: PartitionName, loaded: Loaded[P], source: _Source[P]) -> None:
        """Have a new partition stand where what is kept of it does: outside this process, or in a snapshot."""
        kept = loaded.partition.kept()
        if kept is not None:
            loaded.remote = True
            loaded.position = kept
            return
        if self.snapshots is None or not source.form:
            return
        try:
            found = self.snapshots.open(*name, source.form)
            if found is None:
                return
            header, snapshot = found
            loaded.partition = source.load(snapshot)
        except SnapshotDamagedError as problem:
            _LOG.warning("a snapshot of bot %s is of no use (%s); its index is made anew", name[1], problem)
            return
        loaded.position, loaded.born = header.position, header.born
        loaded.changed = 0

    def _drop_kept(self, scope: TenantScope, bot_id: str | None, *, keep: str | None = None) -> None:
        try:
            self.vectors.drop(scope, bot_id, keep=keep)
        except VectorIndexError as problem:
            # Nothing finds them any more: not the storage, and not the next bot, which has another id.
            _LOG.warning("vectors of bot %s that has gone stay in the index: %s", bot_id or "(all)", problem)

    def _count(self, name: PartitionName, entry: Loaded[Any]) -> None:
        """Count what a partition takes now, and let the least recently used ones go while all take more than the budget."""
        size = entry.partition.nbytes + _OVERHEAD
        with self._lock:
            if self._loaded.get(name) is not entry:
                return  # dropped meanwhile
            self._size += size - entry.size
            entry.size = size
            if self._budget is None:
                return
            while self._size > self._budget and len(self._loaded) > 1:
                oldest = next(iter(self._loaded))
                if oldest == name:
                    self._loaded.move_to_end(name)
                    continue
                self._size -= self._loaded.pop(oldest).size


def _ignore(name: PartitionName, loaded: Loaded[Any]) -> None:
    del name, loaded


def _replay(reader: Reader, bot_id: str, partition: P, source: _Source[P], *, after: int) -> int:
    """Apply what changed since a log position; return how many keys that were.

    What came is applied before what went: a search that looks in between meets keys that its view does not know, which it
    notices, but misses none that it should find.
    """
    touched = _touched(reader, bot_id, after)
    present = [_NONE]
    for keys, added in source.feed(touched) if len(touched) else ():
        partition.apply(keys, *added)
        present.append(keys)
    absent = np.setdiff1d(touched, np.concatenate(present))
    if len(absent):
        partition.apply(absent, *source.nothing)
    return len(touched)


def _touched(reader: Reader, bot_id: str, after: int) -> Keys:
    """Return the keys that went or came since a sequence. Those still present come again: remove, then add."""
    parts: list[Keys] = []
    while rows := reader.log(bot_id, after=after):
        for row in rows:
            parts += (row.removed, row.added)
        after = rows[-1].sequence
    return np.unique(np.concatenate(parts)) if parts else _NONE
