"""Writing document versions: everything a batch of documents consists of, in a handful of statements."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minirag.errors import InvalidEmbeddingError
from minirag.interfaces.records import VersionDraft
from minirag.models.metadata import encode_metadata
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy.changes import BotChanges
from minirag.providers.sqlalchemy.fields import fill
from minirag.providers.sqlalchemy.mapping import stamp
from minirag.providers.sqlalchemy.tables import BLOCK_SIZE, KNOWN_WORDS_SCALE
from minirag.providers.sqlalchemy.transaction import Transaction
from minirag.types import new_id, utc_now

if TYPE_CHECKING:
    from minirag.types import Matrix

__all__ = ["write_versions"]


def write_versions(
    transaction: Transaction, bot_id: str, drafts: Sequence[VersionDraft], *, space: str, keep_versions: int | None
) -> list[str | None]:
    """Write the drafts in their order; return each one's version id, None where its document has moved on."""
    changes = BotChanges.load(transaction, bot_id)
    written: list[str | None] = []
    for run in _runs(drafts):
        written += _write_run(transaction, changes, bot_id, run, space=space, keep_versions=keep_versions)
    changes.save()
    return written


def _runs(drafts: Sequence[VersionDraft]) -> Iterator[list[VersionDraft]]:
    """Yield the drafts in runs within which no document comes twice: its second draft must meet its first one's row."""
    run: list[VersionDraft] = []
    seen: set[tuple[str, str]] = set()
    for draft in drafts:
        if (draft.source_id, draft.key) in seen:
            yield run
            run, seen = [], set()
        run.append(draft)
        seen.add((draft.source_id, draft.key))
    if run:
        yield run


def _write_run(
    transaction: Transaction,
    changes: BotChanges,
    bot_id: str,
    drafts: Sequence[VersionDraft],
    *,
    space: str,
    keep_versions: int | None,
) -> list[str | None]:
    keys = json.dumps([(draft.source_id, draft.key) for draft in drafts], ensure_ascii=False)
    rows = transaction.rows(s.CURRENT_DOCUMENTS, bot_id=bot_id, keys=keys)
    current = {(row.source_id, row.key): row for row in rows}
    accepted: list[tuple[VersionDraft, Any, str]] = []
    result: list[str | None] = []
    for draft in drafts:
        row = current.get((draft.source_id, draft.key))
        if draft.replaces == (None if row is None else row.version_id):
            accepted.append((draft, row, new_id()))
            result.append(accepted[-1][2])
        else:
            result.append(None)
    if accepted:
        batch = _Batch(transaction, changes, bot_id=bot_id, space=space)
        batch.clear([row for _, row, _ in accepted if row is not None])
        for draft, row, version_id in accepted:
            batch.add(draft, row, version_id)
        batch.insert()
        if keep_versions is not None:
            batch.drop_versions([row.id for _, row, _ in accepted if row is not None], keep=keep_versions)
    return result


class _Batch:
    """The rows of a run of drafts, collected table by table."""

    def __init__(self, transaction: Transaction, changes: BotChanges, *, bot_id: str, space: str) -> None:
        self._transaction = transaction
        self._changes = changes
        self._owner = (transaction.tenant_id, bot_id)
        self._bot_id = bot_id
        self._space = space
        self._now = stamp(utc_now())
        self._removed: dict[str, list[int]] = {}
        self._document_ids: list[str] = []
        self._documents: list[tuple[Any, ...]] = []
        self._replacements: list[tuple[Any, ...]] = []
        self._versions: list[tuple[Any, ...]] = []
        self._blocks: list[tuple[Any, ...]] = []
        self._chunks: list[tuple[Any, ...]] = []
        self._embeddings: list[tuple[Any, ...]] = []

    def clear(self, replaced: Sequence[Any]) -> None:
        """Take the chunks, vectors and counts of the documents' rows away; remember the chunks' keys for the log."""
        if not replaced:
            return
        ids = [row.id for row in replaced]
        self._removed = self._changes.chunk_keys(ids)
        self._transaction.run(s.DELETE_CHUNKS, bot_id=self._bot_id, ids=json.dumps(ids))
        for row in replaced:
            self._changes.subtract(row)

    def add(self, draft: VersionDraft, row: Any, version_id: str) -> None:
        """Collect the rows of a draft; `row` is its document's present row, None for a new document."""
        document_id = new_id() if row is None else row.id
        self._document_ids.append(document_id)
        known_words = round(draft.known_words * KNOWN_WORDS_SCALE)
        text, chunks = draft.text, draft.chunks
        characters = len(text)
        tenant_id, bot_id = self._owner
        facts = (
            draft.title,
            encode_metadata(draft.metadata),
            version_id,
            draft.version_hash,
            draft.text_hash,
            draft.raw_hash,
            draft.media_type,
            draft.language,
            characters,
            len(chunks),
            draft.words,
            known_words,
            False,
        )
        if row is None:
            self._documents.append(
                (tenant_id, bot_id, document_id, draft.source_id, draft.key, *facts, self._now, _NOT_YET)
            )
        else:
            self._replacements.append((*facts, self._now, tenant_id, bot_id, document_id))
        self._versions.append(
            (
                tenant_id,
                version_id,
                bot_id,
                document_id,
                draft.source_id,
                draft.key,
                draft.title,
                draft.media_type,
                draft.language,
                characters,
                draft.chunker,
                draft.spans,
                self._now,
            )
        )
        for number, start in enumerate(range(0, characters, BLOCK_SIZE)):
            self._blocks.append((tenant_id, version_id, number, text[start : start + BLOCK_SIZE]))
        keys = self._changes.new_keys(len(chunks))
        vectors = _vector_blobs(draft.vectors, len(chunks))
        for key, chunk, vector in zip(keys, chunks, vectors, strict=True):
            metadata = encode_metadata(chunk.metadata)
            self._chunks.append((tenant_id, bot_id, key, document_id, chunk.start, chunk.end, chunk.page, metadata))
            self._embeddings.append((tenant_id, bot_id, key, self._space, chunk.content_hash, vector))
        self._changes.add(chunks=len(chunks), characters=characters, words=draft.words, known_words=known_words)
        self._changes.log(removed=self._removed.get(document_id, ()), added=keys)

    def insert(self) -> None:
        """Write everything that was collected, parents before children."""
        self._transaction.insert(s.INSERT_VERSIONS, self._versions)
        self._transaction.insert(s.INSERT_BLOCKS, self._blocks)
        self._transaction.insert(s.INSERT_DOCUMENTS, self._documents)
        self._transaction.insert(s.REPLACE_DOCUMENTS, self._replacements)
        self._transaction.insert(s.INSERT_CHUNKS, self._chunks)
        self._transaction.insert(s.INSERT_EMBEDDINGS, self._embeddings)
        fill(self._transaction, self._bot_id, self._document_ids)

    def drop_versions(self, document_ids: Sequence[str], *, keep: int) -> None:
        """Delete the oldest of the documents' old versions, so that each keeps only `keep` of them."""
        old: dict[str, list[str]] = {}
        ids = json.dumps(document_ids)
        for row in self._transaction.rows(s.VERSIONS_OF_DOCUMENTS, ids=ids):
            if not row.current:
                old.setdefault(row.document_id, []).append(row.id)
        dropped = [version_id for versions in old.values() for version_id in versions[keep:]]
        if dropped:
            self._transaction.run(s.DELETE_VERSIONS, ids=json.dumps(dropped))


_NOT_YET: Final = ""
"""The time of the last update of a document that was never updated."""


def _vector_blobs(vectors: Matrix, chunks: int) -> list[bytes]:
    """Return each row of a matrix in its stored form, little-endian float32."""
    if chunks == 0:
        return []
    if vectors.ndim != 2 or len(vectors) != chunks:
        raise InvalidEmbeddingError(f"{chunks} chunks need as many vectors; the array's shape is {vectors.shape}")
    data = np.ascontiguousarray(vectors, "<f4").tobytes()
    size = len(data) // chunks
    return [data[start : start + size] for start in range(0, len(data), size)]
