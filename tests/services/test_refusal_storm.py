"""An embedding server that refuses a third of the requests: everything arrives, each chunk once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import minirag
from tests.servers.embedding_server import StormServer

SECONDS = 120.0


@pytest.fixture
def storm() -> Iterator[StormServer]:
    """A server that refuses 30 % of its requests, and asks to wait 0 s, 1 s or says nothing."""
    with StormServer(share=0.3, waits=["0", "0", "1", None]) as server:
        yield server


def documents(count: int) -> list[minirag.DocumentInput]:
    """Return documents of one chunk each, no two alike."""
    return [
        minirag.DocumentInput(text=f"Article {number} costs {number * 7} francs.", key=str(number))
        for number in range(count)
    ]


def embedder(server: StormServer, *, batch_size: int) -> dict[str, object]:
    """Return the embedder's reference."""
    options = {"model": "tiny", "base_url": server.base_url, "dimensions": 64, "concurrency": 8}
    return {"provider": "openai", "options": {**options, "batch_size": batch_size}}


def test_five_thousand_chunks_arrive_once(storm: StormServer, tmp_path: Path) -> None:
    """No document fails, no text is paid for twice, and the waiting stays bearable."""
    wanted = documents(5_000)
    began = time.monotonic()
    with minirag.Workspace.open(tmp_path / "kb") as workspace:
        bot = workspace.tenant("acme", create=True).bot(
            "support", create=True, embedder=embedder(storm, batch_size=125)
        )
        report = bot.add(*wanted)
    assert (report.failed, report.chunks, report.embedded_texts) == ((), 5_000, 5_000)
    assert {storm.accepted[document.text] for document in wanted} == {1}
    assert storm.refused >= 5
    assert time.monotonic() - began < SECONDS


def test_the_asynchronous_face_weathers_it_too(storm: StormServer, tmp_path: Path) -> None:
    """The same on an event loop."""
    wanted = documents(600)

    async def add() -> minirag.IngestReport:
        async with minirag.AsyncWorkspace.open(tmp_path / "kb") as workspace:
            tenant = await workspace.tenant("acme", create=True)
            bot = await tenant.bot("support", create=True, embedder=embedder(storm, batch_size=100))
            return await bot.add(*wanted)

    report = asyncio.run(add())
    assert (report.failed, report.chunks) == ((), 600)
    assert {storm.accepted[document.text] for document in wanted} == {1}
    assert storm.refused >= 1
