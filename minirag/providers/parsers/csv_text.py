"""CSV and TSV: the decoded file, unchanged, with its rows as spans."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext, Span
from minirag.models.formats import extension_of
from minirag.providers.parsers.decoding import decode_file
from minirag.types import MetadataValue

__all__ = ["CsvParser", "create"]

_DELIMITERS = ",;\t|"
_COLUMNS_LIMIT = 200
_NAME_LIMIT = 200


class CsvParser(Parser):
    """Reads tables of separated values; a row may run over several lines inside quotes."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the decoded file; each row is a `row`, and the header's names are the metadata `columns`."""
        decoded = decode_file(file)
        tabs = extension_of(file.name) in (".tsv", ".tab") or file.media_type == "text/tab-separated-values"
        delimiter = "\t" if tabs else _delimiter(decoded.text)
        warnings = decoded.warnings
        try:
            rows = list(_rows(decoded.text, delimiter))
        except csv.Error as problem:
            rows = list(_lines(decoded.text))
            warnings = (*warnings, f"not readable as separated values ({problem}); each line was taken as a row")
        spans = tuple(
            Span("row", start, end, number=number)
            for number, (start, end, _) in enumerate(rows, start=1)
            if end > start
        )
        header = rows[0][2] if rows else []
        metadata: dict[str, MetadataValue] = {"columns": header} if _names_columns(header, len(rows)) else {}
        media_type = "text/tab-separated-values" if tabs else "text/csv"
        return ParsedDocument(decoded.text, media_type, spans=spans, metadata=metadata, warnings=warnings)


def create(options: None, context: ProviderContext) -> CsvParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of separated values."""
    return CsvParser()


def _delimiter(text: str) -> str:
    first = text.lstrip().split("\n", 1)[0]
    return max(_DELIMITERS, key=lambda delimiter: (first.count(delimiter), delimiter == ","))


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each row's start and end in the text, and its cells."""
    consumed = 0

    def lines() -> Iterator[str]:
        nonlocal consumed
        for line in io.StringIO(text, newline=""):
            consumed += len(line)
            yield line

    start = 0
    for cells in csv.reader(lines(), delimiter=delimiter):
        end = start + len(text[start:consumed].rstrip("\r\n"))
        yield start, end, cells
        start = consumed


def _lines(text: str) -> Iterator[tuple[int, int, list[str]]]:
    position = 0
    for line in io.StringIO(text, newline=""):
        yield position, position + len(line.rstrip("\r\n")), []
        position += len(line)


def _names_columns(cells: list[str], rows: int) -> bool:
    """Return whether a first row reads like a header: different, short names that are not numbers, above other rows."""
    names = [cell.strip() for cell in cells]
    if rows < 2 or not 1 < len(names) <= _COLUMNS_LIMIT or len(set(names)) < len(names):
        return False
    return all(name and len(name) <= _NAME_LIMIT and not name[0].isdigit() and name[0] not in "+-." for name in names)
