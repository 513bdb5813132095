"""The storage in memory keeps the contract of `Storage`, with the snapshots and the one writer of a file."""

from __future__ import annotations

import random
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from minirag.errors import ProviderOptionsError, StorageBusyError, WorkspaceClosedError
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.storage import Storage
from minirag.providers.sqlalchemy.memory_database import MemoryDatabase
from minirag.providers.sqlalchemy.storage import SqlAlchemyOptions, SqlAlchemyStorage, create
from minirag.testing.storage import StorageConformance
from minirag.testing.storage_world import StorageWorld


class TestMemoryStorage(StorageConformance):
    """SQLite in memory; its copies are folders."""

    lasting = False

    def make_storage(self, location: Path, *, read_only: bool = False) -> Storage:
        return SqlAlchemyStorage(location if location.exists() else ":memory:", read_only=read_only)


@pytest.fixture
def world() -> Iterator[StorageWorld]:
    def make(*, read_only: bool = False) -> Storage:
        return SqlAlchemyStorage(":memory:", busy_timeout=0.2, read_only=read_only)

    world = StorageWorld(make)
    yield world
    world.close()


def database(world: StorageWorld) -> MemoryDatabase:
    found = world.storage._database  # type: ignore[attr-defined]  # a SqlAlchemyStorage
    assert isinstance(found, MemoryDatabase)
    return found


@pytest.mark.parametrize("location", [":memory:", "sqlite://", "sqlite:///:memory:"])
def test_each_opening_is_a_database_of_its_own(location: str) -> None:
    """Opened twice, it is two databases, by each of its names."""
    one, other = (create(SqlAlchemyOptions(), ProviderContext(location=location)) for _ in range(2))
    assert one.workspace_id != other.workspace_id
    one.close()
    with other.directory(write=True) as directory:
        directory.put_setting("name", "value")
    other.close()
    with pytest.raises(WorkspaceClosedError), other.directory():
        pass


def test_it_cannot_be_read_only() -> None:
    """A new database has nothing to read; the message says what to leave out."""
    with pytest.raises(ProviderOptionsError, match="leave out read_only"):
        SqlAlchemyStorage(":memory:", read_only=True)


@pytest.mark.parametrize("fails", [False, True])
def test_readers_of_every_age_meet_a_writer(world: StorageWorld, fails: bool) -> None:
    """Before, during and after a write in the same thread, each reader sees what was committed when it began."""
    storage, acme = world.storage, world.acme

    def documents() -> int:
        with storage.read(acme.scope) as reader:
            return reader.count_documents(acme.bot.id)

    with storage.read(acme.scope) as old:
        assert old.usage_events()  # from here on it has its state, but no page of the documents
        old._transaction._driver.execute("PRAGMA shrink_memory")  # type: ignore[attr-defined]  # a SqlAlchemyReader
        try:
            with storage.write(acme.scope) as writer:
                assert documents() == 1
                writer.remove_documents(acme.bot.id, [world.document_id(acme, "note")])
                assert writer.count_documents(acme.bot.id) == 0
                assert documents() == 1
                if fails:
                    raise InterruptedError
        except InterruptedError:
            pass
        assert old.count_documents(acme.bot.id) == 1
        assert documents() == int(fails)
    assert documents() == int(fails)
    assert len(database(world)._versions) == 1


def test_a_reader_that_begins_during_a_write_outlives_it(world: StorageWorld) -> None:
    """It goes on with what it saw first, and the copy it was given goes with it."""
    storage, acme = world.storage, world.acme
    writing = storage.write(acme.scope)
    writer = writing.__enter__()
    writer.remove_documents(acme.bot.id, [world.document_id(acme, "note")])
    reading = storage.read(acme.scope)
    reader = reading.__enter__()
    writing.__exit__(None, None, None)
    assert len(database(world)._versions) == 2
    world.write(acme, "later", "Another document.")
    assert [each.key for each in reader.documents(acme.bot.id)] == ["note"]
    reading.__exit__(None, None, None)
    assert len(database(world)._versions) == 1
    with storage.read(acme.scope) as after:
        assert [each.key for each in after.documents(acme.bot.id)] == ["later"]


def test_without_company_nothing_is_copied(world: StorageWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads and writes that do not meet use one database in place."""
    monkeypatch.setattr(MemoryDatabase, "_copied", lambda self, version: pytest.fail("copied"))
    for number in range(5):
        world.write(world.acme, f"{number}", "A text.")
        world.keys(world.acme)


def test_a_long_write_stays_out_of_the_database_until_it_commits(world: StorageWorld) -> None:
    """However many pages a transaction writes, more than the cache holds, who reads meanwhile sees none of them."""
    storage, names = world.storage, [f"{number}" for number in range(300)]
    before, after = ("A text that takes some pages. " * 2_000, "Another text of equal length. " * 2_000)

    def values() -> set[str | None]:
        with storage.directory() as directory:
            return {directory.setting(name) for name in names}

    with storage.directory(write=True) as directory:
        for name in names:
            directory.put_setting(name, before)
    with storage.directory(write=True) as directory:
        driver = directory._transaction._driver  # type: ignore[attr-defined]  # a SqlAlchemyDirectory
        driver.execute("PRAGMA cache_size = 10")
        for name in names:
            directory.put_setting(name, after)
        assert values() == {before}
    assert values() == {after}
    assert list(storage.verify(None)) == []


def test_a_second_writer_waits_and_gives_up(world: StorageWorld) -> None:
    """One writes at a time; who waits for longer than the busy timeout is told so, and can try again."""
    with world.storage.write(world.acme.scope):
        with pytest.raises(StorageBusyError, match="try again"), world.storage.write(world.rival.scope):
            pass
        with pytest.raises(StorageBusyError), world.storage.directory(write=True):
            pass
    world.write(world.rival, "later", "Written after all.")


def test_closing_while_a_reader_is_there(world: StorageWorld) -> None:
    """A block that is open ends as it began; the next one is refused."""
    uri = replace(database(world)._settings, memory=database(world)._now.name).uri
    with world.storage.read(world.acme.scope) as reader:
        world.storage.close()
        assert reader.count_documents(world.acme.bot.id) == 1
    with pytest.raises(WorkspaceClosedError), world.storage.read(world.acme.scope):
        pass
    with closing(sqlite3.connect(uri, uri=True)) as same:
        assert same.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,), "something is left in memory"


def test_threads_see_whole_states(world: StorageWorld) -> None:
    """Six threads read pairs of rows that two others change together; nobody sees half, and nothing is ever locked."""
    storage, stop, failures, counts = world.storage, threading.Event(), [], [0] * 8
    sys_interval = sys.getswitchinterval()

    def read(place: int) -> None:
        chance = random.Random(place)
        while not stop.is_set():
            with storage.directory() as directory:
                one = directory.setting("one")
                if chance.random() < 0.2:
                    time.sleep(0.01)
                assert one == directory.setting("two")
            counts[place] += 1

    def write(place: int) -> None:
        while not stop.is_set():
            with storage.directory(write=True) as directory:
                value = str(int(directory.setting("one") or 0) + 1)
                directory.put_setting("one", value)
                directory.put_setting("two", value)
            counts[place] += 1

    def guarded(place: int) -> None:
        try:
            (read if place < 6 else write)(place)
        except BaseException as problem:
            failures.append(problem)
            stop.set()

    sys.setswitchinterval(1e-4)
    try:
        threads = [threading.Thread(target=guarded, args=(place,)) for place in range(8)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 20
        while not stop.wait(0.5) and min(counts) < 4 and time.monotonic() < end:
            pass
        stop.set()
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(sys_interval)
    assert failures == []
    assert min(counts) > 3, counts
    with storage.directory() as directory:
        assert directory.setting("one") == str(sum(counts[6:]))
    assert len(database(world)._versions) == 1
