"""What is to be read: files, folders, URLs and texts as documents waiting to be planned."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from minirag._services.engines import Engines
from minirag.errors import ParseError, ProviderNotInstalledError, SourceNotFoundError
from minirag.interfaces import ParsedDocument, Parser, ParserInput
from minirag.models.documents import DocumentInput
from minirag.models.formats import UNSUPPORTED, explain_unsupported, extension_of, looks_binary, sniff_extension
from minirag.models.metadata import encode_metadata
from minirag.models.tenants import Source
from minirag.types import MetadataValue

__all__ = [
    "MAXIMUM_FILE_BYTES",
    "ChosenParser",
    "Incoming",
    "Skipped",
    "UnreadableError",
    "choose_parser",
    "file_key",
    "folder_files",
    "from_input",
    "read_file",
]

MAXIMUM_FILE_BYTES: Final = 100 * 1024 * 1024
"""A larger file fails: parsing holds a file in memory several times over."""


@dataclass(slots=True)
class Incoming:
    """A document to be taken in: a text as it was given, or bytes still to be parsed.

    Attributes:
        parsed: a text that needs no parsing (any more).
        raw: the bytes, where there are some.
        raw_hash: with `parsed`, the hash of the bytes it was once parsed from.
    """

    source: Source
    key: str
    title: str | None = None
    metadata: dict[str, MetadataValue] | None = None
    parsed: ParsedDocument | None = None
    raw: ParserInput | None = None
    raw_hash: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes or characters held, for bounding a batch."""
        return len(self.raw.data) if self.raw is not None else len(self.parsed.text if self.parsed else "")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is left out, and why.

    Attributes:
        hides: the beginning of all keys below a folder that cannot be read, of which nothing is known now.
    """

    key: str
    reason: str
    hides: str | None = None


def from_input(source: Source, document: DocumentInput) -> Incoming:
    """Return a given text as a document to be taken in."""
    key = document.key or "sha256:" + hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    parsed = ParsedDocument(text=document.text, media_type="text/plain", title=document.title)
    return Incoming(source, key, document.title, dict(document.metadata), parsed)


def file_key(path: Path) -> str:
    """Return the key of a file that is added alone: its name, in NFC."""
    return unicodedata.normalize("NFC", path.name)


def folder_files(folder: Path) -> Iterator[tuple[str, Path] | Skipped]:
    """Yield key and path of each readable file below a folder, sorted, and what is left out with the reason.

    Links to folders are not followed, so that no walk is endless, and links to files only where they stay inside.

    Raises:
        SourceNotFoundError: if the folder itself cannot be read.
    """
    try:
        yield from _walk(folder, folder.resolve(), "")
    except OSError as problem:
        raise SourceNotFoundError(f"folder {str(folder)!r} cannot be read: {problem.strerror or problem}") from problem


def _walk(folder: Path, root: Path, prefix: str) -> Iterator[tuple[str, Path] | Skipped]:
    pending: list[tuple[Path, str]] = [(folder, prefix)]
    while pending:
        current, below = pending.pop()
        try:
            with os.scandir(current) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as problem:
            if current == folder:
                raise
            hides = unicodedata.normalize("NFC", below)
            yield Skipped(hides.rstrip("/"), f"cannot be read: {problem.strerror or problem}", hides)
            continue
        deeper: list[tuple[Path, str]] = []
        for entry in entries:
            key = unicodedata.normalize("NFC", below + entry.name)
            shown = key.encode("utf-8", "replace").decode()
            if shown != key:
                yield Skipped(shown, "its name is not valid UTF-8, so it cannot be a key; rename it")
            elif entry.name.startswith("."):
                yield Skipped(key, "hidden")
            elif entry.is_dir(follow_symlinks=False):
                deeper.append((Path(entry.path), below + entry.name + "/"))
            elif entry.is_symlink() and not _stays_inside(Path(entry.path), root):
                yield Skipped(key, "a link that leads out of the folder, or to a folder, or to nothing")
            elif not entry.is_file():
                yield Skipped(key, "not a regular file")
            else:
                yield key, Path(entry.path)
        pending += reversed(deeper)


def _stays_inside(link: Path, root: Path) -> bool:
    target = link.resolve()
    return target.is_file() and target.is_relative_to(root)


def read_file(path: Path) -> ParserInput:
    """Return a file's bytes.

    Raises:
        ParseError: if it cannot be read or is too large.
    """
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise ParseError(f"{path.name!r} is not a regular file")
            if state.st_size > MAXIMUM_FILE_BYTES:
                raise ParseError(
                    f"{path.name!r} has {state.st_size:,} bytes; the limit is {MAXIMUM_FILE_BYTES:,}; split it"
                )
            return ParserInput(data=file.read(MAXIMUM_FILE_BYTES + 1), name=path.name)
    except OSError as problem:
        raise ParseError(f"{path.name!r} cannot be read: {problem.strerror or problem}") from problem


class UnreadableError(Exception):
    """A file is left out, not failed: it is binary, or no installed parser reads it. Never leaves `_services`."""


@dataclass(frozen=True, slots=True)
class ChosenParser:
    """The parser of one file."""

    name: str
    parser: Parser

    def raw_hash(self, incoming: Incoming) -> bytes:
        """Return what names the bytes and all else that parsing them depends on."""
        assert incoming.raw is not None
        digest = hashlib.sha256(incoming.raw.data)
        others = [self.name, self.parser.revision, incoming.raw.media_type, incoming.raw.charset]
        digest.update(json.dumps([*others, encode_metadata(incoming.source.metadata)]).encode())
        return digest.digest()


def choose_parser(engines: Engines, raw: ParserInput) -> ChosenParser:
    """Return the parser that reads a file: by what a server declared, by its extension, or by looking at the bytes.

    Raises:
        UnreadableError: if it is binary, no parser reads it, or what its parser needs is not installed.
    """
    try:
        return _chosen(engines, raw)
    except ProviderNotInstalledError as problem:
        raise UnreadableError(f"{raw.name!r}: {problem}") from problem


def _chosen(engines: Engines, raw: ParserInput) -> ChosenParser:
    extension = extension_of(raw.name)
    found = engines.parser(extension, raw.media_type)
    if found is None:
        looks_like = sniff_extension(raw.data)
        for known in (extension, looks_like):
            if known in UNSUPPORTED:
                raise UnreadableError(explain_unsupported(raw.name, looks_like=known))
        found = engines.parser(looks_like, None) if looks_like else None
    if found is None:
        if looks_binary(raw.data):
            raise UnreadableError(explain_unsupported(raw.name))
        found = engines.parser(".txt", "text/plain")
    if found is None:
        raise UnreadableError(explain_unsupported(raw.name))
    return ChosenParser(*found)
