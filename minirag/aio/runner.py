"""Carries use cases out on an event loop: database and index steps in a bounded thread pool, network steps awaited."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from minirag._services.steps import Effect, LLMStream, Steps
from minirag.errors import ForkedWorkspaceError, WorkspaceClosedError

__all__ = ["Runner"]

T = TypeVar("T")
E = TypeVar("E")
P = ParamSpec("P")
_DONE = object()


class Runner:
    """One workspace's way to do blocking work off the event loop.

    Its threads are few and of its own: the loop's default pool stays free for the application, and a thousand open
    streams hold none, since a thread works only from one network step to the next.
    """

    def __init__(self, threads: int | None = None) -> None:
        workers = threads or min(8, (os.cpu_count() or 1) + 2)
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="minirag")
        self._process = os.getpid()
        self._closed = False

    @property
    def usable(self) -> bool:
        """Whether there are threads: not after `close`, nor in a process that was forked since."""
        return not self._closed and self._process == os.getpid()

    async def call(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Return what a blocking function returns. A cancelled caller waits until the function has ended.

        Raises:
            WorkspaceClosedError: after `close`.
            ForkedWorkspaceError: in a process that was forked since; its copy of the pool has no threads.
        """
        if self._process != os.getpid():
            raise ForkedWorkspaceError(
                f"the workspace was opened in process {self._process}; after a fork, open it again in this one"
            )
        if self._closed:
            raise WorkspaceClosedError("the workspace was closed; open it again to go on")
        future = asyncio.get_running_loop().run_in_executor(
            self._pool, functools.partial(function, *arguments, **keywords)
        )
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # The thread cannot be stopped; what it holds (a transaction, a generator) must not be used before it ends.
            while not future.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([future])
            if not future.cancelled():
                future.exception()
            raise

    async def run(self, steps: Steps[T]) -> T:
        """Carry a use case out and return its result. Cancelling it stops after the step in hand."""
        try:
            done, item = await self.call(_advance, steps.send, None)
            while not done:
                done, item = await self._answer(steps, item)
            return item  # type: ignore[no-any-return]  # a generator's value has the type its annotation says
        finally:
            await self._close(steps)

    async def events(self, steps: Generator[Effect | LLMStream | E, Any, None]) -> AsyncGenerator[E, None]:
        """Yield a streaming use case's events; leaving early closes what it opened."""
        streams: list[LLMStream] = []
        try:
            done, item = await self.call(_advance, steps.send, None)
            while not done:
                if isinstance(item, LLMStream):
                    streams.append(item)
                    done, item = await self.call(_advance, steps.send, None)
                elif isinstance(item, Effect):
                    done, item = await self._answer(steps, item)
                else:
                    yield item
                    done, item = await self.call(_advance, steps.send, None)
        finally:
            try:
                for stream in streams:
                    await stream.aclose()
            finally:
                await self._close(steps)

    async def _answer(self, steps: Generator[Any, Any, Any], effect: Effect) -> tuple[bool, Any]:
        try:
            result = await effect.arun()
        except Exception as problem:  # noqa: BLE001 - the use case decides, whatever it is
            return await self.call(_advance, steps.throw, problem)
        return await self.call(_advance, steps.send, result)

    async def _close(self, steps: Generator[Any, Any, Any]) -> None:
        if self.usable:
            await self.call(steps.close)
        else:
            # No thread is left to do it; what it would still write is refused by now.
            steps.close()

    def close(self) -> None:
        """End the threads once they are idle."""
        self._closed = True
        if self._process == os.getpid():
            self._pool.shutdown(wait=True)


def _advance(move: Callable[[Any], Any], value: Any) -> tuple[bool, Any]:
    """Return False and what a generator yields next, or True and what it returned: no StopIteration crosses a thread."""
    try:
        return False, move(value)
    except StopIteration as stop:
        return True, stop.value
