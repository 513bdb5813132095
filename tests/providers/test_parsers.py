"""The built-in parsers keep the contract, and read real files as a reader would."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path

import pytest
from pypdf import PdfWriter

from minirag.errors import NoTextError, ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.models.headings import markdown_outline
from minirag.providers.parsers import csv_text, html, json_text, markdown, pdf, text
from minirag.providers.parsers.html_bounds import DEPTH_LIMIT, bound_markup
from minirag.testing.parser import ParserConformance

FILES = Path(__file__).parent.parent / "data" / "files"
CONTEXT = ProviderContext()


def read(name: str) -> bytes:
    return (FILES / name).read_bytes()


def parse(parser: Parser, data: bytes | str, name: str) -> ParsedDocument:
    return parser.parse(ParserInput(data=data.encode() if isinstance(data, str) else data, name=name))


def page(markup: str) -> str:
    return parse(html.create(None, CONTEXT), markup, "page.html").text


class TestText(ParserConformance):
    file_name = "notes.txt"
    plain_text = "Grüße, 世界 👩🏽‍🔬.\n\n  A second line.\t\n"
    blank = b" \r\n\t"
    broken = (b"%PDF-1.4 {canary}", bytes(range(32)) * 20 + b"{canary}")

    def make_parser(self) -> Parser:
        return text.create(None, CONTEXT)

    def sample(self) -> bytes:
        return read("xquad_ru_cp1251.txt")

    def large(self) -> bytes:
        return read("xquad_de_cp1252.txt") * 5_000


class TestMarkdown(ParserConformance):
    file_name = "notes.md"
    plain_text = "---\ntitle: T\n---\n# Größe\n\nText\n\n```\n# no heading\n```\n\nUnder\n-----\n"
    blank = b"\n"
    broken = (b"\x89PNG {canary}",)

    def make_parser(self) -> Parser:
        return markdown.create(None, CONTEXT)

    def sample(self) -> bytes:
        return read("httpx_quickstart.md")

    def large(self) -> bytes:
        return b"# a" + b" " * 200_000 + b"b\n" + b"---\n" * 100_000


class TestJson(ParserConformance):
    file_name = "data.json"
    plain_text = '{"größe": [1, 2.50, "世界"]}\n'
    blank = b""
    broken = (b'{"{canary}": }', b'{"a": {canary}}', b"[" * 200_000)

    def make_parser(self) -> Parser:
        return json_text.create(None, CONTEXT)

    def sample(self) -> bytes:
        return b'{"a": [1, 2, {"b": "c"}]}'


class TestCsv(ParserConformance):
    file_name = "table.csv"
    plain_text = 'name;größe\n"a\n""b""";1\nc;2\n'
    blank = b"\n\n"
    broken = (b"PK\x03\x04{canary}",)

    def make_parser(self) -> Parser:
        return csv_text.create(None, CONTEXT)

    def sample(self) -> bytes:
        return read("r2r_sample.csv")

    def large(self) -> bytes:
        return b'a,b\n"' + b"x,y\n" * 200_000


class TestHtml(ParserConformance):
    file_name = "page.html"
    blank = b"<html><title>Only a title</title><script>code()</script></html>"
    broken = (b"%PDF-1.4 {canary}",)

    def make_parser(self) -> Parser:
        return html.create(None, CONTEXT)

    def sample(self) -> bytes:
        return read("r2r_sample.html")

    def large(self) -> bytes:
        return b"<div>" * 100_000 + b"x" + b"</div>" * 100_000


class TestPdf(ParserConformance):
    file_name = "paper.pdf"
    pages = 4
    broken = (
        b"",
        b"%PDF-1.4 {canary}",
        b"{canary}",
        b"%PDF-1.7\n1 0 obj\n<<{canary}>>\nendobj\ntrailer<</Root 1 0 R>>",
    )

    def make_parser(self) -> Parser:
        return pdf.create(None, CONTEXT)

    def sample(self) -> bytes:
        return read("haystack_sample_2.pdf")


def test_markdown_headings() -> None:
    """`#` and underlined headings are found, none in code or front matter; closing marks are not part of the title."""
    source = "---\na: b\n---\n# One #\n\n```\n# code\n```\nTwo\n===\n\n    # indented\n\n- item\n---\n### C# \n#no\n~~~\n# open"
    outline = markdown_outline(source)
    assert [(one.level, one.title) for one in outline.headings] == [(1, "One"), (1, "Two"), (3, "C#")]
    assert [source[start:end] for start, end in outline.code] == ["```\n# code\n```", "~~~\n# open"]


def test_markdown_front_matter_is_metadata() -> None:
    """Plain values keep their types, nested ones are left out, the title is the document's."""
    source = "---\ntitle: 'My: notes'\ndraft: true\nyear: 2024\nday: 2024-02-29\ntags: [a, b]\nnested:\n  x: 1\n---\n# Other\n"
    parsed = parse(markdown.create(None, CONTEXT), source, "n.md")
    assert parsed.title == "My: notes"
    assert {name: str(value) for name, value in parsed.metadata.items()} == {
        "draft": "True",
        "year": "2024",
        "day": "2024-02-29",
    }


def test_markdown_title_is_the_first_heading() -> None:
    """Without front matter the title is the first heading of level 1."""
    assert parse(markdown.create(None, CONTEXT), read("httpx_quickstart.md"), "q.md").title == "QuickStart"


def test_json_errors_name_the_place() -> None:
    """The message of invalid JSON names line and column."""
    with pytest.raises(ParseError, match="line 2, column 8"):
        parse(json_text.create(None, CONTEXT), '{"a": 1,\n "b" : }', "x.json")
    with pytest.raises(ParseError, match="line 2, column 2"):
        parse(json_text.create(None, CONTEXT), '{"a": 1}\n{b}\n', "x.jsonl")


def test_json_lines_are_rows() -> None:
    """Each line of JSON lines is a row; numbers of any length are valid."""
    source = json.dumps({"a": "é"}) + "\r\n\r\n" + "9" * 10_000 + "\n"
    parsed = parse(json_text.create(None, CONTEXT), source, "x.jsonl")
    assert [(span.number, source[span.start : span.end]) for span in parsed.spans] == [
        (1, '{"a": "\\u00e9"}'),
        (3, "9" * 10_000),
    ]


def test_csv_rows_may_run_over_lines() -> None:
    """A quoted line end does not end a row, and the header's names are metadata."""
    source = 'name;note\r\na;"x\r\ny"\r\nb;z'
    parsed = parse(csv_text.create(None, CONTEXT), source, "t.csv")
    assert [source[span.start : span.end] for span in parsed.spans] == ["name;note", 'a;"x\r\ny"', "b;z"]
    assert parsed.metadata == {"columns": ["name", "note"]}


def test_csv_that_is_none_is_read_by_lines() -> None:
    """A field beyond the reader's limit makes rows of the lines, with a warning."""
    parsed = parse(csv_text.create(None, CONTEXT), 'a,b\n"' + "x\n" * 100_000, "t.csv")
    assert parsed.warnings
    assert len(parsed.spans) > 100_000


def test_html_is_readable_text() -> None:
    """Paragraphs, lists, tables, headings and preformatted text keep their shape; entities are decoded."""
    found = page(
        "<main><h1>A <i>head</i></h1><p>Two   <b>wor</b>ds &amp;\n more<br>line</p><ul><li>x<li><p>y</p><ul><li>z</ul></ul>"
        "<ol><li>one<li>two</ol><table><tr><th>A<th>B<tr><td>1<td><p>2</p></table><pre>\n  if x:\n    y</pre></main>",
    )
    assert found == (
        "A head\n\nTwo words & more\nline\n\n- x\n- y\n  - z\n\n1. one\n2. two\n\nA | B\n1 | 2\n\n  if x:\n    y"
    )


def test_html_spans_lie_on_their_text() -> None:
    """Headings carry level and title and rows and code lie where their text is, in `main` too."""
    markup = "<p>Before it all</p><main><h2>A <b>b</b></h2><p>text of the page</p><table><tr><td>1<td>2</table><pre>x\n y</pre></main>"
    parsed = parse(html.create(None, CONTEXT), markup, "p.html")
    spans = [(span.kind, span.number, span.label, parsed.text[span.start : span.end]) for span in parsed.spans]
    assert spans == [("heading", 2, "A b", "A b"), ("row", None, None, "1 | 2"), ("code", None, None, "x\n y")]
    assert "Before" not in parsed.text


def test_html_leaves_out_furniture() -> None:
    """Navigation, page header and footer, scripts and hidden parts are no content; an article's own header is."""
    found = page(
        "<header>Site</header><nav>Menu</nav><article><header><h1>Title</h1></header><p>The text of the article.</p>"
        "<p hidden>secret</p><p style='display: none'>gone</p></article><aside>Ads</aside><footer>Imprint</footer>"
        "<script>var x</script><style>p{}</style><noscript>no</noscript>",
    )
    assert found == "Title\n\nThe text of the article."


@pytest.mark.parametrize(
    "markup",
    [
        "<form><p>A whole page in a form.</p></form><nav>x</nav>",
        "<nav><p>A whole page in a form.</p></nav>",
        "<main></main><p>A whole page in a form.</p>",
        "<table><tr><td><h1>A whole page</h1> in a form.</table>",
        "<p>A whole page in a form.</p><article>Teaser</article>",
    ],
)
def test_html_does_not_lose_a_page(markup: str) -> None:
    """What looks like furniture but holds the text is kept, and a small `main` or `article` is not all."""
    assert page(markup).replace("\n\n", " ").startswith("A whole page in a form.")


@pytest.mark.parametrize(
    ("markup", "title"),
    [
        ("<title> The &amp;\n title </title><h1>x</h1>", "The & title"),
        ("<meta property='og:title' content='Shared'><h1>x</h1>", "Shared"),
        ("<h1>The <b>head</b></h1>", "The head"),
        ("<p>none</p>", None),
    ],
)
def test_html_title(markup: str, title: str | None) -> None:
    """The title is `title`, else `og:title`, else the first heading."""
    assert parse(html.create(None, CONTEXT), markup + "<p>text", "p.html").title == title


def test_html_charset_of_the_page() -> None:
    """The charset that the page declares is used, in both spellings."""
    for meta in ("<meta charset=windows-1257>", "<meta http-equiv=x content='text/html; charset=\"windows-1257\"'>"):
        assert parse(html.create(None, CONTEXT), meta.encode() + "žąsis".encode("cp1257"), "p.html").text == "žąsis"


@pytest.mark.parametrize(
    "markup",
    [
        "<div>x" * 20_000,
        "<ul><li>x" * 5_000,
        "<table><tr><td>x" * 5_000,
        "<p>" + "".join(f"<b id={n}>" for n in range(200)) + "</p>" + "<p>x</p>" * 5_000,
        "<div " + " ".join(f"a{n}=1" for n in range(20_000)) + ">x</div>",
        "<a " * 100_000 + ">x",
        "<" * 100_000 + " x",
    ],
)
def test_html_hostile_pages_stay_small(markup: str) -> None:
    """Nesting, open formatting and attributes by the thousand are read in linear time, and their text stays."""
    found = page(markup)
    assert "x" in found
    assert len(found) <= 3 * len(markup)


def test_html_ordinary_markup_is_not_touched() -> None:
    """The bound changes nothing on a page as people write them, and keeps what is nested within the limit."""
    ordinary = "<ul>" + "<li>x" * 1000 + "</ul>" + "<p>y" * 1000 + "<div>" * 200 + "z" + "</div>" * 200
    assert bound_markup(ordinary) == ordinary
    assert bound_markup("<div>" * 1000).count("<div>") == DEPTH_LIMIT


def test_pdf_pages_are_spans_over_the_text() -> None:
    """Pages are joined by blank lines, and each page's span is its text."""
    parsed = parse(pdf.create(None, CONTEXT), read("haystack_sample_2.pdf"), "s.pdf")
    pages = [parsed.text[span.start : span.end] for span in parsed.spans]
    assert "\n\n".join(pages) == parsed.text
    assert pages[0].startswith("First Page")
    assert "wiki" in pages[1]


def test_pdf_scan_says_so() -> None:
    """A PDF without a text layer is `NoTextError`, telling what to do."""
    with pytest.raises(NoTextError, match=r"'scan\.pdf' is a scan: it has no text layer; run OCR first"):
        parse(pdf.create(None, CONTEXT), read("haystack_scanned_no_text.pdf"), "scan.pdf")


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_pdf_encrypted(algorithm: str) -> None:
    """An encrypted file without a password to open it is read; one with a password says so."""
    for password in ("", "secret"):
        writer = PdfWriter(clone_from=io.BytesIO(read("r2r_sample.pdf")))
        writer.encrypt(user_password=password, owner_password="owner", algorithm=algorithm)
        written = io.BytesIO()
        writer.write(written)
        if password:
            with pytest.raises(ParseError, match="needs a password"):
                parse(pdf.create(None, CONTEXT), written.getvalue(), "e.pdf")
        else:
            assert parse(pdf.create(None, CONTEXT), written.getvalue(), "e.pdf").text == "Dummy PDF file"


def test_pdf_takes_no_longer_than_allowed() -> None:
    """A document that takes longer than `seconds` is refused."""
    parser = pdf.create(pdf.PdfOptions(seconds=1e-9), CONTEXT)
    with pytest.raises(ParseError, match="took longer than 1e-09 s"):
        parse(parser, read("haystack_sample_2.pdf"), "s.pdf")


def test_pdf_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What the library below logs about a file does not come out, and its logger is left as it was."""
    logger = logging.getLogger("pypdf")
    before = (logger.propagate, list(logger.handlers))
    damaged = re.sub(rb"startxref\s+\d+", b"startxref\n7", read("haystack_sample_2.pdf"))
    assert parse(pdf.create(None, CONTEXT), damaged, "d.pdf").text
    assert caplog.records == []
    assert (logger.propagate, list(logger.handlers)) == before
