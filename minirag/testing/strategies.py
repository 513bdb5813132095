"""Hypothesis strategies for what applications may store and ask: metadata and filters."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from hypothesis import strategies as st

from minirag.types import MetadataValue

__all__ = [
    "COMMON_VALUES",
    "NAMES",
    "aware_datetimes",
    "metadata",
    "metadata_names",
    "metadata_values",
    "storable_text",
    "where_filters",
]

NAMES: Final = (
    "lang",
    "year",
    "a.b",
    'quo"te',
    "it's",
    "back\\slash",
    "new\nline",
    "ключ",
    "😀",
    "[0]",
    " ",
    "a b",
    "%_",
)
"""Names that have tripped paths, quoting or encodings; few, so that filters meet the fields they name."""

# fmt: off
_WORDS: Final = ("", "en", "de", "EN", "1", "true", "null", "é", "e\u0301", "😀", "\uffff", "it's", 'a"b', "\\", "\x01", "%")
_NUMBERS: Final = (
    0, 1, -1, 2, 2020, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, -0.0, 1.0, 0.5, 0.1, 2.0**53, 2.0**63, 1e300, 5e-324,
)
_NOON: Final = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
COMMON_VALUES: Final = (
    None, True, False, 0, 1, 1.0, 0.5, -0.0, 2**53, 2**53 + 1, 2.0**53, "", "1", "en", "😀", "\uffff",
    _NOON.date(), dt.date(2024, 3, 1), _NOON, _NOON.astimezone(dt.timezone(dt.timedelta(hours=14))),
)
# fmt: on
"""Scalars of every type, many of them equal or nearly so across types."""

_ORDERS: Final = ("$gt", "$gte", "$lt", "$lte")


def storable_text(*, max_size: int = 20) -> st.SearchStrategy[str]:
    """Return any text without NUL and lone surrogates."""
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=max_size)


def aware_datetimes() -> st.SearchStrategy[dt.datetime]:
    """Return datetimes of several fixed offsets, whose UTC form has a year of four digits."""
    zones = st.sampled_from([dt.UTC, *(dt.timezone(dt.timedelta(minutes=m)) for m in (60, -300, 345, 840))])
    spans = st.integers(-3, 3).map(lambda hours: dt.timedelta(hours=hours)) | st.timedeltas(
        dt.timedelta(days=-700_000), dt.timedelta(days=2_900_000)
    )
    return st.builds(lambda span, zone: (_NOON + span).astimezone(zone), spans, zones)


def _dates() -> st.SearchStrategy[dt.date]:
    return st.integers(0, 3).map(lambda days: dt.date(2024, 2, 28) + dt.timedelta(days=days)) | st.dates()


def _scalars() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from(_WORDS),
        st.sampled_from(_NUMBERS),
        _dates(),
        aware_datetimes(),
        storable_text(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
    )


def metadata_names() -> st.SearchStrategy[str]:
    """Return allowed names of metadata fields, mostly of `NAMES`."""
    return st.sampled_from(NAMES) | storable_text().filter(lambda name: name != "" and not name.startswith("$"))


def metadata_values() -> st.SearchStrategy[MetadataValue]:
    """Return values of every type that metadata may hold."""
    words = st.lists(st.sampled_from(_WORDS) | storable_text(), max_size=3)
    integers = st.lists(st.sampled_from([n for n in _NUMBERS if isinstance(n, int)]), max_size=3)
    return st.one_of(_scalars(), words, integers)


def metadata(
    names: st.SearchStrategy[str] | None = None, values: st.SearchStrategy[MetadataValue] | None = None
) -> st.SearchStrategy[dict[str, MetadataValue]]:
    """Return metadata of up to five fields."""
    fields = metadata_names() if names is None else names
    return st.dictionaries(fields, metadata_values() if values is None else values, max_size=5)


def where_filters(
    names: st.SearchStrategy[str] | None = None, values: st.SearchStrategy[Any] | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Return valid arguments of `where=`, nested up to a few levels.

    Args:
        names: the fields that are named, by default those of `metadata_names`.
        values: the scalars they are compared with, by default of every type.
    """
    fields = metadata_names() if names is None else names
    scalars = _scalars() if values is None else values
    lists = st.lists(scalars, max_size=4)
    operators = st.one_of(
        st.dictionaries(st.sampled_from(("$eq", *_ORDERS)), scalars, min_size=1, max_size=2),
        st.dictionaries(st.sampled_from(("$in", "$nin")), lists, min_size=1, max_size=2),
        st.fixed_dictionaries({"$exists": st.booleans()}),
    )
    negated = st.builds(lambda inner: {"$not": inner}, scalars | operators)
    leaves = st.dictionaries(fields, st.one_of(scalars, operators, negated), min_size=1, max_size=2)
    return st.recursive(leaves, _combined, max_leaves=5)


def _combined(parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(parts, max_size=3)
    return st.one_of(
        st.builds(lambda filters: {"$and": filters}, several),
        st.builds(lambda filters: {"$or": filters}, several),
        st.builds(lambda part: {"$not": part}, parts),
        st.builds(lambda filters, part: {"$or": filters, "$not": part}, several, parts),
    )
