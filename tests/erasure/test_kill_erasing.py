"""A process is killed at a random moment of an erasure: nothing is half erased, and what was begun can be finished."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from minirag.errors import DocumentNotFoundError, SourceNotFoundError
from tests.erasure.killed import KINDS, erase, work
from tests.erasure.scanning import found_in
from tests.erasure.world import (
    Seeded,
    canaries,
    credentials,
    fill,
    lower_thresholds,
    open_bot,
    open_workspace,
    plain_text,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

_PATIENCE = 60
_LONGEST_DELAY = 0.25  # seconds; an erasure takes some 0.15 of an otherwise idle machine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each round a seed, which its name shows; there are half as many as of the shorter crash tests."""
    if "seed" in metafunc.fixturenames:
        first, rounds = metafunc.config.getoption("seed"), max(1, metafunc.config.getoption("rounds") // 2)
        metafunc.parametrize("seed", range(first, first + rounds), ids=lambda seed: f"seed={seed}")


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Where children come from: a process that has imported everything, so that a child is at work at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.erasure.killed", "minirag._services.erasure"])
    return context


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[bytes, str], dict[bytes, str]]:
    """A workspace with snapshots, and what must not be found in it after an erasure: of a document, and of its bot."""
    folder, embedder = tmp_path_factory.mktemp("filled"), Seeded()
    with pytest.MonkeyPatch.context() as patch:
        lower_thresholds(patch.setattr)
        with open_workspace(folder, embedder) as opened:
            bot = open_bot(opened)
            fill(bot)
            assert bot.optimize().snapshot_bytes > 0
            opened.tenant("rival", create=True)
            needles = canaries(embedder)
            secrets = credentials(opened, "acme")
    return folder, needles, secrets


def test_killed_while_erasing(
    seed: int,
    tmp_path: Path,
    filled: tuple[Path, dict[bytes, str], dict[bytes, str]],
    processes: multiprocessing.context.ForkServerContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After SIGKILL the thing is there whole, or gone, and then `resume` leaves no byte of it."""
    lower_thresholds(monkeypatch.setattr)
    chance = random.Random(seed)
    kind = chance.choice(KINDS)
    original, needles, secrets = filled
    folder = tmp_path / "kb"
    shutil.copytree(original, folder)
    ended = killed(processes, folder, kind, chance)
    with open_workspace(folder) as opened:
        receipts = list(opened.erasures.list())
        print(f"{kind} killed with {[receipt.status for receipt in receipts]}, ended: {ended}")
        assert len(receipts) <= 1
        assert ended != "done" or receipts[0].status == "done"
        assert {receipt.status for receipt in opened.erasures.resume()} <= {"done"}
    if not receipts:
        assert found_in(folder, needles), "it is gone without a receipt"
        assert erase(folder, kind) == "done"
    elif kind in {"document", "source"}:
        with pytest.raises((DocumentNotFoundError, SourceNotFoundError)):
            erase(folder, kind)
    if kind == "tenant":
        needles = needles | secrets
    with open_workspace(folder) as opened:
        assert [receipt.status for receipt in opened.erasures.list()] == ["done"]
        if kind in {"document", "source"}:
            bot = open_bot(opened)
            assert bot.documents.text("plain-3") == plain_text(3)
            assert len(bot.search("parcel", k=500)) == bot.stats().chunks
            bot.optimize()
        assert opened.verify().ok
    needles = {needle: name for needle, name in needles.items() if "vermilion" not in name}
    assert found_in(folder, needles) == []


def killed(
    processes: multiprocessing.context.ForkServerContext, folder: Path, kind: str, chance: random.Random
) -> str | None:
    """Start a process that erases, kill it some time after it has begun, or has committed; return what it said at last."""
    moment = chance.choice(["begun", "committed", "committed", "committed"])
    delay = chance.uniform(0, _LONGEST_DELAY)
    receiving, sending = processes.Pipe(duplex=False)
    process = processes.Process(target=work, args=(folder, kind, sending), daemon=True)
    process.start()
    sending.close()
    said = None
    with receiving:
        while said != moment:
            assert receiving.poll(_PATIENCE)
            said = receiving.recv()
        time.sleep(delay)
        process.kill()
        process.join(_PATIENCE)
        try:
            while receiving.poll(0):
                said = receiving.recv()
        except EOFError:
            pass
    assert process.exitcode == -signal.SIGKILL
    process.close()
    return said
