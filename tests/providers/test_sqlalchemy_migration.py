"""Databases of earlier releases: opened, migrated, searched."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import minirag
from minirag import DocumentInput
from minirag.providers.sqlalchemy import schema
from minirag.providers.sqlalchemy.engine import Settings, make_engine


def _as_of(revision: str, present: Path, file: Path) -> None:
    """Make a database of an earlier revision that holds the rows of a present one."""
    file.parent.mkdir(parents=True)
    engine = make_engine(Settings(file=file))
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        schema.upgrade(connection, revision)
        connection.commit()
    engine.dispose()
    old = sqlite3.connect(file)
    old.execute("ATTACH ? AS present", (str(present),))
    for (table,) in old.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
        if not table.startswith(("sqlite_", "alembic_")):
            names = ", ".join(f'"{row[1]}"' for row in old.execute(f"PRAGMA main.table_info({table})"))
            old.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM present.{table}")
    old.commit()
    old.close()


def test_a_database_of_the_first_schema_is_migrated_and_searched(tmp_path: Path) -> None:
    """What an earlier release stored is found as before, and the fields that bots declared then are indexed."""
    metadata = {"lang": "en", "tags": ["a", "b"], "year": 2020, "other": None}
    with minirag.Workspace.open(tmp_path / "new", embedder="hashing") as workspace:
        tenant = workspace.tenant("acme", create=True)
        for name, fields in (("first", ["lang", "tags", "year"]), ("second", [])):
            tenant.bot(name, create=True, filterable=fields).add(
                DocumentInput(text=f"The text {n} of a document.", key=f"k{n}", metadata=metadata if n else {})
                for n in range(3)
            )
        expected = tenant.bot("first").search("text", where={"tags": "b"})
    _as_of("0001", tmp_path / "new" / "minirag.sqlite3", tmp_path / "old" / "minirag.sqlite3")
    (tmp_path / "new" / "master.key").rename(tmp_path / "old" / "master.key")
    with minirag.Workspace.open(tmp_path / "old", embedder="hashing") as workspace:
        found = workspace.tenant("acme").bot("first").search("text", where={"tags": "b"})
        assert [hit.key for hit in found] == [hit.key for hit in expected] == ["k1", "k2"]
        assert [hit.score for hit in found] == [hit.score for hit in expected]
    everything = "SELECT * FROM chunk_fields"
    rows = _rows(tmp_path / "old", everything)
    assert rows == _rows(tmp_path / "new", everything)
    assert len(rows) == 2 * 5
    assert _rows(tmp_path / "old", "SELECT version_num FROM alembic_version") == [(schema.HEAD,)]


def _rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(folder / "minirag.sqlite3")
    found = connection.execute(query).fetchall()
    connection.close()
    return found
