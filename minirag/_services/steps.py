"""Use cases written once for both faces: generators that yield what may wait on a network.

A use case is a generator. Whatever it does itself is database and index work, which blocks; whatever may wait on a
model or a server it yields as an `Effect`, which the synchronous face runs and the asynchronous one awaits. No
transaction is ever open across a `yield`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from minirag.interfaces import LLM, LLMChunk, LLMRequest

__all__ = ["Effect", "LLMStream", "Steps", "events", "run"]

T = TypeVar("T")
E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that may wait on a network, in both its forms."""

    run: Callable[[], Any]
    arun: Callable[[], Awaitable[Any]]


Steps: TypeAlias = Generator[Effect, Any, T]


class LLMStream:
    """A model's stream that either face can pull from and must close."""

    def __init__(self, llm: LLM, request: LLMRequest) -> None:
        self._llm = llm
        self._request = request
        self._chunks: Iterator[LLMChunk] | None = None
        self._achunks: AsyncIterator[LLMChunk] | None = None

    def next(self) -> Effect:
        """Return the effect of pulling the next chunk: an `LLMChunk`, or None at the end."""
        return Effect(self._next, self._anext)

    def _next(self) -> LLMChunk | None:
        if self._chunks is None:
            self._chunks = iter(self._llm.stream(self._request))
        return next(self._chunks, None)

    async def _anext(self) -> LLMChunk | None:
        if self._achunks is None:
            self._achunks = self._llm.astream(self._request)
        try:
            return await anext(self._achunks)
        except StopAsyncIteration:
            return None

    def close(self) -> None:
        """End the call, if it is still running."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()

    async def aclose(self) -> None:
        """End the call, if it is still running."""
        close = getattr(self._achunks, "aclose", None)
        if close is not None:
            await close()


def run(steps: Steps[T]) -> T:
    """Carry a use case out on the synchronous face and return its result."""
    try:
        effect = next(steps)
        while True:
            try:
                result = effect.run()
            except BaseException as problem:  # noqa: BLE001 - the use case decides, whatever it is
                effect = steps.throw(problem)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # a generator's value has the type its annotation says
    finally:
        steps.close()


def events(steps: Generator[Effect | LLMStream | E, Any, None]) -> Generator[E, None, None]:
    """Yield a streaming use case's events on the synchronous face; leaving early closes what it opened."""
    streams: list[LLMStream] = []
    try:
        item = next(steps)
        while True:
            if isinstance(item, LLMStream):
                streams.append(item)
                item = steps.send(None)
            elif isinstance(item, Effect):
                try:
                    result = item.run()
                except BaseException as problem:  # noqa: BLE001 - the use case decides, whatever it is
                    item = steps.throw(problem)
                else:
                    item = steps.send(result)
            else:
                yield item
                item = steps.send(None)
    except StopIteration:
        return
    finally:
        for stream in streams:
            stream.close()
        steps.close()
