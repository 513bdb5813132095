"""What a storage does so that an erasure leaves nothing behind: parts of `Reader`, `Writer`, `Directory` and `Storage`."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from minirag.models.chats import Message
from minirag.models.erasures import ErasureReceipt

if TYPE_CHECKING:
    from minirag.interfaces.traces import Traces

__all__ = [
    "ErasingDirectory",
    "ErasingReader",
    "ErasingStorage",
    "ErasingWriter",
    "ErasureRecord",
    "HeldVersion",
    "Purge",
]


@dataclass(frozen=True, slots=True)
class ErasureRecord:
    """An erasure as stored. It outlives the bot and the tenant that it is about.

    Attributes:
        receipt: with the tenant's id as `tenant`.
        bot_id: the bot whose indexes must forget; None for a whole tenant.
        sequence: the last position of the bot's log that it wrote: an index is of use if it was fed from there on. 0 where
            the bot is gone.
        keys: chunk keys that went, int64 as bytes; empty once it is done.
        traces: what `Traces.to_bytes` gives; empty once it is done.
    """

    receipt: ErasureReceipt
    bot_id: str | None
    sequence: int
    keys: bytes = dataclasses.field(default=b"", repr=False)
    traces: bytes = dataclasses.field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Purge:
    """What became of the bytes of rows that were deleted.

    Attributes:
        cause: why some of them may still be there, and what ends that; None if none can be.
        leftovers: traces that were found, and that no row holds.
        files, size: how many files were read, and their bytes.
        out_of_reach: what could not be looked through.
    """

    cause: str | None
    leftovers: int = 0
    files: int = 0
    size: int = 0
    out_of_reach: tuple[str, ...] = ()


class HeldVersion(NamedTuple):
    """A version by what it is found by, current, old, or of a document that was removed."""

    id: str
    document_id: str
    source_id: str
    key: str
    title: str | None


class ErasingReader(ABC):
    """Reads what an erasure must know; part of `Reader`."""

    @abstractmethod
    def held_versions(
        self, bot_id: str, *, source_id: str | None = None, keys: Collection[str] | None = None
    ) -> list[HeldVersion]:
        """Return the bot's versions by ascending id: all, or those of a source, or of documents with one of these keys."""

    @abstractmethod
    def vectors_of_documents(
        self, bot_id: str, document_ids: Sequence[str]
    ) -> Iterator[list[tuple[int, bytes, bytes]]]:
        """Yield chunk key, content hash and vector (float32 as stored) of the documents' chunks, in every embedding space."""

    @abstractmethod
    def messages_of_bot(self, bot_id: str, *, batch: int = 500) -> Iterator[list[tuple[str, Message]]]:
        """Yield chat id and message, for every message of the bot's chats."""

    @abstractmethod
    def documents_holding(self, hashes: Collection[bytes]) -> set[str]:
        """Return ids of the tenant's documents that have a chunk of one of these content hashes."""

    @abstractmethod
    def versions_of_length(self, lengths: Collection[int]) -> list[tuple[str, str]]:
        """Return document id and version id of the tenant's versions whose text has one of these lengths in code points."""

    @abstractmethod
    def erased_at(self, bot_id: str) -> int:
        """Return the highest `sequence` of the bot's erasures, 0 if there is none."""

    @abstractmethod
    def check_open(self) -> None:
        """Ask the storage whether this view is still held, so that `Storage.old_reads` has told of it until now.

        Raises:
            StorageError: if the connection was lost, or what is read without locks has changed since.
        """


class ErasingWriter(ABC):
    """Writes what an erasure does; part of `Writer`."""

    @abstractmethod
    def erase_versions(self, bot_id: str, version_ids: Collection[str]) -> int:
        """Delete versions of documents that were removed, with their texts; returns how many there were.

        One row without keys is added to the bot's log, so that every index is behind it.
        """

    @abstractmethod
    def put_erasure(self, record: ErasureRecord) -> None:
        """Insert or update an erasure of this tenant."""


class ErasingDirectory(ABC):
    """The erasures of all tenants, whether these are still there or not; part of `Directory`."""

    @abstractmethod
    def put_erasure(self, record: ErasureRecord) -> None:
        """Insert or update an erasure of the tenant whose id its receipt names, which need not be there any more."""

    @abstractmethod
    def erasures(self, *, erasure_id: str | None = None, pending: bool = False) -> list[ErasureRecord]:
        """Return erasures by ascending id.

        Args:
            erasure_id: only this one.
            pending: only those that are not done.
        """


class ErasingStorage(ABC):
    """Frees what was deleted beyond recovery; part of `Storage`."""

    @abstractmethod
    def old_reads(self) -> str | None:
        """Return what still holds a view from before this call, and what ends that; None if nothing does.

        It gives them a little time to end. One whose `check_open` raises does not count.
        """

    @abstractmethod
    def purge(self, traces: Traces, record: ErasureRecord) -> Purge:
        """Make rows that were deleted before unreadable, where the storage keeps its bytes, and look whether they are.

        It may be called again, after a crash too. It does not wait long for readers of other processes: where one holds an
        old view, this says so as a cause.
        """

    @abstractmethod
    def held(self, traces: Traces) -> Traces:
        """Return those traces that values of any tenant's rows hold: pieces that stay because they belong to others too."""
