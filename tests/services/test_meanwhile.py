"""What others change while an ingestion, a setting or a search is under way, and what must not get lost by it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag import DocumentInput, errors
from minirag.interfaces import LLM, LLMRequest, LLMResponse


@pytest.fixture
def meanwhile(embedder: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return a function that has something done once, between the planning of a batch and its writing."""
    waiting: list[Callable[[], object]] = []
    embed = embedder.embed

    def interrupted(texts: Any, *, purpose: Any) -> Any:
        if waiting:
            waiting.pop()()
        return embed(texts, purpose=purpose)

    monkeypatch.setattr(embedder, "embed", interrupted)
    return waiting.append


def test_a_new_title_is_not_given_to_another_text(bot: minirag.Bot, meanwhile: Any) -> None:
    """A batch that retitles a document whose text another writer changed writes its own text again, not a mixture."""
    bot.add(DocumentInput(text="The kettle is red.", key="a", title="Old"))
    meanwhile(lambda: bot.add(DocumentInput(text="The teapot is blue.", key="a", title="Other")))
    report = bot.add(
        [DocumentInput(text="The kettle is red.", key="a", title="New"), DocumentInput(text="Something new.", key="b")]
    )
    assert (report.counts["added"], report.counts["updated"]) == (1, 1)
    assert bot.documents.text("a") == "The kettle is red."
    assert bot.documents.get("a").title == "New"


def test_a_file_is_not_taken_for_the_text_of_another_writer(bot: minirag.Bot, meanwhile: Any, tmp_path: Path) -> None:
    """The hash of a file's bytes is never kept with a text that was made of others."""
    path = tmp_path / "docs" / "a.txt"
    path.parent.mkdir()
    path.write_text("The kettle is red.")
    source = bot.sources.add(path.parent)
    bot.ingest()
    bot.sources.update(source, metadata={"team": "blue"})
    (path.parent / "b.txt").write_text("Something new.")

    def write_another() -> None:
        path.write_text("The teapot is blue.")
        bot.ingest()

    meanwhile(write_another)
    bot.ingest()
    path.write_text("The kettle is red.")
    bot.ingest()
    assert bot.documents.text("a.txt") == "The kettle is red."


def test_a_document_removed_meanwhile_is_added_again(bot: minirag.Bot, meanwhile: Any) -> None:
    """A new title of a document that was just removed does not end the whole call."""
    bot.add(DocumentInput(text="The kettle is red.", key="a"))
    meanwhile(lambda: bot.documents.remove("a"))
    report = bot.add(
        [DocumentInput(text="The kettle is red.", key="a", title="New"), DocumentInput(text="Something new.", key="b")]
    )
    assert report.counts["added"] == 2
    assert bot.documents.get("a").title == "New"


def test_a_chunker_changed_meanwhile_cuts(bot: minirag.Bot, meanwhile: Any) -> None:
    """A document is never left cut by the old chunker without being marked stale."""
    text = "\n\n".join(f"Paragraph {number} about kettles. " * 20 for number in range(4))
    meanwhile(lambda: bot.update(chunker="whole"))
    bot.add(DocumentInput(text=text, key="a"))
    assert bot.documents.get("a").chunks == 1
    assert bot.documents.versions("a")[0].chunker.startswith("whole/")
    assert bot.stats().stale == 0


def test_a_source_removed_meanwhile_fails_alone(bot: minirag.Bot, meanwhile: Any, tmp_path: Path) -> None:
    """The documents of a source that was removed while it was read fail; those of others in the batch do not."""
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"Something new in {name}.")
    meanwhile(lambda: bot.sources.remove("a.txt"))
    report = bot.add(tmp_path / "a.txt", tmp_path / "b.txt")
    assert [entry.key for entry in report.failed] == ["a.txt"]
    assert [document.key for document in bot.documents.list()] == ["b.txt"]
    assert [(source.name, source.status) for source in bot.sources.list()] == [("b.txt", "ready")]


def test_two_changes_of_settings_both_count(bot: minirag.Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting changed between the look at a bot and the write of another setting is not written over."""
    engines = bot._context.core.engines
    check = engines.check

    def interrupted(*given: Any) -> Any:
        monkeypatch.setattr(engines, "check", check)
        bot.update(system_prompt="Be brief.")
        return check(*given)

    monkeypatch.setattr(engines, "check", interrupted)
    profile = bot.update(chunker="whole")
    assert (profile.system_prompt, profile.chunker.provider) == ("Be brief.", "whole")


def test_stored_credentials_serve_a_changed_model(
    workspace: minirag.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is changed alone is tried with the credentials that are stored."""
    bot = workspace.tenant("acme", create=True).bot("b", create=True, llm="openai:one", credentials={"api_key": "sk-1"})
    engines = bot._context.core.engines
    create, seen = engines.create, []

    def watched(kind: Any, ref: Any, credentials: Any) -> Any:
        seen.append(dict(credentials))
        return create(kind, ref, credentials)

    monkeypatch.setattr(engines, "create", watched)
    bot.update(llm="openai:two")
    bot.update(llm="openai:three", credentials={"api_key": "sk-2"})
    assert seen == [{"api_key": "sk-1"}, {"api_key": "sk-2"}]


def test_a_bot_deleted_meanwhile_is_left_out(workspace: minirag.Workspace, meanwhile: Any) -> None:
    """A search over all bots goes on when one of them is deleted while it runs."""
    acme = workspace.tenant("acme", create=True)
    for name in ("first", "second"):
        acme.bot(name, create=True).add(DocumentInput(text=f"A kettle in {name}.", key="a"))
    meanwhile(acme.bot("second").delete)
    assert [hit.bot for hit in acme.search("kettle")] == ["first"]


class Closing(LLM):
    """Tells when it is closed."""

    name = "tests:closing"
    closed = 0

    def generate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(text="Yes [1].")

    def close(self) -> None:
        type(self).closed += 1


@pytest.mark.parametrize("whole_tenant", [False, True])
def test_engines_of_the_deleted_are_closed(
    workspace: minirag.Workspace, monkeypatch: pytest.MonkeyPatch, whole_tenant: bool
) -> None:
    """What was made with a bot's credentials is closed and forgotten with the bot, or with its tenant."""
    bot = workspace.tenant("acme", create=True).bot("b", create=True, llm="openai:one", credentials={"api_key": "sk-1"})
    bot.add(DocumentInput(text="A red kettle.", key="a"))
    create = bot._context.core.engines.create
    monkeypatch.setattr(
        bot._context.core.engines,
        "create",
        lambda kind, ref, given: Closing() if kind == "llm" else create(kind, ref, given),
    )
    bot.ask("Which kettle?")
    before = Closing.closed
    if whole_tenant:
        workspace.tenants.delete("acme")
    else:
        bot.delete()
    assert Closing.closed == before + 1


# ---------------------------------------------------------------- what an embedder refuses
def test_a_refused_document_that_fills_a_batch_fails_alone(bot: minirag.Bot, embedder: Any) -> None:
    """Also a document that is alone in its batch, since it is long, does not stop those after it."""
    embedder.fail_on = "poison"
    embedder.error = errors.ProviderRequestError("400: unacceptable", provider="tests", status=400)
    pages = [
        "\n\n".join(f"Page {page} of {name}. " * 60 for page in range(10)) for name in ("good", "poison", "better")
    ]
    report = bot.add(DocumentInput(text=text, key=str(number)) for number, text in enumerate(pages))
    assert [entry.key for entry in report.added] == ["0", "2"]
    assert [entry.key for entry in report.failed] == ["1"]


def test_a_wrong_model_is_an_error_and_no_document_at_fault(bot: minirag.Bot, embedder: Any) -> None:
    """If the server does not know the model, the call ends at once instead of failing each document by itself."""
    embedder.fail_on = ""
    embedder.error = errors.ProviderRequestError("404: no such model", provider="tests", status=404)
    with pytest.raises(errors.ProviderRequestError, match="no such model"):
        bot.add([DocumentInput(text=f"Number {number}.", key=str(number)) for number in range(20)])
    assert bot.documents.count() == 0


# ---------------------------------------------------------------- what is equal to Python, but not to a filter
@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0, False), (True, 1)])
def test_a_type_alone_is_a_change(bot: minirag.Bot, old: Any, new: Any) -> None:
    """Metadata that change from 1 to True are written, for a filter tells them apart."""
    bot.add(DocumentInput(text="The kettle is red.", key="a", metadata={"n": old}))
    assert bot.add(DocumentInput(text="The kettle is red.", key="a", metadata={"n": new})).counts["updated"] == 1
    stored = bot.documents.get("a").metadata["n"]
    assert (stored, type(stored)) == (new, type(new))


def test_cutting_anew_leaves_metadata_alone(bot: minirag.Bot) -> None:
    """A document's own metadata survive the cutting anew, also where they equal its source's but for their type."""
    bot.sources.add(text="The teapot is blue.", name="notes", metadata={"n": 1})
    bot.add(DocumentInput(text="The kettle is red.", key="a", metadata={"n": True}), source="notes")
    bot.update(chunker="whole")
    bot.ingest()
    assert bot.documents.get("a").metadata == {"n": True}
    assert bot.documents.get("a").metadata["n"] is True


# ---------------------------------------------------------------- stale
def test_nothing_stays_stale_that_needs_no_cutting(bot: minirag.Bot) -> None:
    """A document that the new settings cut as the old ones did is not stale after `ingest()`, and has no new version."""
    bot.add(DocumentInput(text="Kettle.", key="a"))
    bot.update(language="none")
    bot.update(chunker="whole")
    bot.update(chunker="recursive")
    assert bot.stats().stale == 1
    assert bot.ingest().counts["unchanged"] == 1
    assert bot.stats().stale == 0
    assert not bot.documents.get("a").stale
    assert len(bot.documents.versions("a")) == 1
    assert sum(bot.ingest().counts.values()) == 0


# ---------------------------------------------------------------- folders and filters
def test_an_unreadable_folder_within_removes_nothing(
    bot: minirag.Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents below a folder that cannot be read just now stay, those of files that are gone go."""
    (tmp_path / "docs" / "below").mkdir(parents=True)
    for name in ("a.txt", "gone.txt", "below/b.txt"):
        (tmp_path / "docs" / name).write_text(f"About kettles in {name}.")
    bot.add(tmp_path / "docs")
    (tmp_path / "docs" / "gone.txt").unlink()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "below":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = bot.ingest()
    assert [entry.key for entry in report.removed] == ["gone.txt"]
    assert [entry.key for entry in report.skipped] == ["below"]
    assert sorted(document.key for document in bot.documents.list()) == ["a.txt", "below/b.txt"]


@pytest.mark.parametrize("where", [{"$not": {"$and": []}}, {"$or": []}, {"$not": {"$key": {"$exists": True}}}])
def test_a_filter_that_nothing_satisfies(bot: minirag.Bot, where: dict[str, Any]) -> None:
    """A filter that is false whatever the document finds nothing, without a warning of the database's library."""
    bot.add(DocumentInput(text="The kettle is red.", key="a"))
    assert len(bot.search("kettle", where=where)) == 0
    assert list(bot.documents.list(where=where)) == []
    assert bot.documents.count(where=where) == 0
    with pytest.raises(errors.FilterError):
        bot.search("kettle", where={"$nor": []})


def test_a_source_that_another_writer_makes_first_is_shared(bot: minirag.Bot, meanwhile: Any) -> None:
    """Two first additions at the same time put their documents into one source of texts."""
    meanwhile(lambda: bot.add(DocumentInput(text="The teapot is blue.", key="b")))
    report = bot.add(
        [DocumentInput(text="The kettle is red.", key="a"), DocumentInput(text="The pan is new.", key="b")]
    )
    (source,) = bot.sources.list()
    assert (source.name, source.status) == ("inline", "ready")
    assert {entry.source_id for entry in report.added + report.updated} == {source.id}
    assert sorted(document.key for document in bot.documents.list()) == ["a", "b"]
    assert bot.documents.text("b") == "The pan is new."


def test_a_source_is_there_even_if_no_document_of_it_is(bot: minirag.Bot) -> None:
    """A source whose only document failed is kept with the failure."""
    report = bot.add([DocumentInput(text=" ", key="a")], source="blanks")
    assert report.counts["failed"] == 1
    (source,) = bot.sources.list()
    assert source.name == "blanks"
    assert source.error is not None
