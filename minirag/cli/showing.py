"""How results are printed: JSON, tables, and text at the terminal's width with nothing in it that steers a terminal."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

__all__ = ["one_line", "print_indented", "print_json", "print_table", "printable"]

_REPLACED: Final = {
    **dict.fromkeys([*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"),
    ord("\n"): "\n",
    ord("\t"): "\t",
    ord("\r"): None,
}
"""Controls, escape sequences and overrides of direction: a document must not be able to redraw the terminal."""


def printable(text: str) -> str:
    """Return a text whose control characters, other than line ends and tabs, are replaced."""
    return text.translate(_REPLACED)


def one_line(text: str) -> str:
    """Return a text in one line."""
    return printable(" ".join(text.split()))


def print_json(value: object) -> None:
    """Print a record, or records, as one JSON document."""
    print(json.dumps(_plain(value), ensure_ascii=False, indent=2))


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def print_indented(text: str) -> None:
    """Print a text in one line, or in a terminal in as many as its width needs, indented."""
    for line in _wrapped(one_line(text), 4):
        print(f"    {line}")


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns; in a terminal the last column is wrapped."""
    cells = [list(head), *[[_cell(value) for value in row] for row in rows]]
    widths = [max(_columns(row[column]) for row in cells) for column in range(len(head) - 1)]
    margin = sum(widths) + 2 * len(widths)
    for row in cells:
        padded = [cell + " " * (width - _columns(cell) + 2) for cell, width in zip(row[:-1], widths, strict=True)]
        for number, line in enumerate(_wrapped(row[-1], margin)):
            print(f"{' ' * margin if number else ''.join(padded)}{line}".rstrip())


def _cell(value: object) -> str:
    return "-" if value is None or value in ("", ()) else one_line(str(value))


def _wrapped(text: str, margin: int) -> list[str]:
    """Return the lines of a text beside a margin; one line where nobody looks at a terminal."""
    room = shutil.get_terminal_size().columns - margin if sys.stdout.isatty() else 0
    if room < 20:
        return [text]
    lines = [""]
    for piece in _pieces(text, room):
        if lines[-1] and _columns(lines[-1]) + _columns(piece.rstrip()) > room:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _pieces(text: str, room: int) -> Iterator[str]:
    """Yield words with the blank behind them; words wider than the room, as scripts without blanks have, by character."""
    for word in text.split(" "):
        if _columns(word) <= room:
            yield f"{word} "
        else:
            yield from word[:-1]
            yield f"{word[-1]} "


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        2
        if unicodedata.east_asian_width(character) in "WF"
        else unicodedata.category(character) not in ("Mn", "Me", "Cf")
        for character in text
    )
