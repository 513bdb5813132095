"""The asynchronous face: the same names with the same results."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import minirag
from minirag.errors import (
    IngestError,
    InvalidInputError,
    TenantNotFoundError,
    WorkspaceStateError,
)
from tests.public.engines import TEXTS, SlowEmbedder, run
from tests.public.signatures import parameters, public_classes, public_members

pytestmark = pytest.mark.usefixtures("no_leaks")

PAIRS = [
    "AuditLog",
    "Bot",
    "Bots",
    "Chat",
    "Chats",
    "Citation",
    "Documents",
    "Sources",
    "TenantSession",
    "Tenants",
    "Tokens",
    "UsageLedger",
    "Users",
    "Workspace",
]
EXCEPTIONS = {
    ("Workspace", "__init__"): "made of a workspace's maker, not of parts",
    ("UsageLedger", "_repr_html_"): "a notebook calls it without awaiting, and it reads from the workspace",
}
PLAIN_CALLS = {
    ("Workspace", "open"),
    ("Workspace", "from_config"),
    ("Workspace", "from_env"),
    ("Bot", "stream"),
    ("Chat", "stream"),
    ("Chats", "list"),
    ("Documents", "list"),
    ("UsageLedger", "events"),
    ("AuditLog", "events"),
}
"""Calls that are not awaited themselves: their results are awaited, entered or iterated."""


# ------------------------------------------------------------------------------------------------------------ parity
@pytest.mark.parametrize("kind", PAIRS)
def test_both_faces_have_the_same_names_and_parameters(kind: str) -> None:
    """Every public member has its twin, with the same parameters in the same order and with the same defaults."""
    classes = public_classes()
    sync, asynchronous = public_members(classes[kind]), public_members(classes[f"Async{kind}"])
    listed = {name for one, name in EXCEPTIONS if one == kind}
    assert set(sync) - listed == set(asynchronous) - listed
    for name in set(sync) - listed:
        assert [(p.name, p.kind, p.default) for p in parameters(sync[name])] == [
            (p.name, p.kind, p.default) for p in parameters(asynchronous[name])
        ], name


@pytest.mark.parametrize("kind", PAIRS)
def test_what_may_touch_the_disk_is_awaited(kind: str) -> None:
    """A method is `async def` unless it is listed; a property is a property on both faces, save `chat.messages`."""
    classes = public_classes()
    for name, member in public_members(classes[f"Async{kind}"]).items():
        twin = public_members(classes[kind]).get(name)
        if isinstance(member, property):
            assert isinstance(twin, property), name
        elif (kind, name) not in PLAIN_CALLS:
            assert inspect.iscoroutinefunction(getattr(classes[f"Async{kind}"], name)), name
        if isinstance(twin, property) and not isinstance(member, property):
            assert (kind, name) == ("Chat", "messages")


def test_every_awaited_method_gives_what_its_twin_gives(folder: Path) -> None:
    """Reading through either face gives equal values."""

    async def main() -> None:
        sync = minirag.Workspace.open(folder)
        async with minirag.AsyncWorkspace.open(folder) as ws:
            session, twin = await ws.tenant("acme"), sync.tenant("acme")
            bot, other = await session.bot("support"), twin.bot("support")
            assert await ws.tenants.list() == sync.tenants.list()
            assert await ws.tenants.get("acme") == sync.tenants.get("acme") == session.tenant
            assert ws.location == sync.location
            assert len(ws.providers.specs("llm")) == len(sync.providers.specs("llm"))
            assert (await ws.verify(models=True)).checked == sync.verify(models=True).checked
            assert await session.bots.list() == twin.bots.list()
            assert (await session.bots.get("support")).profile == bot.profile == other.profile
            assert (bot.id, bot.name) == (other.id, other.name)
            assert await bot.stats() == other.stats()
            assert await session.search("laptop") == twin.search("laptop")
            for mode in ("hybrid", "dense", "keyword"):
                assert await bot.search("laptop", k=2, mode=mode, where={"n": {"$lt": 2}}) == other.search(
                    "laptop", k=2, mode=mode, where={"n": {"$lt": 2}}
                )
            assert await bot.search_many(["laptop", "phone"]) == other.search_many(["laptop", "phone"])
            assert (await bot.ask("How long may I return a laptop?")).text == other.ask(
                "How long may I return a laptop?"
            ).text
            judged = {"q": "laptop"}, {"q": {"note-0": 1}}
            assert (await bot.evaluate(*judged)).metrics == other.evaluate(*judged).metrics
            assert [document async for document in bot.documents.list()] == list(other.documents.list())
            assert await bot.documents.get("note-1") == other.documents.get("note-1")
            assert await bot.documents.text("note-1") == other.documents.text("note-1") == TEXTS[1]
            assert await bot.documents.versions("note-1") == other.documents.versions("note-1")
            assert await bot.documents.count() == other.documents.count() == 3
            assert await bot.sources.list() == other.sources.list()
            assert await bot.sources.get("inline") == other.sources.get("inline")
            assert (await session.usage.total()) == twin.usage.total()
            assert [event async for event in session.usage.events()] == list(twin.usage.events())
            assert [event async for event in session.audit.events()] == list(twin.audit.events())
        sync.close()

    run(main)


def test_every_writing_method_works(folder: Path) -> None:
    """Each method that changes something does so through the asynchronous face."""

    async def main() -> None:
        ws = await minirag.AsyncWorkspace.open(folder, embedder="hashing")
        await ws.tenants.create("globex")
        assert (await ws.tenants.update("globex", name="Globex", new_slug="globex-2")).name == "Globex"
        await ws.tenants.delete("globex-2")
        with pytest.raises(TenantNotFoundError):
            await ws.tenant("globex-2")
        assert (await ws.repair()).ok
        assert (await ws.backup(folder.with_name("copy"))).key == "left out"
        assert len((await ws.rotate_master_key()).former_key_ids) == 1
        assert (await ws.tenants.rotate_key("acme")).tenants == 1
        exported = await ws.tenants.export("acme", folder.with_name("acme.minirag"))
        assert (await ws.tenants.import_(exported.path, slug="moved")).counts == exported.counts
        session = await ws.tenant("new", create=True)
        bot = await session.bots.create("one")
        assert (await bot.update(system_prompt="x")).system_prompt == "x"
        assert (await session.bots.update("one", system_prompt="y")).system_prompt == "y"
        source = await bot.sources.add(text="A manual.", name="manual", metadata={"a": 1})
        assert (await bot.sources.ingest(source)).counts["added"] == 1
        assert (await bot.sources.update("manual", name="book", refresh=60)).refresh == 60.0
        assert (await bot.add(minirag.DocumentInput(text="More.", key="more"))).ok
        assert (await bot.ingest()).ok
        assert await bot.documents.remove("more") == 1
        assert await bot.sources.remove("book") == 1
        chat = await bot.chat()
        assert (await chat.send("Anything?")).abstained
        assert [message.role for message in await chat.messages()] == ["user", "assistant"]
        assert [record.id async for record in bot.chats.list()] == [chat.id]
        assert (await bot.chats.get(chat.id)).id == chat.id
        await chat.delete()
        await bot.chats.delete((await bot.chat()).id)
        await bot.delete()
        await (await session.bot("two", create=True)).delete()
        await session.bots.create("three")
        await session.bots.delete("three")
        await ws.close()

    run(main)


def test_citations_are_awaited_and_open_their_text(folder: Path) -> None:
    """A citation of an answer, an event and a stored message reads its evidence off the loop."""

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(folder) as ws:
            bot = await (await ws.tenant("acme")).bot("support")
            answer = await bot.ask("How long may I return a laptop?")
            chat = await bot.chat()
            await chat.send("How long may I return a laptop?")
            stored = (await chat.messages())[1].citations[0]
            events = [event async for event in bot.stream("How long may I return a laptop?")]
            for citation in (
                answer.citations[0],
                stored,
                next(event.citation for event in events if event.citation is not None),
                events[-1].answer.citations[0] if events[-1].answer is not None else None,
            ):
                assert isinstance(citation, minirag.AsyncCitation)
                assert await citation.verify()
                assert await citation.open() == citation.quote
                assert await bot.open(citation) == citation.quote
                again = minirag.Citation.model_validate_json(citation.model_dump_json())
                assert await bot.open(again, after=0) == citation.quote
            with pytest.raises(InvalidInputError, match="before"):
                await answer.citations[0].open(before=-1)
            loose = minirag.AsyncCitation.model_validate_json(answer.citations[0].model_dump_json())
            with pytest.raises(WorkspaceStateError, match="await bot"):
                await loose.verify()
        sync = minirag.Workspace.open(folder)
        assert sync.tenant("acme").bot("support").open(answer.citations[0]) == answer.citations[0].quote
        sync.close()

    run(main)


# --------------------------------------------------------------------------------------------------------- ingestion
def test_add_takes_asynchronous_iterables(folder: Path) -> None:
    """An asynchronous generator is consumed lazily, beside other arguments; on the synchronous face it is refused."""

    async def documents() -> AsyncIterator[minirag.DocumentInput]:
        for number in range(10):
            await asyncio.sleep(0)
            yield minirag.DocumentInput(text=f"Page number {number}.", key=f"page-{number}")

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(folder, embedder="hashing") as ws:
            bot = await (await ws.tenant("acme")).bot("support")
            report = await bot.add(documents(), minirag.DocumentInput(text="One more.", key="more"), documents())
            assert report.counts["added"] == 11
            assert len(report.warnings) == 10
        with minirag.Workspace.open(folder) as sync, pytest.raises(InvalidInputError, match="use AsyncWorkspace"):
            sync.tenant("acme").bot("support").add(documents())

    run(main)


def test_an_asynchronous_iterable_that_raises_keeps_what_came_before(folder: Path) -> None:
    """What the caller's own iterable raises is chained to `IngestError`, whose report lists what was committed."""

    async def documents() -> AsyncIterator[minirag.DocumentInput]:
        yield minirag.DocumentInput(text="The first.", key="first")
        raise OSError("the caller's disk")

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(folder, embedder="hashing") as ws:
            bot = await (await ws.tenant("acme")).bot("support")
            with pytest.raises(IngestError) as caught:
                await bot.add(documents())
            assert isinstance(caught.value.__cause__, OSError)
            assert caught.value.report is not None
            assert [entry.key for entry in caught.value.report.added] == ["first"]
            assert await bot.documents.text("first") == "The first."

    run(main)


def test_cancelling_add_keeps_what_was_committed(tmp_path: Path) -> None:
    """Cancelling stops after the batch in hand; what was acknowledged stays, nothing is half, and adding again works."""
    embedder = SlowEmbedder(0.05)
    committed: list[str] = []
    inputs = [minirag.DocumentInput(text=f"Text number {number}.", key=f"key-{number:03}") for number in range(200)]

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(tmp_path / "kb", embedder=embedder) as ws:
            bot = await (await ws.tenant("acme", create=True)).bot("support", create=True)
            task = asyncio.create_task(
                bot.add(inputs, progress=lambda step: committed.extend(step.keys if step.stage == "committed" else ()))
            )
            while len(committed) < 8:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            calls = embedder.calls
            kept = {document.key async for document in bot.documents.list()}
            assert kept == set(committed)
            assert 8 <= len(kept) < 200
            await asyncio.sleep(0.12)
            assert embedder.calls <= calls + 1, "embedding went on after the cancellation"
            assert len(await bot.search("number", k=100)) == len(kept)
            embedder.seconds = 0.0
            report = await bot.add(inputs)
            assert report.counts["added"] == 200 - len(kept)
            assert report.counts["unchanged"] == len(kept)

    run(main)


def test_cancelling_again_and_again_breaks_nothing(folder: Path) -> None:
    """A call that is cancelled twice in a row, at any moment, leaves the bot usable."""

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(folder, embedder="hashing") as ws:
            bot = await (await ws.tenant("acme")).bot("support")
            for round_ in range(30):
                task = asyncio.create_task(bot.add(minirag.DocumentInput(text=f"Round {round_}.", key="round")))
                await asyncio.sleep(round_ * 0.0005)
                task.cancel()
                await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            assert (await bot.add(minirag.DocumentInput(text="The end.", key="round"))).ok
            assert await bot.documents.text("round") == "The end."

    run(main)
