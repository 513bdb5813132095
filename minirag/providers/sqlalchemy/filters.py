"""`where=` as SQL, with the meaning that `minirag.models.filters.matches` gives it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, assert_never, cast

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    case,
    collate,
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
from minirag.providers.sqlalchemy.forms import each_integer, each_number, either
from minirag.providers.sqlalchemy.scoping import equals, held, listed

__all__ = ["Operands", "any_of", "filter_clause", "listed_of", "number", "operands", "parameterized"]

Operands: TypeAlias = "tuple[tuple[str, str], ...]"
"""What stands in the place of a condition's value: kinds of value, each with the name of the parameter that holds it."""

_BIND_ONE: Final = ("$eq", "$gt", "$gte", "$lt", "$lte")
_JSON_TYPES: Final = {"null": (), "bool": ("true", "false"), "number": ("integer", "real"), "text": ("text",)}
"""The JSON types of each kind of value; dates and datetimes are objects of one entry."""

_PLAIN_NAME: Final = re.compile(r'[^"\\\x00-\x1f]+')
_ALWAYS: Final[ColumnElement[bool]] = either(literal_column("1", Boolean), literal_column("true", Boolean))
_NEVER: Final[ColumnElement[bool]] = either(literal_column("0", Boolean), literal_column("false", Boolean))
"""Not SQLAlchemy's own constants: a condition with one of those in it is folded, and the joins beside it are lost."""


# ---------------------------------------------------------------- values and parameters
def parameterized(condition: Filter) -> tuple[Filter, dict[str, Any]]:
    """Return a filter in which `Operands` stand for the values, and the parameters that those name.

    Filters that differ in nothing but their values become equal, so that one statement, compiled once, serves them all.
    """
    parameters: dict[str, Any] = {}
    return _parameterized(condition, parameters), parameters


def _parameterized(condition: Filter, parameters: dict[str, Any]) -> Filter:
    match condition:
        case And(parts):
            return And(tuple(_parameterized(part, parameters) for part in parts))
        case Or(parts):
            return Or(tuple(_parameterized(part, parameters) for part in parts))
        case Not(part):
            return Not(_parameterized(part, parameters))
        case Condition(_, "$exists", _):
            return condition
        case Condition(field, operator, value):
            single = operator in _BIND_ONE
            by_kind: dict[str, list[Any]] = {}
            for item in (value,) if single else value:
                kind, stored = _stored(item)
                by_kind.setdefault(kind, []).append(stored)
            found: list[tuple[str, str]] = []
            for kind in sorted(by_kind):
                name = f"value_{len(parameters)}"
                values = by_kind[kind]
                if single and kind != "number":
                    parameters[name] = values[0]
                else:
                    parameters[name] = json.dumps(values[0] if single else values, ensure_ascii=False)
                found.append((kind, name))
            return Condition(field, operator, tuple(found))
        case _:
            assert_never(condition)


def _stored(value: Any) -> tuple[str, Any]:
    """Return the kind of a value, and the value as JSON holds it."""
    if value is None:
        return "null", ""
    if isinstance(value, bool):
        return "bool", int(value)
    if isinstance(value, str):
        return "text", value
    if isinstance(value, int | float):
        return "number", value
    ((tag, text),) = encode_value(value).items()
    return tag, text


def operands(condition: Condition) -> Operands:
    """Return what stands for the value of a condition from `parameterized`."""
    return cast("Operands", condition.value)


def number(name: str) -> ColumnElement[Any]:
    """Return a number that a parameter holds as JSON.

    Numbers take the same way through SQLite's JSON reader as those stored: how it reads decimals depends on its build and
    can differ from Python's reading by one unit in the last place, but never from itself.
    """
    return either(func.json_extract(bindparam(name), literal_column("'$'")), func.minirag_read_number(bindparam(name)))


def _one(kind: str, name: str) -> ColumnElement[Any]:
    return number(name) if kind == "number" else bindparam(name)


def any_of(column: ColumnElement[Any], condition: Condition, kind: str, name: str) -> ColumnElement[bool]:
    """Return whether a column equals the value, or one of the values, of one kind among a condition's operands."""
    if condition.operator in _BIND_ONE:
        return column == _one(kind, name)
    return column.in_(listed_of(kind, name))


def listed_of(kind: str, name: str) -> Select[Any]:
    """Return the values of one kind that a parameter holds as a JSON array."""
    each = {"number": each_number, "bool": each_integer}.get(kind)
    return listed(name) if each is None else select(each(name).table_valued("value").c.value)


def of_kind(value: ColumnElement[Any], kind: str) -> ColumnElement[Any]:
    """Return a value of the metadata as one that compares with others of its kind.

    SQLite's values are what they are; PostgreSQL's are JSON until they are read, and its texts compare by code point if told.
    """
    if kind == "number":
        return either(value, func.minirag_number(value))
    if kind == "bool":
        return either(value, func.minirag_truth(value))
    return either(value, collate(func.minirag_text(value), "C"))


# ---------------------------------------------------------------- clauses
def filter_clause(
    condition: Filter, *, document: FromClause, source: FromClause, chunk: FromClause | None
) -> ColumnElement[bool]:
    """Return a filter as a clause over joined rows. It is always true or false, never NULL, so it may be negated.

    Args:
        condition: a filter from `parameterized`.
        document: the table `documents` or an alias of it; its metadata are as `encode_metadata` wrote them.
        source: the table `sources` or an alias of it; it need not be joined.
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
        case Condition("$source"):
            named = select(source.c.id).where(held(source), equals(source.c.bot_id)).correlate(None)
            return document.c.source_id.in_(named.where(_column_clause(source.c.name, condition)))
        case Condition(field):
            if not field.startswith("$"):
                return _metadata_clause(type_coerce(document.c.metadata_json, Text), condition)
            return _column_clause(_reserved_column(field, document, chunk), condition)
        case _:
            assert_never(condition)


# ---------------------------------------------------------------- fields of the metadata
def _metadata_clause(metadata: ColumnElement[str], condition: Condition) -> ColumnElement[bool]:
    kind, value = _entry(metadata, condition.field)
    match condition.operator:
        case "$exists":
            return kind.is_not(None) if condition.value else kind.is_(None)
        case "$eq" | "$in":
            return _metadata_in(kind, value, condition)
        case "$nin":
            return not_(_metadata_in(kind, value, condition))
        case operator:
            return _metadata_order(kind, value, operator, condition)


def _entry(metadata: ColumnElement[str], field: str) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the JSON type of a field, NULL if it is missing, and its value, a list or object as JSON text.

    A path cannot name every field in every SQLite; the others are found by comparing names as values, at half the speed.
    """
    if _PLAIN_NAME.fullmatch(field):
        path = literal(f'$."{field}"')
        return (
            either(func.json_type(metadata, path), func.minirag_type(metadata, path)),
            either(func.json_extract(metadata, path), func.minirag_value(metadata, path)),
        )
    entry = either(func.json_each(metadata), func.minirag_entries(metadata)).table_valued("key", "value", "type")
    found = [
        select(column).select_from(entry).where(entry.c.key == field).scalar_subquery()
        for column in (entry.c.type, entry.c.value)
    ]
    return found[0], found[1]


def _metadata_in(kind: ColumnElement[Any], value: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    """Return whether a field, or an element of a list, equals one of the values."""
    branches: dict[str, ColumnElement[bool]] = {}
    items: list[ColumnElement[bool]] = []
    tagged: list[ColumnElement[bool]] = []
    item = either(func.json_each(value), func.minirag_items(value)).table_valued("value", "type")
    for name, parameter in operands(condition):
        test = any_of(of_kind(value, name), condition, name, parameter)
        among = any_of(of_kind(item.c.value, name), condition, name, parameter)
        match name:
            case "null":
                branches["null"] = _ALWAYS
            case "bool":
                branches |= dict.fromkeys(_JSON_TYPES["bool"], test)
            case "text":
                branches["text"] = test
                items.append(and_(item.c.type == _quoted("text"), among))
            case "number":
                branches |= dict.fromkeys(_JSON_TYPES["number"], test)
                items.append(and_(item.c.type != _quoted("text"), among))
            case tag:
                tagged.append(func.coalesce(any_of(_tagged(value, tag), condition, tag, parameter), _NEVER))
    if items:
        branches["array"] = exists(select(literal_column("1")).select_from(item).where(or_(*items)))
    if tagged:
        branches["object"] = or_(*tagged)
    clause = _by_type(kind, branches)
    return or_(kind.is_(None), clause) if "null" in branches else clause


def _by_type(kind: ColumnElement[Any], branches: Mapping[str, ColumnElement[bool]]) -> ColumnElement[bool]:
    """Return the test for the type a field has; false for a missing field and for types without a test."""
    if not branches:
        return _NEVER
    return case(*((_quoted(name), test) for name, test in branches.items()), value=kind, else_=_NEVER)


def _metadata_order(
    kind: ColumnElement[Any], value: ColumnElement[Any], operator: str, condition: Condition
) -> ColumnElement[bool]:
    ((name, parameter),) = operands(condition)
    bound = _one(name, parameter)
    types = _JSON_TYPES.get(name, ("object",))
    if types == ("object",):
        test: ColumnElement[bool] = func.coalesce(_compare(_tagged(value, name), operator, bound), _NEVER)
    else:
        test = _compare(of_kind(value, name), operator, bound)
    return _by_type(kind, dict.fromkeys(types, test))


def _quoted(word: str) -> ColumnElement[str]:
    return literal_column(f"'{word}'")


def _tagged(value: ColumnElement[Any], tag: str) -> ColumnElement[Any]:
    """Return the text of a date or datetime, NULL for an object of the other kind."""
    path = _quoted(f'$."{tag}"')
    return either(func.json_extract(value, path), collate(func.minirag_tag(value, path), "C"))


# ---------------------------------------------------------------- reserved names
def _reserved_column(field: str, document: FromClause, chunk: FromClause | None) -> ColumnElement[Any]:
    match field:
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


_COLUMN_KINDS: Final = {"$added_at": "$datetime", "$page": "number"}
"""The kind of values that a reserved column holds, where it is not text."""


def _column_clause(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    """Return a condition on a column. Values of another kind than the column's equal nothing and have no order with it."""
    kind = _COLUMN_KINDS.get(condition.field, "text")
    match condition.operator:
        case "$exists":
            return _ALWAYS if condition.value else _NEVER
        case "$eq" | "$in":
            return _column_in(column, condition, kind)
        case "$nin":
            return not_(_column_in(column, condition, kind))
        case operator:
            tests = [
                and_(column.is_not(None), _compare(column, operator, _one(name, parameter)))
                for name, parameter in operands(condition)
                if name == kind
            ]
            return tests[0] if tests else _NEVER


def _column_in(column: ColumnElement[Any], condition: Condition, kind: str) -> ColumnElement[bool]:
    clauses: list[ColumnElement[bool]] = []
    for name, parameter in operands(condition):
        if name == "null":
            clauses.append(column.is_(None))
        elif name == kind:
            clauses.append(and_(column.is_not(None), any_of(column, condition, name, parameter)))
    return or_(_NEVER, *clauses)


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
