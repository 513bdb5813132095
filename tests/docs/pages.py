"""Reads pages of the documentation: their fenced blocks, and what hidden comments say about them.

A comment stands on a line of its own, before the block or page it is about:

- `<!-- setup: openai-server -->`: the page needs a model server; `http://127.0.0.1:8080` becomes its address.
- `<!-- setup: page-server -->`: the page needs a web server with `/faq`; `127.0.0.1:8000` becomes its address.
- `<!-- file: NAME -->`: the next block is the content of this file and is written, not run; a further block of the same file is
  added to it, below two empty lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
OTHERS = tuple(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))

_COMMENT = re.compile(r"<!-- (setup|file): (\S+) -->")
_FENCE = re.compile(r"^```(\w*)\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        line: where its content begins, from 1.
        file: the file that it is the content of.
    """

    language: str
    text: str
    line: int
    file: str | None = None


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    language: str | None = None
    file: str | None = None
    content: list[str] = []
    begin = 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if language is not None:
            if line.strip() == "```":
                yield Block(language, "\n".join(content) + "\n", begin, file)
                language = file = None
            else:
                content.append(line)
        elif fence:
            language, content, begin = fence[1], [], number + 1
        elif (comment := _COMMENT.fullmatch(line.strip())) and comment[1] == "file":
            file = comment[2]
    assert language is None, f"{page}: a fenced block is not closed"


def needs_of(page: Path) -> set[str]:
    """Return the servers that a page needs."""
    return {name for kind, name in _COMMENT.findall(page.read_text(encoding="utf-8")) if kind == "setup"}


def prose_of(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading of the second level."""
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert found, f"{page.name} has no section {heading!r}"
    return found[1]


def name_of(page: Path) -> str:
    """Return a page's name for messages."""
    return page.relative_to(ROOT).as_posix()
