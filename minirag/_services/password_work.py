"""`PasswordWork`: hashing passwords is slow and takes much memory on purpose, so only few hashes are made at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from minirag._services.steps import Effect
from minirag.errors import WorkspaceClosedError
from minirag.security.passwords import Passwords

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["PasswordWork"]

T = TypeVar("T")

_MOST_AT_ONCE: Final = 4
"""Each takes 64 MiB: a thousand people who sign in at once take turns instead of all memory."""


class PasswordWork:
    """Hashes and compares passwords in threads of its own, which are started when a password is first given.

    So an event loop never waits, and searches find the other threads free however many people sign in.
    """

    def __init__(self, passwords: Passwords | None = None) -> None:
        self.passwords = passwords or Passwords()
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._closed = False

    def hash(self, password: str) -> Effect:
        """Return the effect whose result is the encoded hash of a password."""
        return self._effect(self.passwords.hash, password)

    def compare(self, stored: str | None, password: str) -> Effect:
        """Return the effect whose result is whether a password is that of a stored hash; see `Passwords.matches`."""
        return self._effect(self.passwords.matches, stored, password)

    def _effect(self, work: Callable[..., T], *arguments: Any) -> Effect:
        async def awaited() -> T:
            import asyncio  # who awaits has it already; others do without

            return await asyncio.wrap_future(self._submit(work, *arguments))

        return Effect(lambda: self._submit(work, *arguments).result(), awaited)

    def _submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        with self._lock:
            if self._closed:
                raise WorkspaceClosedError("the workspace was closed; open it again to go on")
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(min(_MOST_AT_ONCE, os.cpu_count() or 1), "minirag-passwords")
            return self._pool.submit(work, *arguments)

    def close(self) -> None:
        """End the threads once they are idle."""
        with self._lock:
            self._closed = True
            pool = self._pool
        if pool is not None:
            pool.shutdown(wait=True)
