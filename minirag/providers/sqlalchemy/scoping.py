"""The scoped helpers that every statement on a tenant's table is built with.

They add `tenant_id = :scope` for every table they are given; `engine.Transaction` fills it in from the scope. Many keys
travel as one parameter, a JSON array, so a statement's text does not depend on how many there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Delete,
    FromClause,
    Insert,
    Select,
    Table,
    Update,
    bindparam,
    cast,
    delete,
    func,
    select,
    update,
)
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import insert

from minirag.providers.sqlalchemy.forms import each_integer, each_text, either

__all__ = [
    "add",
    "as_list",
    "as_lists",
    "at",
    "driver_insert",
    "driver_rewrite",
    "equals",
    "erase",
    "held",
    "listed",
    "listed_keys",
    "pairs",
    "rewrite",
    "scoped",
    "upsert",
    "values",
]

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Made once: `json.dumps` would make one for each list."""


def held(table: FromClause) -> ColumnElement[bool]:
    """Return the condition that holds a table to the scope's tenant."""
    return table.c.tenant_id == bindparam("scope")


def scoped(*columns: Any, of: tuple[FromClause, ...] = ()) -> Select[Any]:
    """Return a query of a table, or of columns of the tables `of`, in which each is held to the scope's tenant."""
    return select(*columns).where(*(held(table) for table in (of or columns)))


def rewrite(table: Table, *names: str) -> Update:
    """Return an update of the scope's rows that takes the columns `names` from parameters `new_<name>`."""
    return update(table).where(held(table)).values({name: bindparam(f"new_{name}") for name in names})


def erase(table: Table) -> Delete:
    """Return a delete of the scope's rows."""
    return delete(table).where(held(table))


def values(table: Table) -> dict[str, BindParameter[Any]]:
    """Return a parameter for each column, named like it; the tenant comes from the scope."""
    return {column.key: bindparam("scope" if column.key == "tenant_id" else column.key) for column in table.c}


def add(table: Table) -> Insert:
    """Return an insert whose values are parameters of the columns' names."""
    return plain_insert(table).values(values(table))


def upsert(table: Table, *, fixed: tuple[str, ...] = ()) -> Insert:
    """Return an insert that else updates the row of the same primary key, except the columns in `fixed`."""
    statement = insert(table).values(values(table))
    kept = {column.key for column in table.primary_key} | set(fixed)
    changed = {column.key: statement.excluded[column.key] for column in table.c if column.key not in kept}
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=list(table.primary_key))
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)


def driver_insert(table: Table) -> str:
    """Return the SQL of an insert of all columns in their order, for the driver's own `executemany`."""
    return str(plain_insert(table).compile(dialect=sqlite.dialect(paramstyle="qmark")))


def driver_rewrite(table: Table, *names: str) -> str:
    """Return the SQL of an update for the driver's own `executemany`: the columns `names`, then the primary key."""
    changed = update(table).values({name: bindparam(f"new_{name}") for name in names})
    statement = changed.where(*(column == bindparam(f"at_{column.key}") for column in table.primary_key))
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    wanted = [*(f"new_{name}" for name in names), *(f"at_{column.key}" for column in table.primary_key)]
    assert compiled.positiontup == wanted, "the parameters are in another order"
    return str(compiled)


def equals(column: ColumnElement[Any], name: str | None = None) -> ColumnElement[bool]:
    """Return `column = :name`; the parameter is named like the column unless told otherwise."""
    return column == bindparam(name or column.key)


def at(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return `column = :at_<column>`: in an update a parameter named like a column would be written to it."""
    return equals(column, f"at_{column.key}")


def listed(name: str) -> Select[Any]:
    """Return the strings of a JSON array given as a parameter."""
    return select(each_text(name).table_valued("value").c.value)


def listed_keys(name: str) -> Select[Any]:
    """Return the integers of a JSON array given as a parameter."""
    return select(each_integer(name).table_valued("value").c.value)


def as_list(values: Sequence[Any]) -> str:
    """Return values as the JSON array that `listed` and `pairs` read."""
    return _ENCODER.encode(values)


def as_lists(values: Sequence[Any], size: int = 4_096) -> Iterator[str]:
    """Yield values as JSON arrays of at most so many each: what one statement is given."""
    for start in range(0, len(values), size):
        yield as_list(values[start : start + size])


def pairs(name: str, first: ColumnElement[Any], second: ColumnElement[Any]) -> tuple[FromClause, ColumnElement[bool]]:
    """Return a JSON array of pairs as a table, and the condition that joins two columns with it.

    A join, since SQLite looks up only the first column of a pair that is `IN` a list.
    """
    given = either(func.json_each(bindparam(name)), func.minirag_pairs(bindparam(name)))
    each = given.table_valued("value", "first", "second", joins_implicitly=True)
    ones = either(func.json_extract(each.c.value, "$[0]"), cast(each.c.first, first.type))
    others = either(func.json_extract(each.c.value, "$[1]"), cast(each.c.second, second.type))
    return each, (first == ones) & (second == others)
