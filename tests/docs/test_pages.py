"""Every block of the README and the documentation runs, and prints what the page says."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.data.make_handbook import handbook
from tests.docs.pages import PAGES, ROOT, Block, blocks_of, name_of, needs_of, section
from tests.docs.runner import FAQ, PageRun, prepare, run_command, same_output
from tests.servers.openai_server import OpenAIServer
from tests.servers.page_server import Page, PageServer

RUNNABLE = [page for page in PAGES if any(block.language in ("python", "console") for block in blocks_of(page))]
SHELL = {"pip", "minirag", "nox", "python3"}
MOST_CHUNKS = 250


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with the sample files, from which modules can be imported; environment and imports are put back."""
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    environment, modules = dict(os.environ), set(sys.modules)
    yield tmp_path
    os.environ.clear()
    os.environ.update(environment)
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_a_page_runs(page: Path, place: Path) -> None:
    """Blocks run in order in one namespace, and print what the page shows."""
    needs = needs_of(page)
    assert needs <= {"openai-server", "page-server"}
    with ExitStack() as stack:
        addresses = {}
        if "openai-server" in needs:
            server = stack.enter_context(OpenAIServer())
            addresses["http://127.0.0.1:8080/v1"] = server.base_url
        if "page-server" in needs:
            pages = stack.enter_context(PageServer())
            pages.pages["/faq"] = Page(FAQ)
            addresses["127.0.0.1:8000"] = pages.root
        PageRun(page, addresses).run()


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    """A block in a language that nothing runs or reads would be an untested claim."""
    known = {"python", "console", "text", "sh", "toml"}
    odd = [(name_of(page), block.line) for page in PAGES for block in blocks_of(page) if block.language not in known]
    assert odd == []


def test_shell_blocks_hold_commands_that_are_meant_to_be_typed() -> None:
    """Shell blocks install, build or call minirag; a minirag command is written so that its options exist."""
    for page in PAGES:
        for block in blocks_of(page):
            if block.language == "sh":
                for command in re.split(r"&&|\n", block.text.strip()):
                    program = shlex.split(command)[0].removeprefix(".venv/bin/")
                    assert program in SHELL | {"python"}, f"{name_of(page)}:{block.line}: {program}"


def _only_command(heading: str) -> str:
    text = section(ROOT / "README.md", heading)
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(fenced) == 1, f"{heading!r} must hold one block"
    language, content = fenced[0]
    assert language == "sh"
    assert content.count("\n") == 1, f"{heading!r} must hold one command line"
    return str(content.strip())


def test_the_readme_can_be_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The minirag commands of "Try it" take in few chunks and give an answer that cites a page of the PDF."""
    steps = [step.strip() for step in _only_command("Try it").split("&&")]
    assert steps[0] == "python3 -m venv .venv"
    assert steps[1] == ".venv/bin/python -m pip install -q ."
    monkeypatch.chdir(ROOT)
    add, ask = (
        step.removeprefix(".venv/bin/").replace("--workspace kb", f"--workspace {tmp_path / 'kb'}")
        for step in steps[2:]
    )
    took_in = run_command(add)
    found = re.search(r"(\d+) chunks", took_in)
    assert found is not None
    assert int(found[1]) <= MOST_CHUNKS
    answer = run_command(ask)
    assert re.search(r"^\[\d+\] handbook\.pdf, page 3\n    \"A battery .*\"$", answer, re.MULTILINE), answer


def test_the_readme_says_how_to_run_the_tests() -> None:
    """The line under "Run the tests" is the one that the check of a change extracts and runs."""
    assert _only_command("Run the tests") == (
        'python3 -m venv .venv && .venv/bin/python -m pip install -q -e ".[test]" && .venv/bin/python -m pytest -n 2 -q'
    )


def test_the_handbook_is_what_its_script_writes() -> None:
    """The PDF in the repository is made by the script beside it."""
    assert (ROOT / "tests/data/handbook.pdf").read_bytes() == handbook()


def _page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```python\nimport asyncio\nawait asyncio.sleep(0)\nprint(1)\n```\n\n```text\n2\n```\n",
        "```console\n$ minirag --version\nminirag nothing\n```\n",
        "```console\n$ rm -r everything\n```\n",
        "```python\nraise ValueError\n```\n",
        "```toml\nnot toml\n```\n",
    ],
)
def test_a_wrong_page_is_found(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong output, a failing block, a foreign command and broken TOML each fail the page."""
    monkeypatch.setattr("tests.docs.runner.name_of", lambda page: page.name)
    with pytest.raises((AssertionError, ValueError, SystemExit)):
        PageRun(_page(tmp_path, text), {}).run()


def test_output_is_compared_line_by_line() -> None:
    """`...` stands for anything, blanks at line ends for nothing, and everything else counts."""
    assert same_output("a ...\nb\n", "a 1 \nb")
    assert not same_output("a\n", "a\nb")
    assert not same_output("", "b")


def test_a_block_can_be_a_file(tmp_path: Path) -> None:
    """A block after a `file` comment belongs to that file; the next one does not."""
    page = _page(tmp_path, "<!-- file: one.py -->\n```python\nx = 1\n```\n\n```python\ny = 2\n```\n")
    assert list(blocks_of(page)) == [Block("python", "x = 1\n", 3, "one.py"), Block("python", "y = 2\n", 7)]
