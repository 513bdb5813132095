"""`where=` as SQL for SQLite, with the meaning that `minirag.models.filters.matches` gives it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, assert_never

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    TableValuedAlias,
    Text,
    and_,
    case,
    exists,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    type_coerce,
)

from minirag.errors import FilterError
from minirag.models.filters import And, Condition, Filter, Not, Or
from minirag.models.metadata import encode_value

__all__ = ["filter_clause"]

_NUMBER_TYPES: Final = ("integer", "real")
_BOOL_TYPES: Final = ("true", "false")
_ALWAYS: Final[ColumnElement[bool]] = literal_column("1", Boolean)
_NEVER: Final[ColumnElement[bool]] = literal_column("0", Boolean)
"""Not SQLAlchemy's own constants: a condition with one of those in it is folded, and the joins beside it are lost."""


def filter_clause(
    condition: Filter, *, document: FromClause, source: FromClause, chunk: FromClause | None
) -> ColumnElement[bool]:
    """Return a filter as a clause over joined rows. It is always true or false, never NULL, so it may be negated.

    Args:
        document: the table `documents` or an alias of it; its metadata are as `encode_metadata` wrote them.
        source: the table `sources` or an alias of it.
        chunk: the table `chunks` or an alias of it; None where documents are filtered.

    Raises:
        FilterError: if `$page` is used without chunks.
    """
    match condition:
        case And(parts):
            return and_(
                _ALWAYS, *(filter_clause(part, document=document, source=source, chunk=chunk) for part in parts)
            )
        case Or(parts):
            return or_(_NEVER, *(filter_clause(part, document=document, source=source, chunk=chunk) for part in parts))
        case Not(part):
            return not_(filter_clause(part, document=document, source=source, chunk=chunk))
        case Condition(field):
            if not field.startswith("$"):
                return _metadata_clause(type_coerce(document.c.metadata_json, Text), condition)
            return _column_clause(_reserved_column(field, document, source, chunk), condition)
        case _:
            assert_never(condition)


# ---------------------------------------------------------------- fields of the metadata
def _metadata_clause(metadata: ColumnElement[str], condition: Condition) -> ColumnElement[bool]:
    match condition.operator:
        case "$exists":
            present = exists(_entries(metadata, condition.field)[1])
            return present if condition.value else not_(present)
        case "$eq":
            return _metadata_in(metadata, condition.field, (condition.value,))
        case "$in":
            return _metadata_in(metadata, condition.field, condition.value)
        case "$nin":
            return not_(_metadata_in(metadata, condition.field, condition.value))
        case operator:
            return _metadata_order(metadata, condition.field, operator, condition.value)


def _entries(metadata: ColumnElement[str], field: str) -> tuple[TableValuedAlias, Select[Any]]:
    """Return the rows of `json_each` and a selection of the one row of a field.

    Fields are found by comparing names as values, since a JSON path cannot name every field in every SQLite.
    """
    entry = func.json_each(metadata).table_valued("key", "value", "type", joins_implicitly=True)
    return entry, select(literal_column("1")).select_from(entry).where(entry.c.key == field)


def _metadata_in(metadata: ColumnElement[str], field: str, values: Sequence[Any]) -> ColumnElement[bool]:
    """Return whether a field, or an element of a list, equals one of the values."""
    entry, rows = _entries(metadata, field)
    # The inner json_each sees a list or NULL, which has no rows: other values are not JSON, and would be an error.
    elements = case((entry.c.type == "array", entry.c.value))
    element = func.json_each(elements).table_valued("value", "type", joins_implicitly=True)
    element_equals = or_(*_scalar_tests(element, [value for value in values if _is_list_item(value)]), _NEVER)
    clauses: list[ColumnElement[bool]] = [
        exists(rows.where(or_(_NEVER, *_scalar_tests(entry, values)))),
    ]
    if any(_is_list_item(value) for value in values):
        clauses.append(
            exists(rows.where(exists(select(literal_column("1")).select_from(element).where(element_equals))))
        )
    if any(value is None for value in values):
        clauses.append(not_(exists(rows.where(entry.c.type != "null"))))
    return or_(_NEVER, *clauses)


def _is_list_item(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _scalar_tests(row: TableValuedAlias, values: Iterable[Any]) -> list[ColumnElement[bool]]:
    """Return one test for each type among the values: the row is of that type and among its values."""
    texts: list[str] = []
    numbers: list[int | float] = []
    flags: set[str] = set()
    times: dict[str, list[str]] = {}
    for value in values:
        if isinstance(value, bool):
            flags.add("true" if value else "false")
        elif isinstance(value, str):
            texts.append(value)
        elif isinstance(value, int | float):
            numbers.append(value)
        elif isinstance(value, dt.date):
            ((tag, text),) = encode_value(value).items()
            times.setdefault(tag, []).append(text)
    tests: list[ColumnElement[bool]] = []
    if texts:
        tests.append(and_(row.c.type == "text", row.c.value.in_(_listed(texts))))
    if numbers:
        tests.append(and_(row.c.type.in_(_NUMBER_TYPES), row.c.value.in_(_listed(numbers))))
    if flags:
        tests.append(row.c.type.in_(sorted(flags)))
    tests += [_tagged(row, tag).in_(_listed(listed)) for tag, listed in times.items()]
    return tests


def _listed(values: Sequence[str | int | float]) -> Select[Any]:
    """Return the values as a subquery over one JSON parameter, however many they are.

    Numbers take the same way through SQLite's JSON reader as those stored: how it reads decimals depends on its
    build and can differ from Python's reading by one unit in the last place, but never from itself.
    """
    item = func.json_each(literal(json.dumps(values, ensure_ascii=False))).table_valued("value")
    return select(item.c.value)


def _tagged(row: TableValuedAlias, tag: str) -> ColumnElement[Any]:
    """Return the text of a date or datetime, NULL for anything else."""
    return case((row.c.type == "object", func.json_extract(row.c.value, f'$."{tag}"')))


def _metadata_order(metadata: ColumnElement[str], field: str, operator: str, value: Any) -> ColumnElement[bool]:
    entry, rows = _entries(metadata, field)
    if isinstance(value, bool):
        return exists(rows.where(entry.c.type.in_(_BOOL_TYPES), _compare(entry.c.value, operator, literal(int(value)))))
    if isinstance(value, str):
        return exists(rows.where(entry.c.type == "text", _compare(entry.c.value, operator, literal(value))))
    if isinstance(value, int | float):
        number = func.json_extract(literal(json.dumps([value])), "$[0]")
        return exists(rows.where(entry.c.type.in_(_NUMBER_TYPES), _compare(entry.c.value, operator, number)))
    if isinstance(value, dt.date):
        ((tag, text),) = encode_value(value).items()
        return exists(rows.where(_compare(_tagged(entry, tag), operator, literal(text))))
    return _NEVER


# ---------------------------------------------------------------- reserved names
def _reserved_column(
    field: str, document: FromClause, source: FromClause, chunk: FromClause | None
) -> ColumnElement[Any]:
    match field:
        case "$source":
            return source.c.name
        case "$key":
            return document.c.key
        case "$document":
            return document.c.id
        case "$title":
            return document.c.title
        case "$added_at":
            return document.c.added_at
        case "$page":
            if chunk is None:
                raise FilterError("the field $page filters chunks, not documents; leave it out here")
            return chunk.c.page
        case _:
            raise FilterError(f"unknown field {field!r}")


def _column_clause(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    match condition.operator:
        case "$exists":
            return _ALWAYS if condition.value else _NEVER
        case "$eq":
            return _column_in(column, condition.field, (condition.value,))
        case "$in":
            return _column_in(column, condition.field, condition.value)
        case "$nin":
            return not_(_column_in(column, condition.field, condition.value))
        case operator:
            stored = _stored(condition.field, condition.value)
            if stored is None:
                return _NEVER
            return and_(column.is_not(None), _compare(column, operator, literal(stored)))


def _column_in(column: ColumnElement[Any], field: str, values: Sequence[Any]) -> ColumnElement[bool]:
    stored = [text for value in values if (text := _stored(field, value)) is not None]
    clauses: list[ColumnElement[bool]] = [column.is_(None)] if any(value is None for value in values) else []
    if stored:
        clauses.append(and_(column.is_not(None), column.in_(_listed(stored))))
    return or_(_NEVER, *clauses)


def _stored(field: str, value: Any) -> str | int | float | None:
    """Return a value as its reserved column holds it, None if it is of another type than the column."""
    if field == "$added_at":
        return str(encode_value(value)["$datetime"]) if isinstance(value, dt.datetime) else None
    if field == "$page":
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return value if isinstance(value, str) else None


def _compare(left: ColumnElement[Any], operator: str, right: ColumnElement[Any]) -> ColumnElement[bool]:
    match operator:
        case "$gt":
            return left > right
        case "$gte":
            return left >= right
        case "$lt":
            return left < right
        case _:
            return left <= right
