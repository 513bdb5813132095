"""What others do while a bot is moved to another embedder, and what failures leave behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minirag
from minirag import DocumentInput, errors
from tests.services.conftest import CountingEmbedder
from tests.services.moving import Target, check_moved, document, fill


@pytest.fixture
def target() -> Target:
    return Target()


def test_reads_and_writes_go_on(bot: minirag.Bot, target: Target, tmp_path: Path) -> None:
    """While a bot of two hundred chunks and more is moved, searches never fail, and what is added meanwhile is moved as well."""
    fill(bot, 200)
    stop = threading.Event()
    problems: list[BaseException] = []
    counts = {"searches": 0, "added": 0}

    def search(mode: Any) -> None:
        while not stop.is_set():
            hits = bot.search(document(33).text, k=5, mode=mode)
            assert len(hits) == 5
            assert hits[0].key == "k33"
            counts["searches"] += 1

    def write() -> None:
        while not stop.is_set():
            number = 200 + counts["added"]
            assert bot.add(document(number)).ok
            if number % 3 == 0:
                bot.add(document(number - 100, words=4))
            counts["added"] += 1

    def guarded(work: Callable[..., None], *arguments: Any) -> threading.Thread:
        def run() -> None:
            try:
                work(*arguments)
            except BaseException as problem:
                problems.append(problem)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    threads = [guarded(search, "dense"), guarded(search, "hybrid"), guarded(write)]
    try:
        for embedder in (target, CountingEmbedder("third")):
            assert bot.reembed(embedder).moved
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert min(counts.values()) > 0
    bot.add(document(33, words=3))
    check_moved(bot, tmp_path, embedder)


def test_an_add_that_began_before_the_swap(
    bot: minirag.Bot, embedder: CountingEmbedder, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that was embedded in the old space is embedded again in the new one, not refused and not mixed."""
    fill(bot, 40)
    waiting = [lambda: bot.reembed(target)]
    right = embedder.embed

    def interrupted(texts: Any, *, purpose: Any) -> Any:
        if waiting:
            waiting.pop()()
        return right(texts, purpose=purpose)

    monkeypatch.setattr(embedder, "embed", interrupted)
    report = bot.add(document(40), DocumentInput(text="x", key="k1", metadata={"changed": True}))
    assert (report.counts["added"], report.counts["updated"]) == (1, 1)
    assert bot.stats().space == str(target.space)
    check_moved(bot, tmp_path, target)


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_a_search_that_began_before_the_swap(
    bot: minirag.Bot, embedder: CountingEmbedder, target: Target, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    """A query that was embedded in the old space is embedded again: its vector meets no vectors of the new one."""
    fill(bot, 40)
    waiting = [lambda: bot.reembed(target)]
    right = embedder.embed

    def interrupted(texts: Any, *, purpose: Any) -> Any:
        rows = right(texts, purpose=purpose)
        if waiting:
            waiting.pop()()
        return rows

    monkeypatch.setattr(embedder, "embed", interrupted)
    assert bot.search(document(33).text, k=1, mode=mode)[0].key == "k33"
    assert target.queries == [document(33).text]


def test_two_calls_to_the_same_place(bot: minirag.Bot, target: Target, tmp_path: Path) -> None:
    """Two workers that move a bot to the same space do not disturb each other."""
    fill(bot, 40)
    target.waiting.append(lambda: bot.reembed(target))
    assert bot.reembed(target).moved
    check_moved(bot, tmp_path, target)


def test_two_calls_to_different_places(bot: minirag.Bot, target: Target, tmp_path: Path) -> None:
    """The call that ends first wins, the other one is told; the bot is whole."""
    third = Target("third")
    fill(bot, 40)
    target.waiting.append(lambda: bot.reembed(third))
    with pytest.raises(errors.ConflictError, match="third"):
        bot.reembed(target)
    bot.reembed(third)
    check_moved(bot, tmp_path, third)


def test_a_bot_deleted_meanwhile(bot: minirag.Bot, target: Target) -> None:
    """A bot that is deleted while it is moved is an error that says so."""
    fill(bot, 20)
    target.metered = False
    target.waiting.append(bot.delete)
    with pytest.raises(errors.BotNotFoundError):
        bot.reembed(target)


def test_what_is_removed_meanwhile(bot: minirag.Bot, target: Target, tmp_path: Path) -> None:
    """Documents that are removed or changed while their batch is embedded leave no vector."""
    fill(bot, 40)
    target.waiting.append(lambda: (bot.documents.remove("k0", "k9"), bot.add(document(5, words=6))))
    bot.reembed(target)
    assert bot.stats().chunks == 38
    check_moved(bot, tmp_path, target)


# ---------------------------------------------------------------- failures
@pytest.mark.parametrize("batch", range(5))
@pytest.mark.parametrize("error", [errors.ProviderConnectionError("down"), KeyboardInterrupt()], ids=["error", "stop"])
def test_a_failure_leaves_the_bot_as_it_was(
    bot: minirag.Bot, embedder: CountingEmbedder, target: Target, tmp_path: Path, error: BaseException, batch: int
) -> None:
    """Whichever batch fails, the bot is in its old space, answers as before, and the next call goes on from there."""
    fill(bot, 40)

    def fail() -> None:
        raise error

    target.waiting += [fail, *([lambda: None] * batch)]
    before = (bot.profile, bot.search("Kettle 33 boils", k=5))
    with pytest.raises(type(error)):
        bot.reembed(target)
    assert (bot.profile, bot.search("Kettle 33 boils", k=5)) == before
    fill(bot, 1, first=40)
    embedded = len(target.documents)
    assert embedded == batch * target.batch_size
    report = bot.reembed(target)
    assert report.embedded_texts == 41 - embedded
    check_moved(bot, tmp_path, target)


def test_another_embedder_takes_over(bot: minirag.Bot, target: Target, tmp_path: Path) -> None:
    """After an interrupted move the bot may be moved elsewhere; what the first one left behind is dropped."""
    fill(bot, 40)
    target.waiting.append(lambda: setattr(target, "fail_on", "Kettle"))
    with pytest.raises(errors.ProviderConnectionError):
        bot.reembed(target)
    third = Target("third", 48)
    bot.reembed(third)
    check_moved(bot, tmp_path, third)


def test_left_overs_are_dropped_without_a_move(
    bot: minirag.Bot, embedder: CountingEmbedder, target: Target, tmp_path: Path
) -> None:
    """With its own embedder a bot gets rid of what an interrupted move has left."""
    fill(bot, 40)
    target.fail_on = "Kettle 20"
    with pytest.raises(errors.ProviderConnectionError):
        bot.reembed(target)
    assert bot.reembed(embedder).dropped_vectors == 16
    check_moved(bot, tmp_path, embedder)


def test_a_read_only_workspace(bot: minirag.Bot, workspace: minirag.Workspace, target: Target, tmp_path: Path) -> None:
    """Nothing is embedded where nothing may be written."""
    fill(bot, 3)
    with (
        minirag.Workspace.open(tmp_path / "kb", embedder=CountingEmbedder(), read_only=True) as other,
        pytest.raises(errors.ReadOnlyWorkspaceError),
    ):
        other.tenant("acme").bot("support").reembed(target)
    assert target.documents == []


def test_vectors_that_are_wrong(bot: minirag.Bot, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedder that returns something else than its space says is an error, and the bot stays."""
    fill(bot, 3)
    monkeypatch.setattr(target, "embed", lambda texts, *, purpose: np.zeros((len(texts), 3), np.float32))
    with pytest.raises(errors.InvalidEmbeddingError):
        bot.reembed(target)
    assert len(bot.search("kettle", k=3)) == 3
