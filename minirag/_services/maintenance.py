"""Work on indexes that no caller has to wait for: building faster engines, and keeping snapshots."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any, Final

from minirag._services.core import BotContext
from minirag._services.indexing import KEYWORD, Loaded, PartitionName, Partitions, StaleViewError
from minirag._services.snapshots import SnapshotHeader
from minirag.errors import StorageError
from minirag.interfaces import Storage
from minirag.interfaces.snapshots import SnapshotDamagedError
from minirag.models.reports import BotStats

__all__ = ["Maintenance", "leveled", "optimize", "statistics"]

_LEAST_ENTRIES: Final = 2_000
"""A smaller partition is read from the database as fast as from a file of its own."""

_LEAST_SHARE: Final = 4
"""A snapshot is written anew when a quarter of its entries has changed: the log replays the others quickly, and a partition that
grows writes only some five times what it holds at last."""

_PATIENCE: Final = 4
_LOG = logging.getLogger("minirag")


class Maintenance:
    """Settles partitions, one at a time, in a thread that is started when there is something to do.

    Searches go on beside it. Nothing depends on it but speed: if it fails, a warning is logged.
    """

    def __init__(self, partitions: Partitions, storage: Storage) -> None:
        self._partitions = partitions
        self._storage = storage
        self._waiting: dict[PartitionName, Loaded[Any]] = {}
        self._changed = threading.Condition()
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        partitions.changed = self.consider

    def consider(self, name: PartitionName, loaded: Loaded[Any]) -> None:
        """Take a partition up if something about it pays."""
        if loaded.partition.pending or self._is_due(loaded):
            self.request(name, loaded)

    def request(self, name: PartitionName, loaded: Loaded[Any]) -> None:
        """Have a partition settled soon."""
        with self._changed:
            if self._stopping:
                return
            self._waiting[name] = loaded
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="minirag-maintenance", daemon=True)
                self._thread.start()
            self._changed.notify()

    def settle(self, name: PartitionName, loaded: Loaded[Any], *, thoroughly: bool = False) -> None:
        """Build what is pending, and keep a snapshot if that pays; `thoroughly`: if anything changed at all.

        Raises:
            SnapshotDamagedError: if the snapshot that the partition came from turns out to be damaged.
            OSError: if the snapshot cannot be written.
        """
        with self._working:
            pending = loaded.partition.pending
            if pending or thoroughly:
                loaded.partition.optimize(lambda: self._stopping)
            least = 1 if thoroughly else None
            if pending == len(loaded.partition) and not loaded.partition.pending:
                least = 0  # all of it was built, which takes long: kept, even if nothing has changed since the last snapshot
            if self._is_due(loaded, least=least):
                self._keep(name, loaded)

    def close(self) -> None:
        """End what is under way and wait for it: a build is given up, a snapshot that was due is written."""
        with self._changed:
            self._stopping = True
            thread = self._thread
            self._changed.notify()
        # While the interpreter ends, daemon threads stand still, and one that is waited for would never come.
        if thread is not None and thread is not threading.current_thread() and not sys.is_finalizing():
            thread.join()

    def _is_due(self, loaded: Loaded[Any], *, least: int | None = None) -> bool:
        """Tell whether a snapshot pays, or with `least` whether so many entries have changed."""
        folder = self._partitions.snapshots
        if folder is None or folder.read_only or not loaded.form:
            return False
        entries = len(loaded.partition)
        if least is None:
            least = max(_LEAST_ENTRIES, entries // _LEAST_SHARE)
        return entries >= _LEAST_ENTRIES and loaded.changed >= least

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                if not self._waiting:
                    return
                name = next(iter(self._waiting))
                loaded = self._waiting.pop(name)
            try:
                self.settle(name, loaded)
            except SnapshotDamagedError:
                self._partitions.damaged(loaded.scope, name[1])
            except Exception as problem:  # noqa: BLE001 - a thread of its own has nobody to raise to
                _LOG.warning(
                    "the index of bot %s could not be settled: %s: %s", name[1], type(problem).__name__, problem
                )

    def _keep(self, name: PartitionName, loaded: Loaded[Any]) -> None:
        """Write a snapshot, then have the partition stand on it, which gives its own memory back."""
        folder = self._partitions.snapshots
        assert folder is not None
        with loaded.lock:
            fill = loaded.partition.snapshot()
            position, entries, changed = loaded.position, len(loaded.partition), loaded.changed
            born = loaded.born
        if fill is None:
            return
        header = SnapshotHeader(
            folder.workspace_id, *name, loaded.form, position.sequence, position.nonce, entries, born
        )

        def valid() -> bool:
            with self._storage.read(loaded.scope) as reader:
                return (
                    reader.nonce_at(name[1], position.sequence) == position.nonce and reader.erased_at(name[1]) <= born
                )

        if not folder.write(header, fill, valid=valid):
            return
        loaded.changed -= changed
        found = folder.open(*name, loaded.form)
        if found is not None and found[0].position == position:
            self._partitions.replace(name, loaded, loaded.load(found[1]), position)


def optimize(bot: BotContext, *, wait: bool) -> BotStats:
    """Finish what is pending in a bot's indexes, or with `wait=False` have it finished soon; return its statistics.

    Raises:
        StorageError: if a snapshot cannot be written.
    """
    bot.allow("bots.optimize")
    maintenance = bot.core.maintenance
    record = bot.load()
    names = [(bot.scope.tenant_id, bot.bot_id, name) for name in (record.space.fingerprint, KEYWORD)]
    for name in names:
        # The vectors are settled in the other thread while the words of the texts are counted in this one.
        loaded = leveled(bot, name)
        if loaded is not None and (loaded.partition.pending or not wait):
            maintenance.request(name, loaded)
    for name in names if wait else ():
        for _ in range(_PATIENCE):
            loaded = leveled(bot, name)
            try:
                if loaded is not None:
                    maintenance.settle(name, loaded, thoroughly=True)
                break
            except SnapshotDamagedError:
                bot.core.partitions.damaged(bot.scope, bot.bot_id)
            except OSError as problem:
                raise StorageError(
                    f"the index of bot {bot.name!r} cannot be kept: {problem}; searches go on without its file"
                ) from problem
    return statistics(bot)


def leveled(bot: BotContext, name: PartitionName) -> Loaded[Any] | None:
    """Return a partition that stands where the log does; None if it was dropped at once, for want of memory."""
    for attempt in range(_PATIENCE + 1):
        bot.core.check()
        try:
            with bot.core.storage.read(bot.scope) as reader:
                record = bot.record(reader)
                bring = bot.core.partitions.keyword if name[2] == KEYWORD else bot.core.partitions.dense
                bring(reader, bot.scope, record, position=reader.position(record.id), rebuild=attempt == _PATIENCE)
        except StaleViewError:
            continue
        except SnapshotDamagedError:
            bot.core.partitions.damaged(bot.scope, bot.bot_id)
            continue
        return bot.core.partitions.get(name)
    return None


def statistics(bot: BotContext) -> BotStats:
    """Return how large a bot is, and where its indexes stand; reads no index."""
    bot.allow("bots.read")
    core = bot.core
    with core.storage.read(bot.scope) as reader:
        record = bot.record(reader)
        stats = reader.stats(record.id)
    names = [(bot.scope.tenant_id, record.id, name) for name in (record.space.fingerprint, KEYWORD)]
    loaded = [entry for name in names if (entry := core.partitions.get(name)) is not None]
    dense = core.partitions.get(names[0])
    folder = core.partitions.snapshots
    return stats.model_copy(
        update={
            "vector_bytes": 4 * stats.chunks * stats.dimension,
            "engine": None if dense is None else dense.partition.engine,
            "indexed": None if dense is None else dense.position.sequence,
            "pending": sum(entry.partition.pending for entry in loaded),
            "memory_bytes": sum(entry.size for entry in loaded),
            "snapshot_bytes": 0 if folder is None else folder.size(bot.scope.tenant_id, record.id),
        }
    )
