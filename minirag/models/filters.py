"""`where=`: a filter as a tree, its parser, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["And", "Condition", "Filter", "Not", "Operator", "Or", "matches", "parse_filter"]

Operator: TypeAlias = Literal["$eq", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One field compared with one value: `{"year": {"$gte": 2020}}`."""

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


def parse_filter(where: object) -> Filter | None: ...
def matches(condition: Filter, record: Mapping[str, Any]) -> bool: ...
