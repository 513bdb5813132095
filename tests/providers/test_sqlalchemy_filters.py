"""`filter_clause`: SQLite finds exactly the rows that `matches` accepts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Integer, LargeBinary, Table, create_engine, not_, select
from sqlalchemy.types import Boolean

from minirag.errors import FilterError
from minirag.models.filters import RESERVED_FIELDS, matches, parse_filter
from minirag.models.metadata import encode_metadata, encode_value
from minirag.providers.sqlalchemy.filters import filter_clause, parameterized
from minirag.providers.sqlalchemy.tables import chunks, documents, sources
from minirag.testing.strategies import COMMON_VALUES, aware_datetimes, metadata, metadata_names, where_filters

IDS = ("doc-a", "doc-b", "doc-c", "doc-d", "doc-e", "doc-f")
NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """An empty database in memory, with the real tables that a filter reads."""
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        for table in (sources, documents, chunks):
            table.create(opened)
        opened.commit()
        yield opened
    engine.dispose()


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, filling the columns that filters do not read."""
    filling: dict[str, Any] = {}
    for column in table.c:
        if not column.nullable:
            kind = column.type
            filling[column.key] = (
                b"" if isinstance(kind, LargeBinary) else 0 if isinstance(kind, Integer | Boolean) else ""
            )
    connection.execute(table.insert(), [filling | row for row in rows])


def _store(connection: Connection, records: list[dict[str, Any]]) -> None:
    """Write each record as a source, a document and a chunk of its own."""
    source_rows, document_rows, chunk_rows = [], [], []
    for number, record in enumerate(records):
        identity = record["$document"]
        fields = {name: value for name, value in record.items() if name not in RESERVED_FIELDS}
        source_rows.append({"id": identity, "name": record["$source"], "locator": identity})
        document_rows.append({
            "id": identity, "source_id": identity, "key": record["$key"], "title": record["$title"],
            "added_at": encode_value(record["$added_at"])["$datetime"], "metadata_json": encode_metadata(fields),
        })  # fmt: skip
        chunk_rows.append({"key": number, "document_id": identity, "page": record["$page"]})
    _insert(connection, sources, source_rows)
    _insert(connection, documents, document_rows)
    _insert(connection, chunks, chunk_rows)


def _found(connection: Connection, where: dict[str, Any], *, negated: bool = False) -> set[str]:
    condition = parse_filter(where)
    assert condition is not None
    form, parameters = parameterized(condition)
    clause = filter_clause(form, document=documents, source=sources, chunk=chunks)
    joined = documents.join(chunks, chunks.c.document_id == documents.c.id)
    statement = select(documents.c.id).select_from(joined).where(not_(clause) if negated else clause)
    return set(connection.execute(statement, {**parameters, "scope": "", "bot_id": ""}).scalars())


def _records(fields: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    reserved = st.fixed_dictionaries({
        "$source": st.sampled_from(["inline", "", "1", "en"]),
        "$key": st.sampled_from(["", "en", "1"]),
        "$title": st.sampled_from([None, "", "en", "null"]),
        "$page": st.sampled_from([None, 0, 1, 2]),
        "$added_at": st.sampled_from([NOON, NOON.replace(microsecond=1)]) | aware_datetimes(),
    })  # fmt: skip
    record = st.builds(lambda metadata, own: metadata | own, fields, reserved)
    return st.lists(record, min_size=len(IDS), max_size=len(IDS)).map(
        lambda records: [
            one | {"$document": identity, "$key": identity + one["$key"]}
            for identity, one in zip(IDS, records, strict=True)
        ]
    )


def _check(connection: Connection, records: list[dict[str, Any]], wheres: list[dict[str, Any]]) -> None:
    """Compare SQLite with `matches`, for each filter and for its negation in SQL."""
    everything = {record["$document"] for record in records}
    try:
        _store(connection, records)
        for where in wheres:
            condition = parse_filter(where)
            assert condition is not None
            expected = {record["$document"] for record in records if matches(condition, record)}
            assert _found(connection, where) == expected, where
            assert _found(connection, where, negated=True) == everything - expected, where
    finally:
        connection.rollback()


OPERATORS = ("$eq", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists")


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("field", ['quo"te', *RESERVED_FIELDS])
def test_every_operator_on_every_pair_of_types(connection: Connection, field: str, operator: str) -> None:
    """Each value is compared with each, and with lists and gaps, as `matches` says; and never is the answer NULL."""
    if field.startswith("$"):
        texts = [value for value in COMMON_VALUES if isinstance(value, str)]
        columns: dict[str, list[Any]] = {
            "$title": [None, *texts], "$page": [None, 0, 1, 2], "$added_at": [NOON, NOON.replace(microsecond=1)],
            "$source": texts, "$key": texts, "$document": [],
        }  # fmt: skip
        records = [_record(**{field: value}) for value in columns[field]] or [_record()]
    else:
        stored: list[Any] = [*COMMON_VALUES, [], [0, 1], [2**53 + 1], ["", "1"], ["en", "😀"]]
        records = [_record(**{field: value}) for value in stored] + [_record()]
    records = [record | {"$document": f"doc-{number}"} for number, record in enumerate(records)]
    values: list[Any] = [*COMMON_VALUES, "doc-0"]
    if operator in ("$in", "$nin"):
        values = [[], *([value] for value in values), values[:8], values[4:15], values[12:]]
    elif operator == "$exists":
        values = [True, False]
    _check(connection, records, [{field: {operator: value}} for value in values])


FEW = st.sampled_from(["a.b", 'quo"te', "it's"])
COMMON = st.sampled_from(COMMON_VALUES)
COMMON_OR_LIST = COMMON | st.lists(st.sampled_from(["1", "en"]), max_size=2) | st.lists(st.integers(0, 2), max_size=2)
CLOSE_FILTERS = where_filters(FEW | FEW | st.sampled_from(RESERVED_FIELDS), COMMON | COMMON | st.sampled_from(IDS))
WIDE_FILTERS = where_filters(metadata_names() | st.sampled_from(RESERVED_FIELDS))
ANYTHING = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(ANYTHING, max_examples=60)
@given(records=_records(metadata(FEW, COMMON_OR_LIST)), wheres=st.lists(CLOSE_FILTERS, min_size=4, max_size=4))
def test_sql_finds_what_matches_accepts(
    connection: Connection, records: list[dict[str, Any]], wheres: list[dict[str, Any]]
) -> None:
    """Filters on values that are often equal or nearly so select the records that `matches` says; none is ever NULL."""
    _check(connection, records, wheres)


@settings(ANYTHING, max_examples=40)
@given(records=_records(metadata()), wheres=st.lists(WIDE_FILTERS, min_size=4, max_size=4))
def test_sql_finds_what_matches_accepts_among_any_names_and_values(
    connection: Connection, records: list[dict[str, Any]], wheres: list[dict[str, Any]]
) -> None:
    """The same holds for every name and value that metadata may hold."""
    _check(connection, records, wheres)


def _record(**changes: Any) -> dict[str, Any]:
    return {
        "$document": "doc-a", "$source": "inline", "$key": "k", "$title": None, "$page": None,
        "$added_at": NOON,
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"$title": None}, True),
        ({"$title": {"$nin": ["x"]}}, True),
        ({"$title": {"$exists": True}}, True),
        ({"$page": {"$not": {"$gt": 1}}}, True),
        ({"$key": {"$gt": "a", "$lt": "z"}}, True),
        ({"$source": 1}, False),
        ({"$added_at": dt.date(2024, 2, 29)}, False),
        ({"$added_at": dt.datetime(2024, 2, 29, 13, tzinfo=dt.timezone(dt.timedelta(hours=1)))}, True),
        ({"tags": "b"}, True),
        ({"tags": {"$gt": "a"}}, False),
        ({"tags": {"$in": ["z", "a"]}}, True),
        ({"none": None}, True),
        ({"absent": None}, True),
        ({"none": {"$exists": True}}, True),
        ({"absent": {"$exists": True}}, False),
        ({"empty": None}, False),
        ({"one": True}, False),
        ({"one": 1.0}, True),
        ({"flag": 1}, False),
        ({"big": 2.0**53}, False),
        ({"big": {"$gt": 2.0**53}}, True),
    ],
)
def test_known_cases(connection: Connection, where: dict[str, Any], expected: bool) -> None:
    """Named pitfalls: NULL columns, column affinity, bool and int, large integers, lists, None and missing."""
    record = _record(tags=["a", "b"], none=None, empty=[], one=1, flag=True, big=2**53 + 1)
    _store(connection, [record])
    try:
        assert (_found(connection, where) == {"doc-a"}) is expected
    finally:
        connection.rollback()


def test_largest_filters_are_within_the_limits_of_sqlite(connection: Connection) -> None:
    """The widest, deepest and longest filters that the parser lets through run."""
    _store(connection, [_record(x=3)])
    try:
        deep: dict[str, Any] = {"x": 3}
        for _ in range(18):
            deep = {"$not": deep}
        assert _found(connection, deep) == {"doc-a"}
        assert _found(connection, {"$or": [{"x": {"$nin": [3, "a", None, True]}} for _ in range(200)]}) == set()
        assert _found(connection, {"$and": [{"x": {"$gt": 2}} for _ in range(249)]}) == {"doc-a"}
        assert _found(connection, {"x": {"$in": list(range(10_000))}}) == {"doc-a"}
    finally:
        connection.rollback()


def test_page_needs_chunks() -> None:
    """A filter over documents cannot ask for a chunk's page."""
    condition = parse_filter({"$not": {"$page": 1}})
    assert condition is not None
    with pytest.raises(FilterError, match=r"\$page filters chunks, not documents"):
        filter_clause(condition, document=documents, source=sources, chunk=None)
