"""What the database does for an erasure: the rows it reads, deletes and keeps. Their bytes are the care of `purging`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Integer, Select, bindparam, cast, func, literal_column, select, true

from minirag.interfaces.erasing import ErasingDirectory, ErasingReader, ErasingWriter, ErasureRecord, HeldVersion
from minirag.models.chats import Message
from minirag.models.erasures import ErasureReceipt
from minirag.providers.sqlalchemy import identity_tables as i
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.changes import BotChanges
from minirag.providers.sqlalchemy.forms import each_integer, either
from minirag.providers.sqlalchemy.scoping import as_list, as_lists, equals, held, listed, listed_keys, scoped, upsert
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["SqlErasingDirectory", "SqlErasingReader", "SqlErasingWriter"]

_ANYTHING: Final[Select[Any]] = select(literal_column("1"))
_AT_ONCE: Final = 256
_HASHES_AT_ONCE: Final = 4_096
_IN_CHUNK: Final = (t.embeddings.c.bot_id == t.chunks.c.bot_id) & (t.embeddings.c.chunk_key == t.chunks.c.key)

_HELD: Final = (
    scoped(
        t.document_versions.c.id,
        t.document_versions.c.document_id,
        t.document_versions.c.source_id,
        t.document_versions.c.key,
        t.document_versions.c.title,
        of=(t.document_versions,),
    )
    .where(equals(t.document_versions.c.bot_id))
    .order_by(t.document_versions.c.id)
)
_DELETE_VERSIONS: Final = s.DELETE_VERSIONS.where(equals(t.document_versions.c.bot_id))
_VECTORS: Final = scoped(
    t.embeddings.c.chunk_key, t.embeddings.c.content_hash, t.embeddings.c.vector, of=(t.chunks, t.embeddings)
).where(equals(t.chunks.c.bot_id), t.chunks.c.document_id.in_(listed("ids")), _IN_CHUNK)
_START: Final = each_integer("starts").table_valued("value").c.value
_HOLDERS: Final = select(t.embeddings.c.content_hash, t.chunks.c.document_id).where(
    # By the beginnings of hashes, as `statements.VECTORS_BY_HASH` does.
    held(t.embeddings).is_(true()),
    func.substr(t.embeddings.c.tenant_id, literal_column("-4"))
    == func.substr(bindparam("scope"), literal_column("-4")),
    func.substr(t.embeddings.c.content_hash, literal_column("1"), literal_column("6")).in_(
        select(func.substr(bindparam("hashes"), either(_START, cast(_START, Integer)), literal_column("6")))
    ),
    held(t.chunks),
    _IN_CHUNK,
)
_CHATS: Final = (
    scoped(t.chats.c.id, of=(t.chats,))
    .where(equals(t.chats.c.bot_id), t.chats.c.id > bindparam("after"))
    .order_by(t.chats.c.id)
    .limit(bindparam("limit"))
)
_MESSAGES: Final = (
    scoped(t.messages)
    .where(t.messages.c.chat_id.in_(listed("ids")))
    .order_by(t.messages.c.chat_id, t.messages.c.number)
)
_SAME_LENGTH: Final = scoped(
    t.document_versions.c.document_id, t.document_versions.c.id, of=(t.document_versions,)
).where(t.document_versions.c.characters.in_(listed_keys("lengths")))
_ERASED_AT: Final = scoped(func.max(i.erasures.c.sequence), of=(i.erasures,)).where(equals(i.erasures.c.bot_id))
_PUT: Final = upsert(i.erasures, fixed=("kind", "requested_at"))
_ALL: Final = select(i.erasures).order_by(i.erasures.c.id)
_ONE: Final = _ALL.where(equals(i.erasures.c.id))
_PENDING: Final = _ALL.where(i.erasures.c.status == "pending")


@lru_cache
def _held_versions(*, of_source: bool, of_keys: bool) -> Select[Any]:
    """Return the query of a bot's versions, of one source and of some keys if told."""
    found = _HELD
    if of_source:
        found = found.where(equals(t.document_versions.c.source_id))
    if of_keys:
        found = found.where(t.document_versions.c.key.in_(listed("keys")))
    return found


class SqlErasingReader(ErasingReader):
    """What an erasure must know of a tenant's rows."""

    _transaction: Transaction

    def held_versions(
        self, bot_id: str, *, source_id: str | None = None, keys: Collection[str] | None = None
    ) -> list[HeldVersion]:
        given = {"bot_id": bot_id, "source_id": source_id, "keys": None if keys is None else as_list(sorted(keys))}
        statement = _held_versions(of_source=source_id is not None, of_keys=keys is not None)
        return [HeldVersion._make(row) for row in self._transaction.rows(statement, **given)]

    def vectors_of_documents(
        self, bot_id: str, document_ids: Sequence[str]
    ) -> Iterator[list[tuple[int, bytes, bytes]]]:
        for ids in as_lists(list(document_ids), _AT_ONCE):
            rows = self._transaction.rows(_VECTORS, bot_id=bot_id, ids=ids)
            yield [(row.chunk_key, row.content_hash, row.vector) for row in rows]

    def messages_of_bot(self, bot_id: str, *, batch: int = 500) -> Iterator[list[tuple[str, Message]]]:
        after = ""
        while chats := self._transaction.rows(_CHATS, bot_id=bot_id, after=after, limit=batch):
            ids = json.dumps([row.id for row in chats])
            yield [(row.chat_id, m.to_message(row)) for row in self._transaction.rows(_MESSAGES, ids=ids)]
            after = chats[-1].id

    def documents_holding(self, hashes: Collection[bytes]) -> set[str]:
        every = sorted(set(hashes))
        found: set[str] = set()
        for begin in range(0, len(every), _HASHES_AT_ONCE):
            wanted = set(every[begin : begin + _HASHES_AT_ONCE])
            together = b"".join(name[:6].ljust(6, b"\0") for name in sorted(wanted))
            starts = as_list([*range(1, len(together), 6)])
            rows = self._transaction.tuples(_HOLDERS, hashes=together, starts=starts)
            found.update(document_id for name, document_id in rows if bytes(name) in wanted)
        return found

    def versions_of_length(self, lengths: Collection[int]) -> list[tuple[str, str]]:
        wanted = sorted(set(lengths))
        return [
            (row.document_id, row.id)
            for some in as_lists(wanted)
            for row in self._transaction.rows(_SAME_LENGTH, lengths=some)
        ]

    def erased_at(self, bot_id: str) -> int:
        return int(self._transaction.value(_ERASED_AT, bot_id=bot_id) or 0)

    def check_open(self) -> None:
        self._transaction.tuples(_ANYTHING)
        if self._transaction.check_unchanged is not None:
            self._transaction.check_unchanged()


class SqlErasingWriter(ErasingWriter):
    """What an erasure does to a tenant's rows."""

    _transaction: Transaction

    def erase_versions(self, bot_id: str, version_ids: Collection[str]) -> int:
        changes = BotChanges.load(self._transaction, bot_id)
        erased = sum(
            self._transaction.run(_DELETE_VERSIONS, bot_id=bot_id, ids=ids) for ids in as_lists(sorted(version_ids))
        )
        changes.log(removed=(), added=())
        changes.save()
        return erased

    def put_erasure(self, record: ErasureRecord) -> None:
        self._transaction.run(_PUT, **_row(record))


class SqlErasingDirectory(ErasingDirectory):
    """The erasures of all tenants."""

    _transaction: Transaction

    def put_erasure(self, record: ErasureRecord) -> None:
        self._transaction.run(_PUT, scope=record.receipt.tenant, **_row(record))

    def erasures(self, *, erasure_id: str | None = None, pending: bool = False) -> list[ErasureRecord]:
        if erasure_id is not None:
            rows = self._transaction.rows(_ONE, id=erasure_id)
        else:
            rows = self._transaction.rows(_PENDING if pending else _ALL)
        return [_record(row) for row in rows]


def _row(record: ErasureRecord) -> dict[str, Any]:
    receipt = record.receipt
    return {
        "id": receipt.id,
        "kind": receipt.kind,
        "status": receipt.status,
        "bot_id": record.bot_id,
        "sequence": record.sequence,
        "receipt": receipt.model_dump_json(),
        "keys": record.keys,
        "traces": record.traces,
        "requested_at": m.stamp(receipt.requested_at),
        "finished_at": None if receipt.finished_at is None else m.stamp(receipt.finished_at),
    }


def _record(row: Any) -> ErasureRecord:
    return ErasureRecord(
        ErasureReceipt.model_validate_json(row.receipt),
        row.bot_id,
        row.sequence,
        keys=bytes(row.keys),
        traces=bytes(row.traces),
    )
