"""Which chunks an index can name that a filter may allow: all of them and some more, never fewer."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, CompoundSelect, Select, Text, and_, bindparam, cast, func, select, true, union_all

from minirag.models.filters import And, Condition, Filter, Or
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.fields import CHUNK_DOCUMENT, CUT, chunk_fields
from minirag.providers.sqlalchemy.filters import any_of, listed_of, number, operands
from minirag.providers.sqlalchemy.forms import either
from minirag.providers.sqlalchemy.scoping import equals, held, scoped

__all__ = ["ChunkKeys", "narrowings", "probe"]

ChunkKeys: TypeAlias = "Select[Any] | CompoundSelect[Any]"
"""A query of keys of chunks of the bot `bot_id`; a key may come twice."""

_MOST: Final = 8
"""So many narrowings are compared with each other; a filter rarely has more."""
_MOST_ALTERNATIVES: Final = 64
"""SQLite joins at most 500 queries into one."""

_ORDERS: Final = ("$gt", "$gte", "$lt", "$lte")


def narrowings(condition: Filter, fields: Collection[str]) -> tuple[ChunkKeys, ...]:
    """Return queries each of which finds every chunk that a filter allows.

    Args:
        condition: a filter from `filters.parameterized`.
        fields: the fields that the bot declares.
    """
    found: list[ChunkKeys] = []
    ranges: dict[tuple[str, str], list[Condition]] = {}
    for part in _conjuncts(condition):
        if isinstance(part, Condition) and part.operator in _ORDERS and part.field in fields:
            ((kind, _),) = operands(part)
            ranges.setdefault((part.field, kind), []).append(part)
        elif (keys := _keys(part, fields)) is not None:
            found.append(keys)
    found += [_range(field, kind, conditions) for (field, kind), conditions in ranges.items()]
    return tuple(found[:_MOST])


def probe(condition: Filter, fields: Collection[str], key: ColumnElement[int]) -> ColumnElement[bool]:
    """Return whether a filter may allow a chunk, as far as the index of one declared field tells; else true."""
    for keys in narrowings(condition, fields):
        if isinstance(keys, Select) and keys.get_final_froms() == [chunk_fields]:
            return keys.where(chunk_fields.c.chunk_key == key).exists()
    return true()


def _conjuncts(condition: Filter) -> Iterator[Filter]:
    """Yield filters that must all hold."""
    if isinstance(condition, And):
        for part in condition.parts:
            yield from _conjuncts(part)
    else:
        yield condition


def _keys(condition: Filter, fields: Collection[str]) -> ChunkKeys | None:
    """Return a query of the chunks that may satisfy a condition, None if no index knows them."""
    if isinstance(condition, Or):
        if not 0 < len(condition.parts) <= _MOST_ALTERNATIVES:
            return None
        alternatives: list[ChunkKeys] = []
        for part in condition.parts:
            some = narrowings(part, fields)
            if not some:
                return None
            alternatives.append(some[0])
        return union_all(*(select(keys.subquery()) for keys in alternatives))
    if not isinstance(condition, Condition):
        return None
    if condition.field in fields:
        return _of_field(condition)
    return _of_column(condition)


# ---------------------------------------------------------------- declared fields
def _rows(field: str) -> Select[Any]:
    return scoped(chunk_fields.c.chunk_key, of=(chunk_fields,)).where(
        equals(chunk_fields.c.bot_id), chunk_fields.c.field == field
    )


def _of_field(condition: Condition) -> ChunkKeys | None:
    if condition.operator == "$exists":
        return _rows(condition.field) if condition.value else None
    found = operands(condition) if condition.operator in ("$eq", "$in") else ()
    if not found or any(kind == "null" for kind, _ in found):
        return None  # null is equal to a missing field, which has no row
    queries = [
        _rows(condition.field).where(chunk_fields.c.kind == kind, _equal(condition, kind, name)) for kind, name in found
    ]
    return queries[0] if len(queries) == 1 else union_all(*queries)


def _equal(condition: Condition, kind: str, name: str) -> ColumnElement[bool]:
    value = chunk_fields.c.value
    if condition.operator == "$eq":
        return value == _held(kind, number(name) if kind == "number" else bindparam(name))
    given = listed_of(kind, name)
    return value.in_(given.with_only_columns(_held(kind, *given.selected_columns)))


def _held(kind: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a value as a row of the declared fields holds it."""
    if kind == "text":
        return func.substr(value, 1, CUT)
    if kind == "number":
        return either(value, func.minirag_number_key(value))
    return either(value, cast(value, Text)) if kind == "bool" else value


def _range(field: str, kind: str, conditions: list[Condition]) -> Select[Any]:
    """Return the chunks between bounds, which are let in: a text that was cut may be equal to one."""
    bounds: list[ColumnElement[bool]] = []
    for condition in conditions:
        ((_, name),) = operands(condition)
        bound = _held(kind, number(name) if kind == "number" else bindparam(name))
        value = chunk_fields.c.value
        bounds.append(value >= bound if condition.operator in ("$gt", "$gte") else value <= bound)
    return _rows(field).where(chunk_fields.c.kind == kind, and_(*bounds))


# ---------------------------------------------------------------- reserved names
def _of_column(condition: Condition) -> Select[Any] | None:
    """Return the chunks of a document's id, of a key or of a source's name."""
    if condition.field not in ("$document", "$key", "$source") or condition.operator not in ("$eq", "$in"):
        return None
    names = [name for kind, name in operands(condition) if kind == "text"]
    if not names:
        return None
    (name,) = names
    chunks = scoped(t.chunks.c.key, of=(t.chunks,)).where(equals(t.chunks.c.bot_id)).correlate(None)
    if condition.field == "$document":
        return chunks.where(any_of(t.chunks.c.document_id, condition, "text", name))
    # A join, since SQLite would read all the bot's documents rather than look each source up in their index.
    of_sources = chunks.where(
        held(t.documents),
        CHUNK_DOCUMENT,
        held(t.sources),
        t.sources.c.bot_id == t.documents.c.bot_id,
        t.sources.c.id == t.documents.c.source_id,
    )
    column = t.sources.c.name if condition.field == "$source" else t.documents.c.key
    return of_sources.where(any_of(column, condition, "text", name))
