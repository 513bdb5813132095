"""The parsers of office documents and books keep the contract, and read what a reader of the document sees."""

from __future__ import annotations

import pytest

from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.providers.parsers import docx, epub, opendocument, pptx, rtf, xlsx
from minirag.testing.parser import ParserConformance
from tests.providers import office_files as made

CONTEXT = ProviderContext()
BROKEN = (
    b"",
    b"{canary}",
    b"PK\x03\x04{canary}",
    b"%PDF-1.4 {canary}",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
)
HEADING_1 = '<w:style w:styleId="H1"><w:name w:val="heading 1"/></w:style>'
HEADING_2 = '<w:style w:styleId="Sub"><w:name w:val="My own"/><w:basedOn w:val="H2"/></w:style>'
HEADING_2 += '<w:style w:styleId="H2"><w:name w:val="Heading 2"/></w:style>'
ROWS = "<w:tbl>" + "<w:tr><w:tc><w:p>{}</w:p></w:tc><w:tc><w:p>{}</w:p></w:tc></w:tr>" * 2 + "</w:tbl>"
TABLE = ROWS.format(made.run("a"), made.run("b"), made.run("1"), made.run("2"))


def parse(parser: Parser, data: bytes, name: str) -> ParsedDocument:
    return parser.parse(ParserInput(data=data, name=name))


def spans(parsed: ParsedDocument) -> list[tuple[str, int | None, str]]:
    """Return kind, number and text of each span."""
    return [(span.kind, span.number, parsed.text[span.start : span.end]) for span in parsed.spans]


def read_docx(body: str, **more: str) -> ParsedDocument:
    return parse(docx.create(None, CONTEXT), made.docx(body, **more), "a.docx")


def read_rtf(source: str) -> ParsedDocument:
    return parse(rtf.create(None, CONTEXT), source.encode("latin-1"), "a.rtf")


class TestDocx(ParserConformance):
    file_name = "letter.docx"
    broken = (
        *BROKEN,
        made.archive({"word/other.xml": "<a/>"}),
        made.changed(made.docx(""), word__document_dot_xml="{canary}"),
    )
    blank = made.docx(made.paragraph(" "))

    def make_parser(self) -> Parser:
        return docx.create(None, CONTEXT)

    def sample(self) -> bytes:
        return made.docx(made.paragraph("Title", style="H1") + made.paragraph("Words.") + TABLE, styles=HEADING_1)

    def large(self) -> bytes:
        return made.docx(made.paragraph("Many words.") * 15_000)


class TestPptx(ParserConformance):
    file_name = "talk.pptx"
    pages = 3
    broken = (*BROKEN, made.archive({"ppt/other.xml": "<a/>"}))
    blank = made.pptx(made.shape(" "))

    def make_parser(self) -> Parser:
        return pptx.create(None, CONTEXT)

    def sample(self) -> bytes:
        return made.pptx(made.shape("One", place="title"), "", made.shape("Three"))


class TestXlsx(ParserConformance):
    file_name = "sheet.xlsx"
    broken = (*BROKEN, made.xlsx(("S", '<row><c t="s"><v>7</v></c></row>')))
    blank = made.xlsx(("Empty", "<row><c/></row>"))

    def make_parser(self) -> Parser:
        return xlsx.create(None, CONTEXT)

    def sample(self) -> bytes:
        return made.xlsx(("S", "<row><c><v>1</v></c></row>" * 3), ("T", '<row><c t="str"><v>x</v></c></row>'))

    def large(self) -> bytes:
        return made.xlsx(("S", '<row><c t="s"><v>0</v></c></row>' * 20_000), strings=f"<si><t>{'x' * 30_000}</t></si>")


class TestOpenDocument(ParserConformance):
    file_name = "letter.odt"
    broken = (*BROKEN, made.archive({"mimetype": "x"}), made.open_document("graphics", "<text:p>x</text:p>"))
    blank = made.open_document("text", "<text:p> </text:p>")

    def make_parser(self) -> Parser:
        return opendocument.create(None, CONTEXT)

    def sample(self) -> bytes:
        return made.open_document("text", "<text:h>Title</text:h><text:p>Words.</text:p>")

    def large(self) -> bytes:
        cell = f'<table:table-cell table:number-columns-repeated="9999999"><text:p>{"x" * 30_000}</text:p></table:table-cell>'
        row = f'<table:table-row table:number-rows-repeated="9999999">{cell}</table:table-row>'
        return made.open_document("spreadsheet", f"<table:table>{row}</table:table>")


class TestSlidesOfOpenDocument(TestOpenDocument):
    file_name = "talk.odp"
    pages = 2

    def sample(self) -> bytes:
        page = "<draw:page><draw:frame><draw:text-box><text:p>Words.</text:p></draw:text-box></draw:frame></draw:page>"
        return made.open_document("presentation", page * 2)


class TestEpub(ParserConformance):
    file_name = "book.epub"
    broken = (*BROKEN, made.archive({"mimetype": "application/epub+zip"}))
    blank = made.epub("<img src='cover.png'/>")

    def make_parser(self) -> Parser:
        return epub.create(None, CONTEXT)

    def sample(self) -> bytes:
        return made.epub("<h1>One</h1><p>Words.</p>", "<h1>Two</h1><pre>code</pre>")

    def large(self) -> bytes:
        return made.epub("<div>" * 50_000, "<p/>" * 50_000)


class TestRtf(ParserConformance):
    file_name = "letter.rtf"
    broken = (b"", b"{canary}", b"PK\x03\x04{canary}", b"{\\rtf1 {canary", b"{\\rtf1" + b"{" * 5_000)
    blank = b"{\\rtf1\\ansi{\\info{\\title Only a title}}\\par }"

    def make_parser(self) -> Parser:
        return rtf.create(None, CONTEXT)

    def sample(self) -> bytes:
        return rb"{\rtf1\outlinelevel0 Title\par\pard Gr\'fc\'dfe.\par\trowd\intbl a\cell b\cell\row\pard End}"

    def large(self) -> bytes:
        return b"{\\rtf1 " + b"{\\b x}\\par\n" * 30_000 + b"}"


def test_docx_is_readable_text() -> None:
    """Headings by style and outline level, tables as rows, notes at the end; deleted and hidden text is none."""
    body = (
        made.paragraph("One", style="H1")
        + made.paragraph("Two", style="Sub")
        + made.paragraph("Three", more='<w:outlineLvl w:val="2"/>')
        + f"<w:p>{made.run('Kept')}<w:del>{made.run('deleted')}</w:del><w:ins>{made.run(' new')}</w:ins>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:tab/><w:t>tab</w:t><w:br/><w:t>line</w:t></w:r>"
        '<w:r><w:footnoteReference w:id="5"/></w:r></w:p>' + TABLE + made.paragraph("End")
    )
    note = f'<w:footnote w:id="5"><w:p>{made.run("A note.")}</w:p></w:footnote>'
    parsed = read_docx(body, styles=HEADING_1 + HEADING_2, footnotes=note)
    assert parsed.text == "One\n\nTwo\n\nThree\n\nKept new tab\nline [1]\n\na | b\n1 | 2\n\nEnd\n\n[1] A note."
    assert spans(parsed) == [
        ("heading", 1, "One"), ("heading", 2, "Two"), ("heading", 3, "Three"), ("row", None, "a | b"), ("row", None, "1 | 2"),
    ]  # fmt: skip
    assert (parsed.title, parsed.metadata) == ("One", {"author": "A. Writer"})


def test_docx_lists() -> None:
    """Items have the bullet or number that Word shows, indented by their depth; numbers begin anew below another item."""
    levels = '<w:lvl w:ilvl="0"><w:start w:val="3"/><w:numFmt w:val="decimal"/></w:lvl>'
    levels += '<w:lvl w:ilvl="1"><w:numFmt w:val="lowerLetter"/></w:lvl>'
    bullets = '<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>'
    numbering = f'<w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum>{bullets}'
    numbering += "".join(f'<w:num w:numId="{n + 1}"><w:abstractNumId w:val="{n}"/></w:num>' for n in (0, 1))
    places = (("a", 0, 1), ("b", 1, 1), ("c", 1, 1), ("d", 0, 1), ("e", 1, 1), ("f", 0, 2), ("g", 0, 0))
    body = "".join(
        made.paragraph(text, more=f'<w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="{number}"/></w:numPr>')
        for text, depth, number in places
    )
    assert read_docx(body, numbering=numbering).text == "3. a\n  1. b\n  2. c\n4. d\n  1. e\n- f\n\ng"


def test_docx_title_is_its_own_unless_it_is_a_placeholder() -> None:
    """The properties name it; a file's name or a template's word is no title."""
    assert read_docx(made.paragraph("x"), title="Our terms").title == "Our terms"
    assert read_docx(made.paragraph("x"), title="Doc1.docx").title is None


def test_docx_text_boxes_are_read_once() -> None:
    """A box comes after its paragraph, and not again from the rendering kept for older programs."""
    box = f"<w:txbxContent>{made.paragraph('In a box')}</w:txbxContent>"
    both = f"<w:r><AlternateContent><Choice>{box}</Choice><Fallback>{box}</Fallback></AlternateContent></w:r>"
    assert read_docx(f"<w:p>{both}{made.run('Beside')}</w:p>").text == "Beside\n\nIn a box"
    assert read_docx(f"<w:tbl><w:tr><w:tc>{made.paragraph('All of it')}</w:tc></w:tr></w:tbl>").spans == ()


def test_pptx_slides_are_pages_in_their_order() -> None:
    """The title comes first, numbers and dates of slides are left out, tables are rows, notes follow their slide."""
    row = "<a:tr>" + "<a:tc><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>" * 2 + "</a:tr>"
    table = f"<p:graphicFrame><a:tbl>{row.format('a', 'b')}{row.format('1', '2')}</a:tbl></p:graphicFrame>"
    first = f"<p:grpSp>{made.shape('Body&#10;text')}</p:grpSp>{made.shape('The title', place='ctrTitle')}"
    data = made.pptx(first + made.shape("7", place="sldNum"), table, notes=made.shape("Say hello", place="body"))
    parsed = parse(pptx.create(None, CONTEXT), data, "a.pptx")
    assert parsed.text == "The title\n\nBody\ntext\n\nNotes: Say hello\n\na | b\n1 | 2"
    assert [one for one in spans(parsed) if one[0] == "page"] == [
        ("page", 1, "The title\n\nBody\ntext\n\nNotes: Say hello"), ("page", 2, "a | b\n1 | 2"),
    ]  # fmt: skip
    assert parsed.title == "The title"


def test_xlsx_cells_are_as_shown() -> None:
    """Dates, times, percentages, truth values and shared texts; empty cells keep the columns apart."""
    styles = '<numFmts><numFmt numFmtId="170" formatCode="[$-407]d. mmm yyyy;@"/></numFmts><cellXfs>'
    styles += "".join(f'<xf numFmtId="{n}"/>' for n in (0, 14, 22, 20, 9, 170)) + "</cellXfs>"
    cells = (("A1", 0, "0.30000000000000004"), ("B1", 1, "45292"), ("C1", 2, "45292.5"), ("D1", 3, "0.75"),
             ("E1", 4, "0.125"), ("F1", 5, "45292"), ("I1", 0, "-3"))  # fmt: skip
    row = "".join(f'<c r="{place}" s="{style}"><v>{value}</v></c>' for place, style, value in cells)
    texts = '<c t="s"><v>0</v></c><c t="b"><v>1</v></c><c t="inlineStr"><is><t>in</t></is></c><c t="e"><v>#N/A</v></c>'
    strings = "<si><r><t>Rich </t></r><r><t>text</t></r><rPh><t>reading</t></rPh></si>"
    data = made.xlsx(("Data", f'<row r="4">{row}</row><row r="9">{texts}</row>'), strings=strings, styles=styles)
    parsed = parse(xlsx.create(None, CONTEXT), data, "a.xlsx")
    assert spans(parsed) == [
        ("heading", 1, "Data"),
        ("row", 4, "0.3 | 2024-01-01 | 2024-01-01 12:00 | 18:00 | 12.5% | 2024-01-01 |  |  | -3"),
        ("row", 9, "Rich text | TRUE | in | #N/A"),
    ]


def test_xlsx_sheets() -> None:
    """Sheets with cells have a heading, hidden ones are left out and counted; one sheet's header is the columns."""
    row = '<row><c t="str"><v>name</v></c><c t="str"><v>price</v></c></row><row><c><v>1</v></c><c><v>2</v></c></row>'
    one = parse(xlsx.create(None, CONTEXT), made.xlsx(("A", row), ("B", ""), ("C", row), hidden="C"), "a.xlsx")
    assert one.text == "A\n\nname | price\n1 | 2"
    assert (one.metadata, one.warnings) == ({"columns": ["name", "price"]}, ("hidden sheets that were not read: 1",))
    two = parse(xlsx.create(None, CONTEXT), made.xlsx(("A", row), ("C", row)), "a.xlsx")
    assert (two.text, two.metadata) == ("A\n\nname | price\n1 | 2\n\nC\n\nname | price\n1 | 2", {})


def test_odt_is_readable_text() -> None:
    """Headings, lists of both kinds, spaces, tables, notes; comments and deleted text are left out."""
    styles = '<text:list-style style:name="L1"><text:list-level-style-number text:level="1" style:num-format="1"/></text:list-style>'
    item = "<text:list-item><text:p>{}</text:p>{}</text:list-item>"
    inner = f"<text:list>{item.format('inner', '')}</text:list>"
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        '<text:h text:outline-level="2">A <text:span>head</text:span></text:h>'
        '<text:p>Two<text:s text:c="3"/>words<office:annotation><text:p>comment</text:p></office:annotation>'
        "<text:note><text:note-citation>i</text:note-citation><text:note-body><text:p>A note.</text:p></text:note-body>"
        "</text:note>, more<text:line-break/>line</text:p>"
        f'<text:list text:style-name="L1">{item.format("one", inner)}{item.format("two", "")}</text:list>'
        f"<table:table><table:table-row>{cell.format('a')}{cell.format('b')}</table:table-row></table:table>"
    )
    data = made.open_document("text", body, styles=styles, title="My letter")
    parsed = parse(opendocument.create(None, CONTEXT), data, "a.odt")
    assert parsed.text == ("A head\n\nTwo words [1], more\nline\n\n1. one\n  - inner\n2. two\n\na | b\n\n[1] A note.")
    assert spans(parsed) == [("heading", 2, "A head"), ("row", 1, "a | b")]
    assert (parsed.title, parsed.metadata) == ("My letter", {"author": "A. Writer"})


def test_ods_rows_are_numbered_as_in_the_sheet() -> None:
    """Empty rows and cells that are repeated a million times are not written out; those with text are."""
    cell = "<table:table-cell{}><text:p>{}</text:p></table:table-cell>"
    twice = ' table:number-columns-repeated="2"'
    body = (
        '<table:table table:name="Prices"><table:table-row table:number-rows-repeated="1048000"><table:table-cell/>'
        f"</table:table-row><table:table-row>{cell.format(twice, 'x')}<table:table-cell "
        'table:number-columns-repeated="16000"/></table:table-row></table:table>'
    )
    parsed = parse(opendocument.create(None, CONTEXT), made.open_document("spreadsheet", body), "a.ods")
    assert spans(parsed) == [("heading", 1, "Prices"), ("row", 1_048_001, "x | x")]
    assert parsed.media_type == "application/vnd.oasis.opendocument.spreadsheet"


def test_epub_chapters_come_in_reading_order() -> None:
    """The spine orders them; XHTML's short tags, footnotes and a chapter's own header are read as meant."""
    data = made.epub(
        "<h1>Second</h1><p>b<a id='x'/> c</p><aside>A footnote.</aside>",
        "<header><h1>First</h1></header><p>a</p><script src='x'/><p>after</p>",
    )
    parsed = parse(epub.create(None, CONTEXT), data, "a.epub")
    assert parsed.text == "First\n\na\n\nafter\n\nSecond\n\nb c\n\nA footnote."
    assert spans(parsed) == [("heading", 1, "First"), ("heading", 1, "Second")]
    assert (parsed.title, parsed.metadata) == ("A book", {"author": "A. Writer"})


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"{\rtf1\ansi One\par Two\line three\tab four}", "One\n\nTwo\nthree four"),
        (r"{\rtf1\ansicpg1251 \'cf\'f0\'e8\'e2\'e5\'f2}", "Привет"),
        (r"{\rtf1{\fonttbl{\f1\fcharset128 X;}}\f1 \'93\'fa\'96\'7b}", "日本"),
        (r"{\rtf1\uc1 Gr\u252?\'df \u-10179?\u-8704?\u8364\'80 {\uc0\u955}x}", "Grüß \U0001f600€ λx"),
        (r"{\rtf1 a{\*\unknown b}{\pict 00ff}{\header h}{\info{\operator o}}{\v hidden}{\b c}\{d\}\~\_e}", "ac{d} -e"),
        (r"{\rtf1 See {\field{\*\fldinst HYPERLINK x}{\fldrslt this}} page}", "See this page"),
        (r"{\rtf1 a{\footnote A note.\par more} b}", "a [1] b\n\n[1] A note. more"),
        (r"{\rtf1 {\listtext 1.\tab}one\par\ilvl1{\pntext\'b7\tab}two\par\pard three}", "1. one\n  - two\n\nthree"),
        (
            r"{\rtf1\trowd\intbl a\cell b\cell\row\trowd\intbl c\par d\cell e\cell\row\pard End}",
            "a | b\nc d | e\n\nEnd",
        ),
        ("{\\rtf1 a\\bin3 }{}b}", "ab"),
    ],
)
def test_rtf_is_readable_text(source: str, text: str) -> None:
    """Code pages, Unicode with and without stand-ins, groups that are not text, notes, lists and tables."""
    assert read_rtf(source).text == text


def test_rtf_headings_and_title() -> None:
    """A heading is known by its style's name or its outline level; the title is the document's own."""
    parsed = read_rtf(
        r"{\rtf1{\stylesheet{\s0 Normal;}{\s3 heading 2;}{\s4\outlinelevel2 Mine;}}{\info{\title My \'84file}{\author Me}}"
        r"\pard\s3 Two\par\pard\s4 Three\par\pard\s0 Text}"
    )
    assert spans(parsed) == [("heading", 2, "Two"), ("heading", 3, "Three")]
    assert (parsed.title, parsed.metadata) == ("My „file", {"author": "Me"})
