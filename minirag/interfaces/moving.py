"""What a storage's reader and writer do so that a tenant can move to another storage: parts of `Reader` and `Writer`."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minirag.interfaces.records import ChunkDraft, VersionRow
from minirag.types import MetadataValue

if TYPE_CHECKING:
    from minirag.types import Matrix

__all__ = ["MovingReader", "MovingWriter", "StoredDocument"]


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it is stored now, with its chunks and their vectors, whole.

    Attributes:
        chunks: by ascending key, which is not told: a storage gives each chunk a key of its own.
        vectors: float32, one row a chunk, of the bot's space.
        updated_at: None if it was never updated.
    """

    id: str
    source_id: str
    key: str
    title: str | None
    metadata: Mapping[str, MetadataValue]
    version_id: str
    version_hash: bytes
    text_hash: bytes
    raw_hash: bytes | None
    media_type: str
    language: str
    characters: int
    words: int
    known_words: float
    stale: bool
    added_at: dt.datetime
    updated_at: dt.datetime | None
    chunks: tuple[ChunkDraft, ...]
    vectors: Matrix


class MovingReader(ABC):
    """Reads what the rest of `Reader` does not tell; part of `Reader`."""

    @abstractmethod
    def stored_versions(self, bot_id: str, *, batch: int = 256) -> Iterator[list[VersionRow]]:
        """Yield every version of the bot by ascending id: current ones, old ones, those of documents that are gone."""

    @abstractmethod
    def stored_documents(self, bot_id: str, *, chunks: int = 1_024) -> Iterator[list[StoredDocument]]:
        """Yield every document of the bot by ascending id, about so many chunks at a time and at least one document.

        Raises:
            StorageCorruptError: if chunks or vectors of a document are missing.
        """


class MovingWriter(ABC):
    """Writes what `MovingReader` reads, with the ids and times it had; part of `Writer`."""

    @abstractmethod
    def restore_versions(self, bot_id: str, versions: Sequence[tuple[VersionRow, str]]) -> None:
        """Write versions of the bot, none of which there is, and their texts. `current` is not read: documents tell it."""

    @abstractmethod
    def restore_documents(self, bot_id: str, documents: Sequence[StoredDocument], *, space: str) -> None:
        """Write documents of the bot, none of which there is, after their versions; one log row a document.

        Chunks get new keys, in their order.
        """
