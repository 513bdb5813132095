"""The asynchronous face: the same names with the same results, and an event loop that is never held up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

import minirag
from minirag.errors import (
    ChatNotFoundError,
    ForkedWorkspaceError,
    IngestError,
    InvalidInputError,
    ProviderRateLimitError,
    TenantNotFoundError,
    WorkspaceClosedError,
    WorkspaceStateError,
)
from minirag.interfaces import LLM, Embedder, EmbeddingSpace, LLMChunk, LLMRequest, LLMResponse
from tests.public.signatures import parameters, public_classes, public_members
from tests.servers.openai_server import OpenAIServer, failure, stream

PAIRS = [
    "Bot",
    "Bots",
    "Chat",
    "Chats",
    "Citation",
    "Documents",
    "Sources",
    "TenantSession",
    "Tenants",
    "UsageLedger",
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
}
"""Calls that are not awaited themselves: their results are awaited, entered or iterated."""
TEXTS = [
    "A laptop may be returned within thirty days.",
    "A phone may be returned within ten days.",
    "Shipping is free above fifty euros.",
]


class SlowEmbedder(Embedder):
    """Takes its time, as a server does, and counts how many texts it was given."""

    batch_size = 4

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0
        self.called = threading.Event()

    @property
    def space(self) -> EmbeddingSpace:
        return EmbeddingSpace(provider="slow", model="counted", dimension=8)

    def embed(self, texts: Sequence[str], *, purpose: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        time.sleep(self.seconds)
        self.calls += 1
        self.called.set()
        return np.array([[1.0 + len(text) % (at + 2) for at in range(8)] for text in texts], dtype=np.float32)


class EndlessLLM(LLM):
    """Begins to answer and never ends, awaiting natively; it knows how many of its streams are open."""

    metered = False

    def __init__(self) -> None:
        self.open = 0
        self.most_open = 0

    @property
    def name(self) -> str:
        return "endless"

    def generate(self, request: LLMRequest) -> LLMResponse:
        raise AssertionError("only streamed here")

    async def astream(self, request: LLMRequest) -> AsyncIterator[LLMChunk]:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            yield LLMChunk(text="A laptop may be ")
            await asyncio.Event().wait()
        finally:
            self.open -= 1


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Whatever a test leaves open is an error here, not somewhere later."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with one tenant, one bot and three documents."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        bot.add(minirag.DocumentInput(text=text, key=f"note-{n}", metadata={"n": n}) for n, text in enumerate(TEXTS))
    return tmp_path / "kb"


def run(main: Callable[[], Coroutine[Any, Any, None]], *, seconds: float = 30.0) -> None:
    """Run a coroutine in a loop of its own, but not for ever."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await main()

    asyncio.run(bounded())


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


# --------------------------------------------------------------------------------------------------------- lifetimes
def test_open_is_a_plain_call(folder: Path) -> None:
    """`open` does nothing yet; awaiting it, entering it or the first use of it opens the workspace, once."""

    async def main() -> None:
        lazy = minirag.AsyncWorkspace.open(folder.parent / "not-yet")
        assert not (folder.parent / "not-yet").exists()
        assert "not open yet" in repr(lazy)
        with pytest.raises(WorkspaceStateError, match="await it"):
            lazy.location  # noqa: B018 - reading it is the test
        await lazy.close()
        awaited = await minirag.AsyncWorkspace.open(folder)
        assert repr(awaited) == f"<AsyncWorkspace {str(folder)!r}>"
        await awaited.close()
        first_use = minirag.AsyncWorkspace.open(folder)
        sessions = await asyncio.gather(*(first_use.tenant("acme") for _ in range(20)))
        assert {session.tenant.slug for session in sessions} == {"acme"}
        await first_use.close()
        async with minirag.AsyncWorkspace.from_config({"location": str(folder)}) as configured:
            assert (await configured.tenant("acme")).tenant.slug == "acme"

    run(main)


def test_a_failed_opening_raises_and_leaves_nothing(tmp_path: Path) -> None:
    """What `Workspace.open` raises comes out of `async with`, and out of `await`."""

    async def main() -> None:
        with pytest.raises(minirag.MiniRAGError, match="read_only"):
            async with minirag.AsyncWorkspace.open(tmp_path / "none", read_only=True):
                pass
        with pytest.raises(InvalidInputError, match="durability"):
            await minirag.AsyncWorkspace.open(tmp_path / "none", durability="bogus")  # type: ignore[arg-type]

    run(main)


def test_use_after_close_is_refused(folder: Path) -> None:
    """After `close`, once or twice, every call raises `WorkspaceClosedError`, also of what was made before."""

    async def main() -> None:
        ws = await minirag.AsyncWorkspace.open(folder)
        session = await ws.tenant("acme")
        bot = await session.bot("support")
        answer = await bot.ask("How long may I return a laptop?")
        await ws.close()
        await ws.close()
        for call in (
            lambda: ws.tenant("acme"),
            lambda: session.search("x"),
            lambda: bot.search("x"),
            lambda: bot.add(minirag.DocumentInput(text="x")),
            lambda: bot.ask("x"),
            lambda: answer.citations[0].verify(),
            lambda: ws.tenants.list(),
            lambda: bot.ingest(),
        ):
            with pytest.raises(WorkspaceClosedError):
                await call()
        with pytest.raises(WorkspaceClosedError):
            bot.stream("x")
        with pytest.raises(WorkspaceClosedError):
            async for _ in bot.documents.list():
                pass
        assert "closed" in repr(ws)

    run(main)


def test_closing_before_the_end_of_a_stream_is_quiet(folder: Path) -> None:
    """A stream that is left after its workspace was closed raises nothing and leaks nothing."""
    llm = EndlessLLM()

    async def main() -> None:
        ws = await minirag.AsyncWorkspace.open(folder)
        bot = await (await ws.tenant("acme")).bot("support")
        await bot.update(llm=llm)
        events = (await bot.chat()).stream("How long may I return a laptop?")
        async for event in events:
            if event.type == "delta":
                break
        await ws.close()
        await events.aclose()
        assert llm.open == 0

    run(main)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_is_refused_and_does_not_hang(folder: Path) -> None:
    """The threads did not come along with the fork: the child gets an error at once instead of waiting for them."""
    ws = minirag.AsyncWorkspace.open(folder)

    async def main() -> None:
        await ws.tenant("acme")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forking beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.new_event_loop().run_until_complete(main())
        except ForkedWorkspaceError:
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + 10
    status = 0, 0
    while status[0] == 0 and time.monotonic() < deadline:
        status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if status[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert status == (child, 0)
    loop.run_until_complete(main())
    loop.run_until_complete(ws.close())
    loop.close()


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


# ----------------------------------------------------------------------------------------------------------- streams
def long_stream(parts: int = 400) -> Any:
    return stream(*(f"word{number} " for number in range(parts)), delay=0.01)


@pytest.mark.parametrize("how", ["aclose", "break", "cancel"])
def test_leaving_a_stream_early_hangs_up(folder: Path, how: str) -> None:
    """Closing, leaving the loop or cancelling ends the connection, and the chat keeps what had come, as `partial`."""

    async def main() -> None:
        with OpenAIServer() as server:
            server.script(long_stream())
            async with minirag.AsyncWorkspace.open(folder) as ws:
                bot = await (await ws.tenant("acme")).bot("support")
                options = {"model": "served", "base_url": server.base_url}
                await bot.update(llm={"provider": "openai", "options": options}, credentials={"api_key": "sk-x"})
                chat = await bot.chat()
                received: list[str] = []

                async def consume() -> None:
                    events = chat.stream("How long may I return a laptop?")
                    async for event in events:
                        if event.type == "delta":
                            received.append(event.text or "")
                            if how != "cancel" and len(received) == 3:
                                break
                    if how == "aclose":
                        await events.aclose()

                task = asyncio.create_task(consume())
                while len(received) < 3:
                    await asyncio.sleep(0.005)
                if how == "cancel":
                    task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                del task
                gc.collect()
                while len(await chat.messages()) < 2:
                    await asyncio.sleep(0.005)
                assert await asyncio.to_thread(server.hung_up.wait, 5)
                answer = (await chat.messages())[1]
                assert answer.status == "partial"
                assert answer.text.startswith("word0 word1")
                usage = [event async for event in (await ws.tenant("acme")).usage.events()]
                assert [event.status for event in usage] == ["cancelled"]

    run(main)


def test_a_failing_stream_ends_in_exactly_one_error(folder: Path) -> None:
    """Refused or cut off: `error` comes once, last, and `done` does not; the chat keeps the turn as failed."""

    async def main() -> None:
        with OpenAIServer() as server:
            async with minirag.AsyncWorkspace.open(folder) as ws:
                bot = await (await ws.tenant("acme")).bot("support")
                options = {"model": "served", "base_url": server.base_url, "max_retries": 0}
                await bot.update(llm={"provider": "openai", "options": options}, credentials={"api_key": "sk-x"})
                for reply, kind in (
                    (failure(429), ProviderRateLimitError),
                    (stream("Some ", "words", done=False, cut=True), minirag.errors.ProviderError),
                ):
                    server.script(reply)
                    chat = await bot.chat()
                    events = [event async for event in chat.stream("How long may I return a laptop?")]
                    assert [event.type for event in events if event.type in ("done", "error")] == ["error"]
                    assert events[-1].type == "error"
                    assert isinstance(events[-1].error, kind)
                    assert [message.status for message in await chat.messages()] == ["complete", "failed"]

    run(main)


def test_a_chat_deleted_under_a_stream_ends_it_in_one_error(folder: Path) -> None:
    """The answer can no longer be stored: the stream says so in its one `error` event instead of raising."""

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(folder) as ws:
            bot = await (await ws.tenant("acme")).bot("support")
            chat = await bot.chat()
            types = []
            async for event in chat.stream("How long may I return a laptop?"):
                types.append(event.type)
                if event.type == "sources":
                    await chat.delete()
                if event.type == "error":
                    assert isinstance(event.error, ChatNotFoundError)
            assert types[-1] == "error"
            assert types.count("error") + types.count("done") == 1

    run(main)


def test_a_thousand_open_streams_hold_no_thread_each(folder: Path) -> None:
    """A thousand answers are under way on one loop with a handful of threads, and all are closed in the end."""
    llm = EndlessLLM()

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(folder) as ws:
            bot = await (await ws.tenant("acme")).bot("support")
            await bot.update(llm=llm)
            before = threading.active_count()

            async def begin() -> Any:
                events = bot.stream("How long may I return a laptop?", k=1)
                async for event in events:
                    if event.type == "delta":
                        return events
                raise AssertionError("no text came")

            streams = await asyncio.gather(*(begin() for _ in range(1_000)))
            assert llm.open == 1_000
            assert threading.active_count() - before <= 16
            assert len(await bot.search("laptop")) == 3
            await asyncio.gather(*(events.aclose() for events in streams))
            assert llm.open == 0

    run(main, seconds=60)


# ---------------------------------------------------------------------------------------------------------- blocking
class Heartbeat:
    """Beats every few milliseconds; the longest gap is how long the loop was held up."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._beat())
        await asyncio.sleep(0.02)
        self.longest = 0.0
        return self

    async def __aexit__(self, *problem: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _beat(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last)
            last = now


def test_the_loop_is_not_held_up(tmp_path: Path) -> None:
    """While a slow embedder works for `add`, `search` and `ask`, and a large batch is written, the loop goes on."""
    embedder = SlowEmbedder(0.25)
    embedder.batch_size = 1_000

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(tmp_path / "kb", embedder=embedder) as ws:
            bot = await (await ws.tenant("acme", create=True)).bot("support", create=True)
            texts = [minirag.DocumentInput(text=f"{text} {n}.", key=f"{n}") for n, text in enumerate(TEXTS * 100)]
            async with Heartbeat() as heart:
                await asyncio.gather(
                    bot.add(texts),
                    bot.search("laptop"),
                    bot.ask("How long may I return a laptop?"),
                    bot.stats(),
                )
                async for _ in bot.stream("How long may I return a laptop?"):
                    pass
            assert embedder.calls >= 4
            assert heart.longest < 0.2, f"the loop stood still for {heart.longest:.3f} s"

    run(main)


def test_the_detector_detects() -> None:
    """A blocking call on the loop is seen by the heartbeat."""

    async def main() -> None:
        async with Heartbeat() as heart:
            time.sleep(0.25)
            await asyncio.sleep(0.01)
        assert heart.longest > 0.2

    run(main)


def test_a_workspace_never_closed_is_warned_of(folder: Path) -> None:
    """Forgetting `close` is a `ResourceWarning` that names the workspace."""

    async def main() -> None:
        await minirag.AsyncWorkspace.open(folder)

    asyncio.run(main())
    time.sleep(0.05)  # until the thread has let go of what it opened
    with pytest.warns(ResourceWarning, match="was never closed"):
        gc.collect()
