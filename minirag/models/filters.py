"""`where=`: a filter as a tree, its parser, and what it means."""

from __future__ import annotations

import datetime as dt
import math
import reprlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, assert_never, cast, get_args

from minirag.errors import FilterError

__all__ = ["RESERVED_FIELDS", "And", "Condition", "Filter", "Not", "Operator", "Or", "matches", "parse_filter"]

Operator: TypeAlias = Literal["$eq", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists"]

RESERVED_FIELDS: Final = ("$source", "$key", "$document", "$title", "$page", "$added_at")
"""Names that a filter may use beside those of the metadata."""

_OPERATORS: Final = (*get_args(Operator), "$not")
_COMBINATIONS: Final = ("$and", "$or", "$not")
_DEPTH_LIMIT: Final = 20
_CONDITION_LIMIT: Final = 500
_VALUE_LIMIT: Final = 10_000
_INTEGER_LIMIT: Final = 2**63
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Condition:
    """One field compared with one value: `{"year": {"$gte": 2020}}`.

    The value of `$in` and `$nin` is a tuple, that of `$exists` a bool. A datetime is in UTC.
    """

    field: str
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; true if there are none."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some part holds; false if there are none."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


Filter: TypeAlias = "Condition | And | Or | Not"


def parse_filter(where: object) -> Filter | None:
    """Return `where` as a tree, or None if it is None or empty and so lets everything through.

    Several fields in one mapping must all hold, and so must several operators on one field:
    `{"lang": "en", "year": {"$gte": 2020, "$lt": 2023}}`. `$not` negates a filter, or the operators of one field.

    Raises:
        FilterError: naming what cannot be understood, and for an unknown operator those that are known.
    """
    if where is None or (isinstance(where, Mapping) and not where):
        return None
    return _Parser().group(where, depth=1)


def matches(condition: Filter, record: Mapping[str, Any]) -> bool:
    """Return whether a record satisfies a filter. This is the meaning of `where=` that every backend must share.

    Args:
        record: metadata and, of `RESERVED_FIELDS`, those the record has.

    Values are compared within their type: numbers (int and float exactly, whatever their size; never bool), bool, str by code
    point, date, datetime as instants. Across types equality and order are false. None has no order, and neither has a list: a
    list equals each value it contains. `$eq: None` holds where the value is None or missing, `$exists` only asks
    whether the field is there. `$nin` is the negation of `$in`.
    """
    match condition:
        case And(parts):
            return all(matches(part, record) for part in parts)
        case Or(parts):
            return any(matches(part, record) for part in parts)
        case Not(part):
            return not matches(part, record)
        case Condition(name, operator, value):
            return _holds(record.get(name, _MISSING), operator, value)
        case _:
            assert_never(condition)


def _holds(found: Any, operator: Operator, value: Any) -> bool:
    match operator:
        case "$exists":
            return (found is not _MISSING) is value
        case "$eq":
            return _equals(found, value)
        case "$in":
            return any(_equals(found, item) for item in value)
        case "$nin":
            return not any(_equals(found, item) for item in value)
        case _:
            return _is_ordered(found, operator, value)


def _equals(found: Any, value: Any) -> bool:
    if value is None:
        return found is None or found is _MISSING
    if isinstance(found, list | tuple):
        return any(_equals(item, value) for item in found)
    kind, comparable = _comparable(found)
    return bool((kind, comparable) == _comparable(value)) and kind is not None


def _is_ordered(found: Any, operator: Literal["$gt", "$gte", "$lt", "$lte"], value: Any) -> bool:
    kind, left = _comparable(found)
    other, right = _comparable(value)
    if kind is None or kind != other:
        return False
    match operator:
        case "$gt":
            return bool(left > right)
        case "$gte":
            return bool(left >= right)
        case "$lt":
            return bool(left < right)
        case "$lte":
            return bool(left <= right)


def _comparable(value: Any) -> tuple[str | None, Any]:
    """Return the type within which a value is compared, None if it has none, and the value in comparable form."""
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int | float):
        return "number", value
    if isinstance(value, str):
        return "str", value
    if isinstance(value, dt.datetime):
        # Two datetimes of one zone compare by their wall clocks, which an hour repeated in autumn makes ambiguous.
        return "datetime", value.astimezone(dt.UTC)
    if isinstance(value, dt.date):
        return "date", value
    return None, None


@dataclass(slots=True)
class _Parser:
    """Parses one filter and counts what it holds."""

    conditions: int = field(default=0)
    values: int = field(default=0)

    def group(self, where: object, *, depth: int) -> Filter:
        """Return a mapping of fields and combinations as a tree."""
        if not isinstance(where, Mapping):
            raise FilterError(f"a filter must be a mapping such as {{'lang': 'en'}}, not {type(where).__name__}")
        self._count_condition(depth)
        parts = [self._entry(name, value, depth=depth) for name, value in where.items()]
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _entry(self, name: object, value: object, *, depth: int) -> Filter:
        if not isinstance(name, str) or not name:
            raise FilterError(f"field names must be non-empty strings, not {_show(name)}")
        if name == "$not":
            return Not(self.group(value, depth=depth + 1))
        if name in ("$and", "$or"):
            if not isinstance(value, list | tuple):
                raise FilterError(f"{name} needs a list of filters, not {type(value).__name__}")
            parts = tuple(self.group(part, depth=depth + 1) for part in value)
            return And(parts) if name == "$and" else Or(parts)
        if name.startswith("$") and name not in RESERVED_FIELDS:
            raise FilterError(
                f"unknown operator or field {_show(name)}; known operators here: {', '.join(_COMBINATIONS)}; "
                f"known fields: {', '.join(RESERVED_FIELDS)}; on a field: {', '.join(_OPERATORS)}"
            )
        _check_text(name, name)
        return self._field(str.__str__(name), value, depth=depth + 1)

    def _field(self, name: str, value: object, *, depth: int) -> Filter:
        if not isinstance(value, Mapping):
            return self._condition(name, "$eq", value, depth=depth)
        if not value:
            raise FilterError(f"field {_show(name)}: no operator given; use one of {', '.join(_OPERATORS)}")
        parts: list[Filter] = []
        for operator, operand in value.items():
            if operator == "$not":
                self._count_condition(depth)
                parts.append(Not(self._field(name, operand, depth=depth + 1)))
            elif isinstance(operator, str) and operator in _OPERATORS:
                parts.append(self._condition(name, cast("Operator", operator), operand, depth=depth))
            else:
                raise FilterError(
                    f"field {_show(name)}: unknown operator {_show(operator)}; known: {', '.join(_OPERATORS)}"
                )
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _condition(self, name: str, operator: Operator, value: object, *, depth: int) -> Condition:
        self._count_condition(depth)
        if operator == "$exists":
            if not isinstance(value, bool):
                raise FilterError(f"field {_show(name)}: $exists needs True or False, not {_show(value)}")
            return Condition(name, operator, value)
        if operator in ("$in", "$nin"):
            if not isinstance(value, list | tuple | AbstractSet):
                raise FilterError(f"field {_show(name)}: {operator} needs a list of values, not {_show(value)}")
            self._count_values(len(value))
            return Condition(name, operator, tuple(_check_value(name, item) for item in value))
        self._count_values(1)
        return Condition(name, operator, _check_value(name, value))

    def _count_condition(self, depth: int) -> None:
        self.conditions += 1
        if depth > _DEPTH_LIMIT:
            raise FilterError(f"the filter is nested more than {_DEPTH_LIMIT} deep; flatten it")
        if self.conditions > _CONDITION_LIMIT:
            raise FilterError(f"the filter holds more than {_CONDITION_LIMIT} conditions; use $in for many values")

    def _count_values(self, count: int) -> None:
        self.values += count
        if self.values > _VALUE_LIMIT:
            raise FilterError(f"the filter holds more than {_VALUE_LIMIT} values; search in several steps")


def _check_value(name: str, value: object) -> str | bool | int | float | dt.date | dt.datetime | None:
    """Return a scalar of a type that metadata may hold, without a subclass's extras."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        _check_text(name, value)
        return str.__str__(value)
    if isinstance(value, int):
        if not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
            raise FilterError(f"field {_show(name)}: {_show(value)} does not fit in 64 bits, as metadata must")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FilterError(f"field {_show(name)}: {value!r} is not finite; use $exists or None to find gaps")
        return float(value)
    if isinstance(value, dt.datetime):
        if value.utcoffset() is None:
            raise FilterError(f"field {_show(name)}: the datetime {value!s} has no time zone; add tzinfo")
        try:
            return value.astimezone(dt.UTC)
        except OverflowError:
            raise FilterError(f"field {_show(name)}: {value!s} lies outside the years 1 to 9999 in UTC") from None
    if isinstance(value, dt.date):
        return value
    if isinstance(value, list | tuple | AbstractSet):
        raise FilterError(f"field {_show(name)}: a {type(value).__name__} is compared by $in or $nin, not directly")
    raise FilterError(
        f"field {_show(name)}: a value of type {type(value).__name__} cannot be compared; "
        "use str, bool, int, finite float, date, aware datetime or None"
    )


def _check_text(name: str, text: str) -> None:
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise FilterError(f"field {_show(name)}: {_show(text)} holds NUL or a lone surrogate, which is never stored")


def _show(value: object) -> str:
    """Return a short form of a value for a message."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an int of {value.bit_length()} bits"
    if value is None or isinstance(value, str | int | float):
        return reprlib.repr(value)
    return f"a {type(value).__name__}"
