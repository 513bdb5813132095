"""How many calls are under way at once: more after each success, half after each refusal."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from minirag.providers.http.pace import Pace


class Counting:
    """A call that takes a moment and counts how many are under way; it fails for numbers below 0."""

    def __init__(self) -> None:
        self.begun = 0
        self.most = 0
        self.cancelled = 0
        self._under_way = 0
        self._lock = threading.Lock()

    def _enter(self) -> None:
        with self._lock:
            self.begun += 1
            self._under_way += 1
            self.most = max(self.most, self._under_way)

    def _leave(self) -> None:
        with self._lock:
            self._under_way -= 1

    def send(self, number: int) -> int:
        self._enter()
        time.sleep(0.01)
        self._leave()
        if number < 0:
            raise ValueError(number)
        return number * 10

    async def asend(self, number: int) -> int:
        self._enter()
        try:
            await asyncio.sleep(0.01 if number != 99 else 10)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self._leave()
        if number < 0:
            raise ValueError(number)
        return number * 10


def carry_out(pace: Pace, counting: Counting, numbers: list[int], *, way: str) -> list[int]:
    """Return the results of the calls."""
    if way == "sync":
        return pace.run(counting.send, numbers)
    return asyncio.run(pace.arun(counting.asend, numbers))


BOTH = pytest.mark.parametrize("way", ["sync", "async"])


@BOTH
def test_results_keep_the_order_of_the_calls(way: str) -> None:
    """Whatever ends first, each result is at the place of its call; no calls give no results."""
    pace = Pace(most=4)
    for _ in range(3):
        pace.accepted()
    assert carry_out(pace, Counting(), list(range(20)), way=way) == [number * 10 for number in range(20)]
    assert carry_out(pace, Counting(), [], way=way) == []


@BOTH
@pytest.mark.parametrize(("successes", "expected"), [(0, 1), (2, 3), (9, 4)])
def test_no_more_calls_than_the_width(way: str, successes: int, expected: int) -> None:
    """One at first, one more for each success, never more than `most`."""
    pace, counting = Pace(most=4), Counting()
    for _ in range(successes):
        pace.accepted()
    carry_out(pace, counting, list(range(12)), way=way)
    assert (pace.width, counting.most) == (expected, expected)


def test_a_refusal_halves_the_width() -> None:
    """Half as many, rounded down, never fewer than one."""
    pace = Pace(most=8)
    widths = []
    for _ in range(7):
        pace.accepted()
    for _ in range(4):
        widths.append(pace.width)
        pace.refused()
    assert (widths, pace.width) == ([8, 4, 2, 1], 1)


@BOTH
def test_a_failure_begins_no_further_call(way: str) -> None:
    """The first failure is raised, and what waited is not sent."""
    counting = Counting()
    with pytest.raises(ValueError, match="-1"):
        carry_out(Pace(most=4), counting, [1, -1, *range(2, 20)], way=way)
    assert counting.begun == 2


def test_a_failure_cancels_what_is_awaited() -> None:
    """No task is left behind in the event loop."""
    pace, counting = Pace(most=4), Counting()
    for _ in range(3):
        pace.accepted()
    began = time.monotonic()
    with pytest.raises(ValueError, match="-1"):
        carry_out(pace, counting, [99, -1, 99, 1, 1], way="async")
    assert counting.cancelled == 2
    assert time.monotonic() - began < 5
