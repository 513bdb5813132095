"""A process is killed while it moves a bot to another embedder: the bot is whole, and the next call goes on from there."""

from __future__ import annotations

import multiprocessing
import random
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import minirag
from minirag.providers.local.hashing import Hashing
from tests.crash.checking import database
from tests.crash.operations import SmallBatches, open_bot, open_workspace

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

_DOCUMENTS: Final = 100
_DIMENSION: Final = 48
_PATIENCE: Final = 60


class Told(SmallBatches):
    """Says how many texts it is about to embed."""

    def __init__(self, connection: Connection | None = None) -> None:
        super().__init__(dimension=_DIMENSION)
        self._connection = connection
        self.texts = 0

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        self.texts += len(texts)
        if self._connection is not None:
            self._connection.send(len(texts))
        return super().embed(texts, purpose=purpose)


def text_of(number: int) -> str:
    return f"Archive number {number} holds {number * 7} boxes."


def move(folder: Path, connection: Connection) -> None:
    """Move the bot, telling of each batch, and wait to be killed."""
    with open_workspace(folder) as workspace:
        open_bot(workspace).reembed(Told(connection))
    connection.send(0)
    time.sleep(600)


def lives(folder: Path, *, batches: int, delay: float) -> int:
    """Have a process move the bot, kill it some time after it has begun that many batches; return the texts it was sent."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crash.worker", "minirag.workspace", "minirag.providers.sqlalchemy.storage"])
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=move, args=(folder, sending), daemon=True)
    process.start()
    sending.close()
    texts = begun = 0
    with receiving:
        while begun < batches and receiving.poll(_PATIENCE):
            number = receiving.recv()
            texts, begun = texts + number, begun + 1
            if not number:
                break
        time.sleep(delay)
        process.kill()
        process.join(_PATIENCE)
        while receiving.poll(0):
            try:
                texts += receiving.recv()
            except EOFError:
                break
    assert process.exitcode == -signal.SIGKILL
    process.close()
    return texts


def check(bot: minirag.Bot, embedder: Hashing) -> None:
    """Fail unless the bot answers from whole vectors of one space, with the scores of this embedder."""
    for number in (0, 37, _DOCUMENTS - 1):
        best = bot.search(text_of(number), k=1, mode="dense")[0]
        assert (best.text, best.score) == (text_of(number), pytest.approx(1.0, abs=1e-5))
    found = bot.search("archive", k=1_000, mode="dense")
    query = embedder.embed(["archive"], purpose="query")[0]
    rows = embedder.embed([hit.text for hit in found], purpose="document")
    assert len(found) == _DOCUMENTS
    assert [hit.score for hit in found] == pytest.approx((rows @ query).tolist(), abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_killed_while_it_moves_a_bot(seed: int, tmp_path: Path) -> None:
    """After SIGKILL the bot is where it was, or wholly moved, and each life embeds at most one batch in vain."""
    chance = random.Random(seed)
    with open_workspace(tmp_path) as workspace:
        bot = open_bot(workspace)
        bot.add([minirag.DocumentInput(text=text_of(number), key=str(number)) for number in range(_DOCUMENTS)])
    sent, killed = 0, chance.randint(1, 2)
    for _ in range(killed):
        sent += lives(tmp_path, batches=chance.randint(1, 5), delay=chance.choice([0.0, chance.uniform(0, 0.02)]))
        with open_workspace(tmp_path) as workspace, database(tmp_path) as connection:
            bot = open_bot(workspace)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            target = Told()
            bot._context.core.engines.refer("embedder", target, tenant_id=None)
            moved = bot.stats().space == str(target.space)
            check(bot, target if moved else SmallBatches(dimension=64))
    embedder = Told()
    with open_workspace(tmp_path) as workspace:
        bot = open_bot(workspace)
        bot.reembed(embedder)
        # Each life may have lost the batch in hand, and compares three texts with what the one before it stored.
        assert sent + embedder.texts <= _DOCUMENTS + killed * (SmallBatches.batch_size + 3) + 3
        check(bot, Told())
        with database(tmp_path) as connection:
            spaces = connection.execute("SELECT space, count(*) FROM embeddings GROUP BY space").fetchall()
        assert spaces == [(embedder.space.fingerprint, _DOCUMENTS)]
