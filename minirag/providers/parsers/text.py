"""Plain text: the decoded file, unchanged."""

from __future__ import annotations

from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.providers.parsers.decoding import decode_file

__all__ = ["TextParser", "create"]


class TextParser(Parser):
    """Reads text in any common encoding, source code included."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the decoded file."""
        decoded = decode_file(file)
        return ParsedDocument(decoded.text, "text/plain", warnings=decoded.warnings)


def create(options: None, context: ProviderContext) -> TextParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of plain text."""
    return TextParser()
