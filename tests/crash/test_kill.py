"""A process is killed at a random moment of its work: nothing that it acknowledged is lost, and nothing is half there."""

from __future__ import annotations

import multiprocessing
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from minirag.bot import Bot
from tests.crash.checking import check_whole, expect
from tests.crash.operations import (
    FOLDER,
    Add,
    AddFolder,
    Content,
    Contents,
    Forget,
    Name,
    Operation,
    Remove,
    Search,
    draw_operations,
    lower_thresholds,
    open_bot,
    open_workspace,
    perform,
)
from tests.crash.worker import work

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

_LIVES = 2
_OPERATIONS = 20
_LONGEST_DELAY = 0.04  # seconds; several operations are shorter, the largest twice as long
_PATIENCE = 60

Step = tuple[str, int, tuple[str, ...]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each round a seed, which its name shows."""
    if "seed" in metafunc.fixturenames:
        first, rounds = metafunc.config.getoption("seed"), metafunc.config.getoption("rounds")
        metafunc.parametrize("seed", range(first, first + rounds), ids=lambda seed: f"seed={seed}")


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Where children come from: a process that has imported everything, so that a child is at work at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crash.worker", "minirag.workspace", "minirag.providers.sqlalchemy.storage"])
    return context


@dataclass(slots=True)
class Life:
    """What a killed process has told.

    Attributes:
        done: steps that were acknowledged.
        under_way: the step it was in, if it was not between two.
        committed: keys that were acknowledged in that step.
    """

    done: int = 0
    under_way: int | None = None
    committed: set[str] = field(default_factory=set)

    def hear(self, message: Step) -> None:
        what, step, keys = message
        if what == "begun":
            self.under_way, self.committed = step, set()
        elif what == "committed":
            assert step == self.under_way
            self.committed.update(keys)
        else:
            self.under_way, self.committed = None, set()
            self.done += 1

    def acknowledged(self, operations: Sequence[Operation]) -> Sequence[Operation]:
        """Return the operations that were acknowledged; the first step, opening, is none."""
        return operations[: max(0, self.done - 1)]

    def cut_short(self, operations: Sequence[Operation]) -> Operation:
        """Return the operation that was under way; one that changes nothing if there was none."""
        if self.under_way is None or not 0 < self.under_way <= len(operations):
            return Search()
        return operations[self.under_way - 1]


def live(
    processes: multiprocessing.context.ForkServerContext,
    folder: Path,
    operations: Sequence[Operation],
    chance: random.Random,
) -> Life:
    """Start a process and kill it at a step chosen at random, be it the opening or the closing.

    That is some time after the step has begun, or the moment that something is acknowledged of it: then an
    acknowledgement given too early has no time to become true.
    """
    last = len(operations) + 1
    step = chance.choice([0, last, *[chance.randint(1, last - 1) for _ in range(6)]])
    at_acknowledgement = chance.random() < 0.5
    delay = 0.0 if at_acknowledgement else chance.uniform(0, _LONGEST_DELAY)
    receiving, sending = processes.Pipe(duplex=False)
    process = processes.Process(target=work, args=(folder, operations, sending), daemon=True)
    process.start()
    sending.close()
    life = Life()
    with receiving:
        listen(receiving, life, until=lambda: life.under_way == step, patience=_PATIENCE)
        if at_acknowledgement:
            listen(receiving, life, until=lambda: bool(life.committed) or life.done > step, patience=_PATIENCE)
        time.sleep(delay)
        process.kill()
        process.join(_PATIENCE)
        listen(receiving, life, until=lambda: False, patience=_PATIENCE)
    assert process.exitcode == -signal.SIGKILL
    process.close()
    return life


def listen(receiving: Connection, life: Life, *, until: Callable[[], bool], patience: float) -> None:
    """Hear messages until something is so, the sender is dead, or for `patience` seconds there was none."""
    while not until() and receiving.poll(patience):
        try:
            life.hear(receiving.recv())
        except EOFError:
            return


def add_everything(bot: Bot, contents: Contents, folder: Path) -> tuple[set[Name], int]:
    """Add all that should be there; return the names of what was there already, and how many texts were embedded."""
    unchanged: set[Name] = set()
    embedded = 0
    for source in sorted({source for source, _ in contents}):
        documents: dict[str, Content] = {key: content for (owner, key), content in contents.items() if owner == source}
        operation = AddFolder(documents) if source == FOLDER else Add(source, documents, lazily=True)
        report = perform(bot, operation, folder=folder)
        assert report is not None
        assert report.ok
        unchanged |= {(source, entry.key) for entry in report.unchanged}
        embedded += report.embedded_texts
    return unchanged, embedded


def test_killed_process_loses_nothing(
    seed: int,
    tmp_path: Path,
    processes: multiprocessing.context.ForkServerContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After SIGKILL the folder opens, what was acknowledged is as acknowledged, and adding everything again completes it."""
    lower_thresholds(monkeypatch.setattr)
    chance = random.Random(seed)
    contents: Contents = {}
    for _ in range(_LIVES):
        operations = draw_operations(chance, contents, count=_OPERATIONS)
        life = live(processes, tmp_path, operations, chance)
        for operation in life.acknowledged(operations):
            contents = operation.after(contents)
        operation = life.cut_short(operations)
        print(f"killed in step {life.under_way}, {type(operation).__name__}, with {len(life.committed)} committed")

        with open_workspace(tmp_path) as workspace:
            bot = open_bot(workspace)
            found = check_whole(bot, tmp_path)
            expect(found, operation, life.committed, contents)
            contents = operation.after(contents)
            if isinstance(operation, Remove | Forget) and found != contents:
                perform(bot, operation, folder=tmp_path)
            unchanged, _ = add_everything(bot, contents, tmp_path)
            assert unchanged == {name for name, content in contents.items() if found.get(name) == content}
            assert check_whole(bot, tmp_path) == contents
            assert add_everything(bot, contents, tmp_path) == (set(contents), 0)
