"""What the sentences of a text say once its markup is left out. The extractive answerer says it; citations can find it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from minirag.models.markers import defuse_markers
from minirag.models.overlap import words_of
from minirag.models.sentences import sentence_spans

__all__ = ["Statement", "statements_of"]

_FENCE = re.compile(r"\s*(?:>\s*)*(`{3,}|~{3,})([^`]*)\Z")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|\Z)")
# Table rules, underlines and breaks between sections: `|---|:-:|`, `====`, `+---+`, `* * *`.
_RULE = re.compile(r"(?=(?:[^\S\n]*[-=:|+*_~]){3})[-=:|+*_~\s]+\Z")
# What only a program or a browser reads: prompts, the names of call-outs, targets of links, lone tags and comments.
_UNREADABLE = re.compile(
    r"\s*(?:>>>|(?:!!!|\?\?\?|:::)\+?\s*\w*\s*\Z|\.\.\.\s*\Z|\[[^\]\n]+\]:\s+\S+\s*\Z|<[!/a-zA-Z][^>\n]*>\s*\Z)"
)
_LIST_MARK = re.compile(r"(?:(?:[-*+•](?:\s+\[[ xX]\])?|>(?!\s*\d)|\d{1,3}\))\s+)+")
_IMAGE = re.compile(r"!\[([^\[\]\n]*)\]\([^()\s]*(?:\s[^()]*)?\)")
_LINK = re.compile(r"\[([^\[\]]+)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+\"[^\"]*\")?\)|<?https?://[^\s>]+>?")
_ITEM_NUMBER = re.compile(r"\d{1,3}[.)]")
_CELL_BORDER = re.compile(r"\s*\|\s*")


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence and what it says.

    Attributes:
        start: where the sentence begins in its text, in code points.
        end: where it ends.
        said: its words on one line, without list marks, table borders, headings, code or the targets of links; empty for a
            sentence that is nothing but such things.
        listed: whether it is an item of a list or a row of a table, which need not be a whole sentence.
    """

    start: int
    end: int
    said: str
    listed: bool


def statements_of(text: str) -> list[Statement]:
    """Return each sentence of `text` with what it says, in order.

    Headings, heads and rules of tables, code in fences and lists of links say nothing. What a fence at either end of the
    text encloses is judged from what there is: the text may be cut from a longer one.
    """
    silent = _silent_lines(text)
    statements: list[Statement] = []
    place = 0
    for start, end in sentence_spans(text):
        while place < len(silent) and silent[place][1] <= start:
            place += 1
        pieces: list[str] = []
        begin, ahead = start, place
        while ahead < len(silent) and silent[ahead][0] < end:
            pieces.append(text[begin : max(begin, silent[ahead][0])])
            begin = min(end, silent[ahead][1])
            ahead += 1
        pieces.append(text[begin:end])
        said = " ".join(" ".join(pieces).split())
        mark = _LIST_MARK.match(said)
        row = said.startswith("|")
        statements.append(Statement(start, end, _without_markup(said, mark, row=row), row or mark is not None))
    return statements


def _without_markup(said: str, mark: re.Match[str] | None, *, row: bool) -> str:
    if row:
        said = " | ".join(cell for cell in _CELL_BORDER.split(said) if cell)
    elif mark is not None:
        said = said[mark.end() :]
    said = _IMAGE.sub(r"\1", said)
    # A line of links leads elsewhere, unless it ends as a sentence does.
    if _LINK.search(said) and not words_of(_LINK.sub(" ", said)) and not said.endswith((".", "!", "。", "！")):
        return ""
    said = defuse_markers(_LINK.sub(lambda link: link[1] or link[0], said))
    return "" if _ITEM_NUMBER.fullmatch(said) or not words_of(said) else said


def _silent_lines(text: str) -> list[tuple[int, int]]:
    """Return the offsets of the lines that say nothing, in order."""
    lines: list[tuple[int, int, str]] = []
    position = 0
    for line in text.split("\n"):
        lines.append((position, position + len(line), line.rstrip()))
        position += len(line) + 1
    fenced = _fenced([line for _, _, line in lines])
    silent: list[tuple[int, int]] = []
    for number, (start, end, line) in enumerate(lines):
        following = lines[number + 1][2] if number + 1 < len(lines) else ""
        alone = number == 0 or not lines[number - 1][2]
        # A rule under a row makes it a table's head; under a line of its own, a heading.
        head = bool(_RULE.match(following)) and ("|" in line or (alone and "|" not in following))
        if fenced[number] or head or _HEADING.match(line) or _RULE.match(line) or _UNREADABLE.match(line):
            silent.append((start, end))
    return silent


def _fenced(lines: list[str]) -> list[bool]:
    """Return for each line whether it is in fenced code, its fences included.

    The first fence ends code that was cut off, if it names no language, stands below a line and has none below it.
    """
    fences = [(number, match) for number, line in enumerate(lines) if (match := _FENCE.match(line))]
    fenced = [False] * len(lines)
    opened: int | None = None
    mark = ""
    if fences:
        first, match = fences[0]
        if not match[2].strip() and first > 0 and lines[first - 1] and not "".join(lines[first + 1 : first + 2]):
            opened, mark = 0, match[1]
    for number, match in fences:
        if opened is None:
            opened, mark = number, match[1]
        elif match[1].startswith(mark) and not match[2].strip():
            fenced[opened : number + 1] = [True] * (number + 1 - opened)
            opened = None
    if opened is not None:
        fenced[opened:] = [True] * (len(lines) - opened)
    return fenced
