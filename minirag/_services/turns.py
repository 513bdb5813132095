"""Turns: how many searches of a process are under way at once, and that those who wait go in the order they came."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["Turns"]

_REMOTE: Final = 64
_CORES: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Turns:
    """Lets as many threads go on at once as there are cores to run them, the others in the order they came.

    A search gives up the interpreter's lock at each query and each scan, and waits for it again. With many more searches
    than cores, each is passed from thread to thread a dozen times, which slows all of them and leaves some far behind.
    Eight threads that take turns have the same throughput, and the slowest of a hundred searches is not much slower than the median.
    """

    def __init__(self, *, remote: bool = False) -> None:
        """Let as many threads go on at once as there are cores, or, if they wait for a server most of the time, many more."""
        self._free = _REMOTE if remote else max(2, _CORES)
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()
        self._mine = threading.local()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                mine = None
            else:
                mine = threading.Lock()
                mine.acquire()
                self._waiting.append(mine)
        if mine is not None:
            self._wait(mine)
        self._mine.held = True

    def __exit__(self, *_: object) -> None:
        self._mine.held = False
        self._pass_on()

    @contextmanager
    def stepping_aside(self) -> Iterator[None]:
        """Let another thread have this one's turn, if it has one, for as long as something takes that is no search."""
        held = getattr(self._mine, "held", False)
        if held:
            self.__exit__(None, None, None)
        try:
            yield
        finally:
            if held:
                self.__enter__()

    def _wait(self, mine: threading.Lock) -> None:
        try:
            mine.acquire()
        except BaseException:  # such as KeyboardInterrupt
            with self._lock:
                given = mine not in self._waiting
                if not given:
                    self._waiting.remove(mine)
            if given:
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Hand the turn to the thread that has waited longest. It is not put back first, for whoever comes by to take."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
