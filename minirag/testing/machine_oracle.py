"""What the state machine's workspace must hold: nested dictionaries of tenants, bots and documents, and their rules."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from minirag.interfaces import Chunker, Embedder, ParsedDocument
from minirag.models.filters import matches, parse_filter
from minirag.models.metadata import encode_metadata
from minirag.types import MetadataValue

if TYPE_CHECKING:
    from minirag.types import Scores

__all__ = [
    "CHUNKERS",
    "FOLDER",
    "TENANTS",
    "ExpectedBot",
    "ExpectedChunk",
    "ExpectedDocument",
    "ExpectedSource",
    "Given",
    "Name",
    "canary",
    "words_of",
]

TENANTS: Final = ("acme", "rival")
FOLDER: Final = "files"
CHUNKERS: Final[Mapping[str, Any]] = {
    "whole": "whole",
    "small": {"provider": "recursive", "options": {"size": 6}},
    "recursive": "recursive",
}
"""The chunkers that bots are given, by the names they have here."""

_WORD: Final = re.compile(r"\w+")

Name = tuple[str, str]
"""A document: the label of its source, which a renamed source keeps here, and its key."""
Status = Literal["added", "updated", "unchanged"]


def canary(tenant: str) -> str:
    """Return a word that stands in much of what a tenant owns and in nothing that another tenant may see."""
    return f"zq{tenant}"


def words_of(text: str) -> set[str]:
    """Return the words of a text."""
    return set(_WORD.findall(text.lower()))


@dataclass(frozen=True)
class Given:
    """A document as a rule draws it; `{c}` stands for the tenant's canary."""

    key: str
    text: str
    title: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)

    def of(self, tenant: str) -> Given:
        """Return it as that tenant's."""

        def filled(value: Any) -> Any:
            return value.replace("{c}", canary(tenant)) if isinstance(value, str) else value

        metadata = {name: filled(value) for name, value in self.metadata.items()}
        return replace(self, text=filled(self.text), title=filled(self.title), metadata=metadata)


@dataclass(frozen=True)
class ExpectedChunk:
    """A chunk that a search may find, and the text its vector is made of."""

    source: str
    key: str
    start: int
    end: int
    text: str
    title: str | None
    metadata: Mapping[str, MetadataValue]
    embedded: str

    @property
    def words(self) -> set[str]:
        """The words that keyword search finds it by."""
        return words_of(self.text) | words_of(self.title or "")


@dataclass
class ExpectedDocument:
    """A document as it must stand.

    Attributes:
        cut: all that its chunks depend on; another one is another version.
        texts: the text of each version, newest first.
    """

    text: str
    title: str | None
    metadata: dict[str, MetadataValue]
    cut: tuple[object, ...]
    spans: list[tuple[int, int]]
    prefix: str
    texts: list[str]
    stale: bool = False


@dataclass
class ExpectedSource:
    """A source; `waiting` is a text that was registered and not read yet."""

    name: str
    metadata: dict[str, MetadataValue] = field(default_factory=dict)
    waiting: str | None = None


@dataclass
class ExpectedBot:
    """A bot as it must stand, and what a call does to it.

    Attributes:
        sources: by label.
        sequence: the last sequence of its change log.
        chats: the number of messages of each chat, by id.
    """

    embedder: Embedder
    chunkers: Mapping[str, Chunker]
    settings: dict[str, str] = field(default_factory=dict)
    sources: dict[str, ExpectedSource] = field(default_factory=dict)
    documents: dict[Name, ExpectedDocument] = field(default_factory=dict)
    sequence: int = 0
    chats: dict[str, int] = field(default_factory=dict)

    # ---------------------------------------------------------------- what calls do
    def put(self, label: str, given: Given, *, merge: bool = True) -> Status:
        """Take a document in and return what became of it."""
        title, metadata = given.title, dict(given.metadata)
        if merge:
            metadata = {**self.sources[label].metadata, **metadata}
        old = self.documents.get((label, given.key))
        cut, prefix = self._cut(given.text, title)
        if old is not None and old.cut == cut:
            same = old.title == title and encode_metadata(old.metadata) == encode_metadata(metadata)
            self.sequence += old.title != title
            old.title, old.metadata, old.stale = title, metadata, False
            return "unchanged" if same else "updated"
        self.sequence += 1
        chunker = self.chunkers[self.settings["chunker"]]
        spans = chunker.split(ParsedDocument(given.text, "text/plain", title), self.embedder.count_tokens)
        self.documents[(label, given.key)] = ExpectedDocument(
            text=given.text,
            title=title,
            metadata=metadata,
            cut=cut,
            spans=[(span.start, span.end) for span in spans],
            prefix=prefix,
            texts=[given.text, *(old.texts if old else ())],
        )
        return "added" if old is None else "updated"

    def _cut(self, text: str, title: str | None) -> tuple[tuple[object, ...], str]:
        titled = self.settings["embed_context"] == "title"
        # The words of the machine are of no language, so that "auto" finds none.
        language = "en" if self.settings["language"] == "en" else "none"
        cut = (text, self.settings["chunker"], language, titled, title if titled else None)
        return cut, f"{title}\n" if titled and title else ""

    def put_all(self, label: str, documents: Iterable[Given]) -> Counter[str]:
        """Take documents in, of those with one key the last; count what became of them. Blank ones fail."""
        last: dict[str, Given] = {}
        for given in documents:
            last.pop(given.key, None)
            last[given.key] = given
        return Counter("failed" if not given.text.strip() else self.put(label, given) for given in last.values())

    def read_folder(self, files: Mapping[str, str]) -> Counter[str]:
        """Read the folder: what is gone is removed, but an empty folder fails and removes nothing."""
        if not files:
            return Counter(failed=1)
        counts = self.put_all(FOLDER, [Given(key, files[key]) for key in sorted(files)])
        gone = [name for name in self.documents if name[0] == FOLDER and name[1] not in files]
        self.remove(gone)
        return counts + Counter(removed=len(gone))

    def take_waiting(self, label: str) -> Counter[str]:
        """Read the text that waits with a source, if there is one."""
        source = self.sources[label]
        if source.waiting is None:
            return Counter()
        key = "sha256:" + hashlib.sha256(source.waiting.encode()).hexdigest()
        given = Given(key, source.waiting, source.name)
        source.waiting = None
        return self.put_all(label, [given])

    def cut_anew(self, label: str) -> Counter[str]:
        """Cut a source's stale documents anew: title and metadata stay as they are."""
        stale = [(name, model) for name, model in self.documents.items() if model.stale and name[0] == label]
        return Counter(
            self.put(label, Given(key, old.text, old.title, old.metadata), merge=False) for (_, key), old in stale
        )

    def move(self, embedder: Embedder, *, rechunk: bool) -> Counter[str]:
        """Move to another embedder; with `rechunk`, cut every document anew, though its text is the same."""
        self.embedder = embedder
        counts: Counter[str] = Counter()
        if rechunk:
            for document in self.documents.values():
                document.stale, document.cut = True, ()
            for label in self.sources:
                counts += self.cut_anew(label)
        return counts

    def ingest(self, files: Mapping[str, str], labels: Iterable[str] | None = None) -> Counter[str]:
        """Read sources, all or these, then cut anew what is still stale in them."""
        labels = list(self.sources if labels is None else labels)
        counts: Counter[str] = Counter()
        for label in labels:
            counts += self.read_folder(files) if label == FOLDER else self.take_waiting(label)
        for label in labels:
            counts += self.cut_anew(label)
        return counts

    def change(self, settings: Mapping[str, str]) -> None:
        """Change settings; another way of cutting makes every document stale."""
        changed = {**self.settings, **settings}
        if changed != self.settings:
            for document in self.documents.values():
                document.stale = True
        self.settings = changed

    def remove(self, names: Sequence[Name]) -> None:
        """Remove documents: one row of the log for each."""
        for name in names:
            del self.documents[name]
        self.sequence += len(names)

    def remove_source(self, label: str) -> int:
        """Remove a source with its documents and return how many these were."""
        names = [name for name in self.documents if name[0] == label]
        self.remove(names)
        del self.sources[label]
        return len(names)

    # ---------------------------------------------------------------- what must be found
    def record(self, name: Name) -> dict[str, Any]:
        """Return what a filter sees of a document."""
        document = self.documents[name]
        reserved = {"$source": self.sources[name[0]].name, "$key": name[1], "$title": document.title, "$page": None}
        return {**document.metadata, **reserved}

    def names(self, where: Mapping[str, Any] | None = None, label: str | None = None) -> list[Name]:
        """Return the documents that a filter allows, oldest first."""
        condition = parse_filter(where)
        return [
            name
            for name in self.documents
            if label in (None, name[0]) and (condition is None or matches(condition, self.record(name)))
        ]

    def chunks(self, where: Mapping[str, Any] | None = None) -> Iterator[ExpectedChunk]:
        """Yield the chunks that a filter allows."""
        for name in self.names(where):
            document = self.documents[name]
            source = self.sources[name[0]].name
            for start, end in document.spans:
                text = document.text[start:end]
                embedded = document.prefix + text
                yield ExpectedChunk(source, name[1], start, end, text, document.title, document.metadata, embedded)

    def cosines(self, query: str, chunks: Sequence[ExpectedChunk]) -> Scores:
        """Return the cosine of a query with each chunk, by brute force."""
        if not chunks:
            return np.empty(0)
        vector = self.embedder.embed([query], purpose="query")[0].astype(np.float64)
        size = self.embedder.batch_size
        texts = [chunk.embedded for chunk in chunks]
        parts = [
            self.embedder.embed(texts[at : at + size], purpose="document").astype(np.float64)
            for at in range(0, len(texts), size)
        ]
        rows = np.concatenate(parts)
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
        cosines: Scores = rows @ vector / np.where(lengths == 0.0, 1.0, lengths)
        return cosines

    def numbers(self) -> dict[str, int]:
        """Return what `stats` must say."""
        documents = self.documents.values()
        return {
            "documents": len(documents),
            "chunks": sum(len(document.spans) for document in documents),
            "characters": sum(len(document.text) for document in documents),
            "sources": len(self.sources),
            "sequence": self.sequence,
            "stale": sum(document.stale for document in documents),
        }
