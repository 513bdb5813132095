"""Partitions in memory, kept level with each bot's change log."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np

from minirag.interfaces import KeywordIndex, KeywordPartition, TenantScope, VectorIndex, VectorPartition
from minirag.interfaces.records import LogPosition
from minirag.interfaces.storage import Reader
from minirag.models.tenants import BotRecord

if TYPE_CHECKING:
    from minirag.types import Keys

__all__ = ["Partitions", "StaleViewError"]

P = TypeVar("P", VectorPartition, KeywordPartition)
_EMPTY: Final = LogPosition(0, 0)
_NONE: Final[Keys] = np.empty(0, dtype=np.int64)


class StaleViewError(Exception):
    """The reader's view is older than the partition: another thread has seen later writes. Never leaves `_services`."""


@dataclass(slots=True)
class Loaded(Generic[P]):
    """One partition, the log position it stands at, and the lock of its one writer."""

    partition: P
    position: LogPosition = _EMPTY
    lock: threading.Lock = field(default_factory=threading.Lock)


class Partitions:
    """The partitions that searches of this process have needed, least recently used first out.

    A partition is a cache: it is fed from the storage, replays the log when others have written, and is built anew
    when the log is not a continuation of what it has seen.
    """

    def __init__(self, vectors: VectorIndex, keywords: KeywordIndex, *, budget: int | None = None) -> None:
        self._vectors = vectors
        self._keywords = keywords
        self._budget = budget
        self._loaded: OrderedDict[tuple[str, str, str], Loaded[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def dense(
        self, reader: Reader, scope: TenantScope, bot: BotRecord, *, position: LogPosition, rebuild: bool = False
    ) -> VectorPartition:
        """Return the bot's vectors, at the reader's position, which is given, or later.

        Raises:
            StaleViewError: if the partition is ahead of the reader; take a new view, and after some tries `rebuild`.
        """

        def make() -> VectorPartition:
            return self._vectors.partition(scope, bot.id, bot.space)

        def feed(partition: VectorPartition, keys: Keys | None) -> None:
            batches = list(reader.vectors(bot.id, keys)) if keys is not None else None
            if batches is None:
                for batch, vectors in reader.vectors(bot.id):
                    partition.apply(_NONE, batch, vectors)
                return
            assert keys is not None
            empty = (_NONE, np.empty((0, bot.space.dimension), dtype=np.float32))
            present, vectors = map(np.concatenate, zip(*(batches or [empty]), strict=True))
            partition.apply(keys, present, vectors)

        name = (scope.tenant_id, bot.id, bot.space.fingerprint)
        return self._level(reader, bot.id, name, make, feed, wanted=position, rebuild=rebuild)

    def keyword(
        self, reader: Reader, scope: TenantScope, bot: BotRecord, *, position: LogPosition, rebuild: bool = False
    ) -> KeywordPartition:
        """Return the bot's postings, at the reader's position or later; raises as `dense` does."""

        def make() -> KeywordPartition:
            return self._keywords.partition(scope, bot.id)

        def feed(partition: KeywordPartition, keys: Keys | None) -> None:
            if keys is None:
                for texts in reader.index_texts(bot.id):
                    partition.apply(_NONE, texts)
            else:
                partition.apply(keys, [text for texts in reader.index_texts(bot.id, keys) for text in texts])

        name = (scope.tenant_id, bot.id, "keyword")
        return self._level(reader, bot.id, name, make, feed, wanted=position, rebuild=rebuild)

    def forget(self, tenant_id: str, bot_id: str | None = None) -> None:
        """Drop the partitions of a bot, or of a whole tenant."""
        with self._lock:
            for name in list(self._loaded):
                if name[0] == tenant_id and bot_id in (None, name[1]):
                    del self._loaded[name]

    def clear(self) -> None:
        """Drop every partition."""
        with self._lock:
            self._loaded.clear()

    def _level(
        self,
        reader: Reader,
        bot_id: str,
        name: tuple[str, str, str],
        make: Callable[[], P],
        feed: Callable[[P, Keys | None], None],
        *,
        wanted: LogPosition,
        rebuild: bool,
    ) -> P:
        """Bring a partition to the wanted position, the reader's: by one replay of what changed, or anew beside the old one."""
        with self._lock:
            entry = self._loaded.get(name)
            if entry is None:
                entry = self._loaded[name] = Loaded(make())
            self._loaded.move_to_end(name)
        loaded: Loaded[P] = entry
        if loaded.position != wanted:
            with loaded.lock:
                have = loaded.position
                if have.sequence > wanted.sequence and not rebuild:
                    raise StaleViewError
                if 0 < have.sequence <= wanted.sequence and reader.nonce_at(bot_id, have.sequence) == have.nonce:
                    keys = _touched(reader, bot_id, have.sequence)
                    if len(keys):
                        feed(loaded.partition, keys)
                elif have != wanted:
                    # A new partition, not a cleared one: searches under way keep the one they began with.
                    partition = make()
                    if wanted.sequence:
                        feed(partition, None)
                    loaded.partition = partition
                loaded.position = wanted
            self._trim(name)
        return loaded.partition

    def _trim(self, newest: tuple[str, str, str]) -> None:
        if self._budget is None:
            return
        with self._lock:
            total = sum(entry.partition.nbytes for entry in self._loaded.values())
            for name in list(self._loaded):
                if total <= self._budget or name == newest:
                    break
                total -= self._loaded.pop(name).partition.nbytes


def _touched(reader: Reader, bot_id: str, after: int) -> Keys:
    """Return the keys that went or came since a sequence. Those still present come again: remove, then add."""
    parts: list[Keys] = []
    while rows := reader.log(bot_id, after=after):
        for row in rows:
            parts += (row.removed, row.added)
        after = rows[-1].sequence
    return np.unique(np.concatenate(parts)) if parts else _NONE
