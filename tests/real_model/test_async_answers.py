"""The asynchronous face with a real model: the same answers, awaited."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minirag
from tests.real_model.listening import Listening

QUESTION = "What does the word wiki mean in Hawaiian?"


def test_answer_and_stream_agree(location: Path, server: Listening, run: Callable[..., Any]) -> None:
    """Two questions at once; the streamed answer is the joined deltas, and every citation verifies."""

    async def body() -> None:
        async with minirag.AsyncWorkspace.open(location) as workspace:
            bot = await (await workspace.tenant("acme")).bot("reader")

            async def streamed() -> list[Any]:
                return [event async for event in bot.stream(QUESTION, k=3)]

            answer, events = await asyncio.gather(bot.ask(QUESTION, k=3), streamed())
            assert events[-1].type == "done"
            assert [event.type for event in events].count("done") == 1
            assert "".join(event.text or "" for event in events) == events[-1].answer.text
            for given in (answer, events[-1].answer):
                assert given.hits
                assert set(re.findall(r"\[\d+\]", given.text)) == {citation.marker for citation in given.citations}
                assert all([await citation.verify() for citation in given.citations])
                counted = [exchange.usage for exchange in server.exchanges[-2:]]
                assert given.usage.input_tokens in {usage["prompt_tokens"] for usage in counted}
                assert given.usage.output_tokens in {usage["completion_tokens"] for usage in counted}

    run(body)


def test_leaving_a_stream_ends_the_call(location: Path, server: Listening, run: Callable[..., Any]) -> None:
    """Closing the generator closes the connection and cancels the ledger's row."""

    async def body() -> None:
        async with minirag.AsyncWorkspace.open(location) as workspace:
            session = await workspace.tenant("acme")
            events = (await session.bot("reader")).stream("Tell me everything about wikis.")
            async for event in events:
                if event.type == "delta":
                    break
            await events.aclose()
            exchange = server.exchanges[-1]
            assert await asyncio.to_thread(exchange.ended.wait, 60)
            assert exchange.left.is_set()
            assert (await anext(session.usage.events())).status == "cancelled"

    run(body)
