"""Ingestion: what is added, updated, left alone, removed, skipped and failed, and what each costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag import DocumentInput, errors
from minirag.models.reports import IngestProgress

PARAGRAPHS = [
    f"Paragraph {number} is about {word} and nothing else at all. " * 12
    for number, word in enumerate(("apples", "bridges", "clouds", "dragons", "engines"))
]


def texts(bot: minirag.Bot, query: str, **options: Any) -> list[str]:
    """Return the keys that a search finds."""
    return [hit.key for hit in bot.search(query, mode="keyword", **options)]


def test_added_then_unchanged(bot: minirag.Bot, embedder: Any) -> None:
    """Adding the same text again does nothing and embeds nothing."""
    first = bot.add(DocumentInput(text="A laptop may be returned.", key="a"))
    assert (first.counts["added"], first.chunks, first.embedded_texts, first.ok) == (1, 1, 1, True)
    before = len(embedder.documents)
    again = bot.add(DocumentInput(text="A laptop may be returned.", key="a"))
    assert (again.counts["unchanged"], again.embedded_texts, len(embedder.documents)) == (1, 0, before)


def test_updated_text_replaces_the_old_one(bot: minirag.Bot) -> None:
    """A changed text is found at once, and the old one no more."""
    bot.add(DocumentInput(text="The kettle is red.", key="a"))
    report = bot.add(DocumentInput(text="The teapot is blue.", key="a"))
    assert report.counts["updated"] == 1
    assert texts(bot, "kettle") == []
    assert texts(bot, "teapot") == ["a"]
    assert bot.documents.count() == 1


def test_old_text_stays_as_evidence(bot: minirag.Bot) -> None:
    """A citation opens its exact text after the document was updated three times and removed."""
    bot.add(DocumentInput(text="The fee is 5 euros. It is due in May.", key="a"))
    citation = bot.ask("How much is the fee?").citations[0]
    for number in range(3):
        bot.add(DocumentInput(text=f"The fee is {number} francs.", key="a"))
    assert citation.verify()
    bot.documents.remove("a")
    assert citation.open(0, 4) == citation.quote + " It "
    assert [version.id for version in [*bot.search("fee")]] == []


def test_keep_versions_drops_old_evidence(workspace: minirag.Workspace) -> None:
    """With `keep_versions=0` an updated document's old text is gone, and its citations say so."""
    bot = workspace.tenant("acme", create=True).bot("lean", create=True, keep_versions=0)
    bot.add(DocumentInput(text="The fee is 5 euros.", key="a"))
    citation = bot.ask("How much is the fee?").citations[0]
    bot.add(DocumentInput(text="The fee is 6 euros.", key="a"))
    with pytest.raises(errors.EvidenceGoneError, match="no longer exists"):
        citation.open()


def test_one_edited_chunk_costs_one_embedding(bot: minirag.Bot, embedder: Any) -> None:
    """Of a text of many chunks only the edited one is embedded again."""
    report = bot.add(DocumentInput(text="\n\n".join(PARAGRAPHS), key="a"))
    assert report.chunks >= 4
    before = len(embedder.documents)
    edited = [*PARAGRAPHS[:2], PARAGRAPHS[2].replace("clouds", "storms"), *PARAGRAPHS[3:]]
    report = bot.add(DocumentInput(text="\n\n".join(edited), key="a"))
    assert (report.embedded_texts, len(embedder.documents) - before) == (1, 1)


def test_title_and_metadata_alone_cost_nothing(bot: minirag.Bot, embedder: Any) -> None:
    """A new title or metadata is an update without a version or an embedding, and is searched by."""
    bot.add(DocumentInput(text="Some text.", key="a", title="Old", metadata={"lang": "en"}))
    version = bot.documents.get("a").version_id
    before = len(embedder.documents)
    report = bot.add(DocumentInput(text="Some text.", key="a", title="Zebra", metadata={"lang": "de"}))
    assert report.counts["updated"] == 1
    assert len(embedder.documents) == before
    assert bot.documents.get("a").version_id == version
    assert texts(bot, "zebra") == ["a"]
    assert texts(bot, "text", where={"lang": "en"}) == []
    assert texts(bot, "text", where={"lang": "de"}) == ["a"]


def test_same_text_in_two_documents_is_embedded_once(bot: minirag.Bot, embedder: Any) -> None:
    """A vector is copied by content within the tenant."""
    bot.add(DocumentInput(text="Twice the same.", key="a"))
    report = bot.add(DocumentInput(text="Twice the same.", key="b"))
    assert report.counts["added"] == 1
    assert report.embedded_texts == 0
    assert len(bot.search("Twice the same", mode="dense")) == 2


def test_default_key_is_the_hash_of_the_text(bot: minirag.Bot) -> None:
    """Without a key, the text's hash is the identity."""
    bot.add(DocumentInput(text="No key."))
    assert [document.key[:7] for document in bot.documents.list()] == ["sha256:"]
    assert bot.add(DocumentInput(text="No key.")).counts["unchanged"] == 1


def test_a_key_twice_in_one_call(bot: minirag.Bot) -> None:
    """The later document wins, with a warning."""
    report = bot.add([DocumentInput(text="First.", key="a"), DocumentInput(text="Second.", key="a")])
    assert report.counts["added"] == 1
    assert "twice" in report.warnings[0]
    assert bot.documents.text("a") == "Second."


def test_a_key_twice_far_apart(bot: minirag.Bot) -> None:
    """The later document wins even when many come between."""

    def stream() -> Iterator[DocumentInput]:
        yield DocumentInput(text="First.", key="a")
        for number in range(700):
            yield DocumentInput(text=f"Number {number}.", key=str(number))
        yield DocumentInput(text="Second.", key="a")

    report = bot.add(stream())
    assert len(report.warnings) == 1
    assert bot.documents.text("a") == "Second."
    assert bot.documents.count() == 701


def test_same_key_in_two_sources_is_ambiguous(bot: minirag.Bot) -> None:
    """A key in two sources must be qualified."""
    bot.add(DocumentInput(text="One.", key="a"))
    bot.add(DocumentInput(text="Two.", key="a"), source="notes")
    with pytest.raises(errors.AmbiguousKeyError, match="'inline', 'notes'"):
        bot.documents.get("a")
    assert bot.documents.text("a", source="notes") == "Two."
    assert bot.documents.remove("a", source="notes") == 1
    assert bot.documents.text("a") == "One."


def test_blank_text(bot: minirag.Bot) -> None:
    """A blank text is an error when given alone, and one failed entry in a stream."""
    with pytest.raises(errors.InvalidDocumentError, match="blank"):
        bot.add(DocumentInput(text="  \n"))
    report = bot.add([DocumentInput(text=" ", key="a"), DocumentInput(text="Good.", key="b")])
    assert (report.counts["failed"], report.counts["added"]) == (1, 1)
    with pytest.raises(errors.IngestError, match="a: the document's text is empty"):
        report.raise_for_failures()


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_unstorable_characters(bot: minirag.Bot, text: str) -> None:
    """NUL and lone surrogates are refused in a document given as text."""
    with pytest.raises(errors.InvalidDocumentError):
        bot.add(DocumentInput(text=text))
    assert bot.documents.count() == 0


def test_an_iterable_that_raises_keeps_what_came_before(bot: minirag.Bot) -> None:
    """What was committed stays, and the error's report lists it."""

    def stream() -> Iterator[DocumentInput]:
        yield DocumentInput(text="Good.", key="a")
        raise RuntimeError("the caller's own trouble")

    with pytest.raises(errors.IngestError, match="RuntimeError") as caught:
        bot.add(stream())
    assert caught.value.report is not None
    assert [entry.key for entry in caught.value.report.added] == ["a"]
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert bot.documents.text("a") == "Good."


def test_a_failing_embedder_changes_nothing(bot: minirag.Bot, embedder: Any) -> None:
    """When the embedder is down, the old text stays and the error passes through."""
    bot.add(DocumentInput(text="The old text.", key="a"))
    embedder.fail_on = "new"
    with pytest.raises(errors.ProviderConnectionError):
        bot.add(DocumentInput(text="The new text.", key="a"))
    assert bot.documents.text("a") == "The old text."
    embedder.fail_on = None
    assert bot.add(DocumentInput(text="The new text.", key="a")).counts["updated"] == 1


def test_a_text_the_embedder_refuses_fails_alone(bot: minirag.Bot, embedder: Any) -> None:
    """One refused text does not stop those beside it."""
    embedder.fail_on = "poison"
    embedder.error = errors.ProviderRequestError("400: unacceptable", provider="tests", status=400)
    report = bot.add([DocumentInput(text=t, key=t) for t in ("good one", "poison", "good two")])
    assert (report.counts["added"], report.counts["failed"]) == (2, 1)
    assert report.failed[0].key == "poison"


def test_paths_must_exist_before_anything_is_read(bot: minirag.Bot, tmp_path: Path) -> None:
    """A missing path stops the call before the others are read."""
    (tmp_path / "a.txt").write_text("Some text.")
    with pytest.raises(errors.SourceNotFoundError, match=r"missing\.txt"):
        bot.add(tmp_path / "a.txt", str(tmp_path / "missing.txt"))
    assert bot.documents.count() == 0
    assert bot.sources.list() == []


def test_folder_follows_its_files(bot: minirag.Bot, tmp_path: Path) -> None:
    """A folder's documents are those of its files: changed, new and gone ones are noticed."""
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("About apples.")
    (folder / "sub" / "b.md").write_text("# Bridges\n\nAbout bridges.")
    (folder / ".hidden").write_text("secret")
    (folder / "c.bin").write_bytes(bytes(range(256)) * 40)
    report = bot.add(folder)
    assert {entry.key for entry in report.added} == {"a.txt", "sub/b.md"}
    assert {entry.key: entry.reason for entry in report.skipped}[".hidden"] == "hidden"
    assert "c.bin" in {entry.key for entry in report.skipped}
    assert bot.documents.get("sub/b.md").title == "Bridges"
    (folder / "a.txt").unlink()
    (folder / "d.txt").write_text("About dragons.")
    report = bot.ingest()
    assert [entry.key for entry in report.removed] == ["a.txt"]
    assert [entry.key for entry in report.added] == ["d.txt"]
    assert texts(bot, "apples") == []


def test_an_emptied_folder_removes_nothing(bot: minirag.Bot, tmp_path: Path) -> None:
    """A folder that holds nothing any more, or is gone, is a failure and loses nothing."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("About apples.")
    bot.add(folder)
    (folder / "a.txt").unlink()
    report = bot.ingest()
    assert report.counts["failed"] == 1
    assert bot.documents.count() == 1
    folder.rmdir()
    assert bot.ingest().counts["failed"] == 1
    assert bot.sources.list()[0].error is not None
    assert texts(bot, "apples") == ["a.txt"]


def test_a_file_in_an_added_folder_is_a_source_of_its_own(bot: minirag.Bot, tmp_path: Path) -> None:
    """The same file may be added alone too."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("About apples.")
    bot.add(folder)
    bot.add(folder / "a.txt")
    assert sorted(source.kind for source in bot.sources.list()) == ["file", "folder"]
    assert bot.documents.count() == 2


def test_links_that_lead_out_are_not_followed(bot: minirag.Bot, tmp_path: Path) -> None:
    """A link to a file outside the folder, or to a folder, is skipped with the reason."""
    (tmp_path / "secret.txt").write_text("outside")
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("About apples.")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "loop").symlink_to(folder)
    (folder / "inside.txt").symlink_to(folder / "a.txt")
    report = bot.add(folder)
    assert {entry.key for entry in report.added} == {"a.txt", "inside.txt"}
    assert {entry.key for entry in report.skipped} == {"out.txt", "loop"}


def test_changed_chunker_marks_stale_and_cuts_anew(bot: minirag.Bot, embedder: Any) -> None:
    """A changed chunker takes effect at the next `ingest()`; until then the old chunks serve."""
    bot.add(DocumentInput(text="\n\n".join(PARAGRAPHS), key="a", metadata={"n": 1}))
    chunks = bot.stats().chunks
    assert chunks > 1
    bot.update(chunker="whole")
    assert bot.stats().stale == 1
    assert bot.stats().chunks == chunks
    assert len(bot.search("dragons", k=50)) == chunks
    report = bot.ingest()
    assert report.counts["updated"] == 1
    assert (bot.stats().stale, bot.stats().chunks) == (0, 1)
    assert bot.documents.get("a").metadata == {"n": 1}
    assert bot.ingest().counts["updated"] == 0


def test_text_source_registered_then_ingested(bot: minirag.Bot) -> None:
    """`sources.add(text=...)` registers; `ingest` reads; again, nothing is lost."""
    source = bot.sources.add(text="Opening hours are nine to five.", name="hours", metadata={"kind": "note"})
    assert (source.status, bot.documents.count()) == ("registered", 0)
    report = bot.sources.ingest(source)
    assert report.counts["added"] == 1
    assert texts(bot, "opening hours", where={"kind": "note"}) == [report.added[0].key]
    bot.ingest()
    assert bot.documents.count() == 1


def test_source_metadata_reaches_its_documents(bot: minirag.Bot, tmp_path: Path) -> None:
    """A source's metadata is its documents', and a change of it comes with the next reading."""
    (tmp_path / "a.txt").write_text("About apples.")
    source = bot.sources.add(tmp_path / "a.txt", metadata={"team": "red"}, name="Apples")
    bot.ingest()
    assert bot.documents.get("a.txt").metadata == {"team": "red"}
    assert bot.search("apples")[0].source_name == "Apples"
    bot.sources.update(source, metadata={"team": "blue"})
    report = bot.ingest()
    assert (report.counts["updated"], report.embedded_texts) == (1, 0)
    assert texts(bot, "apples", where={"team": "blue"}) == ["a.txt"]


def test_removed_source_ends_search_at_once(bot: minirag.Bot, tmp_path: Path) -> None:
    """Removing a source removes its documents from search."""
    (tmp_path / "a.txt").write_text("About apples.")
    bot.add(tmp_path / "a.txt", DocumentInput(text="About apples too.", key="b"))
    assert bot.sources.remove("a.txt") == 1
    assert texts(bot, "apples") == ["b"]


def test_refresh_leaves_recent_sources_alone(bot: minirag.Bot, tmp_path: Path) -> None:
    """`ingest()` reads a source again only when its `refresh` has passed; `sources.ingest` always does."""
    path = tmp_path / "a.txt"
    path.write_text("About apples.")
    source = bot.sources.add(path, refresh=3600)
    bot.ingest()
    path.write_text("About pears.")
    assert bot.ingest().counts["updated"] == 0
    assert bot.sources.ingest(source).counts["updated"] == 1


def test_progress_names_what_was_committed(bot: minirag.Bot) -> None:
    """Each committed key is named by one progress step, after which it can be read."""
    committed: list[str] = []

    def watch(step: IngestProgress) -> None:
        for key in step.keys:
            assert bot.documents.get(key)
        committed.extend(step.keys)

    bot.add((DocumentInput(text=f"Number {n}.", key=str(n)) for n in range(40)), progress=watch)
    assert sorted(committed, key=int) == [str(n) for n in range(40)]


def test_report_lists_up_to_a_thousand(bot: minirag.Bot) -> None:
    """Counts are exact, lists are bounded."""
    report = bot.add(DocumentInput(text=f"Number {n}.", key=str(n)) for n in range(1_200))
    assert (report.counts["added"], len(report.added)) == (1_200, 1_000)


def test_embed_context_title(workspace: minirag.Workspace, embedder: Any) -> None:
    """With `embed_context="title"` the title is embedded in front of each chunk, and the text stays as it is."""
    bot = workspace.tenant("acme", create=True).bot("titled", create=True, embed_context="title")
    bot.add(DocumentInput(text="Thirty days.", key="a", title="Returns"))
    assert embedder.documents == ["Returns\nThirty days."]
    assert bot.search("returns")[0].text == "Thirty days."
