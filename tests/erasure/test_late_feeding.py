"""Vectors that are kept outside of processes: what was erased does not come back by one that is late to feed them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import minirag
from minirag.bot import Bot
from minirag.errors import BotNotFoundError, StorageBusyError, StorageError
from minirag.interfaces.erasing import Purge
from minirag.models.erasures import ErasureReceipt
from minirag.providers.sqlalchemy import memory_database, purging
from minirag.providers.sqlalchemy.erasing import SqlErasingReader
from tests.erasure.late import Gate, PgVectors, Place, QdrantVectors, hold, late_thread
from tests.erasure.world import KEY, Seeded, canary_text, fill, open_bot, open_workspace
from tests.servers.postgres_server import PostgresServer

Erase = Callable[[minirag.Workspace, Bot], ErasureReceipt]

ERASE: dict[str, Erase] = {
    "document": lambda _, bot: bot.documents.remove(KEY, erase=True),
    "source": lambda _, bot: bot.sources.remove("secrets", erase=True),
    "bot": lambda opened, _: opened.tenant("acme").bots.delete("support", erase=True),
    "tenant": lambda opened, _: opened.tenants.delete("acme", erase=True),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "_PATIENCE_MS", 50)


def qdrant() -> QdrantVectors:
    pytest.importorskip("qdrant_client", reason="the client of Qdrant is not installed")
    return QdrantVectors()


def left_behind(opened: minirag.Workspace) -> Bot:
    """Return a bot whose index has not yet been fed with a canary's document."""
    bot = open_bot(opened)
    fill(bot, documents=5, chat=False)
    bot.search("parcel")
    bot.add(minirag.DocumentInput(text=canary_text(7), key=KEY), source="secrets", progress=False)
    return bot


@pytest.fixture(params=["qdrant", "pgvector"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    remote = request.param == "pgvector"
    place = PgVectors(request.getfixturevalue("postgres").new_database()) if remote else qdrant()
    yield place
    place.close()


@pytest.mark.parametrize(
    ("what", "stands"),
    [
        ("document", "make"),
        ("document", "apply"),
        ("document", "write"),
        ("source", "apply"),
        ("bot", "make"),
        ("bot", "write"),
        ("tenant", "make"),
    ],
)
def test_whoever_was_feeding(what: str, stands: str, place: Place, tmp_path: Path) -> None:
    """It read the rows before, and writes them after the index was told to forget: when the receipt is done, none is there."""
    embedder, gate = Seeded(), Gate()
    index, other = place.index(), place.index()
    if stands == "write" and isinstance(place, PgVectors):
        pytest.skip("looking and writing are one transaction there")
    hold(other, gate, at=stands)
    with (
        open_workspace(tmp_path, embedder, index=index) as opened,
        open_workspace(tmp_path, embedder, index=other) as late,
    ):
        bot = left_behind(opened)
        thread, failed = late_thread(lambda: open_bot(late).search("quokka", mode="dense"))
        assert gate.reached.wait(60)

        def come() -> None:
            gate.opened.set()
            thread.join(60)
            assert not thread.is_alive()

        forget = index.purge

        def told() -> object:
            come()  # when every index has been told to forget
            return forget()

        index.purge = told  # type: ignore[method-assign, assignment]
        receipt = ERASE[what](opened, bot)
        if receipt.status == "pending":
            assert "uses the database as it was before" in str(receipt.cause)
            come()
            (receipt,) = opened.erasures.resume()
        assert (receipt.status, receipt.cause, receipt.verified) == ("done", None, True)
        assert place.erased(embedder) == 0
        assert bot.id in place.owners() or what in ("bot", "tenant")
        if what in ("bot", "tenant"):
            assert [type(each) for each in failed] == [BotNotFoundError] * len(failed)
            assert place.owners() == set()
        else:
            assert failed == []
            assert len(bot.search("parcel", k=500, mode="dense")) == bot.stats().chunks


@pytest.mark.parametrize("what", ["document", "bot"])
def test_who_ends_while_it_is_waited_for(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is pending, and what it has written is gone: indexes are told to forget after the wait."""
    place, embedder, gate = qdrant(), Seeded(), Gate()
    index, other = place.index(), place.index()
    hold(other, gate, at="write")
    with (
        open_workspace(tmp_path, embedder, index=index) as opened,
        open_workspace(tmp_path, embedder, index=other) as late,
    ):
        bot = left_behind(opened)
        thread, _ = late_thread(lambda: open_bot(late).search("quokka", mode="dense"))
        assert gate.reached.wait(60)
        storage = opened._core.storage
        wait = storage.old_reads

        def old_reads() -> str | None:
            gate.opened.set()
            thread.join(60)
            assert place.erased(embedder) > 0, "nothing came late"
            return wait()

        monkeypatch.setattr(storage, "old_reads", old_reads)
        assert ERASE[what](opened, bot).status == "done"
        assert place.erased(embedder) == 0
    place.close()


@pytest.mark.parametrize("what", ["document", "bot"])
def test_whose_connection_was_lost(what: str, place: Place, postgres: PostgresServer, tmp_path: Path) -> None:
    """The database knows of no view from before, so the receipt is done; what the late one writes then, it takes out itself."""
    embedder, gate, url = Seeded(), Gate(), postgres.new_database()
    index, other = place.index(), place.index()
    hold(other, gate, at="apply" if isinstance(place, PgVectors) else "write")
    key = minirag.generate_secret_key()
    with (
        open_workspace(url, embedder, index=index, secret_key=key, cache_dir=tmp_path / "a") as opened,
        open_workspace(url, embedder, index=other, secret_key=key, cache_dir=tmp_path / "b") as late,
    ):
        bot = left_behind(opened)
        thread, failed = late_thread(lambda: open_bot(late).search("quokka", mode="dense"))
        assert gate.reached.wait(60)
        name = url.partition("@/")[2].partition("?")[0]
        ended = postgres.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' "
            "AND state = 'idle in transaction'"
        )
        assert ended == [(True,)]
        receipt = ERASE[what](opened, bot)
        assert (receipt.status, receipt.verified) == ("done", True)
        gate.opened.set()
        thread.join(60)
        assert place.erased(embedder) == 0
        if what == "document":
            assert [isinstance(each, StorageError) for each in failed] == [True]
            assert len(bot.search("parcel", k=500, mode="dense")) == bot.stats().chunks


def test_who_reads_without_locks(tmp_path: Path) -> None:
    """A read-only workspace that nobody else had open takes no lock; it sees that the file has changed, and takes out what it wrote."""
    place, embedder, gate = qdrant(), Seeded(), Gate()
    index, other = place.index(), place.index()
    hold(other, gate, at="write")
    with open_workspace(tmp_path, embedder, index=index) as opened:
        bot = left_behind(opened)
    with open_workspace(tmp_path, embedder, index=other, read_only=True) as late:
        found = late.tenant("acme").bot("support")
        thread, failed = late_thread(lambda: found.search("quokka", mode="dense"))
        assert gate.reached.wait(60)
        with open_workspace(tmp_path, embedder, index=index) as opened:
            bot = open_bot(opened)
            assert bot.documents.remove(KEY, erase=True).status == "done"
            gate.opened.set()
            thread.join(60)
            assert [type(each) for each in failed] == [StorageBusyError]
            assert place.erased(embedder) == 0
            assert len(bot.search("parcel", k=500, mode="dense")) == bot.stats().chunks
    place.close()


def test_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that still reads a state from before holds the receipt up, as another process does."""
    monkeypatch.setattr(memory_database, "_OLD_READS_PATIENCE", 0.05)
    place, embedder, gate = qdrant(), Seeded(), Gate()
    index = place.index()
    index._alone = None  # type: ignore[attr-defined]  # as for a server, where a deletion does not wait for a write
    index.purge = lambda: Purge(None)  # type: ignore[method-assign]
    with open_workspace(":memory:", embedder, index=index) as opened:
        bot = open_bot(opened)
        fill(bot, documents=5, chat=False)
        hold(index, gate, at="write")
        thread, _ = late_thread(lambda: bot.search("quokka", mode="dense"))
        assert gate.reached.wait(60)
        receipt = bot.delete(erase=True)
        assert receipt is not None
        assert receipt.status == "pending"
        assert "a long read of this process" in str(receipt.cause)
        gate.opened.set()
        thread.join(60)
        assert place.erased(embedder) > 0, "nothing came late"
        (receipt,) = opened.erasures.resume()
        assert receipt.status == "done"
        assert (place.erased(embedder), place.owners()) == (0, set())
    place.close()


def test_a_space_that_the_bot_has_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of an earlier model that could not be deleted when the bot was moved go with the erasure."""
    place, embedder = qdrant(), Seeded()
    index = place.index()
    with open_workspace(tmp_path, embedder, index=index) as opened:
        bot = open_bot(opened)
        fill(bot, documents=5, chat=False)
        bot.search("parcel")
        with monkeypatch.context() as patch:
            patch.setattr(index, "drop", lambda *_, **__: None)
            bot.reembed("hashing", progress=None)
        bot.search("parcel")
        assert place.erased(embedder) > 0
        assert bot.documents.remove(KEY, erase=True).status == "done"
        assert place.erased(embedder) == 0
        assert len(bot.search("parcel", k=500, mode="dense")) == bot.stats().chunks
    place.close()


def test_a_search_asks_nothing_more(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a view is held is asked when something was fed, and not by a search of an index that stands where the log does."""
    asked: list[object] = []
    real = SqlErasingReader.check_open
    monkeypatch.setattr(SqlErasingReader, "check_open", lambda self: (asked.append(self), real(self)))
    with open_workspace(tmp_path, index=place.index()) as opened:
        bot = open_bot(opened)
        fill(bot, documents=5, chat=False)
        bot.search("parcel")
        assert len(asked) == 1
        bot.search("quokka")
        assert len(asked) == 1
