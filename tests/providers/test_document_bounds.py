"""Documents of untrusted origin: bombs, entities, passwords and damage end in a refusal that says why, and soon."""

from __future__ import annotations

import random
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest

from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.providers.parsers import archive, composing, docx, eml, epub, opendocument, pptx, xlsx
from minirag.providers.parsers.xml_tree import DEPTH_LIMIT
from tests.providers import office_files as made

CONTEXT = ProviderContext()
ROW = '<row><c t="str"><v>text</v></c></row>'
FORMATS: dict[str, tuple[Callable[[None, ProviderContext], Parser], bytes, str]] = {
    "a.docx": (docx.create, made.docx(made.paragraph("Words.")), "word/document.xml"),
    "a.pptx": (pptx.create, made.pptx(made.shape("Words.")), "ppt/slides/slide1.xml"),
    "a.xlsx": (xlsx.create, made.xlsx(("S", ROW)), "xl/worksheets/0.xml"),
    "a.odt": (opendocument.create, made.open_document("text", "<text:p>Words.</text:p>"), "content.xml"),
    "a.epub": (epub.create, made.epub("<p>Words.</p>"), "OPS/book.opf"),
}
"""Of each format that is an archive: its parser, a document, and the part that holds what is read."""


def read(name: str, data: bytes, **more: int) -> ParsedDocument:
    return FORMATS[name][0](None, CONTEXT).parse(ParserInput(data=data, name=name, **more))


def refusal(name: str, data: bytes) -> str:
    """Return why a document is refused; the sentence names the file."""
    with pytest.raises(ParseError) as caught:
        read(name, data)
    assert name in str(caught.value)
    return str(caught.value)


def with_part(name: str, part: str | bytes) -> bytes:
    """Return the document with the part that is read replaced."""
    _, data, place = FORMATS[name]
    return made.archive({**made.unpacked(data), place: part})


@pytest.mark.parametrize("name", FORMATS)
def test_a_bomb_is_not_unpacked(name: str) -> None:
    """Spaces that are packed a thousand to one are refused before they fill the memory."""
    data = with_part(name, b" " * 60_000_000)
    tracemalloc.start()
    assert "out of proportion" in refusal(name, data)
    assert tracemalloc.get_traced_memory()[1] < 45_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", FORMATS)
def test_a_part_read_many_times_counts_each_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be unpacked is counted over all parts of the document."""
    _, data, _ = FORMATS[name]
    assert read(name, data).text
    monkeypatch.setattr(archive, "EXPANDED_LIMIT", 400)
    assert "out of proportion" in refusal(name, data)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("declaration", ['<!ENTITY a "aaaa">', '<!ENTITY a SYSTEM "file:///etc/hostname">', ""])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(name: str, declaration: str, encoding: str) -> None:
    """Without one there are no entities: none is expanded, and no file or address is read."""
    _, data, place = FORMATS[name]
    part = made.unpacked(data)[place]
    assert isinstance(part, bytes)
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [{declaration}]>' + part.decode()
    assert "declares a document type" in refusal(name, with_part(name, text.encode(encoding)))


@pytest.mark.parametrize("name", FORMATS)
def test_deep_xml_is_refused(name: str) -> None:
    """Elements may not nest without end."""
    assert f"more than {DEPTH_LIMIT} XML elements" in refusal(name, with_part(name, "<a>" * 100_000))


@pytest.mark.parametrize("name", FORMATS)
def test_too_many_parts_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of more members than any document has is not even listed."""
    monkeypatch.setattr(archive, "MEMBERS_LIMIT", 3)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert "more than 3 parts" in refusal(name, FORMATS[name][1])


@pytest.mark.parametrize("name", FORMATS)
def test_passwords(name: str) -> None:
    """Both ways of encrypting a document are told from damage: the archive's own, and an Office package."""
    assert "needs a password" in refusal(name, made.compound({"EncryptedPackage": b"x" * 100}))
    locked = bytearray(FORMATS[name][1])
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = locked.find(signature)
        while at >= 0:
            locked[at + flags] |= 1
            at = locked.find(signature, at + 4)
    assert "needs a password" in refusal(name, bytes(locked))


def test_protected_books_and_letters() -> None:
    """Copy protection of a book and the encryption of OpenDocument are named; garbled fonts alone are neither."""
    method = '<encryption><EncryptedData><EncryptionMethod Algorithm="{}"/></EncryptedData></encryption>'
    book, letter = FORMATS["a.epub"][1], FORMATS["a.odt"][1]
    secret = made.changed(
        book, **{"META-INF__encryption_dot_xml": method.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc")}
    )
    assert "protected against copying" in refusal("a.epub", secret)
    fonts = made.changed(book, **{"META-INF__encryption_dot_xml": method.format("http://www.idpf.org/2008/embedding")})
    assert read("a.epub", fonts).text == "Words."
    locked = made.changed(letter, **{"META-INF__manifest_dot_xml": "<manifest><encryption-data/></manifest>"})
    assert "needs a password" in refusal("a.odt", locked)


@pytest.mark.parametrize("name", FORMATS)
def test_other_formats_are_told_apart(name: str) -> None:
    """An empty file, an older format and a wrong extension each have a sentence of their own."""
    assert "is empty" in refusal(name, b"")
    assert "older format" in refusal(name, made.compound({"WordDocument": b"x" * 100}))
    assert "extension of its real format" in refusal(name, b"%PDF-1.7 and more")
    other = next(data for other, (_, data, _) in FORMATS.items() if other != name)
    assert ("another kind" if name in ("a.docx", "a.pptx", "a.xlsx") else "is missing") in refusal(name, other)


@pytest.mark.parametrize("name", FORMATS)
def test_damage_inside_the_archive(name: str) -> None:
    """Parts that are cut, changed or mixed up inside a sound archive are read or refused; no other error comes out."""
    _, data, _ = FORMATS[name]
    chance = random.Random(7)
    for _ in range(60):
        parts = made.unpacked(data)
        part = chance.choice(list(parts))
        old = parts[part]
        assert isinstance(old, bytes)
        new = bytearray(old)
        at = chance.randrange(len(new) or 1)
        match chance.randrange(4):
            case 0:
                del new[at : at + chance.randrange(40)]
            case 1:
                new[at : at + 1] = chance.randbytes(chance.randrange(3))
            case 2:
                new = new.replace(b'"s', b'"x').replace(b'="1', b'="-9')
            case _:
                new = bytearray(bytes(new).replace(b"1", b"99999999999999999999"))
        try:
            parsed = read(name, made.archive({**parts, part: bytes(new)}))
        except ParseError as refused:
            said = str(refused)
        else:
            said = name if parsed.text.strip() else "no text"
        assert name in said


def test_one_text_cannot_be_repeated_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet whose cells all refer to one long text is refused, as is a cell that says it is repeated."""
    monkeypatch.setattr(composing, "TEXT_LIMIT", 100_000)
    rows = '<row><c t="s"><v>0</v></c></row>' * 40
    assert "characters of text" in refusal("a.xlsx", made.xlsx(("S", rows), strings=f"<si><t>{'x' * 5_000}</t></si>"))
    one_row = rows.replace("</row><row>", "")
    assert "characters of text" in refusal(
        "a.xlsx", made.xlsx(("S", one_row), strings=f"<si><t>{'x' * 5_000}</t></si>")
    )
    cell = f'<table:table-cell table:number-columns-repeated="50"><text:p>{"x" * 5_000}</text:p></table:table-cell>'
    table = f"<table:table><table:table-row>{cell}</table:table-row></table:table>"
    assert "characters of text" in refusal("a.odt", made.open_document("text", table))


def test_too_many_slides_or_chapters() -> None:
    """`max_pages` holds for slides and for a book's chapters."""
    for name, data in (("a.pptx", made.pptx("", "")), ("a.epub", made.epub("a", "b"))):
        with pytest.raises(ParseError, match="more than the 1 allowed"):
            read(name, data, max_pages=1)


def test_mails_inside_mails_without_end() -> None:
    """An e-mail of parts that lie in each other by the hundred is refused before it is taken apart."""
    head = "From: a@example.com\nSubject: x\n"
    data = head + "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(5_000))
    with pytest.raises(ParseError, match="parts of parts"):
        eml.create(None, CONTEXT).parse(ParserInput(data=data.encode(), name="a.eml"))
