"""XLSX: the sheets of a workbook, row by row, as the cells show them."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element

from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.models.formats import MEDIA_TYPES
from minirag.providers.parsers.archive import Archive, translated
from minirag.providers.parsers.composing import Composer, one_line
from minirag.providers.parsers.office_open import document_properties, main_part, relationships
from minirag.providers.parsers.xlsx_numbers import NumberFormats
from minirag.providers.parsers.xml_tree import BoundedXml, attribute, child, children, descendant, parse_xml, read_xml

__all__ = ["XlsxParser", "create"]

_WHAT: Final = "XLSX"
_CELLS_LIMIT: Final = 20_000_000
# Empty cells are kept so that columns stay aligned, but a lone cell far out does not make thousands of them.
_GAP_LIMIT: Final = 30


class XlsxParser(Parser):
    """Reads workbooks. Formulas give the value that was last calculated; nothing is calculated here."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the sheets' text: the sheet's name as a heading and each row as a `row` with its number.

        Cells are joined by ` | `. Dates are written as in ISO 8601. The first row of a single sheet is the metadata
        `columns` where it reads like a header. Hidden sheets are left out, with a warning.

        Raises:
            NoTextError: if no sheet has a cell.
            ParseError: if it is broken, needs a password or expands beyond all proportion.
        """
        with translated(file, _WHAT):
            archive = Archive(file, _WHAT)
            part, root = main_part(archive, "xl/workbook.xml", tag="workbook", name=file.name)
            parts = relationships(archive, part, name=file.name)
            by_kind = dict(parts.values())
            strings = _shared_strings(archive, by_kind.get("sharedStrings", ""), name=file.name)
            styles = archive.read(by_kind.get("styles", ""))
            properties = child(root, "workbookPr")
            formats = NumberFormats(
                parse_xml(styles, name=file.name) if styles else None,
                from_1904=properties is not None and properties.get("date1904") in ("1", "true"),
            )
            composer = Composer(file.name)
            hidden = 0
            headers = []
            for sheet in children(child(root, "sheets"), "sheet"):
                kind, target = parts.get(attribute(sheet, "relationships}id") or "", ("", ""))
                if kind != "worksheet":
                    continue
                if sheet.get("state", "visible") != "visible":
                    hidden += 1
                    continue
                reader = _Sheet(composer, sheet.get("name", ""), strings, formats)
                read_xml(archive.require(target), reader)
                composer.end_of_rows()
                headers += [reader.header] if reader.rows else []
            title, metadata = document_properties(archive, name=file.name)
            if len(headers) == 1 and _names_columns(headers[0]):
                metadata = {**metadata, "columns": headers[0]}
            warnings = (f"hidden sheets that were not read: {hidden}",) if hidden else ()
            return composer.finish(MEDIA_TYPES["xlsx"][0], title=title, metadata=metadata, warnings=warnings)


def create(options: None, context: ProviderContext) -> XlsxParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of XLSX."""
    return XlsxParser()


class _Sheet(BoundedXml):
    """Reads a sheet while its XML comes in, so that memory goes with its text and not with its elements."""

    elements_limit = _CELLS_LIMIT

    def __init__(self, composer: Composer, name: str, strings: list[str], formats: NumberFormats) -> None:
        super().__init__(composer.name)
        self.rows = 0
        self.header: list[str] = []
        self._composer = composer
        self._sheet = name
        self._strings = strings
        self._formats = formats
        self._cells: list[str] = []
        self._characters = 0
        self._number = 0
        self._kind = self._style = ""
        self._column = 0
        self._value: list[str] = []
        self._collecting = False
        self._phonetic = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take in the start of an element."""
        tag = self.opened(tag)
        if tag == "row":
            number = attributes.get("r", "")
            self._number = int(number) if number.isdecimal() and len(number) < 9 else self._number + 1
            self._cells, self._characters = [], 0
        elif tag == "c":
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "0")
            self._column = _column(attributes.get("r", ""))
            self._value = []
        elif tag in ("v", "t"):
            self._collecting = not self._phonetic
        elif tag == "rPh":
            self._phonetic = True

    def data(self, text: str) -> None:
        """Take in text."""
        if self._collecting:
            self._value.append(text)

    def end(self, tag: str) -> None:
        """Take in the end of an element."""
        tag = self.closed(tag)
        if tag in ("v", "t"):
            self._collecting = False
        elif tag == "rPh":
            self._phonetic = False
        elif tag == "c":
            shown = self._shown("".join(self._value))
            if shown:
                self._cells += [""] * min(_GAP_LIMIT, max(0, self._column - 1 - len(self._cells)))
                self._cells.append(shown)
                self._characters += len(shown) + 3
                self._composer.check(self._characters)
        elif tag == "row" and self._cells:
            if not self.rows:
                self._composer.heading(self._sheet, level=1)
                self._composer.end_of_rows()
                self.header = self._cells
            self.rows += 1
            self._composer.row(self._cells, number=self._number)

    def _shown(self, value: str) -> str:
        if self._kind == "s":
            if not value.strip().isdecimal() or int(value) >= len(self._strings):
                raise ParseError(f"{self.name!r}: a cell refers to a text that is missing; open it and save it anew")
            return self._strings[int(value)]
        if self._kind == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(value, value)
        return self._formats.shown(value, self._style) if self._kind == "n" else one_line(value)


def _shared_strings(archive: Archive, part: str, *, name: str) -> list[str]:
    data = archive.read(part)
    root = parse_xml(data, name=name) if data else None
    return [one_line("".join(_texts(item))) for item in children(root, "si")]


def _texts(item: Element) -> list[str]:
    """Return the parts of a text that is formatted in parts, without its pronunciation."""
    runs = [one for one in item if one.tag in ("t", "r")]
    return [text.text or "" for run in runs if (text := descendant(run, "t")) is not None]


def _column(reference: str) -> int:
    """Return the number of the column in a reference such as `AB12`, from 1, or 0 if it is none."""
    letters = reference.rstrip("0123456789")
    if not letters.isascii() or not letters.isalpha() or len(letters) > 3:
        return 0
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def _names_columns(names: list[str]) -> bool:
    """Return whether a first row reads like a header: different, short names that are not numbers."""
    if not 1 < len(names) <= 200 or len(set(names)) < len(names):
        return False
    return all(name and len(name) <= 200 and not name[0].isdigit() and name[0] not in "+-." for name in names)
