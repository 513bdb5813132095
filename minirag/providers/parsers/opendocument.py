"""ODT, ODS and ODP: the text of OpenDocument files, with headings, lists, table rows, slides and notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.models.formats import MEDIA_TYPES
from minirag.providers.parsers.archive import Archive, translated
from minirag.providers.parsers.composing import Composer, one_line, proper_title
from minirag.providers.parsers.xml_tree import attribute, child, children, descendant, parse_xml
from minirag.types import MetadataValue

__all__ = ["OpenDocumentParser", "create"]

_WHAT: Final = "OpenDocument"
_KINDS: Final = ("text", "spreadsheet", "presentation")
_NOT_TEXT: Final = frozenset(("annotation", "tracked-changes", "desc", "ruby-text", "forms"))
# A cell or row with something in it may be repeated, but seldom more often than this; empty ones are not written out.
_REPEATS_LIMIT: Final = 1000
_EMPTY_CELLS_LIMIT: Final = 30


class OpenDocumentParser(Parser):
    """Reads text documents, spreadsheets and presentations. Comments and deleted text are left out."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the document's text; slides are a `page` each, sheets begin with their name as a heading.

        Raises:
            NoTextError: if it has no text.
            ParseError: if it is broken, needs a password, has too many slides or expands beyond all proportion.
        """
        with translated(file, _WHAT):
            archive = Archive(file, _WHAT)
            if b"encryption-data" in (archive.read("META-INF/manifest.xml") or b""):
                raise ParseError(f"{file.name!r} is encrypted and needs a password; save a copy without one")
            root = parse_xml(archive.require("content.xml"), name=file.name)
            styles = archive.read("styles.xml")
            roots = [root, *([parse_xml(styles, name=file.name)] if styles else [])]
            composer = Composer(file.name)
            whole = child(root, "body")
            body = next(iter(whole), None) if whole is not None else None
            if body is None or body.tag not in _KINDS:
                raise ParseError(f"{file.name!r} is no text, spreadsheet or presentation of OpenDocument")
            _Content(composer, _numbered_lists(roots), file.max_pages).read(body)
            title, metadata = _properties(archive, name=file.name)
            media_type = MEDIA_TYPES["opendocument"][_KINDS.index(body.tag)]
            return composer.finish(media_type, title=title or composer.first_heading(), metadata=metadata)


def create(options: None, context: ProviderContext) -> OpenDocumentParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of OpenDocument."""
    return OpenDocumentParser()


class _Content:
    def __init__(self, composer: Composer, numbered: set[tuple[str, int]], max_pages: int) -> None:
        self._composer = composer
        self._numbered = numbered
        self._max_pages = max_pages
        self._notes: list[Element] = []

    def read(self, body: Element) -> None:
        """Add the document to the composer."""
        if body.tag == "presentation":
            self._slides(list(children(body, "page")))
        else:
            self._blocks(body, sheets=body.tag == "spreadsheet")
        self._add_notes()

    def _slides(self, slides: list[Element]) -> None:
        if len(slides) > self._max_pages:
            raise ParseError(
                f"{self._composer.name!r} has {len(slides)} slides, more than the {self._max_pages} allowed; split it"
            )
        for number, slide in enumerate(slides, start=1):
            start = self._composer.begin_page()
            for part in sorted(slide, key=lambda part: attribute(part, "class") != "title"):
                if attribute(part, "class") == "title":
                    self._composer.heading(self._flat(part), level=1)
                elif part.tag == "notes":
                    text = self._flat(part)
                    self._composer.block(f"Notes: {text}" if text.strip() else "")
                elif part.tag not in _NOT_TEXT:
                    self._blocks(part)
            self._composer.end_page(start, number=number)

    def _blocks(self, parent: Element, *, sheets: bool = False) -> None:
        for element in parent:
            if element.tag == "h":
                level = attribute(element, "outline-level") or "1"
                self._composer.heading(self._text(element), level=int(level) if level in "123456789" else 1)
            elif element.tag == "p":
                self._composer.block(self._text(element))
                for box in _boxes(element):
                    self._blocks(box)
            elif element.tag == "list":
                self._list(element, attribute(element, "style-name") or "", 0)
            elif element.tag == "table":
                self._table(element, attribute(element, "name") if sheets else None)
            elif element.tag not in _NOT_TEXT:
                self._blocks(element)

    def _list(self, parent: Element, style: str, depth: int) -> None:
        number = 0
        for item in children(parent, "list-item", "list-header"):
            first = True
            for element in item:
                if element.tag == "list":
                    self._list(element, attribute(element, "style-name") or style, depth + 1)
                elif element.tag in ("p", "h"):
                    number += first
                    marker = f"{number}. " if (style, depth + 1) in self._numbered else "- "
                    self._composer.item(self._text(element), depth=depth, marker=marker if first else "")
                    first = False

    def _table(self, table: Element, name: str | None) -> None:
        self._composer.end_of_rows()
        number, named = 0, name is None
        for row in _rows(table):
            repeats = _repeats(row, "number-rows-repeated")
            cells = list(self._cells(row))
            if any(cells):
                if not named:
                    self._composer.heading(name or "", level=1)
                    self._composer.end_of_rows()
                    named = True
                for once in range(min(repeats, _REPEATS_LIMIT)):
                    self._composer.row(cells, number=number + once + 1)
            number += repeats
        self._composer.end_of_rows()

    def _cells(self, row: Element) -> Iterator[str]:
        characters = 0
        for cell in children(row, "table-cell", "covered-table-cell"):
            text = one_line(self._flat(cell)) if cell.tag == "table-cell" else ""
            repeats = min(_repeats(cell, "number-columns-repeated"), _REPEATS_LIMIT if text else _EMPTY_CELLS_LIMIT)
            characters += repeats * (len(text) + 3)
            self._composer.check(characters)
            for _ in range(repeats):
                yield text

    def _flat(self, parent: Element) -> str:
        """Return the text of several paragraphs, parted by line ends."""
        return "\n".join(self._text(one) for one in _paragraphs(parent))

    def _text(self, paragraph: Element) -> str:
        return "".join(self._inline(paragraph))

    def _inline(self, parent: Element) -> Iterator[str]:
        yield parent.text or ""
        for element in parent:
            if element.tag == "s":
                yield " "  # however many: they are shown as one
            elif element.tag in ("tab", "line-break"):
                yield "\t" if element.tag == "tab" else "\n"
            elif element.tag == "note":
                self._notes.append(element)
                yield f" [{len(self._notes)}]"
            elif element.tag not in _NOT_TEXT and element.tag != "text-box":
                yield from self._inline(element)
            yield element.tail or ""

    def _add_notes(self) -> None:
        # A note may hold another, which then joins the list.
        for number, note in enumerate(self._notes, start=1):
            body = child(note, "note-body")
            text = one_line(self._flat(body)) if body is not None else ""
            self._composer.block(f"[{number}] {text}")


def _paragraphs(parent: Element) -> Iterator[Element]:
    """Yield the paragraphs at any depth, without those of notes and comments."""
    for element in parent:
        if element.tag in ("p", "h"):
            yield element
            for box in _boxes(element):
                yield from _paragraphs(box)
        elif element.tag not in _NOT_TEXT:
            yield from _paragraphs(element)


def _boxes(parent: Element) -> Iterator[Element]:
    """Yield the text boxes that are anchored in a paragraph."""
    for element in parent:
        if element.tag == "text-box":
            yield element
        elif element.tag not in _NOT_TEXT and element.tag != "note":
            yield from _boxes(element)


def _rows(parent: Element) -> Iterator[Element]:
    for element in parent:
        if element.tag == "table-row":
            yield element
        elif element.tag in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _rows(element)


def _repeats(element: Element, name: str) -> int:
    value = attribute(element, name) or "1"
    return int(value) if value.isdecimal() and len(value) < 9 else 1


def _numbered_lists(roots: list[Element]) -> set[tuple[str, int]]:
    """Return which levels of which list styles are numbered."""
    return {
        (attribute(style, "name") or "", int(level))
        for root in roots
        for style in root.iter("list-style")
        for one in children(style, "list-level-style-number")
        if (level := attribute(one, "level") or "").isdecimal() and len(level) < 9 and attribute(one, "num-format")
    }


def _properties(archive: Archive, *, name: str) -> tuple[str | None, dict[str, MetadataValue]]:
    data = archive.read("meta.xml")
    root = parse_xml(data, name=name) if data else None
    if root is None:
        return None, {}
    title, author = descendant(root, "title"), descendant(root, "initial-creator")
    author = author if author is not None else descendant(root, "creator")
    writer = one_line(author.text if author is not None else None)
    metadata: dict[str, MetadataValue] = {"author": writer} if 0 < len(writer) <= 500 else {}
    return proper_title(title.text if title is not None else None), metadata
