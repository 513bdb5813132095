"""A slow embedder, a model that never ends, and a way to run a coroutine, for tests of the public face."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import numpy as np

from minirag.interfaces import LLM, Embedder, EmbeddingSpace, LLMChunk, LLMRequest, LLMResponse

__all__ = ["TEXTS", "EndlessLLM", "SlowEmbedder", "run"]

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
        self.streams: list[AsyncIterator[LLMChunk]] = []
        """Every stream there was: none of them is closed by being forgotten."""

    @property
    def name(self) -> str:
        return "endless"

    def generate(self, request: LLMRequest) -> LLMResponse:
        raise AssertionError("only streamed here")

    def astream(self, request: LLMRequest) -> AsyncIterator[LLMChunk]:
        self.streams.append(self._stream())
        return self.streams[-1]

    async def _stream(self) -> AsyncIterator[LLMChunk]:
        self.open += 1
        try:
            yield LLMChunk(text="A laptop may be ")
            await asyncio.Event().wait()
        finally:
            self.open -= 1


def run(main: Callable[[], Coroutine[Any, Any, None]], *, seconds: float = 30.0) -> None:
    """Run a coroutine in a loop of its own, but not for ever."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await main()

    asyncio.run(bounded())
