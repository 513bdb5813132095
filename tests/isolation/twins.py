"""Twins: triggers that give each tenant of a SQLite database two more tenants with rows of the same ids and other contents.

Ids are random, so two tenants of a test hold no row of one id, and a statement that forgot its tenant often finds nothing more
than before. But every row carries its tenant in its primary key: another one can hold rows of the very same ids. One twin sorts before
its original and is written before it, the other after. A twin's row comes with its original's and is never written again: a statement
that would touch one is refused. What the original changes or deletes, its twins keep.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Boolean, Column, LargeBinary, String, Table, UniqueConstraint

__all__ = ["AFTER", "BEFORE", "give_twins", "is_twin"]

BEFORE: Final = "!"
AFTER: Final = "~"
"""How the ids of twins begin. What comes behind is the original's id: the index of content hashes holds the ends of ids."""

SEARCHED: Final = {
    "action", "actor", "content_hash", "field", "key", "kind", "model", "name", "provider", "role", "status", "subject",
}  # fmt: skip
"""Columns in no key that rows are found by: a twin's are the same, so that they are found along with the original's."""


def is_twin(tenant_id: str) -> bool:
    """Return whether a tenant is another one's twin."""
    return tenant_id.startswith((BEFORE, AFTER))


def give_twins(file: Path) -> None:
    """Make the triggers in a database, which may have them already."""
    from minirag.providers.sqlalchemy.fields import chunk_fields

    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table in chunk_fields.metadata.sorted_tables:
            for trigger in _triggers(table):
                connection.execute(trigger)
        connection.execute("COMMIT")


def _triggers(table: Table) -> Iterator[str]:
    owner = "id" if table.name == "tenants" else "tenant_id"
    if owner not in table.c:
        return
    new, old = (f"substr({row}.{owner}, 1, 1) IN ('{BEFORE}', '{AFTER}')" for row in ("NEW", "OLD"))
    for when, prefix in (("BEFORE", BEFORE), ("AFTER", AFTER)):
        yield (
            f"CREATE TRIGGER IF NOT EXISTS twin_{when}_{table.name} {when} INSERT ON {table.name} WHEN NOT {new} "
            f"BEGIN {_insert(table, owner, prefix)}; END"
        )
    for what in ("UPDATE", "DELETE"):
        yield (
            f"CREATE TRIGGER IF NOT EXISTS twin_{what}_{table.name} BEFORE {what} ON {table.name} WHEN {old} "
            f"BEGIN SELECT touched('{table.name}'), RAISE(ABORT, 'another tenant''s row of {table.name} was written'); END"
        )
    # Rows that a statement made of a twin's rows.
    original = _same(table, owner, f"substr(NEW.{owner}, 2)", _key(table))
    yield (
        f"CREATE TRIGGER IF NOT EXISTS twin_ALONE_{table.name} BEFORE INSERT ON {table.name} "
        f"WHEN substr(NEW.{owner}, 1, 1) = '{AFTER}' AND NOT EXISTS ({original}) "
        f"BEGIN SELECT touched('{table.name}'), RAISE(ABORT, 'a row was made for another tenant in {table.name}'); END"
    )


def _insert(table: Table, owner: str, prefix: str) -> str:
    """Return the insert of a twin's row, unless it is there."""
    twin = f"'{prefix}' || NEW.{owner}"
    names, values = [], []
    for column in table.c:
        names.append(f'"{column.name}"')
        values.append(twin if column.name == owner else _value(table, column, owner, prefix))
    there = _same(table, owner, twin, _key(table))
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(values)} WHERE NOT EXISTS ({there})"


def _key(table: Table) -> list[str]:
    return [column.name for column in table.primary_key]


def _same(table: Table, owner: str, tenant: str, names: list[str]) -> str:
    """Return the query of a tenant's row that agrees with the new one in some columns."""
    others = "".join(f' AND "{name}" = NEW."{name}"' for name in names if name != owner)
    return f"SELECT 1 FROM {table.name} WHERE {owner} = {tenant}{others}"


def _value(table: Table, column: Column[object], owner: str, prefix: str) -> str:
    """Return what stands in a twin's column. The one that comes after has other texts alone, the one before other numbers as well."""
    given = f'NEW."{column.name}"'
    uniques = [[each.name for each in key.columns] for key in table.constraints if isinstance(key, UniqueConstraint)]
    kept = SEARCHED.union(_key(table), *uniques)
    if [column.name] in uniques:  # in the whole database
        return f"CAST('{prefix}' || {given} AS {'BLOB' if isinstance(column.type, LargeBinary) else 'TEXT'})"
    for names in uniques:
        if names[-1] == column.name:
            # The twin may have kept a row of this name that its original renamed or deleted.
            taken = _same(table, owner, f"'{prefix}' || NEW.{owner}", names)
            return f"CASE WHEN EXISTS ({taken}) THEN {given} || '/' || NEW.id ELSE {given} END"
    if (
        column.name in kept or column.foreign_keys or getattr(column.type, "length", None)
    ):  # ids and times have a length
        return given
    if column.name == "receipt":
        return f"json_set({given}, '$.tenant', '{prefix}')"
    if column.name == "profile":
        return f"json_set({given}, '$.filterable', json('[\"year\"]'))"
    if isinstance(column.type, String) and column.name not in {"metadata", "limits"}:
        # Nothing of the original's text: erasures are looked for in the file.
        return f"CASE WHEN {given} IS NOT NULL THEN '{prefix}' || hex(substr({given}, 1, 50)) END"
    if prefix == AFTER:
        return given
    if isinstance(column.type, String):
        return "'{\"twin\": 1}'"
    if isinstance(column.type, LargeBinary):
        return "x'21'"
    return f"NOT {given}" if isinstance(column.type, Boolean) else f"{given} - 1000"
