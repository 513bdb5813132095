"""The rarer parts of workbooks, OpenDocument files, books and RTF: each is read as the program that wrote it shows it."""

from __future__ import annotations

import re

import pytest

from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, ParserInput, ProviderContext
from minirag.providers.parsers import composing, epub, opendocument, rtf, xlsx
from tests.providers import office_files as made

CONTEXT = ProviderContext()
PARSERS = {".xlsx": xlsx, ".odt": opendocument, ".ods": opendocument, ".odp": opendocument, ".epub": epub, ".rtf": rtf}


def read(name: str, data: bytes) -> ParsedDocument:
    parser = PARSERS[name[name.index(".") :]].create(None, CONTEXT)
    return parser.parse(ParserInput(data=data, name=name))


def spans(parsed: ParsedDocument) -> list[tuple[str, int | None, str]]:
    """Return kind, number and text of each span."""
    return [(span.kind, span.number, parsed.text[span.start : span.end]) for span in parsed.spans]


def row(*cells: str, number: str = "") -> str:
    """Return a row of a sheet whose cells are texts."""
    place = f' r="{number}"' if number else ""
    return f"<row{place}>" + "".join(f'<c t="str"><v>{cell}</v></c>' for cell in cells) + "</row>"


def shown(code: str, value: str, *, from_1904: str = "") -> str:
    """Return how a workbook's cell of a number format shows a value; digits stand for a built-in format."""
    own = "" if code.isdecimal() else f'<numFmts><numFmt numFmtId="170" formatCode="{code}"/></numFmts>'
    styles = f'{own}<cellXfs><xf numFmtId="{code if code.isdecimal() else 170}"/></cellXfs>'
    data = made.xlsx(("S", f'<row><c s="0"><v>{value}</v></c></row>'), styles=styles)
    if from_1904:
        workbook = made.unpacked(data)["xl/workbook.xml"]
        assert isinstance(workbook, bytes)
        properties = f'<workbookPr date1904="{from_1904}"/><sheets>'.encode()
        data = made.changed(data, xl__workbook_dot_xml=workbook.replace(b"<sheets>", properties))
    return read("a.xlsx", data).text.removeprefix("S\n\n")


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("45", "0.5", "12:00"),
        ("mm:ss", "0.5", "12:00"),
        ("[h]:mm", "1.5", "36:00"),
        ("mmm", "45292", "2024-01-01"),
        ("h:mm", "45292.25", "2024-01-01 06:00"),
        ("h:mm", "45292", "2024-01-01 00:00"),
        ("[Red]0.0", "1.5", "1.5"),
        ("0_d", "3", "3"),
        ("0\\d", "3", "3"),
        ("0&quot; days&quot;", "3", "3"),
        ("0;-0;d", "3", "3"),
        ("General", "3", "3"),
        ("0%", "0.07", "7%"),
        ("0%", "NaN", "NaN"),
        ("0", "n/a ", "n/a"),
        ("14", "3000000", "3000000"),
        ("14", "-1", "-1"),
        ("0", "123456789012345678", "123456789012345678"),
    ],
)
def test_xlsx_numbers_are_as_shown(code: str, value: str, text: str) -> None:
    """By what the format writes, not by letters in its literal texts; what is no date or number stays as it is."""
    assert shown(code, value) == text


@pytest.mark.parametrize("flag", ["1", "true"])
def test_xlsx_dates_may_count_from_1904(flag: str) -> None:
    """Where the workbook says so."""
    assert shown("14", "43830", from_1904=flag) == "2024-01-01"
    assert shown("14", "2957500", from_1904=flag) == "2957500"
    assert shown("14", "45292", from_1904="0") == "2024-01-01"


def test_xlsx_sheets_that_are_not_read() -> None:
    """Charts are no sheets of cells, and sheets can be hidden in two ways."""
    data = made.xlsx(("A", row("a")), ("B", row("b")), ("C", row("c")), hidden="C")
    parts = {name: part for name, part in made.unpacked(data).items() if isinstance(part, bytes)}
    data = made.changed(
        data,
        xl__workbook_dot_xml=parts["xl/workbook.xml"].replace(b'"hidden"', b'"veryHidden"'),
        xl___rels__workbook_dot_xml_dot_rels=parts["xl/_rels/workbook.xml.rels"].replace(
            b'worksheet" Target="worksheets/1.xml"', b'chartsheet" Target="worksheets/1.xml"'
        ),
    )
    parsed = read("a.xlsx", data)
    assert (parsed.text, parsed.warnings) == ("A\n\na", ("hidden sheets that were not read: 1",))


def test_xlsx_rows_and_cells_without_a_place_follow_each_other() -> None:
    """A row's number is one more than that of the row before; a lone cell far out makes few empty ones."""
    near = '<row><c r="Z1" t="str"><v>a</v></c><c r="ab1" t="str"><v>b</v></c></row>'
    assert read("a.xlsx", made.xlsx(("S", near))).text.endswith("a |  | b")
    far = '<row><c r="A1" t="str"><v>a</v></c><c r="XFD1" t="str"><v>b</v></c></row>'
    parsed = read("a.xlsx", made.xlsx(("S", row("x", number="4") + row("y") + far)))
    assert spans(parsed)[1:] == [("row", 4, "x"), ("row", 5, "y"), ("row", 6, "a | " + " | " * 30 + "b")]


def test_xlsx_readings_are_left_out() -> None:
    """How a Japanese text is pronounced is no part of it."""
    cell = '<row><c t="inlineStr"><is><t>日本</t><rPh><t>にほん</t></rPh></is></c></row>'
    assert read("a.xlsx", made.xlsx(("S", cell))).text == "S\n\n日本"


def test_xlsx_a_text_that_is_missing() -> None:
    """A cell that refers beyond the shared texts is told."""
    cell = '<row><c t="s"><v>1</v></c></row>'
    with pytest.raises(ParseError, match="refers to a text that is missing"):
        read("a.xlsx", made.xlsx(("S", cell), strings="<si><t>only</t></si>"))


@pytest.mark.parametrize("names", [("a", "a"), ("a", "1st"), ("a", "-b"), ("a",)])
def test_xlsx_a_first_row_that_is_no_header(names: tuple[str, ...]) -> None:
    """Equal names, numbers and a single name are no columns."""
    assert read("a.xlsx", made.xlsx(("S", row(*names) + row("c", "d")))).metadata == {}


def test_too_long_rows_are_refused_before_they_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that repeat one text cost memory only once they are joined."""
    monkeypatch.setattr(composing, "TEXT_LIMIT", 10_000)
    monkeypatch.setattr(composing.Composer, "row", lambda *_, **__: pytest.fail("a row was put together"))
    cells = '<row><c t="s"><v>0</v></c><c t="s"><v>0</v></c><c t="s"><v>0</v></c></row>'
    with pytest.raises(ParseError, match="characters of text"):
        read("a.xlsx", made.xlsx(("S", cells), strings=f"<si><t>{'x' * 4_000}</t></si>"))
    cell = f'<table:table-cell table:number-columns-repeated="3"><text:p>{"x" * 4_000}</text:p></table:table-cell>'
    table = f"<table:table><table:table-row>{cell}</table:table-row></table:table>"
    with pytest.raises(ParseError, match="characters of text"):
        read("a.odt", made.open_document("text", table))


BOX = "<draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
CELL = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
COVERED = "<table:covered-table-cell><text:p>under</text:p></table:covered-table-cell>"
GROUPED = f"<table:table-{{0}}><table:table-row>{CELL.format('{1}')}</table:table-row></table:table-{{0}}>".format
ITEM = "<text:list-item>{}</text:list-item>"
NUMBERED = (
    '<text:list-style style:name="L1"><text:list-level-style-number text:level="1" style:num-format="1"/>'
    '<text:list-level-style-number text:level="2" style:num-format="1"/>'
    '<text:list-level-style-number text:level="3" style:num-format=""/></text:list-style>'
)


def odt(body: str, **more: str) -> str:
    return read("a.odt", made.open_document("text", body, **more)).text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<text:p>a<text:tab/>b<text:s/>c</text:p>", "a b c"),
        (f"<text:p>before {BOX.format('boxed')} after</text:p>", "before after\n\nboxed"),
        ("<text:p>a<draw:frame><svg:desc>a picture</svg:desc></draw:frame></text:p>", "a"),
        ("<text:p><text:ruby><text:ruby-base>日本</text:ruby-base><text:ruby-text>r</text:ruby-text></text:ruby></text:p>", "日本"),
        ("<office:forms><form:textarea><text:p>default</text:p></form:textarea></office:forms><text:p>a</text:p>", "a"),
        (f"<text:p>a<text:note><text:note-body><text:p>n{BOX.format('b')}</text:p></text:note-body></text:note></text:p>",
         "a [1]\n\n[1] n b"),
        (f"<table:table><table:table-row>{CELL.format('a' + BOX.format('boxed'))}</table:table-row></table:table>", "a boxed"),
        (f"<table:table><table:table-row>{CELL.format('a')}{COVERED}{CELL.format('b')}</table:table-row></table:table>",
         "a |  | b"),
        (f"<table:table>{''.join(map(GROUPED, ('header-rows', 'rows', 'row-group'), 'hrg'))}</table:table>", "h\nr\ng"),
    ],
)  # fmt: skip
def test_odt_parts(body: str, text: str) -> None:
    """Text boxes, notes, tables and what is no text."""
    namespaces = 'xmlns:svg="urn:svg" xmlns:form="urn:form"'
    body = re.sub(r"^<([a-z:-]+)", rf"<\1 {namespaces}", body)
    assert odt(body) == text


def test_odt_lists() -> None:
    """A list in a list has its style; a level may be without numbers; an item's further paragraphs have no mark."""
    deepest = f"<text:list>{ITEM.format('<text:p>c</text:p>')}</text:list>"
    inner = f"<text:list>{ITEM.format('<text:p>b</text:p>' + deepest)}</text:list>"
    body = (
        '<text:list text:style-name="L1"><text:list-header><text:p>head</text:p></text:list-header>'
        + ITEM.format("<text:p>a</text:p><text:p>more</text:p>" + inner)
        + ITEM.format("<text:p>z</text:p>")
        + "</text:list>"
    )
    expected = "1. head\n2. a\nmore\n  1. b\n    - c\n3. z"
    assert odt(body, styles=NUMBERED) == expected
    data = made.open_document("text", body)
    styles = f"<office:document-styles {made.OPEN}><office:styles>{NUMBERED}</office:styles></office:document-styles>"
    assert read("a.odt", made.changed(data, styles_dot_xml=styles)).text == expected


def test_odt_title_author_and_level() -> None:
    """Who wrote it first is the author; without a title of its own the first heading is one."""
    data = made.open_document("text", '<text:h text:outline-level="x">Top</text:h><text:p>a</text:p>')
    meta = made.unpacked(data)["meta.xml"]
    assert isinstance(meta, bytes)
    first = b'<m:initial-creator xmlns:m="urn:m">First</m:initial-creator><dc:creator>'
    parsed = read("a.odt", made.changed(data, meta_dot_xml=meta.replace(b"<dc:creator>", first)))
    assert (parsed.title, parsed.metadata, spans(parsed)) == ("Top", {"author": "First"}, [("heading", 1, "Top")])
    assert read("a.odt", data).metadata == {"author": "A. Writer"}


def test_ods_a_row_that_is_repeated_is_bounded() -> None:
    """A row with text is written out a thousand times at most, empty cells between others thirty times."""
    body = (
        '<table:table table:name="S"><table:table-row table:number-rows-repeated="5000">'
        f'{CELL.format("a")}<table:table-cell table:number-columns-repeated="500"/>{CELL.format("b")}</table:table-row>'
        f"<table:table-row>{CELL.format('last')}</table:table-row></table:table>"
    )
    rows = [span for span in spans(read("a.ods", made.open_document("spreadsheet", body))) if span[0] == "row"]
    assert (len(rows), rows[0][2], rows[-1]) == (1001, "a | " + " | " * 30 + "b", ("row", 5001, "last"))


def test_odp_the_title_comes_first_and_empty_notes_are_nothing() -> None:
    """Wherever the title stands on the slide."""
    slide = (
        f"<draw:page>{BOX.format('body')}"
        '<draw:frame presentation:class="title"><draw:text-box><text:p>Top</text:p></draw:text-box></draw:frame>'
        "<presentation:notes><draw:frame><draw:text-box><text:p/></draw:text-box></draw:frame></presentation:notes>"
        "</draw:page>"
    )
    assert read("a.odp", made.open_document("presentation", slide)).text == "Top\n\nbody"


def test_an_encrypted_open_document_is_told() -> None:
    """By its manifest."""
    data = made.changed(
        made.open_document("text", "<text:p>a</text:p>"), **{"META-INF__manifest_dot_xml": "<m><encryption-data/></m>"}
    )
    with pytest.raises(ParseError, match="needs a password"):
        read("a.odt", data)


def package(chapter: str = "<p>a</p>", **replaced: str) -> ParsedDocument:
    """Return a book of one chapter, with texts of its package replaced."""
    data = made.epub(chapter, "<p>last</p>")
    book = made.unpacked(data)["OPS/book.opf"]
    assert isinstance(book, bytes)
    text = book.decode()
    for name, (old, new) in {name: value.split(" => ") for name, value in replaced.items()}.items():
        assert old in text, name
        text = text.replace(old, new)
    return read("a.epub", made.changed(data, OPS__book_dot_opf=text))


def test_epub_what_is_no_chapter_is_left_out() -> None:
    """The table of contents, pictures, and parts that the file does not hold."""
    first = 'id="c0" href="text/c%200.xhtml"'
    assert package(nav=f'{first} => {first} properties="nav scripted"').text == "last"
    assert (
        package(picture=f'{first} media-type="application/xhtml+xml" => {first} media-type="image/svg+xml"').text
        == "last"
    )
    missing = package(missing="text/c%200.xhtml => text/none.xhtml")
    assert (missing.text, missing.warnings) == ("last", ("chapters that are missing in the file: 1",))
    assert package("<img src='cover.png'/>").text == "last"


def test_epub_addresses_and_older_metadata() -> None:
    """A chapter's address may name a place in it; books of the first edition wrap what they say of themselves."""
    assert package(place="c%200.xhtml => c%200.xhtml#start").text == "last\n\na"
    older = package(
        open="<metadata xmlns:dc => <metadata><title>Not this</title><dc-metadata xmlns:dc",
        close="</metadata> => </dc-metadata></metadata>",
    )
    assert (older.title, older.metadata) == ("A book", {"author": "A. Writer"})
    long = "A long chapter. " * 20
    assert package(f"<p>{long}</p><footer>colophon</footer>").text == f"last\n\n{long.strip()}\n\ncolophon"
    data = made.unpacked(made.epub("<p>a</p>"))
    container = '<container><rootfiles><rootfile full-path="O%20S/book.opf"/></rootfiles></container>'
    moved = {name.replace("OPS/", "O S/"): part for name, part in data.items()}
    assert read("a.epub", made.archive({**moved, "META-INF/container.xml": container})).text == "a"


def test_epub_line_breaks_fonts_and_as_many_chapters_as_allowed() -> None:
    """A short tag that HTML knows stays one; garbled fonts hide no text; a book at the limit is read."""
    data = made.epub("<p>a<br/>b</p>", "<p>c</p>")
    for algorithm in ("http://ns.adobe.com/pdf/enc#RC", "http://www.idpf.org/2008/embedding"):
        encryption = f'<e><EncryptionMethod Algorithm="{algorithm}"/></e>'
        garbled = made.archive({**made.unpacked(data), "META-INF/encryption.xml": encryption})
        file = ParserInput(data=garbled, name="a.epub", max_pages=2)
        assert epub.create(None, CONTEXT).parse(file).text == "c\n\na\nb"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"{\rtf1\uc1 \u8226\bullet x}", "•x"),
        (r"{\rtf1 {\u955}x\u955{y}}", "λxλy"),
        (r"{\rtf1\uc2 \u955??x{\u955??y}}", "λxλy"),
        ("{\\rtf1 a\\\nb\\\rc}", "a\n\nb\n\nc"),
        (r"{\rtf1 a\sect b\page c}", "a\n\nb\n\nc"),
        (r"{\rtf1 a{\*\shpinst{\shptxt  boxed}}}", "a boxed"),
        (r"{\rtf1 a{\deleted b}c\v d\plain e}", "ace"),
        (r"{\rtf1\pc \'9b}", "¢"),
        (r"{\rtf1\pca \'d5}", "ı"),
        (r"{\rtf1\mac \'80}", "Ä"),
        (r"{\rtf1\ansicpg10000 \'80}", "Ä"),
        (r"{\rtf1\ansicpg65001 \'ce\'bb}", "λ"),
        (r"{\rtf1\deff1{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}\'cf\f0\'cf}", "ПÏ"),
        (r"{\rtf1{\fonttbl{\f1\fcharset204 B;}}\f1 {\'cf}\plain\'cf}", "ПÏ"),
        (r"{\rtf1\trowd\intbl{\listtext 1.\tab}a\cell b\cell\row}", "1. a | b"),
        (r"{\rtf1\trowd\intbl a\cell b\cell\pard End}", "a | b\n\nEnd"),
        (r"{\rtf1\intbl a\nestcell b\cell\row}", "a b"),
        (r"{\rtf1 {\listtext (a)\tab}one\par\pard\ilvl1{\listtext\'b7}two\par\pard\ilvl0{\listtext\'b7}three}", "(a) one\n  - two\n- three"),
        (r"{\rtf1 \outlinelevel9 a}", "a"),
    ],
)  # fmt: skip
def test_rtf_words(source: str, text: str) -> None:
    """Stand-ins that are words, code pages of other systems, hidden text, shapes, and tables that end early."""
    parsed = read("a.rtf", source.encode("latin-1"))
    assert parsed.text == text
    assert [span for span in spans(parsed) if span[0] == "heading"] == []


def test_rtf_the_style_named_title_is_a_heading() -> None:
    """Of the first level, and the document's title."""
    parsed = read("a.rtf", rb"{\rtf1{\stylesheet{\s5 Title;}}\pard\s5 Top\par\pard Text}")
    assert (spans(parsed), parsed.title) == ([("heading", 1, "Top")], "Top")


def test_rtf_that_is_none_or_nests_without_end() -> None:
    """The message tells them apart."""
    with pytest.raises(ParseError, match="is no RTF"):
        read("a.rtf", rb"x {\rtf1 a}")
    with pytest.raises(ParseError, match="nests more than"):
        read("a.rtf", rb"{\rtf1 " + b"{" * 1_001 + b"a" + b"}" * 1_002)
    assert read("a.rtf", b"\xef\xbb\xbf\r\n{\\rtf1 a}").text == "a"
