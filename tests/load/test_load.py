"""Processes and threads that read and write one workspace at once: no error, and in the end what was acknowledged."""

from __future__ import annotations

import json
import multiprocessing
import random
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest

import minirag
from minirag.bot import Bot
from tests.crash.operations import lower_thresholds
from tests.load.worker import BOTS, MODES, SHARED, open_bots, text_of, work

PROCESSES = 4
SEARCHERS = 8


def check(bot: Bot, own: dict[str, str], shared: dict[str, set[str]]) -> None:
    """Fail unless a bot holds exactly what was acknowledged, and every way of searching finds it."""
    found = {
        document.key: bot.documents.text(document.key, source="inline")
        for document in bot.documents.list(source="inline")
    }
    assert found == own
    others = {
        document.key: bot.documents.text(document.key, source=SHARED) for document in bot.documents.list(source=SHARED)
    }
    assert others.keys() == shared.keys()
    assert all(text in shared[key] for key, text in others.items())
    texts = sorted([*found.values(), *others.values()])
    for mode in ("dense", "hybrid"):
        assert sorted(hit.text for hit in bot.search("anchor ocean", k=10_000, mode=mode)) == texts  # type: ignore[arg-type]  # both are modes
    for text in random.Random(1).sample(texts, min(40, len(texts))):
        assert [hit.text for hit in bot.search(text.split()[0], k=3, mode="keyword")] == [text]


def test_processes_read_and_write_one_workspace(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Four processes add, replace, remove, search and optimise; each finds its own writes at its next search."""
    seconds = float(request.config.getoption("seconds"))
    seed = int(request.config.getoption("seed"))
    folder = tmp_path / "kb"
    with minirag.Workspace.open(folder, embedder="hashing", plugins=[]) as workspace:
        open_bots(workspace)
    context = multiprocessing.get_context("spawn")
    logs = [tmp_path / f"log-{number}" for number in range(PROCESSES)]
    processes = [
        context.Process(target=work, args=(folder, number, seed + number, seconds, log))
        for number, log in enumerate(logs)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(seconds + 120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    own: dict[str, dict[str, str]] = {name: {} for name in BOTS}
    shared: dict[str, dict[str, set[str]]] = {name: defaultdict(set) for name in BOTS}
    steps = 0
    for log in logs:
        for line in log.read_text().splitlines():
            change = json.loads(line)
            steps += change.get("steps", 0)
            if change.get("source") == SHARED:
                for key, text in change["put"].items():
                    shared[change["bot"]][key].add(text)
            elif "put" in change:
                own[change["bot"]].update(change["put"])
            else:
                for key in change.get("gone", ()):
                    del own[change["bot"]][key]
    print(f"{steps} steps of {PROCESSES} processes in {seconds:g} s")
    assert steps > PROCESSES
    for _ in range(2):  # with the snapshots that the processes left, and without
        with minirag.Workspace.open(folder, embedder="hashing", plugins=[]) as workspace:
            for name, bot in open_bots(workspace).items():
                check(bot, own[name], shared[name])
            workspace._core.partitions.damaged(bot._context.scope, bot.id)


def test_threads_search_while_one_writes(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight threads search while one adds and removes: no error, no deadlock, no text that was gone before the search began."""
    lower_thresholds(monkeypatch.setattr)
    seconds = float(request.config.getoption("seconds")) / 2
    chance = random.Random(int(request.config.getoption("seed")))
    failures: list[BaseException] = []
    searches = [0] * SEARCHERS
    stop = threading.Event()
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing", plugins=[]) as workspace:
        bot = open_bots(workspace)["alpha"]
        bot.add([minirag.DocumentInput(text=text_of(f"fixed{n}", chance), key=f"fixed-{n}") for n in range(100)])

        def search(number: int) -> None:
            own = random.Random(number)
            try:
                while not stop.is_set():
                    mode = own.choice(MODES)
                    hits = bot.search("anchor basin ocean", k=20, mode=mode)
                    assert len(hits) == 20, mode
                    fixed = own.randrange(100)
                    found = bot.search(f"fixed{fixed}", k=3, mode="keyword")
                    assert [hit.key for hit in found] == [f"fixed-{fixed}"]
                    searches[number] += 2
            except BaseException as problem:
                failures.append(problem)

        threads = [threading.Thread(target=search, args=(number,)) for number in range(SEARCHERS)]
        for thread in threads:
            thread.start()
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end and not failures:
            count += 1
            mark = f"mark{count}"
            bot.add(minirag.DocumentInput(text=text_of(mark, chance), key="moving"))
            assert [hit.key for hit in bot.search(mark, k=3, mode="keyword")] == ["moving"]
            if count % 3 == 0:
                bot.documents.remove("moving")
                assert not bot.search(mark, k=3, mode="keyword")
        stop.set()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
    print(f"{count} writes and {sum(searches)} searches in {seconds:g} s")
    if failures:
        raise failures[0]
    assert min(searches) > 0
    assert count > 0
