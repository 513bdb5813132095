"""A failure at any step of a bot's move to another embedder leaves it in one space, whole, and the next call completes it."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

import minirag
from minirag.errors import StorageError
from minirag.providers.local.hashing import Hashing
from minirag.providers.sqlalchemy.sqlite_transaction import SqliteTransaction
from minirag.providers.sqlalchemy.writer import SqlAlchemyWriter
from tests.crash.checking import database
from tests.crash.operations import SmallBatches, open_bot, open_workspace

STEPS: dict[type, tuple[str, ...]] = {
    Connection: ("commit",),
    SqliteTransaction: ("row", "rows", "run", "many", "insert"),
    SqlAlchemyWriter: ("put_bot", "put_embeddings", "put_familiarity", "drop_embeddings"),
    Hashing: ("embed",),
}
"""Each call of these is a step."""

_DOCUMENTS = 20


class InjectedError(Exception):
    """What nobody has foreseen."""


class Fault:
    """Counts steps and raises at one of them, before it was taken or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException, *, after: bool) -> None:
        self.error, self.after = error, after
        self.number = self.taken = 0
        for kind, names in STEPS.items():
            for name in names:
                monkeypatch.setattr(kind, name, self._faulty(getattr(kind, name)))

    def _faulty(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*args: Any, **keywords: Any) -> Any:
            self.taken += 1
            reached = self.taken == self.number
            if reached and not self.after:
                raise self.error
            result = original(*args, **keywords)
            if reached:
                raise self.error
            return result

        return call


def check(bot: minirag.Bot, folder: Path) -> int:
    """Return the dimension of the bot's space; fail unless all its chunks are found in it with right scores."""
    dimension = bot._context.load().space.dimension
    embedder = Hashing(dimension=dimension)
    found = bot.search("archive", k=1_000, mode="dense")
    rows = embedder.embed([hit.text for hit in found], purpose="document")
    expected = rows @ embedder.embed(["archive"], purpose="query")[0]
    assert len(found) == _DOCUMENTS
    assert [hit.score for hit in found] == pytest.approx(expected.tolist(), abs=1e-5)
    with database(folder) as connection:
        statement = "SELECT count(*) FROM embeddings WHERE space = (SELECT fingerprint FROM bots)"
        assert connection.execute(statement).fetchone() == (_DOCUMENTS,)
    return dimension


@pytest.mark.parametrize(
    ("error", "after"),
    [(InjectedError(), False), (StorageError("the disk is full"), True)],
    ids=["unforeseen before", "full disk after"],
)
def test_a_failure_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, after: bool
) -> None:
    """Whichever step fails, every chunk has its vector in the space that the bot is in; another call completes the move."""
    here, there = SmallBatches(dimension=64), SmallBatches(dimension=48)
    with open_workspace(tmp_path) as workspace:
        bot = open_bot(workspace)
        bot.add([minirag.DocumentInput(text=f"Archive {n} has {n * 7} boxes.") for n in range(_DOCUMENTS)])
        fault = Fault(monkeypatch, error, after=after)
        failed_in: set[int] = set()
        for number in itertools.count(1):
            fault.number, fault.taken = number, 0
            with contextlib.suppress(type(error)):
                bot.reembed(there)
            if fault.taken < number:
                break
            fault.number = 0
            failed_in.add(check(bot, tmp_path))
            bot.reembed(there)
            assert check(bot, tmp_path) == 48
            bot.reembed(here)
            with database(tmp_path) as connection:
                assert connection.execute("SELECT count(*) FROM embeddings").fetchone() == (_DOCUMENTS,)
        assert failed_in == {64, 48}, "no step failed before the swap, or none after it"
