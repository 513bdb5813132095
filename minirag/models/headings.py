"""The outline of a Markdown text: its front matter, headings and fenced code, as offsets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Heading", "MarkdownOutline", "heading_path", "markdown_outline"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_ATX = re.compile(r" {0,3}(#{1,6})(?=[ \t]|\Z)")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*\Z")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)\Z")
# Lines that cannot be the text of an underlined heading: quotes, lists, tables, indented code, HTML.
_NOT_PARAGRAPH = re.compile(r"(?: {4}|\t| {0,3}(?:>|[-*+][ \t]|\d{1,9}[.)][ \t]|\||<))")
_FRONT_MATTER = re.compile(
    r"---[ \t]*(?:\r\n|\r|\n)(.*?)^(?:---|\.\.\.)[ \t]*(?:\r\n|\r|\n|\Z)", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: code points `start` to `end` of its text, without the line end."""

    start: int
    end: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class MarkdownOutline:
    """What structures a Markdown text.

    Attributes:
        front_matter: the offsets of the lines between the two `---` at the start, or None.
        headings: in order.
        code: the offsets of fenced code, with its fences.
    """

    front_matter: tuple[int, int] | None
    headings: tuple[Heading, ...]
    code: tuple[tuple[int, int], ...]


def markdown_outline(text: str) -> MarkdownOutline:
    """Return the front matter, headings (`#` and underlined) and fenced code of a text.

    Follows https://spec.commonmark.org/0.31.2/ for these at the top level; it looks into no list and no quote.
    """
    front = _FRONT_MATTER.match(text)
    headings: list[Heading] = []
    code: list[tuple[int, int]] = []
    fence: tuple[str, int] | None = None  # the opening marks and where the block began
    paragraph: int | None = None  # where the paragraph that an underline would make a heading began
    previous_end = 0
    for start, end, line in _lines(text, front.end() if front else 0):
        if fence is not None:
            closing = _FENCE.match(line)
            if closing and closing[1].startswith(fence[0]) and not closing[2].strip():
                code.append((fence[1], end))
                fence = None
        elif (opening := _FENCE.match(line)) and not (opening[1][0] == "`" and "`" in opening[2]):
            fence, paragraph = (opening[1], start), None
        elif atx := _ATX.match(line):
            headings.append(Heading(start, end, len(atx[1]), _atx_title(line[atx.end() :])))
            paragraph = None
        elif paragraph is not None and (underline := _SETEXT.match(line)):
            title = " ".join(text[paragraph:previous_end].split())
            headings.append(Heading(paragraph, end, 1 if underline[1][0] == "=" else 2, title))
            paragraph = None
        elif not line.strip():
            paragraph = None
        elif paragraph is None and not _NOT_PARAGRAPH.match(line):
            paragraph = start
        previous_end = end
    if fence is not None:
        code.append((fence[1], len(text)))
    return MarkdownOutline(front.span(1) if front else None, tuple(headings), tuple(code))


def heading_path(path: tuple[tuple[int, str], ...], level: int, title: str) -> tuple[tuple[int, str], ...]:
    """Return the path of headings, as `(level, title)`, after one more heading: it replaces its equals and deeper ones."""
    return (*(step for step in path if step[0] < level), (level, title))


def _atx_title(written: str) -> str:
    """Return a heading's title without its closing marks, which white space must precede."""
    title = written.strip()
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else title


def _lines(text: str, position: int) -> Iterator[tuple[int, int, str]]:
    """Yield each line's start, its end and its text, both without the line end."""
    while position < len(text):
        match = _LINE.match(text, position)
        assert match is not None
        line = match[0].rstrip("\r\n")
        yield position, position + len(line), line
        position = match.end()
