"""Declared fields: their index holds the values of every present chunk and no others, whatever is done to documents."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag import DocumentInput

WHEN = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
METADATA: dict[str, Any] = {
    "lang": "en", "n": 1.5, "on": WHEN.date(), "at": WHEN, "flag": True, "gap": None, "tags": ["a", "b", "a"], "none": [],
}  # fmt: skip


def rows(tmp_path: Path) -> set[tuple[str | None, str, str, Any]]:
    """Return what the index holds: the document's key, the field, the kind and the value."""
    connection = sqlite3.connect(tmp_path / "kb" / "minirag.sqlite3")
    found = connection.execute(
        "SELECT documents.key, chunk_fields.field, chunk_fields.kind, chunk_fields.value FROM chunk_fields "
        "LEFT JOIN chunks ON chunks.key = chunk_fields.chunk_key LEFT JOIN documents ON documents.id = chunks.document_id"
    ).fetchall()
    connection.close()
    return set(found)


@pytest.fixture
def filterable(workspace: minirag.Workspace) -> minirag.Bot:
    """A bot that declares two fields, with two documents."""
    bot = workspace.tenant("acme", create=True).bot("b", create=True, filterable=["lang", "tags"])
    bot.add(DocumentInput(text="One. " * 900, key="a", title="A", metadata={"lang": "en", "other": 1}))
    bot.add(DocumentInput(text="Two.", key="b", metadata={"tags": ["x", "y"]}))
    return bot


def test_values_of_every_type(workspace: minirag.Workspace, tmp_path: Path) -> None:
    """Each kind of value stands in its own form, a list element by element."""
    bot = workspace.tenant("acme", create=True).bot("b", create=True, filterable=list(METADATA))
    bot.add(DocumentInput(text="Text.", key="a", metadata=METADATA))
    assert {(field, kind, value) for _, field, kind, value in rows(tmp_path)} == {
        ("lang", "text", "en"), ("n", "number", 1.5), ("on", "$date", "2024-02-29"),
        ("at", "$datetime", "2024-02-29T12:00:00.000000Z"), ("flag", "bool", 1), ("gap", "null", ""),
        ("tags", "list", ""), ("tags", "text", "a"), ("tags", "text", "b"), ("none", "list", ""),
    }  # fmt: skip


EN = ("a", "lang", "text", "en")
TAGS = {("b", "tags", "list", ""), ("b", "tags", "text", "x"), ("b", "tags", "text", "y")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda bot: None, {EN, *TAGS}),
        (lambda bot: bot.add(DocumentInput(text="New.", key="a", metadata={"lang": "de"})), {(*EN[:3], "de"), *TAGS}),
        (
            lambda bot: bot.add(DocumentInput(text="One. " * 900, key="a", title="A", metadata={"lang": "fr"})),
            {(*EN[:3], "fr"), *TAGS},
        ),
        (
            lambda bot: bot.add(
                DocumentInput(text="One. " * 900, key="a", title="Other", metadata={"lang": "en", "other": 1})
            ),
            {EN, *TAGS},
        ),
        (lambda bot: bot.add(DocumentInput(text="Two.", key="b")), {EN}),
        (lambda bot: bot.documents.remove("a"), TAGS),
        (lambda bot: bot.sources.remove("inline"), set()),
        (lambda bot: bot.delete(), set()),
        (lambda bot: bot.update(filterable=["lang"]), {EN}),
        (lambda bot: bot.update(filterable=[]), set()),
        (lambda bot: bot.update(filterable=["other", "lang"]), {EN, ("a", "other", "number", 1)}),
    ],
    ids=[
        "nothing", "new version", "metadata alone", "retitled", "field is gone", "removed", "source removed", "bot deleted",
        "one field fewer", "no field", "other fields",
    ],
)  # fmt: skip
def test_the_index_follows(
    filterable: minirag.Bot, tmp_path: Path, change: Callable[[minirag.Bot], object], expected: set[Any]
) -> None:
    """After each kind of change, the index holds what the documents say, of the fields declared now."""
    change(filterable)
    assert rows(tmp_path) == expected


def test_every_chunk_of_a_document_is_found(filterable: minirag.Bot) -> None:
    """A document's value holds for each of its chunks."""
    hits = filterable.search("one", k=100, where={"lang": "en"}, mode="dense")
    assert len(hits) == filterable.stats().chunks - 1 > 1


def test_a_failed_write_leaves_the_index(filterable: minirag.Bot, tmp_path: Path) -> None:
    """A transaction that fails after it wrote the index takes its rows back."""
    before = rows(tmp_path)
    context = filterable._context

    def fail() -> None:
        with context.core.storage.write(context.scope) as writer:
            record = writer.bot_by_id(context.bot_id)
            assert record is not None
            profile = record.profile.model_copy(update={"filterable": ("other",)})
            writer.put_bot(record.model_copy(update={"profile": profile}))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert rows(tmp_path) == before
