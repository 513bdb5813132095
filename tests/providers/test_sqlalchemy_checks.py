"""The statements of checks and repairs are held to their tenant, find rows by an index, and tell each tenant's faults to its scope alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import ClauseElement, Executable, text
from sqlalchemy.dialects import sqlite

from minirag.errors import StorageError, WorkspaceClosedError
from minirag.interfaces.storage import Storage
from minirag.providers.sqlalchemy import check_statements, tables
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage_world import StorageWorld

OF_NO_TENANT = {"CREATED", "FOREIGN_KEY_CHECK", "REVISION", "STATISTICS_ROWS"}


def every_statement() -> dict[str, ClauseElement]:
    """Return every statement on a tenant's rows by name, both of a finding."""
    found: dict[str, ClauseElement] = {}
    for name in check_statements.__all__:
        value = getattr(check_statements, name)
        for number, each in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(each, ClauseElement) and isinstance(each, Executable) and name not in OF_NO_TENANT:
                found[f"{name}/{number}"] = each
    return found


def sql_of(statement: ClauseElement) -> tuple[str, list[str]]:
    dialect = sqlite.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    compiled = statement.compile(dialect=dialect)
    return re.sub(r"\(__\[POSTCOMPILE_\w+\]\)", "(NULL)", str(compiled)), list(compiled.params)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StorageWorld]:
    def make(*, read_only: bool = False) -> Storage:
        return SqlAlchemyStorage(tmp_path / "kb", read_only=read_only)

    world = StorageWorld(make)
    yield world
    world.close()


@pytest.mark.parametrize("name", every_statement())
def test_every_statement_is_scoped(name: str) -> None:
    """It holds each table that it touches to the scope, by a parameter or by a join on the tenant."""
    sql, _ = sql_of(every_statement()[name])
    touched = {table for table in tables.metadata.tables if f"{table}." in sql or f" {table} " in f"{sql} "}
    assert touched or isinstance(every_statement()[name], type(text("")))
    assert ":scope" in sql
    for table in touched:
        assert f"{table}.tenant_id = :scope" in sql or sql.startswith(f"INSERT INTO {table} "), table


@pytest.mark.parametrize("name", every_statement())
def test_no_statement_reads_a_whole_table(name: str, world: StorageWorld, tmp_path: Path) -> None:
    """Every statement finds its rows by an index that begins with the tenant."""
    sql, parameters = sql_of(every_statement()[name])
    with closing(sqlite3.connect(tmp_path / "kb" / "minirag.sqlite3")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(parameters, 1)).fetchall()
    for step in (str(row[3]) for row in plan):
        if step.startswith("SCAN"):
            scanned = step.split()[1]
            assert scanned not in tables.metadata.tables, step


def test_a_scope_is_told_of_its_own_faults_alone(world: StorageWorld, tmp_path: Path) -> None:
    """Another tenant's faults are not in the listing, nor does a repair for one scope reach another's rows."""
    with closing(sqlite3.connect(tmp_path / "kb" / "minirag.sqlite3", isolation_level=None)) as connection:
        connection.execute("UPDATE bot_logs SET chunks = 99")
    for mine, other in ((world.acme, world.rival), (world.rival, world.acme)):
        (fault,) = world.storage.verify(mine.scope)
        assert (fault.kind, fault.bot_id) == ("counters", mine.bot.id)
        assert list(world.storage.verify(None)) == []
        world.storage.repair(other.scope, fault)
        assert [found.kind for found in world.storage.verify(mine.scope)] == ["counters"]


def test_a_closed_storage_checks_nothing(world: StorageWorld, tmp_path: Path) -> None:
    """Nor does it copy itself."""
    world.storage.close()
    with pytest.raises(WorkspaceClosedError):
        list(world.storage.verify(None))
    (tmp_path / "copy").mkdir()
    with pytest.raises(WorkspaceClosedError):
        world.storage.backup(tmp_path / "copy")


def test_a_storage_that_cannot_says_so(world: StorageWorld, tmp_path: Path) -> None:
    """What the interface itself does is an error of ours, which names the storage."""
    for call in (
        lambda: Storage.verify(world.storage, None),
        lambda: Storage.repair(world.storage, None, None),  # type: ignore[arg-type]
        lambda: Storage.backup(world.storage, tmp_path),
    ):
        with pytest.raises(StorageError, match="SqlAlchemyStorage cannot"):
            call()


def test_a_copy_does_not_overwrite_a_database(world: StorageWorld, tmp_path: Path) -> None:
    """Even where its caller did not look."""
    with pytest.raises(StorageError, match="already"):
        world.storage.backup(tmp_path / "kb")
