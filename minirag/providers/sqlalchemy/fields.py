"""The declared fields of metadata, in a table of their own whose rows an index range finds; and how it is kept.

A bot's profile declares fields as `filterable`. For each chunk, the values that its document has in those fields stand here: one row
a value, one row a list's element. Their key begins with field and value, so that to look up whether a candidate has a value
takes one step in a small part of one tree; the chunk and its document lie on two other pages, each elsewhere for each candidate.

The table only narrows a search down: what it finds is put to the whole filter again. So a row may say less than the
metadata do (a long text is cut), but none may be missing.

The rows are made by SQLite from the metadata themselves, in the transaction that writes these. Declaring another field
fills it in from all the bot's documents in the transaction that changes the profile.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    Insert,
    Select,
    String,
    Table,
    Text,
    case,
    func,
    literal_column,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import UserDefinedType

from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.forms import either
from minirag.providers.sqlalchemy.scoping import equals, erase, listed, scoped
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = [
    "CHUNK_DOCUMENT",
    "CUT",
    "DECLARED",
    "LIST",
    "SHOULD_HOLD",
    "chunk_fields",
    "declared_fields",
    "fill",
    "redeclare",
    "refill_bot",
]

CHUNK_DOCUMENT: Final = (
    (t.chunks.c.tenant_id == t.documents.c.tenant_id)
    & (t.chunks.c.bot_id == t.documents.c.bot_id)
    & (t.chunks.c.document_id == t.documents.c.id)
)
"""The condition that joins a chunk with its document."""

CUT: Final = 100
"""Code points of a text that are kept: enough to tell texts apart, and no row grows large. A cut keeps texts in their order."""

LIST: Final = "list"
"""The kind of the row that says that a field is a list; its elements have rows of their own."""


class _AsGiven(UserDefinedType[Any]):
    """A column without a type: text, integers and floats lie in it as they are, and compare as SQLite compares them."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "BLOB"


chunk_fields = Table(
    "chunk_fields",
    t.metadata,
    Column("tenant_id", String(20), primary_key=True, nullable=False),
    Column("bot_id", String(20), primary_key=True, nullable=False),
    Column("field", Text, primary_key=True, nullable=False),
    Column("kind", Text, primary_key=True, nullable=False),
    Column("value", _AsGiven(), primary_key=True, nullable=False),
    Column("chunk_key", BigInteger, primary_key=True, nullable=False, autoincrement=False),
    Index(None, "tenant_id", "bot_id", "chunk_key"),
    ForeignKeyConstraint(
        ["tenant_id", "bot_id", "chunk_key"], ["chunks.tenant_id", "chunks.bot_id", "chunks.key"], ondelete="CASCADE"
    ),
    sqlite_with_rowid=False,
)
"""`kind` is `text`, `number`, `bool`, `$date`, `$datetime`, `null`, or `LIST`; the last two have an empty value."""


# ---------------------------------------------------------------- statements
DECLARED: Final = scoped(
    either(func.json_extract(t.bots.c.profile, "$.filterable"), func.minirag_declared(t.bots.c.profile)),
    of=(t.bots,),
).where(equals(t.bots.c.id, "bot_id"))
_ERASE: Final = erase(chunk_fields).where(equals(chunk_fields.c.bot_id))
_ERASE_DOCUMENTS: Final = _ERASE.where(
    chunk_fields.c.chunk_key.in_(
        scoped(t.chunks.c.key, of=(t.chunks,)).where(
            equals(t.chunks.c.bot_id), t.chunks.c.document_id.in_(listed("ids"))
        )
    )
)
_ERASE_FIELDS: Final = _ERASE.where(chunk_fields.c.field.in_(listed("fields")))


def _filling(*, of_documents: bool) -> Insert:
    """Return an insert of the rows of the fields `fields`: of all the bot's documents, or of those in `ids`."""
    metadata = type_coerce(t.documents.c.metadata_json, Text)
    entry = either(func.json_each(metadata), func.minirag_entries(metadata)).table_valued(
        "key", "value", "type", name="entry", joins_implicitly=True
    )
    elements = case((entry.c.type == "array", entry.c.value))  # NULL has no rows; what is no JSON would be an error
    item = either(func.json_each(elements), func.minirag_items(elements)).table_valued(
        "value", "type", name="item", joins_implicitly=True
    )
    empty: ColumnElement[Any] = literal_column("''")
    kinds = {"integer": "number", "real": "number", "true": "bool", "false": "bool", "array": LIST}
    dated = either(func.json_type(entry.c.value, '$."$date"'), func.minirag_tag(entry.c.value, '$."$date"'))
    tag = case((dated.is_(None), "$datetime"), else_="$date")
    kind = case((entry.c.type == "object", tag), else_=case(kinds, value=entry.c.type, else_=entry.c.type))
    stamp = func.coalesce(*(func.json_extract(entry.c.value, f'$."{name}"') for name in ("$date", "$datetime")))
    value = case(
        (entry.c.type == "text", func.substr(entry.c.value, 1, CUT)),
        (entry.c.type == "object", stamp),
        ((entry.c.type == "null") | (entry.c.type == "array"), empty),
        else_=entry.c.value,
    )
    item_kind = case((item.c.type == "text", "text"), else_="number")
    item_value = case((item.c.type == "text", func.substr(item.c.value, 1, CUT)), else_=item.c.value)

    def rows(kind: ColumnElement[Any], value: ColumnElement[Any], *tables: Any) -> Select[Any]:
        columns = (t.chunks.c.tenant_id, t.chunks.c.bot_id, entry.c.key, kind, value, t.chunks.c.key)
        found = scoped(*columns, of=(t.documents, t.chunks)).select_from(t.documents, *tables, t.chunks)
        found = found.where(equals(t.documents.c.bot_id), CHUNK_DOCUMENT, entry.c.key.in_(listed("fields")))
        return found.where(t.documents.c.id.in_(listed("ids"))) if of_documents else found

    held = either(value, func.minirag_field(entry.c.value))
    item_held = either(item_value, func.minirag_field(item.c.value))
    source = union_all(rows(kind, held, entry), rows(item_kind, item_held, entry, item))
    names = [column.key for column in chunk_fields.c]
    return insert(chunk_fields).from_select(names, source).on_conflict_do_nothing()


_FILL: Final = _filling(of_documents=False)
SHOULD_HOLD: Final[Any] = _FILL.select
"""The query of the rows that the fields `fields` of a bot should have, some of them perhaps twice."""
_FILL_DOCUMENTS: Final = _filling(of_documents=True)


# ---------------------------------------------------------------- writing
def declared_fields(transaction: Transaction, bot_id: str) -> tuple[str, ...]:
    """Return the fields that a bot declares, none if there is no such bot."""
    for (fields,) in transaction.remembered(DECLARED, bot_id=bot_id):
        return tuple(json.loads(fields or "[]"))
    return ()


def fill(transaction: Transaction, bot_id: str, document_ids: Sequence[str], *, anew: bool = False) -> None:
    """Write the declared fields of documents as their metadata are now; `anew` if their chunks may have some."""
    fields = declared_fields(transaction, bot_id)
    if fields and document_ids:
        ids = json.dumps(list(document_ids))
        if anew:
            transaction.run(_ERASE_DOCUMENTS, bot_id=bot_id, ids=ids)
        transaction.run(_FILL_DOCUMENTS, bot_id=bot_id, ids=ids, fields=json.dumps(fields))


def redeclare(transaction: Transaction, bot_id: str, *, before: Sequence[str], after: Sequence[str]) -> None:
    """Write the fields that a bot declares from now on, and forget those that it no longer does."""
    gone, new = sorted(set(before) - set(after)), sorted(set(after) - set(before))
    if gone:
        transaction.run(_ERASE_FIELDS, bot_id=bot_id, fields=json.dumps(gone))
    if new:
        transaction.run(_FILL, bot_id=bot_id, fields=json.dumps(new))


def refill_bot(transaction: Transaction, bot_id: str) -> None:
    """Write the declared fields of all of a bot's documents anew."""
    transaction.run(_ERASE, bot_id=bot_id)
    redeclare(transaction, bot_id, before=(), after=declared_fields(transaction, bot_id))
