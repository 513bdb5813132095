"""`Reader`: everything a tenant can read, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minirag.errors import BotNotFoundError
from minirag.interfaces.keyword_index import IndexText
from minirag.interfaces.moving import StoredDocument
from minirag.interfaces.records import (
    ChunkText,
    DocumentState,
    HitRow,
    LogPosition,
    LogRow,
    SearchState,
    SecretRecord,
    TenantKey,
    VersionRow,
)
from minirag.interfaces.storage import Reader
from minirag.models.chats import ChatRecord, Message
from minirag.models.documents import Document
from minirag.models.filters import Filter
from minirag.models.reports import BotStats
from minirag.models.tenants import BotRecord, Source
from minirag.providers.sqlalchemy import access, filtered, moving, spaces
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy.accounting import SqlAccountingReader
from minirag.providers.sqlalchemy.erasing import SqlErasingReader
from minirag.providers.sqlalchemy.identity import SqlIdentityReader
from minirag.providers.sqlalchemy.scoping import as_list, as_lists
from minirag.providers.sqlalchemy.tables import BLOCK_SIZE, KNOWN_WORDS_SCALE
from minirag.providers.sqlalchemy.transaction import Transaction

if TYPE_CHECKING:
    from minirag.types import Keys, Matrix, Vector

__all__ = ["SqlAlchemyReader"]

_ABOVE_EVERY_ID: Final = "~"
_NO_LIMIT: Final = 2**31 - 1
_HASHES_PER_STATEMENT: Final = 4_096


class SqlAlchemyReader(SqlAccountingReader, SqlIdentityReader, SqlErasingReader, Reader):
    """One consistent view of one tenant."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    # ---------------------------------------------------------------- bots, sources, chats, secrets
    def bot(self, name: str) -> BotRecord | None:
        row = self._transaction.row(s.BOT_BY_NAME, name=name)
        return None if row is None else m.to_bot(row)

    def bot_by_id(self, bot_id: str) -> BotRecord | None:
        row = self._transaction.row(s.BOT_BY_ID, id=bot_id)
        return None if row is None else m.to_bot(row)

    def bots(self) -> list[BotRecord]:
        return [m.to_bot(row) for row in self._transaction.rows(s.BOTS)]

    def sources(self, bot_id: str) -> list[Source]:
        return [m.to_source(row) for row in self._transaction.rows(s.SOURCES, bot_id=bot_id)]

    def source(self, bot_id: str, source_id: str) -> Source | None:
        row = self._transaction.row(s.SOURCE, bot_id=bot_id, id=source_id)
        return None if row is None else m.to_source(row)

    def source_at(self, bot_id: str, kind: str, locator: str) -> Source | None:
        row = self._transaction.row(s.SOURCE_AT, bot_id=bot_id, kind=kind, locator=locator)
        return None if row is None else m.to_source(row)

    def chats(
        self, bot_id: str, *, user_id: str | None = None, before: str | None = None, limit: int = 100
    ) -> list[ChatRecord]:
        page = {"bot_id": bot_id, "before": before or _ABOVE_EVERY_ID, "limit": limit}
        if user_id is None:
            rows = self._transaction.rows(s.CHATS, **page)
        else:
            rows = self._transaction.rows(s.CHATS_OF_USER, user_id=user_id, **page)
        return [m.to_chat(row) for row in rows]

    def chat(self, bot_id: str, chat_id: str) -> ChatRecord | None:
        row = self._transaction.row(s.CHAT, bot_id=bot_id, id=chat_id)
        return None if row is None else m.to_chat(row)

    def messages(self, chat_id: str, *, last: int | None = None) -> list[Message]:
        limit = _NO_LIMIT if last is None else last
        rows = self._transaction.rows(s.MESSAGES, chat_id=chat_id, limit=limit)
        return [m.to_message(row) for row in reversed(rows)]

    def tenant_keys(self) -> list[TenantKey]:
        return [m.to_tenant_key(row) for row in self._transaction.rows(s.TENANT_KEYS)]

    def secrets(self, bot_id: str) -> list[SecretRecord]:
        return [m.to_secret(row) for row in self._transaction.rows(s.SECRETS, bot_id=bot_id)]

    def suspended(self) -> bool:
        return access.suspended(self._transaction)

    # ---------------------------------------------------------------- documents
    def documents(
        self,
        bot_id: str,
        *,
        source_id: str | None = None,
        where: Filter | None = None,
        after: str | None = None,
        limit: int = 500,
    ) -> list[Document]:
        page: dict[str, Any] = {"source_id": source_id, "after": after or "", "limit": limit}
        if where is not None:
            return [m.to_document(row) for row in filtered.page(self._transaction, bot_id, where, **page)]
        statement = s.documents_page(by_source=source_id is not None)
        return [m.to_document(row) for row in self._transaction.rows(statement, bot_id=bot_id, **page)]

    def documents_with_key(self, bot_id: str, key: str, *, source_id: str | None = None) -> list[Document]:
        statement = s.DOCUMENTS_WITH_KEY if source_id is None else s.DOCUMENT_WITH_KEY
        rows = self._transaction.rows(statement, bot_id=bot_id, key=key, source_id=source_id)
        return [m.to_document(row) for row in rows]

    def count_documents(self, bot_id: str, *, source_id: str | None = None, where: Filter | None = None) -> int:
        if source_id is None and where is None:
            log = self._transaction.row(s.BOT_LOG, bot_id=bot_id)
            return 0 if log is None else int(log.documents)
        if where is not None:
            return filtered.count(self._transaction, bot_id, where, source_id=source_id)
        return int(self._transaction.value(s.count_documents(by_source=True), bot_id=bot_id, source_id=source_id))

    def states(
        self,
        source_id: str,
        keys: Collection[str] | None = None,
        *,
        after: str | None = None,
        stale: bool | None = None,
        limit: int = 1_000,
    ) -> list[DocumentState]:
        if keys is not None:
            rows = self._transaction.rows(s.STATES_OF_KEYS, source_id=source_id, keys=as_list(sorted(keys)))
            return [m.to_state(row) for row in rows if stale is None or row.stale == stale]
        page = {"source_id": source_id, "after": after or "", "limit": limit}
        if stale is None:
            rows = self._transaction.rows(s.STATES_PAGE, **page)
        else:
            rows = self._transaction.rows(s.STATES_PAGE_BY_STALE, stale=stale, **page)
        return [m.to_state(row) for row in rows]

    def version(self, version_id: str) -> VersionRow | None:
        row = self._transaction.row(s.VERSION, id=version_id)
        return None if row is None else m.to_version(row, current=bool(row.current))

    def versions(self, document_id: str) -> list[VersionRow]:
        return [
            m.to_version(row, current=bool(row.current))
            for row in self._transaction.rows(s.VERSIONS, document_id=document_id)
        ]

    def text(self, version_id: str, start: int = 0, end: int | None = None) -> str | None:
        length = self._transaction.value(s.VERSION_LENGTH, id=version_id)
        if length is None:
            return None
        start, end, _ = slice(start, end).indices(length)
        if start >= end:
            return ""
        first = start // BLOCK_SIZE
        rows = self._transaction.rows(s.BLOCKS, version_id=version_id, first=first, last=(end - 1) // BLOCK_SIZE)
        offset = first * BLOCK_SIZE
        return "".join(row.text for row in rows)[start - offset : end - offset]

    def vectors_by_hash(self, space: str, hashes: Collection[bytes]) -> dict[bytes, Matrix]:
        found: dict[bytes, Vector] = {}
        every = list(hashes)
        for start in range(0, len(every), _HASHES_PER_STATEMENT):
            batch = every[start : start + _HASHES_PER_STATEMENT]
            wanted = set(batch)
            together = b"".join(each[:6].ljust(6, b"\0") for each in batch)
            starts = as_list([*range(1, len(together), 6)])
            for name, vector in self._transaction.tuples(
                s.VECTORS_BY_HASH, space=space, hashes=together, starts=starts
            ):
                if name in wanted and name not in found:
                    found[name] = m.to_vectors([vector])[0]
        return found

    def sample_texts(self, bot_id: str, limit: int, *, space: str | None = None) -> list[tuple[ChunkText, Vector]]:
        return spaces.sample_texts(self._transaction, self._slices, bot_id, limit, space)

    def lacking_vectors(self, bot_id: str, space: str, *, after: int = 0, limit: int = 256) -> list[ChunkText]:
        return spaces.lacking_vectors(self._transaction, self._slices, bot_id, space, after=after, limit=limit)

    def count_vectors(self, bot_id: str, space: str) -> int:
        return int(self._transaction.value(spaces.COUNT_VECTORS, bot_id=bot_id, space=space))

    def current_versions(
        self, bot_id: str, *, after: str | None = None, limit: int = 1_000
    ) -> list[tuple[str, str, int]]:
        rows = self._transaction.rows(spaces.CURRENT_VERSIONS, bot_id=bot_id, after=after or "", limit=limit)
        return [(row.id, row.version_id, row.characters) for row in rows]

    def stored_versions(self, bot_id: str, *, batch: int = 256) -> Iterator[list[VersionRow]]:
        return moving.stored_versions(self._transaction, bot_id, batch)

    def stored_documents(self, bot_id: str, *, chunks: int = 1_024) -> Iterator[list[StoredDocument]]:
        return moving.stored_documents(self._transaction, bot_id, chunks)

    def stats(self, bot_id: str) -> BotStats:
        bot, log = self.bot_by_id(bot_id), self._transaction.row(s.BOT_LOG, bot_id=bot_id)
        if bot is None or log is None:
            raise BotNotFoundError(f"there is no bot with the id {bot_id!r}")
        return BotStats(
            documents=log.documents,
            chunks=log.chunks,
            characters=log.characters,
            sources=self._transaction.value(s.COUNT_SOURCES, bot_id=bot_id),
            sequence=log.sequence,
            stale=log.stale,
            space=str(bot.space),
            dimension=bot.space.dimension,
        )

    def familiarity(self, bot_id: str) -> tuple[int, float]:
        log = self._transaction.row(s.BOT_LOG, bot_id=bot_id)
        return (0, 0.0) if log is None else (log.words, log.known_words / KNOWN_WORDS_SCALE)

    # ---------------------------------------------------------------- the change log and what indexes are fed with
    def position(self, bot_id: str) -> LogPosition:
        log = self._transaction.row(s.BOT_LOG, bot_id=bot_id)
        return LogPosition(0, 0) if log is None else LogPosition(log.sequence, log.nonce)

    def nonce_at(self, bot_id: str, sequence: int) -> int | None:
        if sequence == 0:
            return 0
        nonce: int | None = self._transaction.value(s.NONCE, bot_id=bot_id, sequence=sequence)
        return nonce

    def log(self, bot_id: str, *, after: int, limit: int = 1_000) -> list[LogRow]:
        return [m.to_log(row) for row in self._transaction.rows(s.LOG, bot_id=bot_id, after=after, limit=limit)]

    def vectors(self, bot_id: str, keys: Keys | None = None, *, batch: int = 4_096) -> Iterator[tuple[Keys, Matrix]]:
        for rows in self._chunk_rows(s.VECTORS_PAGE, s.VECTORS_OF_KEYS, bot_id, keys, batch):
            keys_of_rows, blobs = zip(*rows, strict=True)
            yield np.array(keys_of_rows, np.int64), m.to_vectors(blobs)

    def index_texts(self, bot_id: str, keys: Keys | None = None, *, batch: int = 1_024) -> Iterator[list[IndexText]]:
        for rows in self._chunk_rows(s.INDEX_TEXTS_PAGE, s.INDEX_TEXTS_OF_KEYS, bot_id, keys, batch):
            texts = self._slices((version, start, end) for _, start, end, version, _, _ in rows)
            yield [
                IndexText(key, text, title, language)
                for (key, _, _, _, title, language), text in zip(rows, texts, strict=True)
            ]

    def _chunk_rows(
        self, page: Any, of_keys: Any, bot_id: str, keys: Keys | None, batch: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield rows whose first column is the chunk's key, in its order: all of the bot's, or those of `keys`."""
        if keys is not None:
            for some in as_lists(sorted(set(keys.tolist())), batch):
                rows = self._transaction.tuples(of_keys, bot_id=bot_id, keys=some)
                if rows:
                    yield rows
            return
        after = 0
        while rows := self._transaction.tuples(page, bot_id=bot_id, after=after, limit=batch):
            yield rows
            if len(rows) < batch:
                return
            after = rows[-1][0]

    # ---------------------------------------------------------------- search
    def search_state(self, bot_id: str) -> SearchState | None:
        rows = self._transaction.tuples(s.SEARCH_STATE, bot_id=bot_id)
        return m.to_search_state(rows[0]) if rows else None

    def allowed(self, bot_id: str, where: Filter) -> Keys:
        return filtered.allowed(self._transaction, bot_id, where)

    def allowed_if_few(self, bot_id: str, where: Filter, *, limit: int) -> Keys | None:
        return filtered.allowed_if_few(self._transaction, bot_id, where, limit=limit)

    def matching(self, bot_id: str, where: Filter, keys: Keys) -> dict[int, bool]:
        return filtered.matching(self._transaction, bot_id, where, keys)

    def order(self, bot_id: str, keys: Keys) -> dict[int, tuple[str, str, int]]:
        return {
            chunk_key: (source_name, key, start)
            for some in as_lists(keys.tolist())
            for chunk_key, source_name, key, start in self._transaction.tuples(s.ORDER, bot_id=bot_id, keys=some)
        }

    def hydrate(self, bot_id: str, keys: Keys) -> dict[int, HitRow]:
        hits: dict[int, HitRow] = {}
        for some in as_lists(keys.tolist()):
            hits |= m.to_hits(self._transaction.tuples(s.HITS, bot_id=bot_id, keys=some))
        return hits

    def _slices(self, spans: Iterable[tuple[str, int, int]]) -> list[str]:
        """Return the text of each span `(version id, start, end)`, reading each block once."""
        spans = list(spans)
        wanted = {
            (version, number)
            for version, start, end in spans
            for number in range(start // BLOCK_SIZE, (max(start, end - 1)) // BLOCK_SIZE + 1)
        }
        rows = self._transaction.tuples(s.BLOCKS_OF_VERSIONS, blocks=as_list(sorted(wanted))) if wanted else ()
        blocks = {(version, number): text for version, number, text in rows}

        def piece(version: str, start: int, end: int) -> str:
            first, last = start // BLOCK_SIZE, max(start, end - 1) // BLOCK_SIZE
            text = "".join(blocks.get((version, number), "") for number in range(first, last + 1))
            return text[start - first * BLOCK_SIZE : end - first * BLOCK_SIZE]

        return [piece(*span) for span in spans]
