"""Partitions in memory: the budget, who goes first, and that nothing answers differently for having gone."""

from __future__ import annotations

import threading
from pathlib import Path

import minirag
from minirag import DocumentInput

BOTS = [f"bot-{number}" for number in range(6)]


def fill(workspace: minirag.Workspace, *, documents: int = 40) -> None:
    """Give each bot texts that tell which bot's they are."""
    for name in BOTS:
        bot = workspace.tenant("acme", create=True).bot(name, create=True, chunker="whole", language="en")
        bot.add([DocumentInput(text=f"Letter {n} of {name} about harbours.", key=str(n)) for n in range(documents)])


def names(workspace: minirag.Workspace) -> list[str]:
    """Return the bots whose vectors are loaded, least recently used first."""
    ids = {workspace.tenant("acme").bot(name).id: name for name in BOTS}
    return [ids[bot_id] for _, bot_id, kind in workspace._core.partitions._loaded if kind != "keyword"]


def test_the_least_recently_searched_go_first(tmp_path: Path) -> None:
    """A budget for two partitions holds the two that were searched last."""
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        fill(workspace)
        workspace.tenant("acme").bot(BOTS[0]).search("letter", mode="dense")
        size = workspace._core.partitions._size
    with minirag.Workspace.open(tmp_path, embedder="hashing", memory_budget=int(2.5 * size)) as workspace:
        for name in (BOTS[0], BOTS[1], BOTS[0], BOTS[2]):
            workspace.tenant("acme").bot(name).search("letter", mode="dense")
        assert names(workspace) == [BOTS[0], BOTS[2]]
        assert workspace._core.partitions._size <= 2.5 * size


def test_what_is_counted_is_what_is_loaded(tmp_path: Path) -> None:
    """Growing, replaying, forgetting: the sum is that of the entries."""
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        fill(workspace)
        partitions = workspace._core.partitions
        for name in BOTS:
            bot = workspace.tenant("acme").bot(name)
            bot.search("letter")
            bot.add([DocumentInput(text=f"More {n} of {name}.", key=f"more-{n}") for n in range(100)])
            bot.search("more")
            assert partitions._size == sum(entry.size for entry in partitions._loaded.values())
            assert all(entry.size > entry.partition.nbytes > 0 for entry in partitions._loaded.values())
        workspace.tenant("acme").bot(BOTS[0]).delete()
        assert partitions._size == sum(entry.size for entry in partitions._loaded.values())
        workspace.tenants.delete("acme")
        assert partitions._size == 0


def test_a_budget_of_nothing_changes_no_answer(tmp_path: Path) -> None:
    """Every search throws others' partitions out while several threads search and one writes."""
    with minirag.Workspace.open(tmp_path, embedder="hashing", memory_budget=1) as workspace:
        fill(workspace)
        failures: list[BaseException] = []

        def search(start: int) -> None:
            try:
                for number in range(start, start + 30):
                    name = BOTS[number % len(BOTS)]
                    hits = workspace.tenant("acme").bot(name).search("letter harbours", k=40)
                    assert len(hits) == 40
                    assert all(f"of {name} " in hit.text for hit in hits)
            except BaseException as problem:
                failures.append(problem)

        threads = [threading.Thread(target=search, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        assert len(workspace._core.partitions._loaded) <= 4


def test_opening_and_listing_read_no_partition(tmp_path: Path) -> None:
    """Not even that of a bot whose statistics are asked for."""
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        fill(workspace)
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        for bot in workspace.tenant("acme").bots.list():
            assert workspace.tenant("acme").bot(bot.name).stats().engine is None
        assert not workspace._core.partitions._loaded
