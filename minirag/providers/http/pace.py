"""How many calls of one embedder are under way at once: one more after each success, half after each refusal."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["Pace"]

C = TypeVar("C")
R = TypeVar("R")


class Pace:
    """Carries several calls out, as many at once as the server has lately put up with.

    Additive increase and multiplicative decrease, as in TCP: a server that refuses nothing soon has `most` calls to
    answer, one that refuses is asked for less at once. The width is kept from one run to the next.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._width = 1
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        """How many calls may be under way, from 1 to `most`."""
        return self._width

    def accepted(self) -> None:
        """Take note of a call that was answered."""
        with self._lock:
            self._width = min(self._most, self._width + 1)

    def refused(self) -> None:
        """Take note of a call that was refused because there were too many."""
        with self._lock:
            self._width = max(1, self._width // 2)

    def run(self, send: Callable[[C], R], calls: Sequence[C]) -> list[R]:
        """Return what `send` makes of each call, in their order.

        After the first failure no further call is begun; it is raised when those under way have ended.
        """
        if len(calls) <= 1:
            return [send(call) for call in calls]
        waiting, futures, under_way = deque(calls), list[Future[R]](), set[Future[R]]()
        with ThreadPoolExecutor(min(self._most, len(calls)), thread_name_prefix="minirag-embed") as pool:
            while waiting or under_way:
                while waiting and len(under_way) < self._width:
                    future = pool.submit(send, waiting.popleft())
                    futures.append(future)
                    under_way.add(future)
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                if any(future.exception() is not None for future in done):
                    waiting.clear()
        return [future.result() for future in futures]

    async def arun(self, send: Callable[[C], Awaitable[R]], calls: Sequence[C]) -> list[R]:
        """Return what `run` returns. The first failure, or a cancellation, cancels the calls under way."""

        async def carry_out(call: C) -> R:
            return await send(call)

        waiting, tasks, under_way = deque(calls), list[asyncio.Task[R]](), set[asyncio.Task[R]]()
        try:
            while waiting or under_way:
                while waiting and len(under_way) < self._width:
                    task = asyncio.create_task(carry_out(waiting.popleft()))
                    tasks.append(task)
                    under_way.add(task)
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in under_way:
                task.cancel()
            # What was cancelled must have ended, and what failed beside the first must have been looked at.
            await asyncio.gather(*tasks, return_exceptions=True)
        return [task.result() for task in tasks]
