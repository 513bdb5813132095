"""Rows to records and back. Rows never leave the provider."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from minirag.interfaces.records import (
    DocumentState,
    HitRow,
    LogPosition,
    LogRow,
    SearchState,
    SecretRecord,
    TenantKey,
    VersionRow,
)
from minirag.models.answers import Citation
from minirag.models.chats import ChatRecord, Message
from minirag.models.documents import Document
from minirag.models.index import EmbeddingSpace
from minirag.models.metadata import decode_metadata, encode_metadata
from minirag.models.tenants import BotProfile, BotRecord, Source, Tenant
from minirag.providers.sqlalchemy.tables import BLOCK_SIZE, KNOWN_WORDS_SCALE

if TYPE_CHECKING:
    from minirag.types import Keys, Matrix

__all__ = [
    "bot_row",
    "chat_row",
    "message_row",
    "source_row",
    "stamp",
    "to_bot",
    "to_chat",
    "to_document",
    "to_hits",
    "to_keys",
    "to_log",
    "to_message",
    "to_search_state",
    "to_secret",
    "to_source",
    "to_state",
    "to_tenant",
    "to_tenant_key",
    "to_vectors",
    "to_version",
]

_CITATIONS = TypeAdapter(tuple[Citation, ...])


def stamp(moment: dt.datetime) -> str:
    """Return a time as it is stored: UTC with microseconds, always 27 characters."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _stamp_or_none(moment: dt.datetime | None) -> str | None:
    return None if moment is None else stamp(moment)


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _moment_or_none(text: str | None) -> dt.datetime | None:
    return None if text is None else _moment(text)


def to_keys(blob: bytes) -> Keys:
    """Return chunk keys from their stored form, little-endian int64."""
    return np.frombuffer(blob, dtype="<i8").astype(np.int64, copy=False)


def to_vectors(blobs: Sequence[bytes]) -> Matrix:
    """Return stored vectors, all of one space, as a matrix of shape `(n, dimension)`."""
    flat = np.frombuffer(b"".join(blobs), dtype="<f4").astype(np.float32, copy=False)
    return flat.reshape(len(blobs), -1)


def to_tenant(row: Any) -> Tenant:
    return Tenant(
        id=row.id, slug=row.slug, name=row.name, suspended_at=_moment_or_none(row.suspended_at),
        created_at=_moment(row.created_at), updated_at=_moment(row.updated_at),
    )  # fmt: skip


# A space holds only immutable values, so that bots may share one; a profile does not.
@lru_cache(maxsize=256)
def _space(text: str) -> EmbeddingSpace:
    return EmbeddingSpace(**json.loads(text))


def to_bot(row: Any) -> BotRecord:
    return _bot(row.id, row.profile, row.space, row.created_at, row.updated_at)


def _bot(bot_id: str, profile: str, space: str, created_at: str, updated_at: str) -> BotRecord:
    return BotRecord(
        id=bot_id,
        profile=BotProfile(**json.loads(profile)),
        space=_space(space),
        created_at=_moment(created_at),
        updated_at=_moment(updated_at),
    )


_SEARCHED = lru_cache(maxsize=1_024)(_bot)
"""The records of bots that are searched, by all there is in their rows: parsing one takes longer than a search may.

Each is one bot's alone, and searches keep it to themselves.
"""


def to_search_state(row: tuple[Any, ...]) -> SearchState:
    """Return what the statement `SEARCH_STATE` found."""
    *bot, sequence, nonce, words, known_words, suspended_at = row
    position, known = LogPosition(sequence, nonce), known_words / KNOWN_WORDS_SCALE
    return SearchState(_SEARCHED(*bot), position, words, known, suspended_at is not None)


def bot_row(bot: BotRecord) -> dict[str, Any]:
    return {
        "id": bot.id,
        "name": bot.profile.name,
        "profile": bot.profile.model_dump_json(),
        "space": bot.space.model_dump_json(),
        "fingerprint": bot.space.fingerprint,
        "created_at": stamp(bot.created_at),
        "updated_at": stamp(bot.updated_at),
    }


def to_source(row: Any) -> Source:
    return Source(
        id=row.id,
        bot_id=row.bot_id,
        kind=row.kind,
        locator=row.locator,
        name=row.name,
        metadata=decode_metadata(row.metadata_json),
        refresh=row.refresh,
        status=row.status,
        error=row.error,
        created_at=_moment(row.created_at),
        updated_at=_moment(row.updated_at),
        text=row.text,
        ingested_at=_moment_or_none(row.ingested_at),
    )


def source_row(source: Source) -> dict[str, Any]:
    return {
        **source.model_dump(include={"id", "bot_id", "kind", "locator", "name", "refresh", "status", "error"}),
        "metadata_json": encode_metadata(source.metadata),
        "created_at": stamp(source.created_at),
        "updated_at": stamp(source.updated_at),
        "text": source.text,
        "ingested_at": _stamp_or_none(source.ingested_at),
    }


def to_chat(row: Any) -> ChatRecord:
    return ChatRecord(
        id=row.id, bot_id=row.bot_id, user_id=row.user_id, title=row.title,
        created_at=_moment(row.created_at), updated_at=_moment(row.updated_at),
    )  # fmt: skip


def chat_row(chat: ChatRecord) -> dict[str, Any]:
    return {
        "id": chat.id, "bot_id": chat.bot_id, "user_id": chat.user_id, "title": chat.title,
        "created_at": stamp(chat.created_at), "updated_at": stamp(chat.updated_at),
    }  # fmt: skip


def to_message(row: Any) -> Message:
    return Message(
        id=row.id,
        role=row.role,
        text=row.text,
        citations=_CITATIONS.validate_json(row.citations),
        created_at=_moment(row.created_at),
        status=row.status,
    )


def message_row(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "role": message.role,
        "text": message.text,
        "citations": _CITATIONS.dump_json(message.citations).decode(),
        "created_at": stamp(message.created_at),
        "status": message.status,
    }


def to_tenant_key(row: Any) -> TenantKey:
    return TenantKey(
        id=row.id, wrapped=row.wrapped, master_key_id=row.master_key_id, created_at=_moment(row.created_at)
    )


def to_secret(row: Any) -> SecretRecord:
    return SecretRecord(bot_id=row.bot_id, field=row.field, ciphertext=row.ciphertext)


def to_document(row: Any) -> Document:
    return Document(
        id=row.id,
        key=row.key,
        source_id=row.source_id,
        source_name=row.source_name,
        title=row.title,
        metadata=decode_metadata(row.metadata_json),
        version_id=row.version_id,
        media_type=row.media_type,
        language=row.language,
        characters=row.characters,
        chunks=row.chunks,
        stale=row.stale,
        added_at=_moment(row.added_at),
        updated_at=_moment(row.updated_at or row.added_at),
    )


def to_state(row: Any) -> DocumentState:
    return DocumentState(
        id=row.id,
        key=row.key,
        source_id=row.source_id,
        title=row.title,
        metadata=decode_metadata(row.metadata_json),
        version_id=row.version_id,
        version_hash=row.version_hash,
        text_hash=row.text_hash,
        raw_hash=row.raw_hash,
        chunks=row.chunks,
        stale=row.stale,
    )


def to_version(row: Any, *, current: bool) -> VersionRow:
    return VersionRow(
        id=row.id,
        document_id=row.document_id,
        bot_id=row.bot_id,
        source_id=row.source_id,
        key=row.key,
        title=row.title,
        media_type=row.media_type,
        language=row.language,
        characters=row.characters,
        chunker=row.chunker,
        spans=row.spans,
        current=current,
        created_at=_moment(row.created_at),
    )


def to_hits(rows: Sequence[tuple[Any, ...]]) -> dict[int, HitRow]:
    """Return what the statement `HITS` found, by key."""
    texts: dict[int, str] = {}
    for row in rows:
        texts[row[0]] = texts.get(row[0], "") + (row[-1] or "")
    return {row[0]: _hit(row, texts[row[0]]) for row in rows}


def _hit(row: tuple[Any, ...], blocks: str) -> HitRow:
    (
        chunk_key, start, end, page, chunk_metadata,
        document_id, key, title, metadata, version_id, source_id, source_name, _,
    ) = row  # fmt: skip
    first = start % BLOCK_SIZE
    return HitRow(
        chunk_key,
        blocks[first : first + end - start],
        start,
        end,
        page,
        decode_metadata(chunk_metadata),
        document_id,
        key,
        title,
        decode_metadata(metadata),
        version_id,
        source_id,
        source_name,
    )


def to_log(row: Any) -> LogRow:
    return LogRow(sequence=row.sequence, nonce=row.nonce, removed=to_keys(row.removed), added=to_keys(row.added))
