"""Vectors that are kept outside the process: found by the next process, noticed when lost, and never wrong for it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

import minirag
from minirag import DocumentInput
from tests.services.remote_index import RemoteIndex, Server

TEXTS = [f"Letter {number} about harbours." for number in range(30)]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def index(server: Server) -> RemoteIndex:
    return RemoteIndex(server)


@pytest.fixture
def bot(tmp_path: Path, index: RemoteIndex) -> Iterator[minirag.Bot]:
    """A bot of 30 chunks whose vectors have been fed to the server."""
    with minirag.Workspace.open(tmp_path, index=index, embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True, chunker="whole")
        bot.add([DocumentInput(text=text, key=str(number)) for number, text in enumerate(TEXTS)])
        assert found(bot) == set(TEXTS)
        yield bot


def found(bot: minirag.Bot) -> set[str]:
    return {hit.text for hit in bot.search("a letter", k=100, mode="dense")}


def test_another_process_feeds_only_what_is_new(bot: minirag.Bot, tmp_path: Path, server: Server) -> None:
    """It begins where the server says that the log has been applied to."""
    bot.add(DocumentInput(text="A new letter.", key="new"))
    other = RemoteIndex(server)
    with minirag.Workspace.open(tmp_path, index=other, embedder="hashing") as workspace:
        assert found(workspace.tenant("acme").bot("support")) == {*TEXTS, "A new letter."}
        assert other.fed == 1
    assert found(bot) == {*TEXTS, "A new letter."}


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_a_lost_collection_is_made_anew(bot: minirag.Bot, server: Server, mode: str) -> None:
    """Everything is fed again, and the search that noticed it answers rightly."""
    server.clear()
    assert {hit.text for hit in bot.search("a letter", k=100, mode=mode)} == set(TEXTS)


def test_a_collection_set_back_is_brought_level(bot: minirag.Bot, index: RemoteIndex, server: Server) -> None:
    """An older copy lacks what was added and has what was removed; the log is replayed from where it stands."""
    before = copy.deepcopy(dict(server))
    bot.documents.remove("0")
    bot.add(DocumentInput(text="A new letter.", key="new"))
    expected = {*TEXTS[1:], "A new letter."}
    assert found(bot) == expected
    server.update(before)
    fed = index.fed
    assert found(bot) == expected
    assert index.fed == fed + 1


def test_a_collection_of_another_history_is_fed_again(bot: minirag.Bot, server: Server) -> None:
    """The nonce at its sequence is not the log's: what it holds came from a database that is gone."""
    kept = next(iter(server.values()))
    kept.position = type(kept.position)(kept.position.sequence, 12345)
    kept.vectors = {999: 0 * next(iter(kept.vectors.values()))}
    bot._context.core.partitions.clear()
    bot.search("a letter", k=1, mode="dense")
    assert len(next(iter(server.values())).vectors) == len(TEXTS)
    assert found(bot) == set(TEXTS)


def test_a_collection_ahead_of_the_log_is_fed_again(bot: minirag.Bot, server: Server) -> None:
    """The database was set back, the server was not."""
    kept = next(iter(server.values()))
    kept.position = type(kept.position)(kept.position.sequence + 5, 12345)
    bot._context.core.partitions.clear()
    assert found(bot) == set(TEXTS)


def test_what_another_process_has_left_behind_is_taken_out(
    bot: minirag.Bot, index: RemoteIndex, server: Server
) -> None:
    """It added a chunk to the server after this one had removed it, which is met by a search and never met again."""
    kept = next(iter(server.values()))
    late = dict(kept.vectors)
    bot.documents.remove("0", "1")
    assert found(bot) == set(TEXTS[2:])
    kept.vectors.update(late)
    fed = index.fed
    assert found(bot) == set(TEXTS[2:])
    assert len(kept.vectors) == len(TEXTS) - 2
    assert index.fed == fed


def test_what_is_cleared_while_it_is_fed_is_not_taken_for_complete(bot: minirag.Bot, server: Server) -> None:
    """Another process begins anew just before this one notes that it has fed everything."""
    partition = bot._context.core.partitions.vectors.partition(bot._context.scope, bot.id, bot._context.load().space)
    other = bot._context.core.partitions.vectors.partition(bot._context.scope, bot.id, bot._context.load().space)
    other.clear()
    with pytest.raises(minirag.interfaces.PartitionLostError):
        partition.keep(partition.kept())
    assert found(bot) == set(TEXTS)


def test_deleting_deletes_there_too(bot: minirag.Bot, server: Server) -> None:
    """Nothing of a deleted bot stays in the server; nothing of another one goes."""
    name = next(iter(server))
    neighbour = (name[0], "another-bot", name[2])
    server.kept(neighbour)
    bot.delete()
    assert list(server) == [neighbour]
