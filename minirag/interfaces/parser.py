"""`Parser`: the bytes of a file to canonical text, and what is known about its parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from minirag.types import MetadataValue

__all__ = ["ParsedDocument", "Parser", "ParserInput", "Span"]


@dataclass(frozen=True, slots=True)
class ParserInput:
    """A file or a downloaded page.

    Attributes:
        name: the file's name or the URL's last part, for its extension and for messages.
        media_type: as a server declared it, without parameters, or None.
        charset: as a server declared it, or None.
        max_pages: beyond these a document is refused.
    """

    data: bytes
    name: str
    media_type: str | None = None
    charset: str | None = None
    max_pages: int = 5_000


@dataclass(frozen=True, slots=True)
class Span:
    """What a parser knows about a part of the canonical text: code points `start` to `end`.

    Attributes:
        kind: `page` (with `number`), `heading` (with its `level` as number and its title as `label`), `code`, `table`,
            `row`.
    """

    kind: Literal["page", "heading", "code", "table", "row"]
    start: int
    end: int
    number: int | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What a parser made of a file.

    Attributes:
        text: the canonical text. NUL and lone surrogates have become U+FFFD.
        media_type: what the file turned out to be, such as `"text/markdown"`.
        title: as the document itself names it, or None.
        metadata: what the document says of itself, such as an author.
        warnings: what was lost, such as a page without text.
    """

    text: str
    media_type: str
    title: str | None = None
    spans: tuple[Span, ...] = ()
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Parser(ABC):
    """Reads one family of formats.

    P1. The text of plain formats (text, Markdown, JSON, CSV) is the decoded file without its byte-order mark; nothing
        else is changed.
    P2. Every span lies in the text: `0 <= start <= end <= len(text)`; spans of one kind are in order.
    P3. A file without text raises `NoTextError`; a broken one `ParseError`; neither message holds its contents.
    P4. The same bytes give the same result.
    P5. Work is bounded by the size of the input and by `max_pages`.
    """

    revision: str = "1"
    """Changed when the same bytes may give another text; files are then parsed again."""

    @abstractmethod
    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the file's canonical text and what is known about its parts."""
