"""Slotted records of the hot path, between the services and the storage. They never reach an application."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from minirag.types import MetadataValue

if TYPE_CHECKING:
    from minirag.models.tenants import BotRecord
    from minirag.types import Keys, Matrix

__all__ = [
    "ChunkDraft",
    "ChunkText",
    "DocumentState",
    "HitRow",
    "LogPosition",
    "LogRow",
    "SearchState",
    "SecretRecord",
    "TenantKey",
    "VersionDraft",
    "VersionRow",
]


@dataclass(frozen=True, slots=True)
class LogPosition:
    """The last row of a bot's change log: its sequence (0: none yet) and that row's random nonce."""

    sequence: int
    nonce: int


@dataclass(frozen=True, slots=True)
class SearchState:
    """What every search must know of its bot.

    Attributes:
        words, known_words: what the embedder said of its familiarity with the current versions, summed.
        suspended: whether the tenant is closed.
    """

    record: BotRecord
    position: LogPosition
    words: int
    known_words: float
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class LogRow:
    """One change: keys of chunks that went and of chunks that came. A re-indexed chunk is in both."""

    sequence: int
    nonce: int
    removed: Keys
    added: Keys


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """A chunk to be written. `content_hash` names the embedded text; `key` is made by the storage."""

    start: int
    end: int
    content_hash: bytes
    page: int | None = None
    metadata: Mapping[str, MetadataValue] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChunkText:
    """A stored chunk as its vector was made of it.

    Attributes:
        text: the slice of the canonical text.
        title: the document's, which may have been embedded in front of it.
        content_hash: names the text that was embedded; None if the chunk has lost its vector.
    """

    key: int
    text: str
    title: str | None
    content_hash: bytes | None


@dataclass(frozen=True, slots=True)
class VersionDraft:
    """One document version to be written whole, or not at all.

    Attributes:
        replaces: the version that was current when this one was planned, or None for a new document. If another
            writer was faster, `Writer.write_version` writes nothing and says so.
        text_hash: SHA-256 of the canonical text.
        version_hash: the first half of the SHA-256 of the canonical text and the chunking.
        raw_hash: SHA-256 of the file's bytes and the parser's revision, or None for a text given as such.
        spans: JSON of the parser's spans.
        chunks: at least one: a document without is found by no filter over declared fields.
        vectors: float32, one row a chunk, of length one.
        words, known_words: what the embedder said of its familiarity with the text.
    """

    source_id: str
    key: str
    title: str | None
    metadata: Mapping[str, MetadataValue]
    replaces: str | None
    media_type: str
    language: str
    text: str
    text_hash: bytes
    version_hash: bytes
    raw_hash: bytes | None
    chunker: str
    spans: str
    chunks: tuple[ChunkDraft, ...]
    vectors: Matrix
    words: int = 0
    known_words: float = 0.0


@dataclass(frozen=True, slots=True)
class DocumentState:
    """What ingestion must know of a stored document to decide whether it changed."""

    id: str
    key: str
    source_id: str
    title: str | None
    metadata: dict[str, MetadataValue]
    version_id: str
    version_hash: bytes
    text_hash: bytes
    raw_hash: bytes | None
    chunks: int
    stale: bool


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A stored version, without its text."""

    id: str
    document_id: str
    bot_id: str
    source_id: str
    key: str
    title: str | None
    media_type: str
    language: str
    characters: int
    chunker: str
    spans: str
    current: bool
    created_at: dt.datetime


class HitRow(NamedTuple):
    """A chunk with all a hit shows, as the tenant's own repository knows it. A tuple: a search makes many."""

    chunk_key: int
    text: str
    start: int
    end: int
    page: int | None
    chunk_metadata: dict[str, MetadataValue]
    document_id: str
    key: str
    title: str | None
    metadata: dict[str, MetadataValue]
    version_id: str
    source_id: str
    source_name: str


@dataclass(frozen=True, slots=True)
class TenantKey:
    """A tenant's data key, wrapped by the master key that `master_key_id` names."""

    id: str
    wrapped: str = dataclasses.field(repr=False)
    master_key_id: str
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """One encrypted credential of a bot."""

    bot_id: str
    field: str
    ciphertext: str = dataclasses.field(repr=False)
