"""A failure at any step of an ingestion leaves the database as it was, or the document wholly as it was to be."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minirag.bot import Bot
from minirag.errors import StorageError
from minirag.providers.chunkers.recursive import RecursiveChunker
from minirag.providers.local.hashing import Hashing
from minirag.providers.parsers.text import TextParser
from minirag.providers.sqlalchemy.engine import Transaction
from minirag.providers.sqlalchemy.writer import SqlAlchemyWriter
from tests.crash.checking import check_whole, database
from tests.crash.operations import (
    FOLDER,
    INLINE,
    WORD,
    Add,
    AddFolder,
    Content,
    Contents,
    Forget,
    Name,
    Operation,
    Remove,
    open_bot,
    open_workspace,
    perform,
)

STEPS: dict[type, tuple[str, ...]] = {
    Transaction: ("row", "rows", "run", "many", "insert"),
    SqlAlchemyWriter: ("put_source", "delete_source", "write_versions", "update_document", "remove_documents"),
    Hashing: ("embed",),
    RecursiveChunker: ("split",),
    TextParser: ("parse",),
}
"""Each call of these is a step: every statement of a transaction, and all that ingestion asks others to do."""

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

    def disarm(self) -> bool:
        """Let all succeed again; return whether the step to fail was reached."""
        reached = len(self.taken) >= self.number
        self.number = 0
        return reached


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


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace that each attempt starts from."""
    folder = tmp_path_factory.mktemp("template")
    with open_workspace(folder) as workspace:
        bot = open_bot(workspace)
        for operation in BEFORE:
            perform(bot, operation, folder=folder)
    return folder


def dump(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table, but of sources only those columns that a failed reading may not change."""
    with database(folder) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables if table != "sources"}
        rows["sources"] = connection.execute(
            "SELECT tenant_id, bot_id, id, kind, locator, name, metadata, refresh FROM sources WHERE name != 'another'"
        ).fetchall()
    return {table: sorted(found, key=repr) for table, found in rows.items()}


def attempt(bot: Bot, operation: Operation, folder: Path, error: BaseException) -> None:
    """Carry an operation out that fails with `error`, if it fails."""
    try:
        perform(bot, operation, folder=folder)
    except type(error) as problem:
        assert problem is error


@pytest.mark.parametrize("error", [InjectedError(), StorageError("the disk is full"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_a_failure_at_every_step_changes_nothing(
    tmp_path: Path, template: Path, faults: Faults, operation: Operation, error: BaseException
) -> None:
    """Whichever step fails, the database is identical or a document is complete; trying again then completes all."""
    folder = tmp_path / "world"
    shutil.copytree(template, folder)
    with open_workspace(folder) as workspace:
        bot = open_bot(workspace)
        before, rows = check_whole(bot, folder), dump(folder)
        after = operation.after(before)
        for number in range(1, _MOST_STEPS):
            faults.arm(number, error, after=number % 2 == 0)
            attempt(bot, operation, folder, error)
            if not faults.disarm():
                break
            found = check_whole(bot, folder)
            failed = faults.taken[-1]
            print(number, failed, found != before)
            if found == before:
                assert dump(folder) == rows, f"{failed} failed and left something behind"
    assert number > 5
