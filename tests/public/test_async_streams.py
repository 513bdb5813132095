"""Streams of the asynchronous face, and an event loop that is never held up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from pathlib import Path
from typing import Any, Self

import pytest

import minirag
from minirag.errors import (
    ChatNotFoundError,
    ProviderRateLimitError,
)
from tests.public.engines import TEXTS, EndlessLLM, SlowEmbedder, run
from tests.servers.openai_server import OpenAIServer, failure, stream

pytestmark = pytest.mark.usefixtures("no_leaks")


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
