"""RTF: the text of Rich Text Format, with headings, lists, table rows and footnotes."""

from __future__ import annotations

import re
from typing import Final

from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.models.formats import MEDIA_TYPES
from minirag.providers.parsers.archive import translated
from minirag.providers.parsers.composing import Composer, one_line, proper_title
from minirag.providers.parsers.rtf_groups import CHARSETS, DESTINATIONS, SYMBOLS, Group, Out, codec_of
from minirag.types import MetadataValue

__all__ = ["RtfParser", "create"]

_WHAT: Final = "RTF"
_TOKEN = re.compile(
    r"\\([A-Za-z]{1,32})(-?[0-9]{1,9})?[ ]?|\\'([0-9A-Fa-f]{2})|\\([^A-Za-z])|([{}])|[\r\n\0]+|([^\\{}\r\n\0]+)",
    re.DOTALL,
)
_GROUPS_LIMIT: Final = 1000
_TOKENS_LIMIT: Final = 20_000_000
_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)


class RtfParser(Parser):
    """Reads RTF of all versions. Pictures, embedded objects, headers and footers are left out."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the document's text, with its headings and table rows as spans; footnotes stand at the end.

        Raises:
            NoTextError: if it has no text.
            ParseError: if it is no RTF or is cut off.
        """
        with translated(file, _WHAT):
            start = file.data[:100].find(b"{\\rtf")
            if start < 0 or file.data[:start].strip(b"\xef\xbb\xbf \t\r\n"):
                what = "is no RTF document; give it the extension of its real format" if file.data else "is empty"
                raise ParseError(f"{file.name!r} {what}")
            reader = _Reader(Composer(file.name))
            reader.read(file.data[start:].decode("latin-1"))
            return reader.finish()


def create(options: None, context: ProviderContext) -> RtfParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of RTF."""
    return RtfParser()


class _Reader:
    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._body = Out()
        self._group = Group(out=self._body)
        self._stack: list[Group] = []
        self._fonts: dict[int, str] = {}
        self._levels: dict[int, int] = {}
        self._default = "cp1252"
        self._default_font = 0
        self._skip = 0  # how many of the next characters stand in for a Unicode one
        self._cells: list[str] = []
        self._notes: list[Out] = []
        self._named = {"title": Out(), "author": Out()}
        # Of the paragraph:
        self._level = self._depth = 0
        self._in_table = False
        self._marker = Out()

    def read(self, source: str) -> None:
        """Add the document to the composer."""
        position = tokens = 0
        while position < len(source):
            token = _TOKEN.match(source, position)
            tokens += 1
            if token is None or tokens > _TOKENS_LIMIT:
                break
            position = token.end()
            word, number, byte, symbol, brace, text = token.groups()
            if text is not None:
                self._text(text)
            elif word is not None:
                if word == "bin":
                    position += max(0, int(number or 0))
                elif self._skip:
                    self._skip -= 1
                else:
                    self._word(word, int(number) if number else None)
            elif byte is not None:
                self._text(chr(int(byte, 16)))
            elif symbol is not None:
                self._symbol(symbol)
            elif brace == "{":
                self._open()
            elif brace == "}":
                self._close()
                if not self._stack:
                    self._end_paragraph()
                    return
        if tokens > _TOKENS_LIMIT:
            raise ParseError(f"{self._composer.name!r} has more than {_TOKENS_LIMIT:,} RTF words; split it")
        raise ParseError(f"{self._composer.name!r} is cut off: its last part is missing; get it anew")

    def finish(self) -> ParsedDocument:
        """Return the document."""
        for number, note in enumerate(self._notes, start=1):
            self._composer.block(f"[{number}] {one_line(note.text())}")
        author = one_line(self._named["author"].text())
        metadata: dict[str, MetadataValue] = {"author": author} if 0 < len(author) <= 500 else {}
        title = proper_title(self._named["title"].text()) or self._composer.first_heading()
        return self._composer.finish(MEDIA_TYPES["rtf"][0], title=title, metadata=metadata)

    def _open(self) -> None:
        self._skip = 0
        if len(self._stack) >= _GROUPS_LIMIT:
            raise ParseError(f"{self._composer.name!r} nests more than {_GROUPS_LIMIT:,} groups; save it anew")
        self._stack.append(self._group)
        self._group = self._group.inner()

    def _close(self) -> None:
        self._skip = 0
        closed, self._group = self._group, self._stack.pop()
        if closed.destination == "stylesheet" and closed.style is not None:
            name = closed.out.text().strip(" ;")
            match = _HEADING.fullmatch(name)
            level = int(match[1]) if match else 1 if name.lower() == "title" else closed.level
            self._levels[closed.style] = level

    def _text(self, text: str) -> None:
        if self._skip:
            skipped = min(self._skip, len(text))
            self._skip -= skipped
            text = text[skipped:]
        group = self._group
        if text and group.destination != "skip" and not group.hidden and group.destination != "fonts":
            group.out.write_bytes(text.encode("latin-1"), self._codec())

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._group.optional = True
        elif symbol in "\r\n":
            self._word("par", None)
        elif symbol in "\\{}~_":
            self._text({"~": " ", "_": "-"}.get(symbol, symbol))

    def _codec(self) -> str:
        return self._fonts.get(self._group.font if self._group.font is not None else self._default_font, self._default)

    def _word(self, word: str, number: int | None) -> None:
        group = self._group
        if group.optional:
            group.optional = False
            if word not in DESTINATIONS:
                group.destination = "skip"
        if group.destination == "skip":
            return
        on = number != 0
        if word in DESTINATIONS:
            self._enter(word)
        elif word in SYMBOLS:
            self._write(SYMBOLS[word])
        elif word == "u":
            self._write(chr((number or 0) % 65536))
            self._skip = group.fallback
        elif word == "uc":
            group.fallback = max(0, number or 0)
        elif word == "f":
            group.font = number
        elif word == "fcharset":
            if group.destination == "fonts" and group.font is not None and number in CHARSETS:
                self._fonts[group.font] = CHARSETS[number]
        elif word == "ansicpg":
            self._default = codec_of(number) or self._default
        elif word in ("mac", "pc", "pca"):
            self._default = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}[word]
        elif word == "deff":
            self._default_font = number or 0
        elif word in ("v", "deleted"):
            group.hidden = on
        elif word == "plain":
            group.font, group.hidden = None, False
        elif group.destination == "stylesheet":
            if word == "s":
                group.style = number
            elif word == "outlinelevel":
                group.level = (number or 0) + 1
        elif group.out is self._body:
            self._layout(word, number or 0)
        elif word in ("par", "line", "tab"):
            self._write("\n")

    def _layout(self, word: str, number: int) -> None:
        if word == "pard":
            self._level = self._depth = 0
            self._in_table = False
        elif word == "s":
            self._level = self._levels.get(number, 0)
        elif word == "outlinelevel":
            self._level = number + 1 if 0 <= number < 9 else 0
        elif word == "ilvl":
            self._depth = number
        elif word == "intbl":
            self._in_table = True
        elif word in ("par", "sect", "page"):
            if self._in_table:
                self._write("\n")
            else:
                self._end_paragraph()
        elif word in ("line", "nestcell"):
            self._write("\n")
        elif word == "cell":
            self._cells.append(self._marker.take() + self._body.take())
        elif word == "row":
            self._end_row()

    def _enter(self, word: str) -> None:
        """Begin what a group holds apart from the text around it."""
        group = self._group
        kind = DESTINATIONS[word]
        group.destination = kind
        if kind in ("title", "author"):
            group.out = self._named[kind]
        elif kind == "marker":
            group.out = self._marker = Out()
        elif kind == "note":
            self._notes.append(Out())
            self._write(f" [{len(self._notes)}]")
            group.out = self._notes[-1]
        elif kind in ("stylesheet", "info"):
            group.out = Out()

    def _write(self, text: str) -> None:
        group = self._group
        if group.destination not in ("skip", "fonts") and not group.hidden:
            group.out.write(text)

    def _end_paragraph(self) -> None:
        if self._cells and not self._in_table:
            self._end_row()
        text, marker = self._body.take(), one_line(self._marker.take())
        if self._level:
            self._composer.heading(text, level=self._level)
        elif marker:
            shown = f"{marker} " if marker[0].isalnum() or marker[0] == "(" else "- "
            self._composer.item(text, depth=self._depth, marker=shown)
        else:
            self._composer.block(text)

    def _end_row(self) -> None:
        cells, self._cells = self._cells, []
        self._composer.row(cells)
