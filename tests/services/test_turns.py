"""Turns: so many at once, in the order they came, and none is lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

import minirag
from minirag._services.turns import Turns


@pytest.fixture
def turns() -> Turns:
    """Turns for two."""
    turns = Turns()
    turns._free = 2
    return turns


def started(target: object, *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


def until(condition: object) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.001)


def test_no_more_at_once_than_there_are_turns(turns: Turns) -> None:
    """Of twelve threads two are inside at any time, and all of them have been."""
    inside: set[int] = set()
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            with turns:
                inside.add(number)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.discard(number)

    threads = [started(work, number) for number in range(12)]
    for thread in threads:
        thread.join(30)
    assert max(most) == 2
    assert len(most) == 240


def test_who_waits_longest_is_next(turns: Turns) -> None:
    """The order of coming is the order of going, whoever else comes by."""
    order: list[int] = []

    def work(number: int) -> None:
        with turns:
            order.append(number)

    turns._free = 1
    with turns:
        threads = []
        for number in range(6):
            threads.append(started(work, number))
            until(lambda: len(turns._waiting) == len(threads))
    for thread in threads:
        thread.join(30)
    assert order == list(range(6))


def test_a_failure_inside_gives_the_turn_back(turns: Turns) -> None:
    """As often as it fails, as often it can be had again."""
    for _ in range(5):
        with pytest.raises(ValueError, match="inside"), turns:
            raise ValueError("inside")
    assert turns._free == 2


def test_a_wait_that_is_interrupted_loses_no_turn(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while waiting: whether the turn had been handed over by then or not."""

    class Interrupted:
        """A lock whose waiter is interrupted, having been given the turn or not."""

        def __init__(self, *, given: bool) -> None:
            self.given = given
            self.taken = 0

        def acquire(self) -> bool:
            self.taken += 1
            if self.taken == 1:
                return True
            if self.given:
                turns._waiting.remove(self)
            raise KeyboardInterrupt

    for given in (False, True):
        turns._free = 0
        monkeypatch.setattr("minirag._services.turns.threading.Lock", lambda given=given: Interrupted(given=given))
        with pytest.raises(KeyboardInterrupt), turns:
            pytest.fail("it has no turn")
        monkeypatch.undo()
        assert turns._free == int(given)
        assert not turns._waiting


def test_stepping_aside_lets_others_go_on(turns: Turns) -> None:
    """While one holds still, another has its turn; afterwards it has one again. Without a turn, nothing is given away."""
    turns._free = 1
    with turns:
        with turns.stepping_aside(), turns:
            pass
        assert turns._free == 0
    assert turns._free == 1
    with turns.stepping_aside():
        assert turns._free == 1


def test_searches_go_on_while_indexes_are_made(tmp_path: Path) -> None:
    """More bots than there are turns wait for a slow index; a bot whose index is there is searched meanwhile."""
    release, entered = threading.Event(), threading.Semaphore(0)
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        tenant = workspace.tenant("acme", create=True)
        bots = [tenant.bot(f"bot-{number}", create=True, chunker="whole") for number in range(5)]
        for bot in bots:
            bot.add([minirag.DocumentInput(text=f"Letter {number}.", key=str(number)) for number in range(150)])
        bots[0].search("letter")
        index = workspace._core.partitions.vectors
        make = index.partition

        def slow(*arguments: object) -> object:
            partition = make(*arguments)
            apply = partition.apply

            def wait(*given: object) -> None:
                entered.release()
                assert release.wait(60)
                apply(*given)

            partition.apply = wait
            return partition

        index.partition = slow
        workspace._core.turns._free = 2
        threads = [started(bot.search, "letter") for bot in bots[1:]]
        for _ in bots[1:]:
            assert entered.acquire(timeout=20)
        # More searches of the same bot wait for the first one's index.
        threads += [started(bot.search, "letter") for bot in (bots[1], bots[1])]
        time.sleep(0.3)
        found: list[int] = []
        threads.append(started(lambda: found.append(len(bots[0].search("letter")))))
        try:
            until(lambda: found == [10])
        finally:
            release.set()
        for thread in threads:
            thread.join(30)
        assert workspace._core.turns._free == 2
