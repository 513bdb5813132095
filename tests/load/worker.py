"""One process of several that work on the same workspace. It writes down what was acknowledged, and checks what it sees."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.bot import Bot
from minirag.types import SearchMode
from tests.crash.operations import lower_thresholds

__all__ = ["BOTS", "MODES", "SHARED", "open_bots", "text_of", "work"]

BOTS = ("alpha", "beta")
SHARED = "shared"
MODES: tuple[SearchMode, ...] = ("dense", "keyword", "hybrid")
_WORDS = [
    "anchor",
    "basin",
    "copper",
    "delta",
    "ember",
    "fjord",
    "gravel",
    "harbor",
    "island",
    "jetty",
    "kelp",
    "lagoon",
    "marsh",
    "north",
    "ocean",
]


def open_bots(workspace: minirag.Workspace) -> dict[str, Bot]:
    """Return the bots that all processes share."""
    tenant = workspace.tenant("acme", create=True)
    return {name: tenant.bot(name, create=True, chunker="whole", language="en") for name in BOTS}


def text_of(mark: str, chance: random.Random) -> str:
    """Return a text that can be found by its mark alone."""
    return f"{mark} {' '.join(chance.choices(_WORDS, k=20))}"


class Worker:
    """Does one thing after another, chosen by a seed, on keys of its own and on shared ones."""

    def __init__(self, number: int, bots: dict[str, Bot], seed: int, tell: Callable[[dict[str, Any]], None]) -> None:
        self.number = number
        self.bots = bots
        self.chance = random.Random(seed)
        self.tell = tell
        self.mine: dict[str, dict[str, str]] = {name: {} for name in bots}
        self.count = 0

    def step(self) -> None:
        name = self.chance.choice(BOTS)
        kind = self.chance.choices(
            (self.add, self.remove, self.search, self.add_shared, self.optimize), weights=(5, 3, 10, 2, 0.5)
        )[0]
        kind(name)

    def add(self, name: str) -> None:
        documents = {}
        for _ in range(self.chance.randint(1, 8)):
            key = f"{self.number}-{self.chance.randrange(60)}"
            documents[key] = self._text()
        self._add(name, documents, "inline")
        self.mine[name].update(documents)
        self._check_one(name)

    def add_shared(self, name: str) -> None:
        self._add(name, {f"key-{self.chance.randrange(10)}": self._text()}, SHARED)

    def _add(self, name: str, documents: dict[str, str], source: str) -> None:
        inputs = [minirag.DocumentInput(text=text, key=key) for key, text in documents.items()]
        report = self.bots[name].add(inputs, source=source)
        assert report.ok, report
        self.tell({"bot": name, "source": source, "put": documents})

    def remove(self, name: str) -> None:
        if self.mine[name]:
            key = self.chance.choice(sorted(self.mine[name]))
            assert self.bots[name].documents.remove(key, source="inline") == 1
            text = self.mine[name].pop(key)
            self.tell({"bot": name, "source": "inline", "gone": [key]})
            mark = text.split()[0]
            assert [hit.key for hit in self.bots[name].search(mark, k=3, mode="keyword")] == [], (
                "a removed text was found"
            )

    def search(self, name: str) -> None:
        mode = self.chance.choice(MODES)
        hits = self.bots[name].search(" ".join(self.chance.choices(_WORDS, k=3)), k=10, mode=mode)
        scores = [round(hit.score, 6) for hit in hits]
        assert scores == sorted(scores, reverse=True)
        assert len({hit.chunk_id for hit in hits}) == len(hits)
        if mode == "dense":
            own = [hit for hit in hits if hit.key.startswith(f"{self.number}-")]
            assert all(self.mine[name].get(hit.key) == hit.text for hit in own), "an older text was found"
        self._check_one(name)

    def optimize(self, name: str) -> None:
        self.bots[name].optimize(wait=self.chance.random() < 0.5)

    def _check_one(self, name: str) -> None:
        """What this process wrote is found by its next search."""
        if self.mine[name]:
            key = self.chance.choice(sorted(self.mine[name]))
            text = self.mine[name][key]
            found = self.bots[name].search(text.split()[0], k=3, mode="keyword")
            assert [(hit.key, hit.text) for hit in found] == [(key, text)]

    def _text(self) -> str:
        self.count += 1
        return text_of(f"mark{self.number}x{self.count}", self.chance)


def work(folder: Path, number: int, seed: int, seconds: float, log: Path) -> None:
    """Work until the time is over. Each acknowledged change is a line of the log."""
    lower_thresholds(pytest.MonkeyPatch().setattr)
    with minirag.Workspace.open(folder, embedder="hashing", plugins=[]) as workspace, log.open("w") as file:

        def tell(change: dict[str, Any]) -> None:
            file.write(json.dumps(change) + "\n")

        worker = Worker(number, open_bots(workspace), seed, tell)
        end = time.monotonic() + seconds
        steps = 0
        while time.monotonic() < end:
            worker.step()
            steps += 1
        file.write(json.dumps({"steps": steps}) + "\n")
