"""`Awaited`: the asynchronous face behind the names of the synchronous one, so that one rule drives either."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from minirag import aio

__all__ = ["Awaited", "bare"]

_FACE: Final = f"{aio.__name__}."


class Awaited:
    """Passes calls on to an object of the asynchronous face and waits for what they return, on one event loop.

    Whatever else of that face comes back is waited for in the same way; an asynchronous iterator comes back as a list.

    Args:
        target: an object of `minirag.aio`.
        loop: runs what is awaited; no other loop may be running in this thread.
    """

    def __init__(self, target: Any, loop: asyncio.Runner) -> None:
        self._target = target
        self._loop = loop

    @property  # type: ignore[misc]  # it is read, never set
    def __class__(self) -> Any:
        """What it stands for: `isinstance` takes it for that."""
        return type(self._target)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._waiting(value) if callable(value) else self._passed(value)

    def _waiting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            return self._passed(
                self._finished(method(*map(bare, given), **{key: bare(it) for key, it in named.items()}))
            )

        return call

    def _finished(self, result: Any) -> Any:
        if inspect.iscoroutine(result):
            return self._loop.run(result)
        return self._loop.run(_collected(result)) if isinstance(result, AsyncIterator) else result

    def _passed(self, value: Any) -> Any:
        if isinstance(value, list | tuple) and type(value) in (list, tuple):
            return type(value)(map(self._passed, value))
        return Awaited(value, self._loop) if type(value).__module__.startswith(_FACE) else value

    def __repr__(self) -> str:
        return repr(self._target)


def bare(value: Any) -> Any:
    """Return what stands behind an `Awaited`; anything else as it is."""
    return value._target if type(value) is Awaited else value


async def _collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]
