"""The records of an archive: its manifest, and each kind of line to and from what the storage holds."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from minirag.interfaces.moving import StoredDocument
from minirag.interfaces.records import ChunkDraft, VersionRow
from minirag.models.base import Model
from minirag.models.metadata import check_metadata, decode_metadata, encode_metadata
from minirag.models.tenants import BotRecord, Source
from minirag.security.passphrase import SealedBox
from minirag.types import MetadataValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from minirag.types import Matrix

__all__ = [
    "FORMAT",
    "KINDS",
    "VERSION",
    "ArchivedBot",
    "ArchivedTenant",
    "DocumentLine",
    "Manifest",
    "Member",
    "VersionLine",
    "document_line",
    "source_line",
    "to_document",
    "to_line",
    "to_source",
    "to_version",
    "version_line",
]

FORMAT: Final = "minirag tenant"
VERSION: Final = 1
KINDS: Final = ("sources", "versions", "documents", "chunks", "chats", "messages", "usage")
"""What is counted of each bot."""
_MEMBERS: Final = ("sources.jsonl", "versions.jsonl", "documents.jsonl", "vectors.f32", "chats.jsonl", "usage.jsonl")
_MOST: Final = 2**62

_Id = Annotated[str, Field(pattern=r"^[0-9a-z]{1,20}\z")]
_ID: Final = re.compile(r"[0-9a-z]{1,20}")
_Number = Annotated[int, Field(ge=0, le=_MOST, strict=True)]
_Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{2}){1,64}\z")]
_Text = Annotated[str, Field(strict=True)]


class Member(Model):
    """A file of the archive: its size unpacked and the SHA-256 of that."""

    name: str
    size: _Number
    sha256: str


class ArchivedTenant(Model):
    """The tenant as it was."""

    slug: str
    name: str = Field(min_length=1, max_length=200)
    created_at: dt.datetime
    updated_at: dt.datetime


class ArchivedBot(Model):
    """A bot, and how many records of each kind the members in its folder hold.

    Attributes:
        fingerprint: of the embedding space that its vectors are of.
    """

    record: BotRecord
    fingerprint: str
    counts: dict[str, _Number]


class Manifest(Model):
    """What is in an archive.

    Attributes:
        release: of MiniRAG, that wrote it.
        left_out: names of the credentials that are not in it.
        credentials: by bot id and name, sealed under a passphrase.
    """

    format: str = FORMAT
    version: int = VERSION
    release: str
    exported_at: dt.datetime
    tenant: ArchivedTenant
    bots: tuple[ArchivedBot, ...]
    members: tuple[Member, ...]
    left_out: tuple[str, ...] = ()
    credentials: SealedBox | None = None

    def names(self) -> Iterator[str]:
        """Yield the names of the members that this format version has: `bots/0/sources.jsonl` and so on."""
        for number in range(len(self.bots)):
            for member in _MEMBERS:
                yield f"bots/{number}/{member}"

    def total(self, kind: str) -> int:
        """Return how many records of a kind all bots have."""
        return sum(bot.counts[kind] for bot in self.bots)

    def check(self) -> None:
        """Raise `ValueError` if what the manifest says of the bots cannot be."""
        for bot in self.bots:
            if not _ID.fullmatch(bot.record.id):
                raise ValueError("an id is malformed")
            if bot.fingerprint != bot.record.space.fingerprint:
                raise ValueError("a fingerprint is not that of the bot's embedding space")
            if set(bot.counts) != set(KINDS):
                raise ValueError("other kinds of records are counted")
        if len({bot.record.id for bot in self.bots}) != len(self.bots):
            raise ValueError("two bots have one id")


class VersionLine(Model):
    """A version. The lines behind it are pieces of its text, JSON strings, until there are `characters` code points."""

    id: _Id
    document_id: _Id
    source_id: _Id
    key: _Text
    title: str | None
    media_type: _Text
    language: _Text
    characters: _Number
    chunker: _Text
    spans: _Text
    created_at: dt.datetime


class DocumentLine(Model):
    """A document and its chunks: start, end, digest of what was embedded, page, metadata."""

    id: _Id
    source_id: _Id
    key: _Text
    title: str | None
    metadata: dict[str, Any]
    version_id: _Id
    version_hash: str = Field(pattern=r"^([0-9a-f]{2}){0,64}\z")  # empty: to be cut anew
    text_hash: _Digest
    raw_hash: _Digest | None
    media_type: _Text
    language: _Text
    characters: _Number
    words: _Number
    known_words: float = Field(ge=0, le=1e12, allow_inf_nan=False)
    stale: bool
    added_at: dt.datetime
    updated_at: dt.datetime | None
    chunks: tuple[
        tuple[_Number, _Number, _Digest, Annotated[int, Field(ge=-_MOST, le=_MOST)] | None, dict[str, Any]], ...
    ]


def to_line(value: object) -> bytes:
    """Return a JSON value as a line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _metadata(metadata: Mapping[str, MetadataValue]) -> Any:
    return json.loads(encode_metadata(metadata))


def _to_metadata(value: dict[str, Any]) -> dict[str, MetadataValue]:
    return check_metadata(decode_metadata(json.dumps(value, separators=(",", ":"))))


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(dt.UTC).isoformat()


def source_line(source: Source) -> bytes:
    """Return a source as a line."""
    return to_line(
        source.model_dump(mode="json", exclude={"bot_id", "metadata"}) | {"metadata": _metadata(source.metadata)}
    )


def to_source(value: dict[str, Any], bot_id: str) -> Source:
    """Return the source of a line."""
    source = Source.model_validate({**value, "bot_id": bot_id, "metadata": _to_metadata(value["metadata"])})
    if not _ID.fullmatch(source.id):
        raise ValueError("an id is malformed")
    return source


def version_line(version: VersionRow) -> bytes:
    """Return a version as a line, without its text."""
    names = [name for name in VersionLine.model_fields if name != "created_at"]
    return to_line({**{name: getattr(version, name) for name in names}, "created_at": _iso(version.created_at)})


def to_version(line: VersionLine, bot_id: str) -> VersionRow:
    """Return the version of a line."""
    return VersionRow(**dict(line), bot_id=bot_id, current=False)


def document_line(document: StoredDocument) -> bytes:
    """Return a document and its chunks as a line, without vectors."""
    plain = ("id", "source_id", "key", "title", "version_id", "media_type", "language", "characters", "words", "stale")
    return to_line(
        {
            **{name: getattr(document, name) for name in plain},
            "metadata": _metadata(document.metadata),
            "known_words": document.known_words,
            "version_hash": document.version_hash.hex(),
            "text_hash": document.text_hash.hex(),
            "raw_hash": None if document.raw_hash is None else document.raw_hash.hex(),
            "added_at": _iso(document.added_at),
            "updated_at": _iso(document.updated_at),
            "chunks": [
                [chunk.start, chunk.end, chunk.content_hash.hex(), chunk.page, _metadata(chunk.metadata)]
                for chunk in document.chunks
            ],
        }
    )


def to_document(line: DocumentLine, vectors: Matrix) -> StoredDocument:
    """Return the document of a line, with the vectors of its chunks."""
    chunks = tuple(
        ChunkDraft(start, end, bytes.fromhex(digest), page, _to_metadata(metadata))
        for start, end, digest, page, metadata in line.chunks
    )
    if any(not 0 <= chunk.start <= chunk.end <= line.characters for chunk in chunks):
        raise ValueError("a chunk lies outside of its text")
    return StoredDocument(
        **{
            **dict(line),
            "metadata": _to_metadata(line.metadata),
            "version_hash": bytes.fromhex(line.version_hash),
            "text_hash": bytes.fromhex(line.text_hash),
            "raw_hash": None if line.raw_hash is None else bytes.fromhex(line.raw_hash),
            "chunks": chunks,
            "vectors": vectors,
        }
    )
