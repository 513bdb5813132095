"""A failure at any step of an ingestion leaves the database as it was, or the document wholly as it was to be."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from minirag import DocumentInput
from minirag.errors import EmbeddingError, StorageError
from minirag.providers.chunkers.recursive import RecursiveChunker
from minirag.providers.local.hashing import Hashing
from minirag.providers.parsers.text import TextParser
from minirag.providers.sqlalchemy.sqlite_transaction import SqliteTransaction
from minirag.providers.sqlalchemy.writer import SqlAlchemyWriter
from tests.crash.checking import check_whole, database, expect
from tests.crash.operations import (
    FOLDER,
    INLINE,
    WORD,
    Add,
    AddFolder,
    Content,
    Forget,
    Operation,
    Remove,
    open_bot,
    open_workspace,
    perform,
)

STEPS: dict[type, tuple[str, ...]] = {
    Connection: ("commit",),
    SqliteTransaction: ("row", "rows", "tuples", "run", "many", "insert"),
    SqlAlchemyWriter: ("put_source", "delete_source", "write_versions", "update_document", "remove_documents"),
    Hashing: ("embed",),
    RecursiveChunker: ("split",),
    TextParser: ("parse",),
}
"""Each call of these is a step: every statement of a transaction, and all that ingestion asks others to do."""

TOLD_OF_A_READING = {"status", "error", "updated_at", "ingested_at"}
"""Columns of a source that also a failed reading writes."""

_MOST_STEPS = 1_000


class InjectedError(Exception):
    """What nobody has foreseen."""


class Faults:
    """Counts steps and raises at the n-th, before it was taken or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: BaseException = InjectedError()
        self.number = 0
        self.after = False
        self.taken: list[str] = []
        for kind, names in STEPS.items():
            for name in names:
                monkeypatch.setattr(kind, name, self._faulty(f"{kind.__name__}.{name}", getattr(kind, name)))

    def _faulty(self, step: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*args: Any, **keywords: Any) -> Any:
            self.taken.append(step)
            reached = len(self.taken) == self.number
            if reached and not self.after:
                raise self.error
            result = original(*args, **keywords)
            if reached:
                raise self.error
            return result

        return call

    def arm(self, number: int, error: BaseException, *, after: bool = False) -> None:
        """Let the n-th step from now on fail."""
        self.number, self.error, self.after, self.taken = number, error, after, []

    def disarm(self) -> str | None:
        """Let all succeed again; return the step that failed, or None if so many were not taken."""
        step = self.taken[self.number - 1] if len(self.taken) >= self.number else None
        self.number = 0
        return step


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Steps that can be made to fail."""
    return Faults(monkeypatch)


def text(name: str, *, changed: bool = False) -> Content:
    """Return a document of several chunks; `changed` differs in one of them."""
    sentences = [f"Sentence {number} of {name} tells about the {WORD} and about nothing else." for number in range(12)]
    if changed:
        sentences[6] = f"This sentence of {name} was changed in the {WORD} and says so."
    return Content(" ".join(sentences), 1)


def file(name: str, *, changed: bool = False) -> Content:
    return Content(text(name, changed=changed).text)


BEFORE: tuple[Operation, ...] = (
    Add(INLINE, {"kept": text("kept"), "edited": text("edited"), "retitled": text("retitled")}),
    AddFolder({"same.txt": file("same"), "changed.txt": file("changed"), "gone.txt": file("gone")}),
)
OPERATIONS: dict[str, Operation] = {
    "a new document": Add(INLINE, {"new": text("new")}),
    "the first document of a source": Add("another", {"new": text("new")}),
    "one chunk edited": Add(INLINE, {"edited": text("edited", changed=True)}),
    "only metadata changed": Add(INLINE, {"retitled": Content(text("retitled").text, 2)}),
    "a folder": AddFolder(
        {"same.txt": file("same"), "changed.txt": file("changed", changed=True), "new.txt": file("new")}
    ),
    "documents removed": Remove(INLINE, ("kept", "edited")),
    "a source removed": Forget(FOLDER),
}


def dump(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table, but of sources only those columns that a failed reading may not change."""
    with database(folder) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
        columns = [column[1] for column in connection.execute("PRAGMA table_info(sources)")]
        lasting = ", ".join(name for name in columns if name not in TOLD_OF_A_READING)
        rows["sources"] = connection.execute(f"SELECT {lasting} FROM sources WHERE name != 'another'").fetchall()
        # A source that is registered stays so when its reading fails, and so does the entry that says it was.
        rows["audit_events"] = connection.execute(
            "SELECT * FROM audit_events WHERE action != 'source.added'"
        ).fetchall()
    return {table: sorted(found, key=repr) for table, found in rows.items()}


class World:
    """A workspace that can be set back to how it was prepared."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open()
        for operation in BEFORE:
            perform(self.bot, operation, folder=folder)
        self.contents = check_whole(self.bot, folder)
        self.rows = dump(folder)
        self.workspace.close()
        shutil.copytree(folder / "kb", folder / "kb.before")
        self._open()

    def _open(self) -> None:
        self.workspace = open_workspace(self.folder)
        self.bot = open_bot(self.workspace)

    def set_back(self) -> None:
        """Bring the database to where it was."""
        self.workspace.close()
        shutil.rmtree(self.folder / "kb")
        shutil.copytree(self.folder / "kb.before", self.folder / "kb")
        self._open()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A bot with some documents."""
    world = World(tmp_path)
    yield world
    world.workspace.close()


@pytest.mark.parametrize(
    ("error", "after"),
    [(InjectedError(), False), (StorageError("the disk is full"), True), (KeyboardInterrupt(), False)],
    ids=["unforeseen before", "full disk after", "interrupt before"],
)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_a_failure_at_any_step(
    world: World, faults: Faults, operation: Operation, error: BaseException, after: bool
) -> None:
    """Whichever step fails, the database is identical or documents are complete; another attempt then completes all."""
    folder = world.folder
    for number in range(1, _MOST_STEPS):
        faults.arm(number, error, after=after)
        raised = None
        try:
            perform(world.bot, operation, folder=folder)
        except type(error) as problem:
            raised = problem
        step = faults.disarm()
        if step is None:
            break
        assert raised is error, f"{step} failed and nobody was told"
        # If nothing has changed, the next attempt is the one that tries again.
        if dump(folder) != world.rows:
            found = check_whole(world.bot, folder)
            assert found != world.contents, f"{step} failed and left something behind"
            expect(found, operation, set(), world.contents)
            world.set_back()
    assert check_whole(world.bot, folder) == operation.after(world.contents)
    assert number > 10


@pytest.mark.parametrize("source", ["page.txt", "folder", "texts"])
def test_a_failure_is_kept_on_its_source(world: World, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """A source whose documents could not be embedded says so and is due again, until they are there."""
    (world.folder / "folder").mkdir()
    (world.folder / "folder" / "inside.txt").write_text("A file about an ibis.")
    (world.folder / "page.txt").write_text("A file about a heron.")
    given = DocumentInput(text="A text about an egret.", key="egret") if source == "texts" else world.folder / source

    def embed(*_: Any, **__: Any) -> None:
        raise EmbeddingError("the embedder is down")

    with monkeypatch.context() as patch:
        patch.setattr(Hashing, "embed", embed)
        with pytest.raises(EmbeddingError):
            world.bot.add(given, source="texts")
    failed = world.bot.sources.get(source)
    assert (failed.status, failed.error, failed.ingested_at) == ("failed", "the embedder is down", None)
    assert world.bot.add(given, source="texts").counts["added"] == 1
    ready = world.bot.sources.get(source)
    assert (ready.status, ready.error) == ("ready", None)
    assert ready.ingested_at is not None


def test_one_bad_text_does_not_fail_its_source(world: World) -> None:
    """A source that took in at least something is ready, and still tells what it could not take."""
    texts = [DocumentInput(text="A text about a stork.", key="stork"), DocumentInput(text=" ", key="blank")]
    assert world.bot.add(iter(texts), source="texts").counts["failed"] == 1
    source = world.bot.sources.get("texts")
    assert source.status == "ready"
    assert source.error == "blank: the document's text is empty or blank"
