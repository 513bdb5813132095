"""JSON and JSON lines: the decoded file, unchanged, once it is known to be well formed."""

from __future__ import annotations

import io
import json

from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext, Span
from minirag.models.formats import extension_of
from minirag.providers.parsers.decoding import decode_file

__all__ = ["JsonParser", "create"]

_LINES_MEDIA_TYPE = "application/x-ndjson"


class JsonParser(Parser):
    """Reads JSON documents, and files that hold one JSON value a line."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the decoded file; in JSON lines each line is a `row`.

        Raises:
            ParseError: if it is not JSON; the message names the line and column.
        """
        decoded = decode_file(file)
        by_line = extension_of(file.name) in (".jsonl", ".ndjson") or file.media_type in (
            _LINES_MEDIA_TYPE,
            "application/jsonl",
        )
        if not by_line:
            _check(decoded.text, file.name, line=1)
            return ParsedDocument(decoded.text, "application/json", warnings=decoded.warnings)
        spans: list[Span] = []
        position = 0
        for number, line in enumerate(io.StringIO(decoded.text, newline=""), start=1):
            if line.strip():
                _check(line, file.name, line=number)
                spans.append(Span("row", position, position + len(line.rstrip("\r\n")), number=number))
            position += len(line)
        return ParsedDocument(decoded.text, _LINES_MEDIA_TYPE, spans=tuple(spans), warnings=decoded.warnings)


def create(options: None, context: ProviderContext) -> JsonParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of JSON."""
    return JsonParser()


def _check(text: str, name: str, *, line: int) -> None:
    try:
        # Numbers are not converted: an integer of a million digits is valid JSON.
        json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as problem:
        place = f"line {problem.lineno + line - 1}, column {problem.colno}"
        raise ParseError(
            f"{name!r} is not valid JSON: {problem.msg} at {place}; correct it, or rename it to .txt"
        ) from None
    except RecursionError as problem:
        raise ParseError(
            f"{name!r} is nested too deeply to be read as JSON; rename it to .txt to index it as it is"
        ) from problem
