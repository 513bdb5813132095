"""`parse_filter` and `matches`: what `where=` may say and what it means."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirag.errors import FilterError
from minirag.models.filters import And, Condition, Filter, Not, Or, matches, parse_filter
from minirag.testing.strategies import metadata, where_filters

NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
RECORD: dict[str, Any] = {
    "lang": "en",
    "year": 2020,
    "ratio": 0.5,
    "flag": True,
    "none": None,
    "tags": ["a", "b"],
    "numbers": [1, 2**53 + 1],
    "empty": [],
    "day": dt.date(2024, 2, 29),
    "moment": NOON,
    "big": 2**53 + 1,
    "zero": -0.0,
    "$source": "inline",
    "$page": None,
    "$added_at": NOON,
}


def _matches(where: object) -> bool:
    condition = parse_filter(where)
    assert condition is not None
    return matches(condition, RECORD)


@pytest.mark.parametrize("where", [None, {}])
def test_nothing_to_filter(where: object) -> None:
    """None and an empty mapping let everything through."""
    assert parse_filter(where) is None


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"lang": "en"}, Condition("lang", "$eq", "en")),
        ({"n": {"$in": {7}}}, Condition("n", "$in", (7,))),
        ({"a": 1, "b": 2}, And((Condition("a", "$eq", 1), Condition("b", "$eq", 2)))),
        ({"a": {"$gt": 1, "$lte": 2}}, And((Condition("a", "$gt", 1), Condition("a", "$lte", 2)))),
        ({"a": {"$not": {"$gt": 1}}}, Not(Condition("a", "$gt", 1))),
        ({"a": {"$not": 1}}, Not(Condition("a", "$eq", 1))),
        ({"$not": {"a": 1}}, Not(Condition("a", "$eq", 1))),
        ({"$or": []}, Or(())),
        ({"$and": [{"a": 1}, {}]}, And((Condition("a", "$eq", 1), And(())))),
    ],
)
def test_tree(where: object, expected: Filter) -> None:
    """A filter becomes the tree that it reads as."""
    assert parse_filter(where) == expected


def test_values_lose_their_subclass() -> None:
    """Members of str and int enumerations are compared as their values."""

    class Language(enum.StrEnum):
        ENGLISH = "en"

    condition = parse_filter({"lang": Language.ENGLISH})
    assert isinstance(condition, Condition)
    assert type(condition.value) is str
    assert _matches({"lang": Language.ENGLISH})


@pytest.mark.parametrize(
    "where",
    [
        {"lang": "en"},
        {"lang": {"$eq": "en"}},
        {"lang": {"$in": ["de", "en"]}},
        {"lang": {"$nin": ["de"]}},
        {"lang": {"$gt": "EN", "$lt": "fr"}},
        {"year": 2020.0},
        {"year": {"$gte": 2020, "$lt": 2020.5}},
        {"ratio": {"$gt": 0}},
        {"zero": 0},
        {"big": {"$gt": 2.0**53}},
        {"flag": True},
        {"flag": {"$gt": False}},
        {"none": None},
        {"missing": None},
        {"missing": {"$in": [None, 1]}},
        {"missing": {"$nin": [1]}},
        {"missing": {"$exists": False}},
        {"none": {"$exists": True}},
        {"$page": {"$exists": True}},
        {"$page": None},
        {"$source": "inline"},
        {"tags": "b"},
        {"tags": {"$in": ["z", "a"]}},
        {"tags": {"$nin": ["z"]}},
        {"numbers": 1.0},
        {"day": dt.date(2024, 2, 29)},
        {"day": {"$lt": dt.date(2024, 3, 1)}},
        {"moment": NOON.astimezone(dt.timezone(dt.timedelta(hours=5)))},
        {"$added_at": {"$lte": NOON}},
        {"$and": []},
        {"$or": [{"lang": "de"}, {"year": 2020}]},
        {"$not": {"lang": "de"}},
        {"lang": {"$not": "de"}},
        {"missing": {"$not": {"$gt": 1}}},
        {"lang": "en", "$or": [{"year": 2020}], "$not": {"flag": False}},
    ],
)
def test_matches(where: object) -> None:
    """These filters accept the record."""
    assert _matches(where)
    assert not _matches({"$not": where})


@pytest.mark.parametrize(
    "where",
    [
        {"lang": "EN"},
        {"lang": {"$nin": ["en"]}},
        {"lang": {"$gt": 1}},
        {"year": "2020"},
        {"year": {"$gt": 2019, "$lt": 2020}},
        {"flag": 1},
        {"flag": {"$in": [1, 1.0]}},
        {"flag": {"$gte": 0}},
        {"numbers": True},
        {"numbers": 2.0**53},
        {"big": 2.0**53},
        {"none": {"$gte": None}},
        {"none": {"$exists": False}},
        {"none": 0},
        {"missing": {"$gt": 0}},
        {"missing": {"$lte": 0}},
        {"missing": {"$nin": [None]}},
        {"tags": "ab"},
        {"tags": {"$gt": "a"}},
        {"tags": {"$nin": ["a"]}},
        {"tags": None},
        {"empty": None},
        {"empty": {"$in": []}},
        {"day": NOON},
        {"day": {"$lte": NOON}},
        {"day": "2024-02-29"},
        {"moment": dt.date(2024, 2, 29)},
        {"$or": []},
        {"lang": "en", "year": 1999},
    ],
)
def test_does_not_match(where: object) -> None:
    """These filters refuse the record."""
    assert not _matches(where)
    assert _matches({"$not": where})


def test_strings_are_ordered_by_code_point() -> None:
    """Code points decide, not UTF-16 units: U+FFFF comes before U+1F600."""
    condition = parse_filter({"x": {"$gt": "\uffff"}})
    assert condition is not None
    assert matches(condition, {"x": "😀"})


def test_an_hour_that_happens_twice_is_compared_as_an_instant() -> None:
    """Two datetimes of one zone whose clocks show the same time an hour apart are different."""

    class Autumn(dt.tzinfo):
        def utcoffset(self, moment: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(hours=1 if moment is not None and moment.fold else 2)

        def dst(self, moment: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(0)

    first = dt.datetime(2024, 10, 27, 2, 30, tzinfo=Autumn())
    second = first.replace(fold=1)
    condition = parse_filter({"at": {"$gt": first}})
    assert condition is not None
    assert matches(condition, {"at": second})
    assert not matches(condition, {"at": first})


class _Selfish(dict[str, Any]):
    """A filter that holds itself."""

    def __init__(self) -> None:
        self["$not"] = self


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ([], "a filter must be a mapping such as .*, not list"),
        ("lang=en", "not str"),
        ({1: 2}, "field names must be non-empty strings, not 1"),
        ({"": 2}, "not ''"),
        ({"$year": 2}, r"unknown operator or field '\$year'.*\$and, \$or, \$not.*\$added_at"),
        ({"$gt": 2}, r"unknown operator or field '\$gt'"),
        ({"year": {"$ne": 2}}, r"field 'year': unknown operator '\$ne'; known: \$eq, \$in, .*\$exists, \$not"),
        ({"year": {"gt": 2}}, "unknown operator 'gt'"),
        ({"year": {2: 2}}, "unknown operator 2"),
        ({"year": {}}, "field 'year': no operator given"),
        ({"year": {"$not": {}}}, "field 'year': no operator given"),
        ({"$and": {"a": 1}}, r"\$and needs a list of filters, not dict"),
        ({"$or": [1]}, "must be a mapping .* not int"),
        ({"$not": [{"a": 1}]}, "not list"),
        ({"year": [1, 2]}, r"a list is compared by \$in or \$nin"),
        ({"year": {"$gt": [1]}}, "a list is compared"),
        ({"year": {"$in": "ab"}}, r"\$in needs a list of values, not 'ab'"),
        ({"year": {"$in": [[1]]}}, "a list is compared"),
        ({"year": {"$exists": 1}}, r"\$exists needs True or False, not 1"),
        ({"year": float("nan")}, "nan is not finite"),
        ({"year": {"$lt": float("inf")}}, "inf is not finite"),
        ({"year": 2**63}, "9223372036854775808 does not fit in 64 bits"),
        ({"year": 10**5000}, "an int of 16610 bits does not fit"),
        ({"at": NOON.replace(tzinfo=None)}, "2024-02-29 12:00:00 has no time zone"),
        ({"at": dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))}, "outside the years 1 to 9999"),
        ({"name": "a\x00"}, "holds NUL or a lone surrogate"),
        ({"\ud800": 1}, "holds NUL or a lone surrogate"),
        ({"name": b"a"}, "a value of type bytes cannot be compared"),
        ({"x": {"$in": range(3)}}, "not a range"),
        (_Selfish(), "nested more than 20 deep"),
        ({"$or": [{"x": 1}] * 500}, r"more than 500 conditions; use \$in"),
        ({"x": {"$in": [0] * 10_001}}, "more than 10000 values"),
    ],
)
def test_errors(where: object, message: str) -> None:
    """What cannot be understood is named, with the value and what is known."""
    with pytest.raises(FilterError, match=message):
        parse_filter(where)


@given(where=where_filters().filter(bool), record=metadata())
def test_not_negates(where: dict[str, Any], record: dict[str, Any]) -> None:
    """A filter and its negation never agree, whatever the record."""
    condition, negation = parse_filter(where), parse_filter({"$not": where})
    assert condition is not None
    assert negation is not None
    assert matches(condition, record) is not matches(negation, record)


@given(
    where=st.recursive(
        st.none() | st.text() | st.integers() | st.floats() | st.binary() | st.datetimes(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["$and", "$in"]), inner),
    )
)
def test_anything_else_is_a_filter_error(where: object) -> None:
    """No argument makes the parser raise anything but `FilterError`."""
    with contextlib.suppress(FilterError):
        parse_filter(where)
