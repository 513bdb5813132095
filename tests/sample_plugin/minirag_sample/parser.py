"""A parser of subtitles in SubRip files."""

from __future__ import annotations

import re
from typing import Final

from minirag.errors import NoTextError, ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext, Span

__all__ = ["SubtitleParser", "create"]

_TIME: Final = r"\d+:\d\d:\d\d[,.]\d{3}"
_CAPTION: Final = re.compile(rf"\s*\d+[ \t]*\n{_TIME} --> {_TIME}[^\n]*\n(.*)", re.DOTALL)
_BLANK_LINES: Final = re.compile(r"\n(?:[ \t]*\n)+")
_MARK_UP: Final = re.compile(r"</?[bisu]>")


class SubtitleParser(Parser):
    """Reads what is said, without numbers and times; each caption is a row, before which chunkers like to cut."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the captions, a line each."""
        try:
            content = file.data.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            # Not chained: that error holds the whole file, and messages must hold nothing of it.
            raise ParseError(f"{file.name!r} is not UTF-8: see byte {problem.start:,}") from None
        if not content.strip():
            raise NoTextError(f"{file.name!r} is empty")
        lines: list[str] = []
        spans: list[Span] = []
        length = strange = 0
        blocks = _BLANK_LINES.split(content.replace("\r\n", "\n").replace("\x00", "\ufffd").strip())
        for number, block in enumerate(blocks, start=1):
            caption = _CAPTION.fullmatch(block)
            line = " ".join(_MARK_UP.sub("", caption[1]).split()) if caption else ""
            strange += not caption
            if line:
                spans.append(Span("row", length, length + len(line), number=number))
                lines.append(line)
                length += len(line) + 1
        if strange == len(blocks):
            raise ParseError(f"{file.name!r} holds no caption: a number, a line of two times, and text")
        if not lines:
            raise NoTextError(f"{file.name!r} has only captions without text")
        warnings = (f"left out {strange:,} paragraphs that are no captions",) if strange else ()
        return ParsedDocument("\n".join(lines), "application/x-subrip", spans=tuple(spans), warnings=warnings)


def create(options: None, context: ProviderContext) -> SubtitleParser:
    """Return the parser; it takes no options and needs nothing from the context."""
    return SubtitleParser()
