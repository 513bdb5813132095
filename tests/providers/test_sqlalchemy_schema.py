"""The schema: made, migrated, and refused when it is newer; its plans."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, Executable, event
from sqlalchemy.dialects import sqlite

from minirag.errors import SchemaVersionError
from minirag.models.filters import parse_filter
from minirag.providers.sqlalchemy import migrations, schema, statements, tables
from minirag.providers.sqlalchemy.engine import Settings, make_engine
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """An empty database that every migration was applied to."""
    file = tmp_path / "migrated.db"
    engine = make_engine(Settings(file=file))
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        schema.upgrade(connection)
        connection.commit()
    engine.dispose()
    return file


@pytest.fixture
def created(tmp_path: Path) -> Path:
    """A database as a first opening makes it."""
    SqlAlchemyStorage(tmp_path / "kb").close()
    return tmp_path / "kb" / "minirag.sqlite3"


def rows(file: Path, query: str, values: dict[str, None] | None = None) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(file)
    found = connection.execute(query, values or {}).fetchall()
    connection.close()
    return found


def test_migrating_from_nothing_makes_what_a_new_database_has(migrated: Path, created: Path) -> None:
    """Both ways give the same tables, indexes and planner statistics."""
    query = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"

    def shapes(file: Path) -> list[tuple[object, ...]]:
        return [(kind, name, "".join(str(sql).split())) for kind, name, sql in rows(file, query)]

    assert shapes(migrated) == shapes(created)
    statistics = "SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY tbl, idx"
    assert rows(migrated, statistics) == rows(created, statistics) != []
    assert {name for kind, name, _ in shapes(created) if kind == "table"} >= set(tables.metadata.tables)


def test_the_head_is_the_newest_revision() -> None:
    """`HEAD` names the last file in `migrations/versions`, and revisions sort in their order."""
    script = ScriptDirectory(str(Path(migrations.__path__[0])))
    revisions = [each.revision for each in script.walk_revisions()]
    assert revisions[0] == schema.HEAD
    assert revisions == sorted(revisions, reverse=True)


def test_opening_takes_one_statement(created: Path) -> None:
    """A database of the present schema is opened with one statement, and Alembic is not asked."""
    seen: list[str] = []
    engine = make_engine(Settings(file=created))
    event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    workspace_id = schema.prepare_schema(engine, Settings(file=created))
    engine.dispose()
    assert len(seen) == 1, seen
    assert rows(created, "SELECT value FROM settings WHERE name = 'workspace_id'") == [(workspace_id,)]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_schema_is_refused(created: Path, read_only: bool) -> None:
    """A database of a newer release is refused, naming both schemas, and left as it is."""
    connection = sqlite3.connect(created)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaVersionError, match=f"9999.*{schema.HEAD}"):
        SqlAlchemyStorage(created.parent, read_only=read_only)
    assert rows(created, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_an_older_schema_is_not_migrated_read_only(created: Path) -> None:
    """Opened read-only, an older database is refused instead of migrated."""
    connection = sqlite3.connect(created)
    connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaVersionError, match="migrate"):
        SqlAlchemyStorage(created.parent, read_only=True)


# ---------------------------------------------------------------- plans
FULL_READS = {"TENANTS": "tenants", "ANY_TENANT_KEY": "tenant_keys"}


def every_statement() -> dict[str, Executable]:
    found = {name: each for name in statements.__all__ if isinstance(each := getattr(statements, name), Executable)}
    where = parse_filter({"lang": "en", "$source": "inline"})
    assert where is not None
    found["documents_page"] = statements.documents_page(by_source=True, where=where)
    found["count_documents"] = statements.count_documents(by_source=False, where=where)
    found["allowed_keys"] = statements.allowed_keys(where)
    return found


def plan_of(name: str, file: Path) -> list[str]:
    compiled = every_statement()[name].compile(dialect=sqlite.dialect(paramstyle="named"))  # type: ignore[attr-defined]
    sql = str(compiled).replace("(__[POSTCOMPILE_hashes])", "(NULL)")
    return [str(row[3]) for row in rows(file, f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(compiled.bind_names.values()))]


def test_no_statement_reads_a_whole_table(created: Path) -> None:
    """Every statement finds its rows by an index that begins with the tenant."""
    for name in every_statement():
        if name.startswith(("PUT_", "ADD_")):
            continue
        for step in plan_of(name, created):
            if step.startswith("SCAN") and "VIRTUAL TABLE" not in step:
                assert FULL_READS.get(name, "?") in step, f"{name}: {step}"


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("CURRENT_DOCUMENTS", "source_id=? AND key=?"),
        ("BLOCKS_OF_VERSIONS", "version_id=? AND number=?"),
        ("CHUNKS_OF_DOCUMENTS", "document_id=?"),
        ("DOCUMENTS_WITH_KEY", "source_id=? AND key=?"),
        ("STATES_PAGE", "source_id=? AND key>?"),
        ("HITS", "bot_id=? AND key=?"),
        ("VERSIONS", "document_id=?"),
        ("VECTORS_BY_HASH", "content_hash=?"),
    ],
)
def test_hot_statements_seek_single_rows(name: str, index: str, created: Path) -> None:
    """The planner uses the longest index there is, though it has met no data yet."""
    plan = " | ".join(plan_of(name, created))
    assert index in plan, plan


def test_every_statement_is_scoped() -> None:
    """Every statement on a tenant's table holds each of them to the scope, by parameter or by a join on the tenant."""
    shared = {"tenants", "settings"}
    for name, statement in every_statement().items():
        sql = str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))  # type: ignore[attr-defined]
        touched = {
            table for table in tables.metadata.tables if f"{table}." in sql or f" {table} " in f"{sql} "
        } - shared
        if touched and name != "ANY_TENANT_KEY":
            assert ":scope" in sql, f"{name} is not scoped"
            for table in touched:
                held = f"{table}.tenant_id = :scope" in sql or sql.startswith(f"INSERT INTO {table} ")
                assert held, f"{name} does not hold {table} to the scope"


def test_engine_is_a_pool_of_files(created: Path) -> None:
    """Every checkout is a connection of its own."""
    engine: Engine = make_engine(Settings(file=created))
    with engine.connect() as first, engine.connect() as second:
        assert first.connection.dbapi_connection is not second.connection.dbapi_connection
    engine.dispose()
