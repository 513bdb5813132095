"""Canonical text under construction: paragraphs, headings, list items, rows and pages, with their spans."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

from minirag.errors import NoTextError, ParseError
from minirag.interfaces import ParsedDocument, Span
from minirag.providers.parsers.decoding import clean_text
from minirag.types import MetadataValue

__all__ = ["TEXT_LIMIT", "Composer", "one_line", "proper_title", "tidy"]

TEXT_LIMIT: Final = 50_000_000
"""Characters of one document's text. Formats that refer to one text from many places could else make any amount of it."""
_PLACEHOLDER_TITLES: Final = frozenset(
    ("untitled", "title", "document", "unknown", "none", "powerpoint presentation", "presentation", "word document")
)
_FILE_NAME_ENDINGS: Final = (".doc", ".docx", ".odp", ".ods", ".odt", ".ppt", ".pptx", ".rtf", ".tmp", ".xls", ".xlsx")
_NAME_LIMIT: Final = 500
_INDENTS_LIMIT: Final = 8
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_SPACES = re.compile("[ \t\u00a0]+")
# Shown as nothing: control characters that are no white space, and the soft hyphen.
_UNSHOWN = re.compile("[\x01-\x08\x0e-\x1f\x7f\xad]")
_MANY_LINE_ENDS = re.compile("\n{3,}")


def tidy(text: str) -> str:
    """Return a text with ordinary line ends, single spaces and no blank lines in a row."""
    text = _SPACES.sub(" ", _UNSHOWN.sub("", _LINE_ENDS.sub("\n", clean_text(text))))
    return _MANY_LINE_ENDS.sub("\n\n", "\n".join(line.strip(" ") for line in text.split("\n"))).strip("\n")


def one_line(text: str | None) -> str:
    """Return a text as one line."""
    return " ".join(_UNSHOWN.sub("", clean_text(text or "")).split())


def proper_title(text: str | None) -> str | None:
    """Return a document's title, or None if it is a placeholder, a file's name or too long for one."""
    title = one_line(text)
    if title.lower() in _PLACEHOLDER_TITLES or title.lower().endswith(_FILE_NAME_ENDINGS) or len(title) > _NAME_LIMIT:
        return None
    return title or None


class Composer:
    """Puts a document's text together.

    Paragraphs are parted by blank lines; list items and rows that follow each other by line ends.

    Args:
        name: of the file, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.spans: list[Span] = []
        self._parts: list[str] = []
        self._length = 0
        self._last: Literal["", "block", "item", "row"] = ""

    def block(self, text: str) -> None:
        """Add a paragraph, or nothing if it is blank."""
        self._add(tidy(text), "block")

    def heading(self, text: str, *, level: int) -> None:
        """Add a heading, or nothing if it is blank."""
        title = one_line(text)
        if title:
            start = self._add(title, "block")
            self.spans.append(Span("heading", start, self._length, number=min(9, max(1, level)), label=title))

    def item(self, text: str, *, depth: int = 0, marker: str = "- ") -> None:
        """Add a list item on lines of its own, or nothing if it is blank."""
        text = tidy(text)
        if text:
            self._add("  " * min(_INDENTS_LIMIT, max(0, depth)) + marker + text, "item")

    def row(self, cells: Iterable[str], *, number: int | None = None) -> None:
        """Add a row of a table, its cells joined by ` | `, or nothing if all are blank."""
        shown = [one_line(cell) for cell in cells]
        while shown and not shown[-1]:
            shown.pop()
        if shown:
            start = self._add(" | ".join(shown), "row")
            self.spans.append(Span("row", start, self._length, number=number))

    def end_of_rows(self) -> None:
        """Part what follows from the rows and items before it by a blank line."""
        self._last = self._last and "block"

    def document(self, text: str, spans: Iterable[Span]) -> None:
        """Add a text that was made already, with its spans."""
        if text:
            start = self._add(text, "block")
            for span in spans:
                self.spans.append(Span(span.kind, start + span.start, start + span.end, span.number, span.label))

    def begin_page(self) -> int:
        """Return where a page begins, for `end_page`."""
        if self._last:
            self._write("\n\n")
            self._last = ""
        return self._length

    def end_page(self, start: int, *, number: int) -> bool:
        """End the page that began at `start`; return whether it has any text."""
        self.spans.append(Span("page", start, self._length, number=number))
        return self._length > start

    def check(self, more: int) -> None:
        """Raise `ParseError` if so many characters more would be too many."""
        if self._length + more > TEXT_LIMIT:
            raise ParseError(f"{self.name!r} holds more than {TEXT_LIMIT:,} characters of text; split it")

    def first_heading(self) -> str | None:
        """Return the first heading of level 1, or None."""
        label = next((span.label for span in self.spans if span.kind == "heading" and span.number == 1), None)
        return label and label[:_NAME_LIMIT]

    def finish(
        self,
        media_type: str,
        *,
        title: str | None = None,
        metadata: dict[str, MetadataValue] | None = None,
        warnings: Iterable[str] = (),
    ) -> ParsedDocument:
        """Return the document.

        Raises:
            NoTextError: if it has no text.
        """
        text = "".join(self._parts)
        if not text.strip():
            raise NoTextError(f"{self.name!r} holds no text; if it holds pictures of text, run OCR first")
        spans = tuple(sorted(self.spans, key=lambda span: span.start))
        return ParsedDocument(
            text, media_type, title=title, spans=spans, metadata=metadata or {}, warnings=tuple(warnings)
        )

    def _add(self, text: str, kind: Literal["block", "item", "row"]) -> int:
        """Add a text behind what parts it from the one before; return where it starts."""
        if text:
            if self._last:
                self._write("\n" if kind == self._last != "block" else "\n\n")
            start = self._length
            self._write(text)
            self._last = kind
            return start
        return self._length

    def _write(self, text: str) -> None:
        self.check(len(text))
        self._parts.append(text)
        self._length += len(text)
