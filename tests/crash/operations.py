"""What the killed process does: operations on one bot, how they are drawn from a seed, and what they should leave."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import minirag
from minirag.bot import Bot
from minirag.models.reports import IngestProgress, IngestReport
from minirag.providers.faiss.plan import Plan
from minirag.providers.local.hashing import Hashing
from minirag.types import SearchMode

__all__ = [
    "FOLDER",
    "INLINE",
    "NOTES",
    "WORD",
    "Add",
    "AddFolder",
    "Content",
    "Contents",
    "Forget",
    "Name",
    "Operation",
    "Optimize",
    "Remove",
    "Search",
    "SmallBatches",
    "draw_operations",
    "lower_thresholds",
    "open_bot",
    "open_workspace",
    "perform",
]

INLINE, NOTES, FOLDER = "inline", "notes", "files"
WORD = "archive"
"""In every sentence, so that a keyword search for it finds every chunk."""

_WORDS = [
    first + second for first in ("bla", "kro", "mi", "tu", "vex") for second in ("den", "lop", "rin", "sta", "wu")
]
_SIZES = (1, 1, 2, 3, 5, 8, 13, 80)
"""Sentences of a document: from one chunk to some fifty, from one block of text to two."""


class SmallBatches(Hashing):
    """Embeds few texts at once, so that few documents are already several batches, each committed by itself."""

    batch_size = 16


@dataclass(frozen=True, slots=True)
class Content:
    """What a document should hold: its text, and with a `DocumentInput` the number in its metadata."""

    text: str
    revision: int | None = None


Name: TypeAlias = tuple[str, str]
"""A document's source and key."""
Contents: TypeAlias = dict[Name, Content]


@dataclass(frozen=True, slots=True)
class Add:
    """Give texts to a text source, as arguments or as one iterable."""

    source: str
    documents: dict[str, Content]
    lazily: bool = False

    def after(self, before: Contents) -> Contents:
        return {**before, **{(self.source, key): content for key, content in self.documents.items()}}


@dataclass(frozen=True, slots=True)
class AddFolder:
    """Bring a folder to exactly these files and add it."""

    files: dict[str, Content]

    def after(self, before: Contents) -> Contents:
        others = {name: content for name, content in before.items() if name[0] != FOLDER}
        return {**others, **{(FOLDER, key): content for key, content in self.files.items()}}


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove documents of one source by their keys, all in one call."""

    source: str
    keys: tuple[str, ...]

    def after(self, before: Contents) -> Contents:
        gone = {(self.source, key) for key in self.keys}
        return {name: content for name, content in before.items() if name not in gone}


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove a source with all its documents."""

    source: str

    def after(self, before: Contents) -> Contents:
        return {name: content for name, content in before.items() if name[0] != self.source}


@dataclass(frozen=True, slots=True)
class Search:
    """Search once, which loads the indexes."""

    mode: SearchMode = "hybrid"

    def after(self, before: Contents) -> Contents:
        return before


@dataclass(frozen=True, slots=True)
class Optimize:
    """Finish pending index work, which builds codes and writes snapshots."""

    wait: bool

    def after(self, before: Contents) -> Contents:
        return before


Operation: TypeAlias = Add | AddFolder | Remove | Forget | Search | Optimize


def lower_thresholds(patch: Callable[[str, object], None]) -> None:
    """Have small bots treated as large ones are: with snapshots and codes, and a log that is moved into the database often."""
    plan = Plan(
        coded_floats=10_000,
        coded_rows=256,
        tail_floats=2_000,
        dead_rows=20,
        list_rows=64,
        missed=0.1,
        least_codes=1_000,
        candidates=(64, 180),
    )
    patch("minirag._services.maintenance._LEAST_ENTRIES", 20)
    patch("minirag.providers.sqlalchemy.checkpoints.LOG_LIMIT", 400_000)
    patch("minirag.providers.faiss.index.Plan", lambda: plan)


def open_workspace(folder: Path) -> minirag.Workspace:
    """Return the workspace in a folder, made if need be."""
    return minirag.Workspace.open(folder / "kb", embedder=SmallBatches(dimension=64), plugins=[])


def open_bot(workspace: minirag.Workspace) -> Bot:
    """Return the one bot of these tests, made if need be."""
    chunker = {"provider": "recursive", "options": {"size": 24}}
    return workspace.tenant("acme", create=True).bot("support", create=True, chunker=chunker, language="en")


def perform(
    bot: Bot, operation: Operation, *, folder: Path, committed: Callable[[tuple[str, ...]], None] | None = None
) -> IngestReport | None:
    """Carry an operation out, telling `committed` the keys of each progress event that names some."""

    def progress(step: IngestProgress) -> None:
        if step.stage == "committed" and committed is not None:
            committed(step.keys)

    if isinstance(operation, Add):
        inputs = list(_inputs(operation.documents))
        arguments: Iterable[object] = [iter(inputs)] if operation.lazily else inputs
        return bot.add(*arguments, source=operation.source, progress=progress)
    if isinstance(operation, AddFolder):
        _write_files(folder / FOLDER, operation.files)
        return bot.add(folder / FOLDER, progress=progress)
    if isinstance(operation, Remove):
        bot.documents.remove(*operation.keys, source=operation.source)
    elif isinstance(operation, Forget):
        bot.sources.remove(operation.source)
    elif isinstance(operation, Optimize):
        bot.optimize(operation.wait)
    else:
        bot.search(WORD, k=5, mode=operation.mode)
    return None


def _inputs(documents: Mapping[str, Content]) -> Iterator[minirag.DocumentInput]:
    for key, content in documents.items():
        yield minirag.DocumentInput(text=content.text, key=key, metadata={"revision": content.revision})


def _write_files(root: Path, files: Mapping[str, Content]) -> None:
    shutil.rmtree(root, ignore_errors=True)
    for key, content in files.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.text, encoding="utf-8")


@dataclass(slots=True)
class _Drawing:
    """A seeded choice of operations that all succeed when they are carried out in order."""

    chance: random.Random
    contents: Contents
    revision: int = field(init=False)

    def __post_init__(self) -> None:
        self.revision = self.chance.randrange(1_000_000)

    def draw(self) -> Operation:
        kinds = [self._add, self._add, self._add, self._add_one, self._add_folder, self._remove, self._forget]
        operation = self.chance.choice([*kinds, self._optimize])()
        self.contents = operation.after(self.contents)
        return operation

    def _keys(self, source: str) -> list[str]:
        return [key for owner, key in self.contents if owner == source]

    def _content(self, old: Content | None = None, *, in_file: bool = False) -> Content:
        """Return a new text, or the old one with a sentence changed, or no more than a new number in its metadata."""
        self.revision += 1
        revision = None if in_file else self.revision
        if old is not None and not in_file and self.chance.random() < 0.2:
            return Content(old.text, revision)
        mark = f"Revision {self.revision} of this {WORD}."
        if old is not None and self.chance.random() < 0.5:
            return Content(f"{mark} {old.text.partition('. ')[2]}", revision)
        sentences = [f"{' '.join(self.chance.choices(_WORDS, k=9))} {WORD}." for _ in range(self.chance.choice(_SIZES))]
        return Content(" ".join([mark, *sentences]), revision)

    def _add(self) -> Operation:
        source = self.chance.choice((INLINE, INLINE, NOTES))
        keys = self.chance.sample([f"note-{number}" for number in range(30)], k=self.chance.randint(1, 10))
        documents = {key: self._content(self.contents.get((source, key))) for key in keys}
        return Add(source, documents, lazily=self.chance.random() < 0.5)

    def _add_one(self) -> Operation:
        return Add(INLINE, {f"single-{self.chance.randrange(5)}": self._content()})

    def _add_folder(self) -> Operation:
        files = {}
        for number in range(10):
            key = f"{'deep/' * (number % 3)}page-{number}.txt"
            old = self.contents.get((FOLDER, key))
            if self.chance.random() < 0.7:
                unchanged = old is not None and self.chance.random() < 0.4
                files[key] = old if unchanged and old is not None else self._content(old, in_file=True)
        return AddFolder(files or {"page.txt": self._content(in_file=True)})

    def _remove(self) -> Operation:
        source = self.chance.choice((INLINE, NOTES, FOLDER))
        keys = self._keys(source)
        return Remove(source, tuple(self.chance.sample(keys, k=min(len(keys), 3)))) if keys else Search()

    def _optimize(self) -> Operation:
        return Optimize(self.chance.random() < 0.5)

    def _forget(self) -> Operation:
        source = self.chance.choice((NOTES, FOLDER))
        return Forget(source) if self._keys(source) else Search("keyword")


def draw_operations(chance: random.Random, contents: Contents, *, count: int) -> list[Operation]:
    """Return operations that follow each other from these contents on."""
    drawing = _Drawing(chance, dict(contents))
    return [drawing.draw() for _ in range(count)]
