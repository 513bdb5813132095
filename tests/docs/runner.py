"""Runs a page: its blocks in order, in one namespace, in the folder that is current, with output compared."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import re
import shlex
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minirag import Workspace
from minirag.cli import main
from tests.docs.pages import ROOT, Block, blocks_of, name_of

SAMPLES = {
    "docs/returns.md": "# Returns\n\nClothes may be returned within 60 days, if the label is still on.\n",
    "docs/shipping/europe.md": "# Shipping\n\nParcels to other countries of Europe take four to six days.\n",
}
"""What lies in the current folder of every page, beside `handbook.pdf`."""

FAQ = b"<html><head><title>FAQ</title></head><body><main><p>The shop opens at nine and closes at six.</p></main></body></html>"
"""The page at `/faq` of the page server."""


def prepare(folder: Path) -> None:
    """Put the sample files into a folder."""
    shutil.copy(ROOT / "tests/data/handbook.pdf", folder)
    for name, text in SAMPLES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def same_output(expected: str, found: str) -> bool:
    """Return whether output is as expected, where `...` stands for anything; blanks at the ends of lines do not count."""
    wanted, got = ("\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n" for text in (expected, found))
    return doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS)


class PageRun:
    """One run of a page.

    Args:
        addresses: what to write in place of the addresses that the page names.
    """

    def __init__(self, page: Path, addresses: Mapping[str, str]) -> None:
        self._page = page
        self._addresses = addresses
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._output: str | None = None
        self._files: set[str] = set()

    def run(self) -> None:
        """Run every block. Raises what a block raises, and AssertionError where output is not as shown."""
        with asyncio.Runner() as loop:
            try:
                for block in blocks_of(self._page):
                    self._run_block(block, loop)
            except BaseException:
                # A page that fails must not fail others by what it could not close any more.
                for value in self._names.values():
                    if isinstance(value, Workspace):
                        value.close()
                raise

    def _run_block(self, block: Block, loop: asyncio.Runner) -> None:
        text = self._here(block.text)
        if block.file is not None:
            path = Path(block.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            before = f"{path.read_text(encoding='utf-8')}\n\n" if block.file in self._files else ""
            path.write_text(before + text, encoding="utf-8")
            self._files.add(block.file)
        elif block.language == "python":
            self._output = self._run_python(text, block, loop)
        elif block.language == "console":
            self._run_console(text, block)
        elif block.language == "text" and self._output is not None:
            self._compare(text, self._output, block)
            self._output = None
        if block.language == "toml":
            tomllib.loads(text)
        if block.language != "python":
            self._output = None

    def _run_python(self, text: str, block: Block, loop: asyncio.Runner) -> str:
        # Blank lines in front keep the page's own line numbers in a traceback.
        source = "\n" * (block.line - 1) + text
        code = compile(source, name_of(self._page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            if code.co_flags & inspect.CO_COROUTINE:
                loop.run(eval(code, self._names))
            else:
                exec(code, self._names)
        return out.getvalue()

    def _run_console(self, text: str, block: Block) -> None:
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            self._compare(expected, run_command(command), block)

    def _compare(self, expected: str, found: str, block: Block) -> None:
        place = f"{name_of(self._page)}:{block.line}"
        assert same_output(expected, found), f"{place}: shown\n{expected}\nbut the output is\n{found}"

    def _here(self, text: str) -> str:
        for shown, real in self._addresses.items():
            text = text.replace(shown, real)
        return text


def run_command(command: str) -> str:
    """Return what a `minirag` command prints; it must succeed."""
    program, *arguments = shlex.split(command)
    assert program == "minirag", f"only minirag is run: {command}"
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(arguments)
    assert code == 0, f"{command}: exit code {code}"
    return out.getvalue()
