"""The storage on SQLAlchemy keeps the contract of `Storage`, and what it promises beyond: locations, errors, isolation."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from minirag.errors import (
    BotNotFoundError,
    NotFoundError,
    ProviderOptionsError,
    StorageBusyError,
    StorageCorruptError,
    StorageError,
    WorkspaceClosedError,
)
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.storage import Storage
from minirag.providers.sqlalchemy import tables
from minirag.providers.sqlalchemy.storage import SqlAlchemyOptions, SqlAlchemyStorage, create
from minirag.testing.storage import StorageConformance
from minirag.testing.storage_world import StorageWorld, new_bot
from minirag.types import new_id


class TestSqlAlchemyStorage(StorageConformance):
    """SQLite in a folder."""

    def make_storage(self, location: Path, *, read_only: bool = False) -> Storage:
        return SqlAlchemyStorage(location, read_only=read_only)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "kb"


@pytest.fixture
def world(folder: Path) -> Iterator[StorageWorld]:
    def make(*, read_only: bool = False) -> Storage:
        return SqlAlchemyStorage(folder, read_only=read_only)

    world = StorageWorld(make)
    yield world
    world.close()


def raw(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "minirag.sqlite3", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


# ---------------------------------------------------------------- locations and settings
def test_a_new_folder_is_private_and_holds_one_database(folder: Path) -> None:
    """A folder is made with its parents, for its owner alone; the file has pages of 16 KiB and write-ahead logging."""
    SqlAlchemyStorage(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == ["minirag.sqlite3"]
    connection = raw(folder)
    assert connection.execute("PRAGMA page_size").fetchone() == (16_384,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_the_factory_takes_a_url_and_the_workspaces_settings(tmp_path: Path) -> None:
    """`create` opens a URL's file and heeds `read_only` of the context."""
    location = f"sqlite:///{tmp_path}/file.db"
    create(SqlAlchemyOptions(), ProviderContext(location=location)).close()
    storage = create(None, ProviderContext(location=location, settings={"read_only": True, "durability": "full"}))
    assert storage.read_only
    storage.close()
    assert (tmp_path / "file.db").is_file()


@pytest.mark.parametrize(
    "location",
    ["postgresql://host/db", "mysql+pymysql://u:secret@host/db", "sqlite:///file::memory:?cache=shared", "://"],
)
def test_other_databases_are_refused(location: str) -> None:
    """A URL that is not of an SQLite file is refused, with what is supported and without its password."""
    with pytest.raises(ProviderOptionsError, match="sqlite:///path/to/file") as caught:
        create(None, ProviderContext(location=location))
    assert "secret" not in str(caught.value)


def test_durability_is_synchronous_full(folder: Path) -> None:
    """`durability="full"` makes each commit wait for the disk; the default does not."""
    for durability, level in (("normal", 1), ("full", 2)):
        storage = SqlAlchemyStorage(folder, durability=durability)  # type: ignore[arg-type]
        with storage._database.transaction(tenant_id=None, write=False) as transaction:
            pragmas = {
                name: transaction._connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("synchronous", "foreign_keys", "secure_delete", "temp_store")
            }
        storage.close()
        assert pragmas == {"synchronous": level, "foreign_keys": 1, "secure_delete": 1, "temp_store": 2}


# ---------------------------------------------------------------- errors
def test_a_missing_read_only_database_is_told(tmp_path: Path) -> None:
    """Opening nothing read-only names the path and makes nothing."""
    with pytest.raises(StorageError, match="nowhere"):
        SqlAlchemyStorage(tmp_path / "nowhere", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    """A file of something else is `StorageCorruptError`, and stays as it is."""
    file = tmp_path / "minirag.sqlite3"
    file.write_bytes(b"not a database, but long enough to be looked at" * 100)
    before = file.read_bytes()
    with pytest.raises(StorageCorruptError):
        SqlAlchemyStorage(tmp_path)
    assert file.read_bytes() == before


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """A database with other tables is refused and not written to."""
    connection = sqlite3.connect(tmp_path / "minirag.sqlite3")
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = (tmp_path / "minirag.sqlite3").read_bytes()
    with pytest.raises(StorageCorruptError, match="another program"):
        SqlAlchemyStorage(tmp_path)
    assert (tmp_path / "minirag.sqlite3").read_bytes() == before


def test_a_writer_waits_only_so_long(folder: Path, world: StorageWorld) -> None:
    """While another connection holds the write lock for longer than the timeout, a write is `StorageBusyError`."""
    impatient = SqlAlchemyStorage(folder, busy_timeout=0.05)
    holder = raw(folder)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageBusyError, match="try again"), impatient.write(world.acme.scope):
        pass
    with impatient.read(world.acme.scope) as reader:
        assert reader.bot("support") == world.acme.bot
    holder.execute("ROLLBACK")
    holder.close()
    with impatient.write(world.acme.scope) as writer:
        writer.put_bot(new_bot("second"))
    impatient.close()


def test_messages_hold_no_values(world: StorageWorld) -> None:
    """An error of the database does not repeat what was to be written."""
    secret = "a secret text \ud800"
    with pytest.raises(Exception) as caught, world.storage.write(world.acme.scope) as writer:
        writer.put_secrets(world.acme.bot.id, {"x": secret})
    assert "secret text" not in str(caught.value)


# ---------------------------------------------------------------- isolation by the database itself
def test_the_database_refuses_a_reference_to_another_tenant(folder: Path, world: StorageWorld) -> None:
    """Raw inserts that hang a row of one tenant on a row of another are refused by foreign keys."""
    mine, theirs = world.acme, world.rival
    document_id = world.document_id(theirs, "note")
    connection = raw(folder)
    crossings = {
        "chats": (mine.tenant.id, new_id(), theirs.bot.id, "t", "", "", None),
        "secrets": (mine.tenant.id, theirs.bot.id, "f", "c"),
        "chunks": (mine.tenant.id, theirs.bot.id, 1, document_id, 0, 1, None, "{}"),
        "text_blocks": (mine.tenant.id, theirs.versions["note"], 9, "text"),
        "change_log": (mine.tenant.id, theirs.bot.id, 1, 1, b"", b""),
        "embeddings": (mine.tenant.id, theirs.bot.id, int(world.keys(theirs)[0]), "s", b"", b""),
        "messages": (mine.tenant.id, theirs.chat.id, 9, new_id(), "user", "t", "[]", "complete", ""),
    }
    for table, values in crossings.items():
        marks = ", ".join("?" * len(values))
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)
    connection.close()


def test_every_table_of_a_tenant_begins_its_key_with_the_tenant() -> None:
    """All tables but the list of tenants and the settings carry the tenant in the key and in every foreign key."""
    for table in tables.metadata.sorted_tables:
        if table.name in {"tenants", "settings"}:
            continue
        assert next(iter(table.primary_key)).name == "tenant_id", table.name
        # A receipt outlives the tenant that it is about.
        assert table.foreign_key_constraints or table.name == "erasures", table.name
        for constraint in table.foreign_key_constraints:
            assert constraint.column_keys[0] == "tenant_id", (table.name, constraint.name)


def test_deleting_a_bot_leaves_nothing_of_it(folder: Path, world: StorageWorld) -> None:
    """After `delete_bot` no table holds a row of the bot, its versions and texts included, but what its calls cost."""
    world.write(world.acme, "note", "A second version.")
    with world.storage.write(world.acme.scope) as writer:
        writer.delete_bot(world.acme.bot.id)
    connection = raw(folder)
    for table in tables.metadata.sorted_tables:
        if table.name in {"tenants", "settings", "tenant_keys", "usage_events", "usage_days"}:
            continue
        query = f"SELECT count(*) FROM {table.name} WHERE tenant_id = ?"
        assert connection.execute(query, (world.acme.tenant.id,)).fetchone() == (0,), table.name
    connection.close()


# ---------------------------------------------------------------- more than the contract asks
def test_a_bot_that_is_gone_is_told(world: StorageWorld) -> None:
    """Writing a version of a bot that is gone is `BotNotFoundError`; appending to a chat that is gone too is not found."""
    gone = new_id()
    with world.storage.write(world.acme.scope) as writer:
        with pytest.raises(BotNotFoundError):
            writer.write_versions(gone, [], space="s", keep_versions=None)
        with pytest.raises(NotFoundError):
            writer.put_message(gone, world.acme.message)


def test_many_keys_at_once(world: StorageWorld) -> None:
    """Tens of thousands of keys, most of them absent, are taken by every method that takes keys."""
    keys = np.concatenate([np.arange(1, 40_000, dtype=np.int64), world.keys(world.acme)])
    bot_id, present = world.acme.bot.id, set(world.keys(world.acme).tolist())
    with world.storage.read(world.acme.scope) as reader:
        assert reader.hydrate(bot_id, keys).keys() == present
        assert reader.order(bot_id, keys).keys() == present
        assert {key for part, _ in reader.vectors(bot_id, keys) for key in part.tolist()} == present
        assert {text.key for part in reader.index_texts(bot_id, keys) for text in part} == present


def test_the_key_counter_outlives_a_clock_that_goes_back(world: StorageWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys stay above all earlier ones though the clock was set back."""
    before = world.keys(world.acme).max()
    monkeypatch.setattr("minirag.providers.sqlalchemy.changes.time.time_ns", lambda: 1_740_000_000 * 10**9)
    world.write(world.acme, "note", "Written in the past.")
    assert world.keys(world.acme).min() > before


def test_closing_while_another_thread_reads(world: StorageWorld) -> None:
    """A transaction in flight ends with its own connection closed; none is left open."""
    inside, closed = threading.Event(), threading.Event()

    def read() -> None:
        with world.storage.read(world.acme.scope) as reader:
            inside.set()
            closed.wait(10)
            reader.bots()

    thread = threading.Thread(target=read)
    thread.start()
    inside.wait(10)
    world.storage.close()
    closed.set()
    thread.join()
    with pytest.raises(WorkspaceClosedError), world.storage.read(world.acme.scope):
        pass


def test_a_damaged_page_is_corrupt(folder: Path, world: StorageWorld) -> None:
    """A database whose pages were overwritten is `StorageCorruptError`, not an answer."""
    for number in range(20):
        world.write(world.acme, f"{number}", "A document of some length. " * 400)
    world.storage.close()
    file = folder / "minirag.sqlite3"
    data = file.read_bytes()
    file.write_bytes(data[:16_384] + b"\xff" * (len(data) - 16_384))
    with pytest.raises(StorageCorruptError, match="backup"):
        world.keys(world.acme, world.open())


def test_flags_are_flags(world: StorageWorld) -> None:
    """SQLite keeps them as numbers, which equal them; what is read are flags."""
    with world.storage.read(world.acme.scope) as reader:
        (state,) = reader.states(world.acme.source.id)
        (version,) = reader.versions(state.id)
    assert state.stale is False
    assert version.current is True
