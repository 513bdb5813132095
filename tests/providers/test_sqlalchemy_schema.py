"""The schema: made, migrated, and refused when it is newer; its plans."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, Executable, event
from sqlalchemy.dialects import sqlite

from minirag.errors import SchemaVersionError
from minirag.models.filters import parse_filter
from minirag.providers.sqlalchemy import filtered, migrations, schema, statements, tables
from minirag.providers.sqlalchemy.engine import Settings, make_engine
from minirag.providers.sqlalchemy.filters import parameterized
from minirag.providers.sqlalchemy.narrowing import narrowings
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


def test_rows_of_the_first_schema_are_shortened(tmp_path: Path) -> None:
    """A database of the first schema keeps its vectors, found under the shorter name of their space."""
    file = tmp_path / "old" / "minirag.sqlite3"
    file.parent.mkdir()
    engine = make_engine(Settings(file=file))
    long, now = "0123456789abcdef" * 2, "2025-01-31T12:00:00.000000Z"
    given = json.dumps({"embedder": {"provider": "(instance)", "options": {"name": long}}})
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        schema.upgrade(connection, "0001")
        for table, values in {
            "settings": ("workspace_id", "w"),
            "tenants": ("t", "acme", "Acme", now, now),
            "bots": ("t", "b", "bot", given, "{}", long, now, now),
            "sources": ("t", "b", "s", "text", "inline", "inline", "{}", None, "ready", None, now, now, None, now),
            "documents": (
                *("t", "b", "d", "s", "key", None, "{}", "v", b"h" * 32, b"x" * 32, None, "text/plain", "en"),
                *(4, 1, 0, 0, False, now, now),
            ),
            "chunks": ("t", "b", 7, "d", 0, 4, None, "{}"),
            "embeddings": ("t", "b", 7, long, b"c" * 16, b"vector"),
        }.items():
            marks = ", ".join("?" * len(values))
            connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({marks})", values)
        connection.commit()
    engine.dispose()
    SqlAlchemyStorage(file.parent).close()
    short = long[:16]
    assert rows(file, "SELECT chunk_key, space, content_hash, vector FROM embeddings") == [
        (7, short, b"c" * 16, b"vector")
    ]
    name = "json_extract(profile, '$.embedder.options.name')"
    assert rows(file, f"SELECT fingerprint, {name} FROM bots") == [(short, short)]
    assert rows(file, "SELECT version_hash, updated_at FROM documents") == [(b"h" * 16, "")]
    assert rows(file, "PRAGMA foreign_key_check") == []


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
    where = parse_filter({
        "lang": "en", "$source": "inline", "$key": "k", "year": {"$gte": 2020, "$lt": 2024},
        "$or": [{"lang": {"$in": ["de", 1]}}, {"$document": {"$in": ["a"]}}],
    })  # fmt: skip
    assert where is not None
    form, _ = parameterized(where)
    fields = ("lang", "year")
    found["documents_page"] = statements.documents_page(by_source=True, where=form)
    found["count_documents"] = statements.count_documents(by_source=False, where=form)
    found["matching_keys"] = filtered.matching_keys(form, fields)
    found["allowed_keys"] = filtered.allowed_keys(form, fields, None)
    for at in range(len(narrowings(form, fields))):
        found[f"allowed_keys {at}"] = filtered.allowed_keys(form, fields, at)
        found[f"documents_page {at}"] = filtered.documents_page(form, fields, at, by_source=False)
        found[f"count_documents {at}"] = filtered.count_documents(form, fields, at, by_source=True)
    counts = filtered.count_narrowings(form, fields)
    assert counts is not None
    found["count_narrowings"] = counts
    return found


def plan_of(name: str, file: Path) -> list[str]:
    compiled = every_statement()[name].compile(dialect=sqlite.dialect(paramstyle="named"))  # type: ignore[attr-defined]
    return [
        str(row[3]) for row in rows(file, f"EXPLAIN QUERY PLAN {compiled}", dict.fromkeys(compiled.bind_names.values()))
    ]


def test_documents_of_a_narrow_filter_are_looked_up(created: Path) -> None:
    """Those that an index names are read one by one, not all the bot's."""
    names = [name for name in every_statement() if name.startswith(("documents_page ", "count_documents "))]
    assert len(names) > 8
    for name in names:
        steps = [step for step in plan_of(name, created) if step.startswith("SEARCH documents USING")]
        assert any(" id=?" in step for step in steps), f"{name}: {steps}"


def test_no_statement_reads_a_whole_table(created: Path) -> None:
    """Every statement finds its rows by an index that begins with the tenant."""
    for name in every_statement():
        if name.startswith(("PUT_", "ADD_")):
            continue
        for step in plan_of(name, created):
            if step.startswith("SCAN") and not any(of in step for of in ("VIRTUAL TABLE", "CONSTANT ROW", "anon_")):
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
        ("matching_keys", "PRIMARY KEY (tenant_id=? AND bot_id=? AND field=? AND kind=? AND value=? AND chunk_key=?)"),
        ("allowed_keys", "documents USING PRIMARY KEY (tenant_id=? AND bot_id=?)"),
        (
            "allowed_keys 0",
            "chunk_fields USING PRIMARY KEY (tenant_id=? AND bot_id=? AND field=? AND kind=? AND value=?)",
        ),
        ("allowed_keys 1", "documents_2 (tenant_id=? AND bot_id=? AND source_id=?)"),
        ("allowed_keys 2", "documents_2 (tenant_id=? AND bot_id=? AND source_id=? AND key=?)"),
        ("allowed_keys 3", "UNION ALL | SEARCH chunks USING COVERING INDEX"),
        ("allowed_keys 4", "(tenant_id=? AND bot_id=? AND field=? AND kind=? AND value>? AND value<?)"),
        ("count_narrowings", "(tenant_id=? AND bot_id=? AND field=? AND kind=? AND value>? AND value<?)"),
        ("VECTORS_BY_HASH", "ix_embeddings_content (<expr>=? AND <expr>=?)"),
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
