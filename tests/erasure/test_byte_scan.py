"""After an erasure no byte of the folder tells what was erased: neither text nor vector, term or credential."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import minirag
from minirag.models.erasures import ErasureReceipt
from tests.erasure.scanning import found_in, needles_of_texts
from tests.erasure.world import (
    CANARY,
    KEY,
    Seeded,
    canaries,
    credentials,
    fill,
    lower_thresholds,
    open_bot,
    open_workspace,
    plain_text,
)


@pytest.fixture(autouse=True)
def large_bots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small bots are treated as large ones, with snapshots and codes."""
    lower_thresholds(monkeypatch.setattr)


@pytest.fixture
def embedder() -> Seeded:
    return Seeded()


@pytest.fixture
def workspace(tmp_path: Path, embedder: Seeded) -> Iterator[minirag.Workspace]:
    """A workspace with a filled bot, its indexes kept in files."""
    with open_workspace(tmp_path, embedder) as opened:
        bot = open_bot(opened)
        fill(bot)
        assert bot.optimize().snapshot_bytes > 0
        assert bot.stats().engine != "exact"
        yield opened


def is_done(receipt: ErasureReceipt) -> None:
    assert (receipt.status, receipt.cause, receipt.verified, receipt.leftovers) == ("done", None, True, 0), repr(
        receipt
    )
    assert receipt.scanned_files >= 2
    assert receipt.scanned_bytes > 100_000
    assert receipt.traces > 30


def test_a_document(workspace: minirag.Workspace, tmp_path: Path, embedder: Seeded) -> None:
    """Every version of a document goes from the database, its log, the indexes and the chats; other documents stay."""
    bot, needles = open_bot(workspace), canaries(embedder)
    before = {name.split(" in utf")[0].split(" of vector")[0] for name in map(str, found_in(tmp_path, needles))}
    assert len(before) > 20, "the canary is not where it is looked for"
    assert any("the term 'zanzibarian'" in name for name in found_in(tmp_path, needles))
    receipt = bot.documents.remove(KEY, erase=True)
    is_done(receipt)
    assert found_in(tmp_path, needles) == []
    bot.optimize()
    assert list(bot.search("quokka ledger", mode="keyword")) == []
    assert len(bot.search("parcel invoice", k=500)) == bot.stats().chunks
    assert bot.documents.text("plain-3") == plain_text(3)
    assert found_in(tmp_path, needles) == []
    assert workspace.verify().ok


def test_a_source(workspace: minirag.Workspace, tmp_path: Path, embedder: Seeded) -> None:
    """A source goes with its documents, those too that were removed before."""
    bot, needles = open_bot(workspace), canaries(embedder)
    bot.documents.remove(KEY)
    receipt = bot.sources.remove("secrets", erase=True)
    is_done(receipt)
    bot.optimize()
    assert found_in(tmp_path, needles) == []
    assert [source.name for source in bot.sources.list()] == ["inline"]


def test_a_bot(workspace: minirag.Workspace, tmp_path: Path, embedder: Seeded) -> None:
    """A bot goes with its credentials, its prompt and its chats; another bot of the tenant answers as before."""
    other = open_bot(workspace, "sales")
    other.add(minirag.DocumentInput(text=plain_text(1_000), key="other"), progress=False)
    needles = canaries(embedder) | needles_of_texts([plain_text(3), "You are the support of the umbrageous"])
    with workspace._core.storage.read(other._context.scope) as reader:
        needles |= needles_of_texts(secret.ciphertext for secret in reader.secrets(open_bot(workspace).id))
    receipt = workspace.tenant("acme").bots.delete("support", erase=True)
    is_done(receipt)
    assert receipt.counts["credentials"] == 1
    assert receipt.counts["documents"] == 31
    assert found_in(tmp_path, needles) == []
    assert other.documents.text("other") == plain_text(1_000)
    assert other.search("parcel", mode="keyword")


def test_a_tenant(workspace: minirag.Workspace, tmp_path: Path, embedder: Seeded) -> None:
    """A tenant goes with its keys; its slug is free, and another tenant's text and vectors stay, equal ones too."""
    rival = open_bot(workspace, tenant="rival")
    rival.add(minirag.DocumentInput(text=plain_text(3), key="shared"), progress=False)
    needles = canaries(embedder) | credentials(workspace, "acme") | needles_of_texts([plain_text(4)])
    needles = {needle: name for needle, name in needles.items() if "vermilion" not in name}
    receipt = workspace.tenants.delete("acme", erase=True)
    is_done(receipt)
    assert receipt.kept_copies == 0, "a receipt told of another tenant's documents"
    assert found_in(tmp_path, needles) == []
    assert rival.documents.text("shared") == plain_text(3)
    assert len(rival.search("parcel", k=50, mode="dense")) == rival.stats().chunks
    assert workspace.tenants.create("acme").slug == "acme"


def test_a_bot_in_another_space(tmp_path: Path) -> None:
    """Vectors that a bot had before it moved to another embedder are not left either."""
    first, second = Seeded(64), Seeded(96)
    with open_workspace(tmp_path, first) as opened:
        bot = open_bot(opened)
        fill(bot, documents=3)
        bot.reembed(second)
        needles = canaries(first) | canaries(second)
        is_done(bot.documents.remove(KEY, erase=True))
        assert found_in(tmp_path, needles) == []


def test_a_copy_in_another_bot_stays(workspace: minirag.Workspace, tmp_path: Path, embedder: Seeded) -> None:
    """A document of another bot of the tenant with the same text keeps it, and the receipt says so; it goes with its own erasure."""
    twin, needles = open_bot(workspace, "twin"), canaries(embedder)
    fill(twin, documents=1, chat=False)
    receipt = open_bot(workspace).documents.remove(KEY, erase=True)
    is_done(receipt)
    assert receipt.kept_copies == 1
    assert CANARY in twin.documents.text(KEY)
    assert twin.search("quokka", mode="keyword")[0].key == KEY
    assert found_in(tmp_path, needles)
    receipt = twin.documents.remove(KEY, erase=True)
    is_done(receipt)
    assert receipt.kept_copies == 0
    assert found_in(tmp_path, needles) == []


def test_free_space_of_split_pages(tmp_path: Path) -> None:
    """Rows that moved when a page was split leave a copy behind that deleting them does not reach; that is not left either."""
    chance = random.Random(0)
    keys = [f"{chance.getrandbits(64):016x}-{'k' * chance.randint(10, 500)}" for _ in range(600)]
    with open_workspace(tmp_path) as opened:
        bot = open_bot(opened)
        for start in range(0, len(keys), 20):
            some = keys[start : start + 20]
            bot.add(*(minirag.DocumentInput(text=f"Letter {key[:16]}.", key=key) for key in some), progress=False)
        gone = chance.sample(keys, 300)
        is_done(bot.documents.remove(*gone, erase=True))
        assert found_in(tmp_path, {key[:16].encode(): key[:16] for key in gone}) == []
        assert bot.documents.count() == 300
