"""Inside a notebook: both faces in a real kernel's running loop, progress, and HTML that shows documents harmlessly."""

from __future__ import annotations

import textwrap
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import minirag

EVIL = "<script>alert('&')</script>"
SETUP = """
import time
import minirag

class Slow(minirag.interfaces.Embedder):
    batch_size = 2

    @property
    def space(self):
        return minirag.interfaces.EmbeddingSpace(provider="slow", model="v1", dimension=4)

    def embed(self, texts, *, purpose):
        import numpy as np
        time.sleep(0.2)
        return np.ones((len(texts), 4), dtype=np.float32)

def documents(word):
    return [minirag.DocumentInput(text=f"A laptop may be returned within thirty days, {word} {n}.", key=f"{word}-{n}") for n in range(8)]
"""
CELLS = {
    "setup": SETUP,
    "open": """
        ws = minirag.Workspace.open("kb", embedder=Slow())
        bot = ws.tenant("acme", create=True).bot("support", create=True)
        bot
    """,
    "add": 'report = bot.add(documents("sync"))\nreport',
    "quiet": 'bot.add(minirag.DocumentInput(text="Short.", key="short"))',
    "search": 'bot.search("laptop", k=3)',
    "hit": 'bot.search("laptop", k=1)[0]',
    "ask": 'bot.ask("How long may I return a laptop?")',
    "stream": 'print([event.type for event in bot.stream("How long may I return a laptop?")][-1])',
    "usage": 'ws.tenant("acme").usage',
    "stats": "bot.stats()",
    "close": "ws.close()",
    "async_open": """
        aws = await minirag.AsyncWorkspace.open("kb", embedder=Slow())
        abot = await (await aws.tenant("acme")).bot("support")
        abot
    """,
    "async_add": 'await abot.add(documents("async"))',
    "async_search": 'await abot.search("laptop", k=3)',
    "async_ask": 'await abot.ask("How long may I return a laptop?")',
    "async_stream": """
        types = []
        async for event in abot.stream("How long may I return a laptop?"):
            types.append(event.type)
        types[-1]
    """,
    "async_close": "await aws.close()",
    "with": """
        async with minirag.AsyncWorkspace.open("kb") as again:
            print(again)
    """,
}


class Tags(HTMLParser):
    """Lists the elements of a piece of HTML, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """The outputs of each cell of one notebook, run in a kernel of its own."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = [nbformat.v4.new_code_cell(textwrap.dedent(source).strip()) for source in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    root = str(Path(minirag.__file__).parents[1])
    notebook.cells.insert(0, nbformat.v4.new_code_cell(f"import sys; sys.path.insert(0, {root!r})"))
    client = NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, allow_errors=True
    )
    client.execute()
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells[1:], strict=True)}


def shown(outputs: list[Any], kind: str) -> str:
    """Return what a cell's result is shown as."""
    results = [output for output in outputs if output.output_type == "execute_result"]
    assert len(results) == 1
    return str(results[0].data[kind])


def test_no_cell_fails_or_warns(outputs: dict[str, list[Any]]) -> None:
    """Both faces work inside the kernel's running loop, without a traceback and without a word on stderr."""
    for name, found in outputs.items():
        assert [output for output in found if output.output_type == "error"] == [], name
        assert [output.text for output in found if output.output_type == "stream" and output.name == "stderr"] == [], (
            name
        )


@pytest.mark.parametrize(
    "name", ["add", "async_add", "search", "hit", "async_search", "ask", "async_ask", "usage", "stats"]
)
def test_results_are_shown_as_html(outputs: dict[str, list[Any]], name: str) -> None:
    """Reports, hits, answers, usage and statistics have an HTML form."""
    html = shown(outputs[name], "text/html")
    assert "table" in parsed(html).tags or "blockquote" in parsed(html).tags


def test_answers_show_their_quotes(outputs: dict[str, list[Any]]) -> None:
    """An answer is shown with each citation's marker, key and quote."""
    for name in ("ask", "async_ask"):
        page = parsed(shown(outputs[name], "text/html"))
        assert "[1]" in page.text
        assert "thirty days" in page.text


@pytest.mark.parametrize("name", ["add", "async_add"])
def test_progress_is_one_line_that_changes(outputs: dict[str, list[Any]], name: str) -> None:
    """A slow ingestion draws one bar, updated in place, which ends at all documents; it stays in its own cell."""
    bars = [output for output in outputs[name] if output.output_type == "display_data"]
    assert len(bars) == 1
    assert "8/8 documents" in bars[0].data["text/plain"]


def test_a_quick_ingestion_draws_nothing(outputs: dict[str, list[Any]]) -> None:
    """What is done at once needs no bar."""
    assert [output.output_type for output in outputs["quiet"]] == ["execute_result"]


def test_streams_end(outputs: dict[str, list[Any]]) -> None:
    """A stream runs to its end on both faces."""
    assert outputs["stream"][0].text == "done\n"
    assert shown(outputs["async_stream"], "text/plain") == "'done'"


def test_bots_show_who_they_are(outputs: dict[str, list[Any]]) -> None:
    """The plain form of a bot names it."""
    assert "'support'" in shown(outputs["open"], "text/plain")
    assert "'support'" in shown(outputs["async_open"], "text/plain")


def test_html_never_contains_a_documents_markup(tmp_path: Path) -> None:
    """Text, title, key, source, metadata and failure reasons are escaped in every HTML form there is."""
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        session = workspace.tenant("acme", create=True)
        bot = session.bot(f"bot {EVIL}", create=True)
        good = minirag.DocumentInput(
            text=f"A laptop {EVIL} may be returned within thirty days.",
            key=f"key {EVIL}",
            title=EVIL,
            metadata={"m": EVIL},
        )
        bad = minirag.DocumentInput(text=" ", key=f"bad {EVIL}")
        reports = bot.add(iter([good, bad]), source=f"source {EVIL}"), bot.add(iter([f"no/such {EVIL}"]))
        assert [len(report.failed) for report in reports] == [1, 1]
        answer = bot.ask("How long may I return a laptop?")
        assert len(answer.citations) == 1
        abstention = bot.ask("zebra", where={"m": "other"})
        assert abstention.abstained
        results = bot.search("laptop")
        judged = bot.evaluate({"q": "laptop"}, {"q": {f"key {EVIL}": 1}})
        row = {
            "kind": "llm",
            "provider": EVIL,
            "model": EVIL,
            "calls": 1,
            "failed": 0,
            "input_tokens": 1,
            "output_tokens": 1,
        }
        total = minirag.UsageTotal.model_validate({"rows": [row]})
        for thing in (*reports, answer, abstention, results, results[0], bot.stats(), session.usage, total, judged):
            html = thing._repr_html_()
            page = parsed(html)
            assert "script" not in page.tags, html
            assert "alert('&')" not in html.replace("&#x27;", "'")
            assert "&" not in html.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").replace(
                "&#x27;", ""
            ).replace("&quot;", "")
        for thing in (reports[0], reports[1], answer, results, results[0], total):
            assert EVIL in parsed(thing._repr_html_()).text


def parsed(html: str) -> Tags:
    """Return what a browser would make of a piece of HTML."""
    page = Tags()
    page.feed(html)
    page.close()
    return page
