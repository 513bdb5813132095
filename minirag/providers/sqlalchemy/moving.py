"""Whole documents and versions, as they are read for another storage and written as another storage had them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import numpy as np
from sqlalchemy import bindparam

from minirag.errors import InvalidEmbeddingError, StorageCorruptError
from minirag.interfaces.moving import StoredDocument
from minirag.interfaces.records import ChunkDraft, VersionRow
from minirag.models.metadata import decode_metadata, encode_metadata
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.changes import BotChanges
from minirag.providers.sqlalchemy.fields import fill
from minirag.providers.sqlalchemy.scoping import as_list, equals, listed, scoped
from minirag.providers.sqlalchemy.tables import BLOCK_SIZE, KNOWN_WORDS_SCALE
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["restore_documents", "restore_versions", "stored_documents", "stored_versions"]

_DOCUMENTS_AT_ONCE: Final = 256

_VERSIONS: Final = (
    scoped(t.document_versions, of=(t.document_versions,))
    .where(equals(t.document_versions.c.bot_id), t.document_versions.c.id > bindparam("after"))
    .order_by(t.document_versions.c.id)
    .limit(bindparam("limit"))
)
_CURRENT: Final = scoped(t.documents.c.version_id, of=(t.documents,)).where(
    equals(t.documents.c.bot_id), t.documents.c.id.in_(listed("ids"))
)
_DOCUMENTS: Final = (
    scoped(t.documents)
    .where(equals(t.documents.c.bot_id), t.documents.c.id > bindparam("after"))
    .order_by(t.documents.c.id)
    .limit(bindparam("limit"))
)
_CHUNKS: Final = (
    scoped(
        t.chunks.c.document_id,
        t.chunks.c.start,
        t.chunks.c.end,
        t.chunks.c.page,
        t.chunks.c.metadata_json,
        t.embeddings.c.content_hash,
        t.embeddings.c.vector,
        of=(t.chunks, t.embeddings),
    )
    .where(
        equals(t.chunks.c.bot_id),
        t.chunks.c.document_id.in_(listed("ids")),
        t.embeddings.c.bot_id == t.chunks.c.bot_id,
        t.embeddings.c.chunk_key == t.chunks.c.key,
        t.embeddings.c.space == s.SPACE_OF_BOT,
    )
    .order_by(t.chunks.c.document_id, t.chunks.c.key)
)


def stored_versions(transaction: Transaction, bot_id: str, batch: int) -> Iterator[list[VersionRow]]:
    """Yield every version of a bot by ascending id."""
    after = ""
    while rows := transaction.rows(_VERSIONS, bot_id=bot_id, after=after, limit=batch):
        ids = as_list(sorted({row.document_id for row in rows}))
        current = {row.version_id for row in transaction.rows(_CURRENT, bot_id=bot_id, ids=ids)}
        yield [m.to_version(row, current=row.id in current) for row in rows]
        after = rows[-1].id


def stored_documents(transaction: Transaction, bot_id: str, chunks: int) -> Iterator[list[StoredDocument]]:
    """Yield every document of a bot by ascending id, about so many chunks at a time."""
    after = ""
    while rows := transaction.rows(_DOCUMENTS, bot_id=bot_id, after=after, limit=_DOCUMENTS_AT_ONCE):
        some: list[Any] = []
        room = chunks
        for row in rows:
            if some and row.chunks > room:
                yield _whole(transaction, bot_id, some)
                some, room = [], chunks
            some.append(row)
            room -= row.chunks
        yield _whole(transaction, bot_id, some)
        after = rows[-1].id


def _whole(transaction: Transaction, bot_id: str, rows: Sequence[Any]) -> list[StoredDocument]:
    found = transaction.rows(_CHUNKS, bot_id=bot_id, ids=as_list([row.id for row in rows]))
    chunks = {document_id: list(some) for document_id, some in groupby(found, attrgetter("document_id"))}
    return [_document(row, chunks.get(row.id, [])) for row in rows]


def _document(row: Any, chunks: Sequence[Any]) -> StoredDocument:
    if len(chunks) != row.chunks:
        raise StorageCorruptError(
            f"document {row.id!r} has {len(chunks)} chunks with vectors, but should have {row.chunks}; "
            "workspace.repair() mends it"
        )
    return StoredDocument(
        id=row.id,
        source_id=row.source_id,
        key=row.key,
        title=row.title,
        metadata=decode_metadata(row.metadata_json),
        version_id=row.version_id,
        version_hash=row.version_hash,
        text_hash=row.text_hash,
        raw_hash=row.raw_hash,
        media_type=row.media_type,
        language=row.language,
        characters=row.characters,
        words=row.words,
        known_words=row.known_words / KNOWN_WORDS_SCALE,
        stale=bool(row.stale),
        added_at=dt.datetime.fromisoformat(row.added_at),
        updated_at=dt.datetime.fromisoformat(row.updated_at) if row.updated_at else None,
        chunks=tuple(
            ChunkDraft(each.start, each.end, each.content_hash, each.page, decode_metadata(each.metadata_json))
            for each in chunks
        ),
        vectors=m.to_vectors([each.vector for each in chunks]) if chunks else np.empty((0, 0), np.float32),
    )


def restore_versions(transaction: Transaction, bot_id: str, versions: Sequence[tuple[VersionRow, str]]) -> None:
    """Write versions and their texts."""
    tenant_id = transaction.tenant_id
    rows = [
        (
            tenant_id,
            version.id,
            bot_id,
            version.document_id,
            version.source_id,
            version.key,
            version.title,
            version.media_type,
            version.language,
            len(text),
            version.chunker,
            version.spans,
            m.stamp(version.created_at),
        )
        for version, text in versions
    ]
    blocks = [
        (tenant_id, version.id, number, text[start : start + BLOCK_SIZE])
        for version, text in versions
        for number, start in enumerate(range(0, len(text), BLOCK_SIZE))
    ]
    transaction.insert(s.INSERT_VERSIONS, rows)
    transaction.insert(s.INSERT_BLOCKS, blocks)


def restore_documents(
    transaction: Transaction, bot_id: str, documents: Sequence[StoredDocument], *, space: str
) -> None:
    """Write documents with their chunks, vectors, declared fields and log rows."""
    changes = BotChanges.load(transaction, bot_id)
    owner = (transaction.tenant_id, bot_id)
    rows: list[tuple[Any, ...]] = []
    chunks: list[tuple[Any, ...]] = []
    embeddings: list[tuple[Any, ...]] = []
    for document in documents:
        number, known_words = len(document.chunks), round(document.known_words * KNOWN_WORDS_SCALE)
        if document.vectors.ndim != 2 or len(document.vectors) != number:
            raise InvalidEmbeddingError(f"{number} chunks need as many vectors; the shape is {document.vectors.shape}")
        rows.append(
            (
                *owner,
                document.id,
                document.source_id,
                document.key,
                document.title,
                encode_metadata(document.metadata),
                document.version_id,
                document.version_hash,
                document.text_hash,
                document.raw_hash,
                document.media_type,
                document.language,
                document.characters,
                number,
                document.words,
                known_words,
                document.stale,
                m.stamp(document.added_at),
                "" if document.updated_at is None else m.stamp(document.updated_at),
            )
        )
        keys = changes.new_keys(number)
        vectors = np.ascontiguousarray(document.vectors, "<f4")
        for key, chunk, vector in zip(keys, document.chunks, vectors, strict=True):
            metadata = encode_metadata(chunk.metadata)
            chunks.append((*owner, key, document.id, chunk.start, chunk.end, chunk.page, metadata))
            embeddings.append((*owner, key, space, chunk.content_hash, vector.tobytes()))
        changes.add(chunks=number, characters=document.characters, words=document.words, known_words=known_words)
        changes.counters["stale"] += document.stale
        changes.log(removed=(), added=keys)
    transaction.insert(s.INSERT_DOCUMENTS, rows)
    transaction.insert(s.INSERT_CHUNKS, chunks)
    transaction.insert(s.INSERT_EMBEDDINGS, embeddings)
    fill(transaction, bot_id, [document.id for document in documents])
    changes.save()
