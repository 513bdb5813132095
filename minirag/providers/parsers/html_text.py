"""A parsed HTML tree as readable text: paragraphs, lists, table rows and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from selectolax.lexbor import LexborNode

from minirag.interfaces import Span

__all__ = ["RenderedHtml", "is_hidden", "render"]

_SPACE = re.compile(r"[ \t\n\r\f\u00a0]+")
_HIDDEN_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
# How many line ends part a block from its neighbours.
_BLOCKS: Final = {
    **dict.fromkeys(
        [
            "p",
            "div",
            "section",
            "article",
            "main",
            "header",
            "footer",
            "nav",
            "aside",
            "form",
            "fieldset",
            "ul",
            "ol",
            "dl",
            "table",
            "blockquote",
            "pre",
            "figure",
            "hr",
            "address",
            "details",
            "body",
            "center",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
        ],
        2,
    ),
    **dict.fromkeys(
        [
            "li",
            "tr",
            "dt",
            "dd",
            "br",
            "caption",
            "figcaption",
            "summary",
            "legend",
            "option",
            "thead",
            "tbody",
            "tfoot",
        ],
        1,
    ),
}
_NEVER_TEXT: Final = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "head",
        "svg",
        "canvas",
        "iframe",
        "object",
        "audio",
        "video",
        "map",
        "select",
        "button",
        "textarea",
        "datalist",
        "dialog",
        "title",
    ],
)
_INDENTS_LIMIT: Final = 8
# A table that holds one of these lays out a page; its cells are not joined into rows.
_LAYOUT: Final = frozenset((*_HEADINGS, "table", "ul", "ol", "pre", "section", "article", "main"))


@dataclass(frozen=True, slots=True)
class RenderedHtml:
    """The text of a tree, with spans for its headings, preformatted blocks and table rows.

    Attributes:
        main: where the text of the element asked for lies, or None.
        left_out: at most how many characters the dropped elements held.
    """

    text: str
    spans: tuple[Span, ...] = ()
    main: tuple[int, int] | None = None
    left_out: int = 0

    def part(self, start: int, end: int) -> RenderedHtml:
        """Return the text from `start` to `end` alone."""
        spans = (replace(span, start=span.start - start, end=span.end - start)
                 for span in self.spans if start <= span.start and span.end <= end)  # fmt: skip
        return RenderedHtml(self.text[start:end], tuple(spans))


@dataclass(slots=True)
class _Writer:
    """Text under construction: white space is held back until something follows it."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    breaks: int = 0
    space: bool = False
    prefix: str = ""

    def write(self, text: str, *, verbatim: bool = False) -> None:
        words = text if verbatim else _SPACE.sub(" ", text)
        if not verbatim:
            self.space |= words.startswith(" ")
            ends_with_space = len(words) > 1 and words.endswith(" ")
            words = words.strip(" ")
        if not words:
            return
        if self.breaks:
            self._append("\n" * self.breaks if self.length else "")
        elif self.space and self.length:
            self._append(" ")
        self._append(self.prefix + words)
        self.breaks, self.prefix = 0, ""
        self.space = False if verbatim else ends_with_space

    def part(self, line_ends: int) -> None:
        self.breaks, self.space = max(self.breaks, line_ends), False

    def next_position(self) -> int:
        """Where the next character will stand."""
        gap = (self.breaks or int(self.space)) if self.length else 0
        return self.length + gap + len(self.prefix)

    def text(self) -> str:
        return "".join(self.parts)

    def _append(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)


class _Renderer:
    """Walks a tree without recursion, so that depth costs no stack."""

    def __init__(self, dropped: frozenset[int], main: int | None) -> None:
        self.dropped = dropped
        self.main = main
        self.main_start: int | None = None
        self.main_span: tuple[int, int] | None = None
        self.left_out = 0
        self.writer = _Writer()
        self.spans: list[Span] = []
        self.lists: list[int | None] = []  # the next number of each open list, None where it has bullets
        self.rows: list[tuple[_Writer, list[str]] | None] = []  # per open table row: the writer outside, and its cells
        self.starts: list[int] = []  # where open headings and preformatted blocks begin
        self.preformatted = 0
        self.layout: set[int] = set()
        self.tables: list[int] = []

    def enter(self, node: LexborNode, tag: str) -> bool:
        """Write what comes before an element's children; return whether they are read."""
        if tag in _NEVER_TEXT:
            return False
        identity = node.mem_id
        if identity in self.dropped:
            self.left_out += len(_SPACE.sub(" ", node.text()))
            return False
        if tag == "table":
            self.tables.append(identity)
        elif tag in ("td", "th") and self.rows and self.rows[-1] is not None:
            self.writer = _Writer()
            return True
        elif tag in ("td", "th"):
            self._part(1)
        self._part(_BLOCKS.get(tag, 0))
        if identity == self.main:
            self.main_start = self.writer.next_position()
        if tag in ("ul", "ol"):
            self.lists.append(1 if tag == "ol" else None)
        elif tag == "li":
            self._mark_item()
        elif tag == "tr":
            joined = bool(self.tables) and self.tables[-1] not in self.layout
            self.rows.append((self.writer, []) if joined else None)
        elif tag in _HEADINGS or tag == "pre":
            self.preformatted += tag == "pre"
            self.starts.append(self.writer.next_position())
        return True

    def leave(self, node: LexborNode) -> None:
        """Write what comes after an element's children."""
        tag = node.tag or ""
        if self.main_start is not None and node.mem_id == self.main and self.main_start < self.writer.length:
            self.main_span = (self.main_start, self.writer.length)
        if tag in ("td", "th") and self.rows and self.rows[-1] is not None:
            outside, cells = self.rows[-1]
            cells.append(" ".join(self.writer.text().split()))
            self.writer = outside
            return
        if tag in ("ul", "ol") and self.lists:
            self.lists.pop()
            self.writer.prefix = ""
        elif tag == "li":
            self.writer.prefix = ""
        elif tag == "table" and self.tables:
            self.tables.pop()
        elif tag == "tr" and self.rows:
            row = self.rows.pop()
            if row is not None and any(row[1]):
                start = self.writer.next_position()
                self.writer.write(" | ".join(row[1]), verbatim=True)
                self._span("row", start)
        elif tag in _HEADINGS or tag == "pre":
            self.preformatted -= tag == "pre"
            start = self.starts.pop()
            self._span("code" if tag == "pre" else "heading", start, level=_HEADINGS.get(tag))
        self._part(_BLOCKS.get(tag, 0))

    def _part(self, line_ends: int) -> None:
        if line_ends:
            # Paragraphs of one list item stay together, and its marker stays with the first.
            self.writer.part(1 if self.lists and line_ends > 1 else line_ends)

    def _mark_item(self) -> None:
        number = self.lists[-1] if self.lists else None
        if number is not None:
            self.lists[-1] = number + 1
        marker = "- " if number is None else f"{number}. "
        self.writer.prefix = "  " * min(_INDENTS_LIMIT, max(0, len(self.lists) - 1)) + marker

    def _span(self, kind: Literal["heading", "code", "row"], start: int, level: int | None = None) -> None:
        end = self.writer.length
        if end > start:
            label = " ".join(_tail(self.writer.parts, end - start).split()) if kind == "heading" else None
            self.spans.append(Span(kind, start, end, number=level, label=label))


def render(root: LexborNode, *, dropped: frozenset[int] = frozenset(), main: int | None = None) -> RenderedHtml:
    """Return the text under `root`, without the elements whose `mem_id` is in `dropped`, and where that of `main` lies.

    Paragraphs are parted by blank lines, list items begin with `- ` or a number, the cells of a row are joined by ` | `,
    preformatted text is kept as it is, and all other white space is collapsed.
    """
    renderer = _Renderer(dropped, main)
    renderer.layout = _layout_tables(root)
    node: LexborNode | None = root
    while node is not None:
        if node.is_text_node:
            renderer.writer.write(node.text_content or "", verbatim=renderer.preformatted > 0)
            descend = False
        else:
            descend = node.is_element_node and renderer.enter(node, node.tag or "")
        child = node.first_child if descend else None
        if descend and child is None:
            renderer.leave(node)
        node = child if child is not None else _following(node, root, renderer)
    return RenderedHtml(renderer.writer.text(), tuple(renderer.spans), renderer.main_span, renderer.left_out)


def _following(node: LexborNode, root: LexborNode, renderer: _Renderer) -> LexborNode | None:
    """Return the next node after `node` and its children, leaving every element that ends before it."""
    current = node
    while current.mem_id != root.mem_id:
        if (sibling := current.next) is not None:
            return sibling
        parent = current.parent
        if parent is None:
            return None
        renderer.leave(parent)
        current = parent
    return None


def is_hidden(node: LexborNode) -> bool:
    """Return whether an element says of itself that it is not shown."""
    attributes = node.attributes
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or bool(_HIDDEN_STYLE.search(attributes.get("style") or ""))
    )


def _layout_tables(root: LexborNode) -> set[int]:
    """Return the tables that hold headings, lists or other tables."""
    found: set[int] = set()
    for node in root.css(",".join(f"td {tag}" for tag in sorted(_LAYOUT))):
        parent = node.parent
        while parent is not None and parent.mem_id not in found:
            if parent.tag == "table":
                found.add(parent.mem_id)
            parent = parent.parent
    return found


def _tail(parts: list[str], characters: int) -> str:
    taken: list[str] = []
    for part in reversed(parts):
        if characters <= 0:
            break
        taken.append(part[-characters:])
        characters -= len(part)
    return "".join(reversed(taken))
