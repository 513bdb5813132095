"""What a tenant may hold: documents beyond it fail with the reason, before they are paid for, and nothing is half written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import minirag
from minirag import DocumentInput
from minirag.errors import IngestError, InvalidInputError
from tests.services.conftest import CountingEmbedder


@pytest.fixture
def tenants(workspace: minirag.Workspace, bot: minirag.Bot) -> Any:
    """The workspace's tenants; `acme` has the bot."""
    return workspace.tenants


def documents(*numbers: int, text: str = "The text of document {}.") -> list[DocumentInput]:
    """Return documents, each with a text and a key of its own."""
    return [DocumentInput(text=text.format(number), key=f"k{number}") for number in numbers]


def test_what_is_too_much_fails_with_the_reason(tenants: Any, bot: minirag.Bot, embedder: CountingEmbedder) -> None:
    """The first documents are taken in, the others are listed as failed, were not embedded, and left nothing behind."""
    tenants.update("acme", limits={"documents": 3})
    report = bot.add(documents(*range(5)))
    assert [entry.key for entry in report.added] == ["k0", "k1", "k2"]
    assert [entry.key for entry in report.failed] == ["k3", "k4"]
    assert "limit of 3 (documents)" in str(report.failed[0].reason)
    assert "3 are held" in str(report.failed[0].reason)
    assert len(embedder.documents) == 3, "a document that has no room was embedded"
    assert (bot.documents.count(), bot.stats().chunks, len(bot.search("document", k=10))) == (3, 3, 3)
    with pytest.raises(IngestError, match="limit of 3"):
        report.raise_for_failures()


def test_what_waits_to_be_written_takes_its_room(tenants: Any, bot: minirag.Bot, embedder: CountingEmbedder) -> None:
    """Of several batches before one commit, no document beyond the limit is embedded."""
    tenants.update("acme", limits={"documents": 10})
    assert bot.add(documents(*range(24))).counts["failed"] == 14
    assert len(embedder.documents) == 10


def test_what_does_not_grow_is_always_taken(tenants: Any, bot: minirag.Bot) -> None:
    """Beyond a limit that was lowered, documents can be changed, as long as they do not grow, and removed."""
    bot.add(documents(*range(4)))
    tenants.update("acme", limits={"documents": 1, "chunks": 1, "characters": 1})
    report = bot.add(
        DocumentInput(text="The text of document 9.", key="k0"),
        DocumentInput(text="The text of document 1.", key="k1", title="A title"),
        DocumentInput(text="The text of document 2, and more.", key="k2"),
        DocumentInput(text="Another.", key="k4"),
    )
    assert [entry.key for entry in report.updated] == ["k0", "k1"]
    assert {entry.key: str(entry.reason).split("(")[1].split(")")[0] for entry in report.failed} == {
        "k2": "characters", "k4": "documents",
    }  # fmt: skip
    assert bot.documents.text("k2") == "The text of document 2."
    bot.documents.remove("k1", "k2", "k3")
    tenants.update("acme", limits={"documents": 2})
    assert bot.add(documents(5)).ok, "what was removed is still counted"


@pytest.mark.parametrize(("name", "rest"), [("chunks", 1), ("characters", 6)])
def test_chunks_and_characters(tenants: Any, bot: minirag.Bot, name: str, rest: int) -> None:
    """A document counts with all its chunks, or its text; a small one still fits after a large one did not."""
    text = "A sentence of some words. " * 160
    large = [DocumentInput(text=f"{number}. {text}", key=str(number)) for number in range(3)]
    bot.add(large[0])
    room = 2 * getattr(bot.stats(), name) + rest
    tenants.update("acme", limits={name: room})
    report = bot.add([*large[1:], DocumentInput(text="Short.", key="short")])
    assert [entry.key for entry in report.added] == ["1", "short"]
    assert [entry.key for entry in report.failed] == ["2"]
    assert getattr(bot.stats(), name) == room


def test_all_bots_of_a_tenant_count_and_no_others(workspace: minirag.Workspace, tenants: Any, bot: minirag.Bot) -> None:
    """A limit is the tenant's, whatever bot the document goes to; another tenant has its own."""
    second = workspace.tenant("acme").bot("second", create=True)
    rival = workspace.tenant("rival", create=True).bot("b", create=True)
    tenants.update("acme", limits={"documents": 3})
    assert bot.add(documents(0, 1)).ok
    assert rival.add(documents(*range(5))).ok
    assert len(second.add(documents(2, 3)).failed) == 1


def test_writers_at_once_do_not_exceed_it(tenants: Any, bot: minirag.Bot) -> None:
    """Eight writers fill the tenant exactly to its limit."""
    tenants.update("acme", limits={"documents": 20})

    def add(number: int) -> int:
        return len(bot.add(documents(*range(number * 10, number * 10 + 10)), source=f"s{number}").added)

    with ThreadPoolExecutor(8) as pool:
        added = sum(pool.map(add, range(8)))
    assert added == bot.documents.count() == 20


def test_files_of_a_folder_fail_one_by_one(tenants: Any, bot: minirag.Bot, tmp_path: Any) -> None:
    """A folder that does not fit is taken in as far as it does, and the rest comes when there is room."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text(f"The text of file {number}.", encoding="utf-8")
    tenants.update("acme", limits={"documents": 2})
    assert bot.add(folder).counts["failed"] == 2
    tenants.update("acme", limits=None)
    assert bot.ingest().counts["added"] == 2


def test_a_budget_that_ends_stops_what_must_be_embedded(
    tenants: Any, bot: minirag.Bot, embedder: CountingEmbedder
) -> None:
    """Documents that a budget has no room for are listed as failed; those there are stay, and the rest comes later."""
    embedder.metered = True
    tenants.update("acme", limits={"requests": {"total": 2}})
    report = bot.add(documents(*range(24)))
    assert report.counts["added"] == 16, "two calls of a batch of eight"
    assert report.counts["failed"] == 8
    assert "requests in all" in str(report.failed[0].reason)
    assert bot.add(documents(0)).counts["unchanged"] == 1
    tenants.update("acme", limits=None)
    assert bot.add(documents(*range(24))).counts["added"] == 8


def test_limits_are_read_back_and_replaced(tenants: Any, workspace: minirag.Workspace) -> None:
    """`update(limits=)` replaces all limits, None removes them, and other changes leave them alone."""
    assert tenants.limits("acme") == minirag.Limits()
    tenants.update("acme", limits={"documents": 5, "cost": {"month": 0.1}})
    tenants.update("acme", name="Acme")
    found = tenants.limits("acme")
    assert (found.documents, str(found.cost.month), found.tokens.day) == (5, "0.1", None)
    tenants.update("acme", limits=minirag.Limits(chunks=7))
    assert tenants.limits("acme") == minirag.Limits(chunks=7)
    assert str(workspace.tenant("acme").usage.limits()) == "chunks: 0 of 7"
    tenants.update("acme", limits=None)
    assert tenants.limits("acme") == minirag.Limits()
    assert str(workspace.tenant("acme").usage.limits()) == "no limits"


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"pages": 5}, "pages"), ({"documents": -1}, "documents"), ({"documents": 1.5}, "documents"),
        ({"documents": True}, "documents"), ({"requests": 5}, "requests"), ({"requests": {"week": 5}}, "week"),
        ({"cost": {"month": -0.1}}, "month"), ({"cost": {"month": float("nan")}}, "month"),
        ({"cost": {"month": True}}, "month"), ({"tokens": {"day": "many"}}, "day"), ("many", "limits"), ({5: 5}, "limits"),
    ],
)  # fmt: skip
def test_wrong_limits_are_named(tenants: Any, limits: Any, named: str) -> None:
    """What cannot be a limit is refused by its name, and the old limits stay."""
    tenants.update("acme", limits={"documents": 5})
    with pytest.raises(InvalidInputError, match=named):
        tenants.update("acme", limits=limits)
    assert tenants.limits("acme").documents == 5
