"""`LastUses`: when tokens were used last, written now and then beside the requests that use them."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from typing import TYPE_CHECKING, Final

from minirag.errors import MiniRAGError
from minirag.interfaces import Storage, TenantScope

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["LastUses"]

_SPARSELY: Final = dt.timedelta(minutes=1)
_REMEMBERED: Final = 10_000
_LOG = logging.getLogger("minirag")


class LastUses:
    """Writes the time of a token's last use at most once a minute, in a thread that is started when there is one to write.

    No request waits for it, and none fails with it: a time that cannot be written is lost.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._noted: dict[str, dt.datetime] = {}
        self._waiting: dict[TenantScope, dict[str, dt.datetime]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._closed = storage.read_only

    def note(self, scope: TenantScope, token_id: str, *, stored: dt.datetime | None, now: dt.datetime) -> None:
        """Have it written that a token was used, unless that was noted less than a minute ago.

        Args:
            stored: the last use as the storage has it.
        """
        if _is_recent(stored, now) or _is_recent(self._noted.get(token_id), now):
            return
        with self._lock:
            if self._closed:
                return
            if len(self._noted) >= _REMEMBERED:
                self._noted.clear()
            self._noted[token_id] = now
            first = not self._waiting
            self._waiting.setdefault(scope, {})[token_id] = now
            if first:
                if self._pool is None:
                    from concurrent.futures import ThreadPoolExecutor

                    self._pool = ThreadPoolExecutor(1, "minirag-last-uses")
                self._pool.submit(self.write)

    def write(self) -> None:
        """Write what is waiting."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for scope, times in waiting.items():
            try:
                with self._storage.write(scope) as writer:
                    writer.use_tokens(times)
            except MiniRAGError as problem:
                _LOG.info("the last use of %d tokens was not written: %s", len(times), problem)

    def close(self) -> None:
        """Write what is waiting, and end the thread."""
        with self._lock:
            self._closed = True
            pool = self._pool
        if pool is not None:
            pool.shutdown(wait=True)


def _is_recent(moment: dt.datetime | None, now: dt.datetime) -> bool:
    return moment is not None and now - moment < _SPARSELY
