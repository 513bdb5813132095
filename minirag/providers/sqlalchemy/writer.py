"""`Writer`: everything a tenant can write, in one transaction. Document versions are in `versions`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from minirag.errors import ConflictError, DocumentNotFoundError
from minirag.interfaces.moving import StoredDocument
from minirag.interfaces.records import TenantKey, VersionDraft, VersionRow
from minirag.interfaces.storage import Writer
from minirag.models.chats import ChatRecord, Message
from minirag.models.metadata import encode_metadata
from minirag.models.tenants import BotRecord, Source
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy import moving, spaces
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy.accounting import SqlAccountingWriter
from minirag.providers.sqlalchemy.changes import COUNTERS, BotChanges
from minirag.providers.sqlalchemy.erasing import SqlErasingWriter
from minirag.providers.sqlalchemy.fields import declared_fields, fill, redeclare
from minirag.providers.sqlalchemy.identity import SqlIdentityWriter
from minirag.providers.sqlalchemy.reader import SqlAlchemyReader
from minirag.providers.sqlalchemy.scoping import as_lists
from minirag.providers.sqlalchemy.versions import write_versions
from minirag.types import MetadataValue, utc_now

if TYPE_CHECKING:
    from minirag.types import Matrix

__all__ = ["SqlAlchemyWriter"]

_DOCUMENTS_PER_STATEMENT: Final = 1_000


class SqlAlchemyWriter(SqlAccountingWriter, SqlAlchemyReader, SqlIdentityWriter, SqlErasingWriter, Writer):
    """One write transaction of one tenant."""

    def put_bot(self, bot: BotRecord) -> None:
        duplicate = ConflictError(f"the tenant has another bot named {bot.profile.name!r}; choose another name")
        before = declared_fields(self._transaction, bot.id)
        self._transaction.run(s.PUT_BOT, duplicate=duplicate, **m.bot_row(bot))
        redeclare(self._transaction, bot.id, before=before, after=bot.profile.filterable)
        empty: dict[str, Any] = dict.fromkeys((*COUNTERS, "sequence", "nonce", "last_key"), 0)
        self._transaction.run(s.ADD_BOT_LOG, bot_id=bot.id, **empty)

    def delete_bot(self, bot_id: str) -> None:
        self._transaction.run(s.DELETE_BOT, bot_id=bot_id)

    def put_source(self, source: Source) -> None:
        duplicate = ConflictError(f"the bot has another {source.kind} source at {source.locator!r}")
        self._transaction.run(s.PUT_SOURCE, duplicate=duplicate, **m.source_row(source))

    def delete_source(self, bot_id: str, source_id: str) -> int:
        rows = self._transaction.rows(s.DOCUMENT_IDS_OF_SOURCE, bot_id=bot_id, source_id=source_id)
        removed = self.remove_documents(bot_id, [row.id for row in rows]) if rows else 0
        self._transaction.run(s.DELETE_SOURCE, bot_id=bot_id, id=source_id)
        return removed

    def put_chat(self, chat: ChatRecord) -> None:
        self._transaction.run(s.PUT_CHAT, **m.chat_row(chat))

    def delete_chat(self, bot_id: str, chat_id: str) -> bool:
        return self._transaction.run(s.DELETE_CHAT, bot_id=bot_id, id=chat_id) > 0

    def put_message(self, chat_id: str, message: Message) -> None:
        number = self._transaction.value(s.MESSAGE_NUMBER, chat_id=chat_id, id=message.id)
        if number is None:
            number = (self._transaction.value(s.LAST_MESSAGE_NUMBER, chat_id=chat_id) or 0) + 1
        self._transaction.run(s.PUT_MESSAGE, chat_id=chat_id, number=number, **m.message_row(message))

    def put_tenant_key(self, key: TenantKey) -> None:
        self._transaction.run(
            s.PUT_TENANT_KEY,
            id=key.id,
            wrapped=key.wrapped,
            master_key_id=key.master_key_id,
            created_at=m.stamp(key.created_at),
        )

    def delete_tenant_key(self, key_id: str) -> None:
        self._transaction.run(s.DELETE_TENANT_KEY, id=key_id)

    def put_secrets(self, bot_id: str, secrets: Mapping[str, str]) -> None:
        self._transaction.many(
            s.PUT_SECRET,
            [{"bot_id": bot_id, "field": field, "ciphertext": secrets[field]} for field in sorted(secrets)],
        )

    def delete_secrets(self, bot_id: str, fields: Collection[str]) -> None:
        self._transaction.run(s.DELETE_SECRETS, bot_id=bot_id, fields=json.dumps(sorted(fields)))

    # ---------------------------------------------------------------- documents
    def write_versions(
        self, bot_id: str, drafts: Sequence[VersionDraft], *, space: str, keep_versions: int | None
    ) -> list[str | None]:
        return write_versions(self._transaction, bot_id, drafts, space=space, keep_versions=keep_versions)

    def update_document(
        self,
        document_id: str,
        *,
        title: str | None,
        metadata: Mapping[str, MetadataValue],
        raw_hash: bytes | None,
    ) -> None:
        row = self._transaction.row(s.DOCUMENT_BY_ID, id=document_id)
        if row is None:
            raise DocumentNotFoundError(f"there is no document with the id {document_id!r}")
        encoded = encode_metadata(metadata)
        self._transaction.run(
            s.UPDATE_DOCUMENT,
            at_bot_id=row.bot_id,
            at_id=document_id,
            new_title=title,
            new_metadata_json=encoded,
            new_raw_hash=raw_hash,
            new_stale=False,
            new_updated_at=m.stamp(utc_now()),
        )
        if encoded != row.metadata_json:
            fill(self._transaction, row.bot_id, [document_id], anew=True)
        if title == row.title and not row.stale:
            return
        changes = BotChanges.load(self._transaction, row.bot_id)
        changes.counters["stale"] -= row.stale
        if title != row.title:
            self._transaction.run(s.RETITLE_VERSION, at_id=row.version_id, new_title=title)
            keys = changes.chunk_keys([document_id])[document_id]
            changes.log(removed=keys, added=keys)
        changes.save()

    def remove_documents(self, bot_id: str, document_ids: Sequence[str]) -> int:
        if not document_ids:
            return 0
        changes, removed = BotChanges.load(self._transaction, bot_id), 0
        for ids in as_lists(list(document_ids), _DOCUMENTS_PER_STATEMENT):
            rows = self._transaction.rows(s.DOCUMENTS_BY_ID, bot_id=bot_id, ids=ids)
            keys = changes.chunk_keys([row.id for row in rows])
            for row in rows:
                changes.subtract(row)
                changes.log(removed=keys[row.id], added=())
            self._transaction.run(s.DELETE_DOCUMENTS, bot_id=bot_id, ids=ids)
            removed += len(rows)
        changes.save()
        return removed

    def mark_stale(self, bot_id: str, *, recut: bool = False) -> int:
        changes = BotChanges.load(self._transaction, bot_id)
        self._transaction.run(spaces.MARK_RECUT if recut else s.MARK_STALE, at_bot_id=bot_id)
        changes.counters["stale"] = changes.counters["documents"]
        changes.save()
        return changes.counters["documents"]

    # ---------------------------------------------------------------- another embedding space
    def put_embeddings(
        self, bot_id: str, space: str, keys: Sequence[int], content_hashes: Sequence[bytes], vectors: Matrix
    ) -> int:
        return spaces.put_embeddings(
            self._transaction, bot_id, space, keys=keys, content_hashes=content_hashes, vectors=vectors
        )

    def drop_embeddings(self, bot_id: str, *, keep_space: str, limit: int) -> int:
        return self._transaction.run(spaces.DROP_EMBEDDINGS, bot_id=bot_id, keep_space=keep_space, limit=limit)

    def put_familiarity(self, bot_id: str, documents: Mapping[str, tuple[int, float]]) -> None:
        spaces.put_familiarity(self._transaction, bot_id, documents)

    # ---------------------------------------------------------------- what another storage had
    def restore_versions(self, bot_id: str, versions: Sequence[tuple[VersionRow, str]]) -> None:
        moving.restore_versions(self._transaction, bot_id, versions)

    def restore_documents(self, bot_id: str, documents: Sequence[StoredDocument], *, space: str) -> None:
        moving.restore_documents(self._transaction, bot_id, documents, space=space)
