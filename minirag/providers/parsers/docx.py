"""DOCX: the text of a Word document, with headings, lists, table rows and notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.models.formats import MEDIA_TYPES
from minirag.providers.parsers.archive import Archive, translated
from minirag.providers.parsers.composing import Composer, one_line
from minirag.providers.parsers.docx_styles import ListMarkers, ParagraphStyles
from minirag.providers.parsers.office_open import document_properties, main_part, relationships
from minirag.providers.parsers.xml_tree import attribute, child, children, parse_xml

__all__ = ["DocxParser", "create"]

_WHAT: Final = "DOCX"
# Not shown: properties, field codes, what was deleted or moved away, and the second rendering of a drawing.
_NOT_TEXT: Final = frozenset(
    ("pPr", "rPr", "tblPr", "trPr", "tcPr", "sdtPr", "instrText", "delText", "del", "moveFrom", "Fallback", "rt")
)
_CHARACTERS: Final = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_NOTES: Final = {"footnoteReference": "footnotes", "endnoteReference": "endnotes"}


class DocxParser(Parser):
    """Reads Word documents as they are shown: insertions are text, deletions and hidden text are not.

    Headers, footers and comments are left out, and macros are never looked at.
    """

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the document's text, with its headings and table rows as spans; notes stand at the end.

        Raises:
            NoTextError: if it has no text.
            ParseError: if it is broken, needs a password or expands beyond all proportion.
        """
        with translated(file, _WHAT):
            archive = Archive(file, _WHAT)
            title, metadata = document_properties(archive, name=file.name)
            composer = Composer(file.name)
            _Document(archive, composer).read()
            title = title or composer.first_heading()
            return composer.finish(MEDIA_TYPES["docx"][0], title=title, metadata=metadata)


def create(options: None, context: ProviderContext) -> DocxParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of DOCX."""
    return DocxParser()


class _Document:
    def __init__(self, archive: Archive, composer: Composer) -> None:
        self._composer = composer
        self._name = composer.name
        part, root = main_part(archive, "word/document.xml", tag="document", name=self._name)
        self._body = child(root, "body")
        parts = dict(relationships(archive, part, name=self._name).values())

        def related(kind: str) -> Element | None:
            data = archive.read(parts[kind]) if kind in parts else None
            return parse_xml(data, name=self._name) if data else None

        self._styles = ParagraphStyles(related("styles"))
        self._markers = ListMarkers(related("numbering"))
        self._notes = {
            (kind, attribute(note, "id")): note
            for kind in _NOTES.values()
            for note in children(related(kind), "footnote", "endnote")
        }
        self._referred: list[tuple[str, str | None]] = []
        self._numbers: dict[tuple[str, str | None], int] = {}
        self._boxes: list[Element] = []

    def read(self) -> None:
        """Add the document to the composer."""
        if self._body is not None:
            self._blocks(self._body)
        # A note may refer to another, which then joins the list: each is written once.
        for key in self._referred:
            self._composer.block(f"[{self._numbers[key]}] {one_line(self._flat(self._notes[key]))}")

    def _blocks(self, parent: Element) -> None:
        for element in parent:
            if element.tag == "p":
                self._paragraph(element)
            elif element.tag == "tbl":
                self._table(element)
            elif element.tag not in _NOT_TEXT:
                self._blocks(element)

    def _paragraph(self, paragraph: Element) -> None:
        text = "".join(self._inline(paragraph))
        boxes, self._boxes = self._boxes, []
        level = self._styles.level(paragraph)
        numbering = None if level else self._styles.numbering(paragraph)
        if level:
            self._composer.heading(text, level=level)
        elif numbering is not None and text.strip():
            self._composer.item(text, depth=numbering[1], marker=self._markers.marker(*numbering))
        else:
            self._composer.block(text)
        for box in boxes:
            self._blocks(box)

    def _table(self, table: Element) -> None:
        rows = list(_within(table, "tr"))
        if len(rows) == 1 and len(cells := list(_within(rows[0], "tc"))) == 1:
            self._blocks(cells[0])  # a box around text, not a table
            return
        self._composer.end_of_rows()
        for row in rows:
            self._composer.row(self._flat(cell) for cell in _within(row, "tc"))
        self._composer.end_of_rows()

    def _flat(self, parent: Element) -> str:
        """Return the text of several paragraphs, parted by line ends."""
        texts: list[str] = []
        for paragraph in _paragraphs(parent):
            texts.extend(("".join(self._inline(paragraph)), "\n"))
            self._boxes.clear()  # their paragraphs are met on this same way
        return "".join(texts)

    def _inline(self, parent: Element) -> Iterator[str]:
        for element in parent:
            tag = element.tag
            if tag == "t":
                yield element.text or ""
            elif tag in _CHARACTERS:
                yield _CHARACTERS[tag]
            elif tag in _NOTES:
                yield self._note(_NOTES[tag], attribute(element, "id"))
            elif tag == "txbxContent":
                self._boxes.append(element)
            elif tag not in _NOT_TEXT and not (tag == "r" and _is_hidden(element)):
                yield from self._inline(element)

    def _note(self, kind: str, identifier: str | None) -> str:
        key = (kind, identifier)
        if key not in self._notes:
            return ""
        if key not in self._numbers:
            self._referred.append(key)
            self._numbers[key] = len(self._referred)
        return f" [{self._numbers[key]}]"


def _paragraphs(parent: Element) -> Iterator[Element]:
    """Yield the paragraphs at any depth, those of text boxes too."""
    for element in parent:
        if element.tag == "p":
            yield element
        if element.tag not in _NOT_TEXT:
            yield from _paragraphs(element)


def _within(parent: Element, tag: str) -> Iterator[Element]:
    """Yield the rows of a table or the cells of a row, those in content controls and insertions too."""
    for element in parent:
        if element.tag == tag:
            yield element
        elif element.tag in ("sdt", "sdtContent", "ins", "moveTo", "customXml"):
            yield from _within(element, tag)


def _is_hidden(run: Element) -> bool:
    vanish = child(run, "rPr", "vanish")
    return vanish is not None and (attribute(vanish, "val") or "true").lower() not in ("0", "false", "off")
