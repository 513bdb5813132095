"""Markdown: the decoded file, unchanged, with its headings, code blocks and front matter."""

from __future__ import annotations

import datetime as dt
import re

from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext, Span
from minirag.models.headings import markdown_outline
from minirag.providers.parsers.decoding import decode_file
from minirag.types import MetadataValue

__all__ = ["MarkdownParser", "create"]

_NAME = re.compile(r"[A-Za-z_][\w .-]{0,99}\Z")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})\Z")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_TITLE_LIMIT = 2000


class MarkdownParser(Parser):
    """Reads Markdown. Its front matter becomes metadata where it is plain `name: value` lines."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the decoded file; its title is the front matter's, or the first heading of level 1."""
        decoded = decode_file(file)
        text = decoded.text
        outline = markdown_outline(text)
        metadata = _front_matter(text[slice(*outline.front_matter)]) if outline.front_matter else {}
        named = metadata.pop("title", None)
        title = str(named) if named is not None else ""
        title = title or next((heading.title for heading in outline.headings if heading.level == 1), "")
        spans = [
            Span("heading", heading.start, heading.end, number=heading.level, label=heading.title)
            for heading in outline.headings
        ]
        spans += [Span("code", start, end) for start, end in outline.code]
        return ParsedDocument(
            text,
            "text/markdown",
            title=title[:_TITLE_LIMIT] or None,
            spans=tuple(spans),
            metadata=metadata,
            warnings=decoded.warnings,
        )


def create(options: None, context: ProviderContext) -> MarkdownParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of Markdown."""
    return MarkdownParser()


def _front_matter(block: str) -> dict[str, MetadataValue]:
    """Return the fields of YAML front matter that are one plain value each; nested ones are left out."""
    fields: dict[str, MetadataValue] = {}
    for line in block.splitlines():
        name, colon, written = line.partition(":")
        value = written.strip()
        # An indented line belongs to a nested value, and these marks begin one.
        if colon and _NAME.match(name) and written[:1].isspace() and value and value[0] not in "[{|>&*!#%@`":
            fields[name.rstrip()] = _value(value)
    return fields


def _value(written: str) -> MetadataValue:
    quote = written[0]
    if quote in "\"'" and (close := written.find(quote, 1)) > 0:
        return written[1:close]
    plain = re.sub(r"[ \t]#.*", "", written).rstrip()
    if plain.lower() in ("true", "false"):
        return plain.lower() == "true"
    if plain.lower() in ("null", "~"):
        return None
    if _INTEGER.match(plain):
        return int(plain)
    if _DATE.match(plain):
        try:
            return dt.date.fromisoformat(plain)
        except ValueError:
            return plain
    return plain
