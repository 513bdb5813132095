"""The parsers of e-mails keep the contract, and read what a person reads of an e-mail."""

from __future__ import annotations

import datetime as dt
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from olefile import OleFileIO

import minirag
from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.providers.parsers import eml, msg
from minirag.providers.parsers.rtf_compressed import decompress_rtf
from minirag.testing.parser import ParserConformance
from tests.providers import office_files as made

CONTEXT = ProviderContext()
SUBJECT, BODY, HTML, RTF = (f"__substg1.0_{tag}" for tag in ("0037001F", "1000001F", "10130102", "10090102"))
SENT = 133_500_000_000_000_000
PACKED_RTF = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)
"""The example of [MS-OXRTFCP] 4.1.1."""


def read(source: str | bytes) -> ParsedDocument:
    data = source.encode() if isinstance(source, str) else source
    return eml.create(None, CONTEXT).parse(ParserInput(data=data, name="a.eml"))


def read_msg(properties: dict[str, str | bytes], *, sent: int = 0) -> ParsedDocument:
    return msg.create(None, CONTEXT).parse(ParserInput(data=made.msg(properties, sent=sent), name="a.msg"))


class TestEml(ParserConformance):
    file_name = "order.eml"
    broken = (
        b"",
        b"{canary}",
        b"PK\x03\x04{canary}",
        b"key: {canary}\n\nvalue",
        b"From: a@example.com\nContent-Type: multipart/encrypted; boundary=x\n\n--x\n{canary}",
    )
    blank = b"From: a@example.com\nTo: b@example.com\n\n \n"

    def make_parser(self) -> Parser:
        return eml.create(None, CONTEXT)

    def sample(self) -> bytes:
        return (Path(__file__).parents[1] / "data/files/r2r_sample.eml").read_bytes()

    def large(self) -> bytes:
        return b"Subject: x\nTo: " + b"=?utf-8?q?a?= " * 50_000 + b"\n\n" + b"A line of text.\n" * 100_000


class TestMsg(ParserConformance):
    file_name = "order.msg"
    broken = (
        b"",
        b"{canary}",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1{canary}",
        made.compound({"WordDocument": b"{canary}"}),
    )
    blank = made.msg({"__substg1.0_0E04001F": "b@example.com"})

    def make_parser(self) -> Parser:
        return msg.create(None, CONTEXT)

    def sample(self) -> bytes:
        html = b"<h1>Order</h1><table><tr><td>a</td><td>b</td></tr></table>"
        return made.msg({SUBJECT: "Order", HTML: html, "__attach_version1.0_#00000000/__substg1.0_3704001F": "a.pdf"})


def test_eml_head_and_body() -> None:
    """The fields that people read, encoded words decoded; the subject is the title, sender and date are metadata."""
    parsed = read(
        "Received: by x\r\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\nTo: a@example.com,\r\n b@example.com\r\n"
        "Subject: =?iso-8859-1?B?R3L832U=?=\r\nDate: Mon, 1 Jan 2024 10:00:00 +0100\r\n\r\nThank you."
    )
    assert parsed.text == (
        "Subject: Grüße\nFrom: Jürgen <j@example.com>\nTo: a@example.com, b@example.com\n"
        "Date: 2024-01-01 10:00+01:00\n\nThank you."
    )
    assert (parsed.title, parsed.media_type) == ("Grüße", "message/rfc822")
    assert parsed.metadata == {"author": "Jürgen <j@example.com>", "date": dt.datetime(2024, 1, 1, 9, tzinfo=dt.UTC)}


@pytest.mark.parametrize("date", ["Mon, 1 Jan 2024 10:00:00 -0000", "never", "Mon, 31 Dec 9999 23:00:00 -0900", ""])
def test_eml_dates_are_moments_or_none(date: str) -> None:
    """A zone that is unknown is UTC; what is no date is no metadata."""
    moment = read(f"Subject: x\nDate: {date}\n\nText").metadata.get("date")
    assert moment is None or (isinstance(moment, dt.datetime) and moment.tzinfo is not None)
    assert (moment is not None) == date.endswith("-0000")


def test_eml_plain_text_goes_before_html() -> None:
    """Of two forms of one body the plain one is taken; HTML alone is read with its headings."""
    part = "--x\nContent-Type: text/{}; charset=utf-8\n\n{}\n"
    head = 'Subject: x\nContent-Type: multipart/alternative; boundary="x"\n\n'
    html = part.format("html", "<h1>Größe</h1><p>html")
    both = read(head + part.format("plain", "plain") + html + "--x--\n")
    alone = read(head + html + "--x--\n")
    assert both.text == "Subject: x\n\nplain"
    assert alone.text == "Subject: x\n\nGröße\n\nhtml"
    assert [(span.kind, alone.text[span.start : span.end]) for span in alone.spans] == [("heading", "Größe")]


def test_eml_attachments_are_named() -> None:
    """Files and e-mails that are attached are named and counted; their contents are not text."""
    parts = (
        "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nSGVsbG8=",
        "Content-Type: text/csv\nContent-Disposition: attachment; filename*=utf-8''pr%C3%A9.csv\n\nsecret",
        "Content-Type: message/rfc822\n\nSubject: inner\n\nsecret",
        "Content-Type: image/png; name=logo.png\n\nsecret",
    )
    head = 'Subject: x\nContent-Type: multipart/mixed; boundary="x"\n\n'
    parsed = read(head + "".join(f"--x\n{part}\n" for part in parts) + "--x--\n")
    assert parsed.text == "Subject: x\n\nHello\n\nAttachments: pré.csv, an e-mail, logo.png"
    assert parsed.warnings == ("attachments that were not read: 3; add them as files of their own",)


def test_eml_in_other_encodings() -> None:
    """A body in its declared code page, and a head with bytes that no mail program should write."""
    data = "Subject: Größe\nContent-Type: text/plain; charset=windows-1251\n\n".encode("latin-1") + "Привет".encode(
        "cp1251"
    )
    assert read(data).text == "Subject: Größe\n\nПривет"


def test_eml_encrypted() -> None:
    """An encrypted e-mail is refused, and the message says so."""
    with pytest.raises(ParseError, match="is encrypted"):
        read("From: a@example.com\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nMIIB")


def test_msg_head_and_body() -> None:
    """The same lines as of other e-mails; an address inside an organisation is left out."""
    parsed = read_msg(
        {
            SUBJECT: "Größe",
            BODY: "Thank you.\r\n",
            "__substg1.0_0C1A001F": "Jürgen",
            "__substg1.0_0C1F001F": "/O=EXAMPLE/CN=J",
            "__substg1.0_0E04001F": "A; B",
            "__attach_version1.0_#00000000/__substg1.0_3707001F": "long name.pdf",
            "__attach_version1.0_#00000001/__substg1.0_3704001F": "b.txt",
        },
        sent=SENT,
    )
    assert parsed.text == (
        "Subject: Größe\nFrom: Jürgen\nTo: A; B\nDate: 2024-01-17 21:20+00:00\n\nThank you.\n\n"
        "Attachments: long name.pdf, b.txt"
    )
    assert parsed.metadata["date"] == dt.datetime(2024, 1, 17, 21, 20, tzinfo=dt.UTC)


def test_msg_bodies() -> None:
    """Without plain text the HTML is read, without that the compressed RTF; text may be in a code page."""
    assert read_msg({HTML: b"<p>From <b>HTML</b>"}).text == "From HTML"
    assert read_msg({RTF: PACKED_RTF}).text == "hello world"
    narrow = made.msg({"__substg1.0_1000001E": "Привет, мир".encode("cp1251")}, code_page=1251)
    assert msg.create(None, CONTEXT).parse(ParserInput(data=narrow, name="a.msg")).text == "Привет, мир"


def test_compressed_rtf() -> None:
    """The published example, a body that is not packed, and one that grows beyond the limit."""
    assert decompress_rtf(PACKED_RTF, limit=1000) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert decompress_rtf(struct.pack("<II4sI", 9, 5, b"MELA", 0) + b"{x}ab", limit=1000) == b"{x}ab"
    with pytest.raises(ValueError, match="longer than 10 bytes"):
        decompress_rtf(PACKED_RTF[:16] + PACKED_RTF[16:] * 3, limit=10)


def test_eml_begins_in_several_ways() -> None:
    """With a byte-order mark, blank lines, or the line that a mailbox puts before each e-mail; names of fields vary in case."""
    for start in (b"\xef\xbb\xbf", b"\r\n\n", b"From a@example.com Mon Jan  1 10:00:00 2024\n"):
        assert read(start + b"SUBJECT: x\n\nText").text == "Subject: x\n\nText"
    with pytest.raises(ParseError, match="is no e-mail"):
        read(b"Subject: x\n\n" + bytes(range(256)) * 20)


def test_eml_parts_stand_in_their_order() -> None:
    """Texts of several parts are parted by a blank line."""
    parts = "".join(f"--x\nContent-Type: text/plain\n\n{text}\n" for text in ("one", "two"))
    assert (
        read(f'Subject: x\nContent-Type: multipart/mixed; boundary="x"\n\n{parts}--x--\n').text
        == "Subject: x\n\none\n\ntwo"
    )


def test_eml_names_are_decoded_and_bounded() -> None:
    """Of many attachments twenty are named; a field without end is cut, and is no title and no author."""
    part = '--x\nContent-Type: image/png; name="{}"\n\nsecret\n'
    names = ["=?utf-8?q?pr=C3=A9.png?=", "n" * 600, *map(str, range(23))]
    head = (
        f'Subject: {"s" * 600}\nFrom: {"f" * 600}\nTo: {"t" * 20_000}\nContent-Type: multipart/mixed; boundary="x"\n\n'
    )
    parsed = read(head + "".join(map(part.format, names)) + "--x--\n")
    assert f"Attachments: pré.png, {'n' * 500}, 0, 1, " in parsed.text
    assert parsed.text.endswith(", 16, 17 and 5 more")
    assert (parsed.text.count("t"), len(parsed.title or ""), parsed.metadata) == (10_004, 500, {})


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("multipart/encrypted; boundary=x", "is encrypted"),
        ("application/x-pkcs7-mime; smime-type=enveloped-data", "is encrypted"),
        ("application/pkcs7-mime; smime-type=signed-data", "signed in a form that hides its text"),
    ],
)
def test_eml_hidden_texts(head: str, words: str) -> None:
    """What hides the text is told apart."""
    with pytest.raises(ParseError, match=words):
        read(f"From: a@example.com\nContent-Type: {head}\n\n--x\nMIIB")


def test_an_html_body_that_is_not_needed_is_no_loss() -> None:
    """Beside plain text an empty one is nothing to warn of; where it is the body, it is."""
    part = "--x\nContent-Type: text/{}\n\n{}\n"
    head = 'Subject: x\nContent-Type: multipart/alternative; boundary="x"\n\n'
    empty = part.format("html", "<p></p>")
    assert read(head + part.format("plain", "plain") + empty + "--x--\n").warnings == ()
    assert read(head + empty + "--x--\n").warnings == ("the body has no text",)
    assert read("Subject: x\nDate: Mon, 1 Jan 1500 10:00:00 +0000\n\nText").metadata == {}


@pytest.mark.parametrize(
    ("name", "address", "smtp", "shown"),
    [
        ("Jo", "/O=X/CN=J", "j@example.com", "Jo <j@example.com>"),
        ("", "j@example.com", "", "j@example.com"),
        ("j@example.com", "j@example.com", "", "j@example.com"),
        ("Jo", "j@example.com", "", "Jo <j@example.com>"),
    ],
)
def test_msg_senders(name: str, address: str, smtp: str, shown: str) -> None:
    """The address that others can write to, once."""
    tags = {"__substg1.0_0C1A001F": name, "__substg1.0_0C1F001F": address, "__substg1.0_5D01001F": smtp}
    given = {tag: value for tag, value in tags.items() if value}
    assert read_msg({SUBJECT: "x", **given}).metadata["author"] == shown


def test_msg_html_goes_before_rtf_and_may_be_text() -> None:
    """Text of HTML is text, whatever encoding it claims; a final NUL is no part of any text."""
    for word, claimed in (("Größe", "iso-8859-1"), ("Size", "cp037")):
        page = f"<meta charset='{claimed}'><p>{word}"
        assert read_msg({"__substg1.0_1013001F": page, RTF: PACKED_RTF}).text == word
    assert read_msg({SUBJECT: "x\0", BODY: "Text\0"}).text == "Subject: x\n\nText"
    narrow = made.msg({"__substg1.0_0037001E": b"x\0\0"})
    assert msg.create(None, CONTEXT).parse(ParserInput(data=narrow, name="a.msg")).text == "Subject: x"


def test_msg_properties_of_fixed_size() -> None:
    """The code page of the body where there is none of the message; the delivery where nothing says when it was sent."""

    def parsed(*properties: tuple[int, int], rest: bytes = b"") -> ParsedDocument:
        fixed = bytes(32) + b"".join(struct.pack("<IIQ", tag, 6, value) for tag, value in properties) + rest
        streams = {"__properties_version1.0": fixed, "__substg1.0_1000001E": "Привет, мир".encode("cp1251")}
        return msg.create(None, CONTEXT).parse(ParserInput(data=made.compound(streams), name="a.msg"))

    delivered = parsed((0x3FDE0003, 1251 + (7 << 32)), (0x0E060040, SENT), rest=b"cut off")
    assert "Привет, мир" in delivered.text
    assert delivered.metadata["date"] == dt.datetime(2024, 1, 17, 21, 20, tzinfo=dt.UTC)
    assert parsed((0x3FFD0003, 1251), (0x00390040, 2**63)).metadata == {}


def test_msg_that_is_none() -> None:
    """Other files of the same container, and one that is cut off, are told apart; no path is tried."""
    for data, words in (
        (made.compound({"WordDocument": b"x"}), "no e-mail of Outlook"),
        (made.msg({})[:300], "could not be read"),
    ):
        with pytest.raises(ParseError, match=words) as caught:
            msg.create(None, CONTEXT).parse(ParserInput(data=data, name="a.msg"))
        assert not isinstance(caught.value.__cause__, FileNotFoundError)


def test_compressed_rtf_that_is_damaged_or_wraps() -> None:
    """Copies may cross the end of the window of 4,096 bytes; what is too short or of another kind is refused."""
    letters = bytes(range(65, 91)) * 160
    plain = b"".join(b"\0" + letters[place : place + 8] for place in range(0, 4_160, 8))
    write = (207 + 4_160) % 4_096
    copy = bytes([0b11]) + struct.pack(">HH", (write - 300) % 4_096 << 4 | 15, (write + 17) % 4_096 << 4)
    packed = struct.pack("<II4sI", 0, 0, b"LZFu", 0) + plain + copy + b"not read"
    expected = letters + letters[-300 : -300 + 17]
    assert decompress_rtf(packed, limit=10_000) == expected
    across = bytes([0b11]) + struct.pack(">HH", 4_090 << 4 | 15, (write + 17) % 4_096 << 4)
    window_end = (b"\0" * 207 + letters)[4_090:4_096] + letters[4_096 - 207 :][:11]
    assert decompress_rtf(packed[: 16 + len(plain)] + across, limit=10_000) == letters + window_end
    for data in (b"short", struct.pack("<II4sI", 0, 0, b"ZIPP", 0)):
        with pytest.raises(ValueError, match="a compressed body"):
            decompress_rtf(data, limit=1_000)
    assert decompress_rtf(struct.pack("<II4sI", 9, 5, b"MELA", 0) + b"{x}ab more", limit=1_000) == b"{x}ab"


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[minirag.Workspace]:
    """Return a workspace in a folder of its own."""
    with minirag.Workspace.open(tmp_path_factory.mktemp("kb"), embedder="hashing") as opened:
        yield opened


def test_without_the_extra_a_folder_is_read_all_the_same(
    tmp_path: Path, workspace: minirag.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An Outlook file is skipped, whatever its name, and the reason names the extra; the others are added."""
    monkeypatch.setitem(sys.modules, "olefile", None)
    (tmp_path / "a.msg").write_bytes(made.msg({BODY: "Text."}))
    (tmp_path / "b.unknown").write_bytes(made.msg({BODY: "Text."}))
    (tmp_path / "c.txt").write_text("Text.")
    bot = workspace.tenant("acme", create=True).bot("mail", create=True)
    report = bot.add(tmp_path)
    assert [entry.key for entry in report.added] == ["c.txt"]
    assert [entry.key for entry in report.skipped] == ["a.msg", "b.unknown"]
    assert all('pip install "minirag-core[mail]"' in str(entry.reason) for entry in report.skipped)


def test_a_folder_of_all_formats(tmp_path: Path, workspace: minirag.Workspace) -> None:
    """By extension, or by its bytes where the name says nothing, each is found by what it says; pages are slides."""
    word = "zanzibar"
    files = {
        "a.docx": made.docx(made.paragraph(word)),
        "b.pptx": made.pptx("", made.shape(word)),
        "c.xlsx": made.xlsx(("S", f'<row><c t="str"><v>{word}</v></c></row>')),
        "d.odt": made.open_document("text", f"<text:p>{word}</text:p>"),
        "e.epub": made.epub(f"<p>{word}</p>"),
        "f.rtf": b"{\\rtf1 " + word.encode() + b"}",
        "g.eml": f"From: a@example.com\nTo: b@example.com\nSubject: x\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n\n{word}".encode(),
        "h.msg": made.msg({SUBJECT: word}, sent=SENT),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / f"{name}.unknown").write_bytes(data)
    bot = workspace.tenant("acme", create=True).bot("office", create=True)
    report = bot.add(tmp_path)
    assert sorted(entry.key for entry in report.added) == sorted([*files, *(f"{name}.unknown" for name in files)])
    assert all(word in bot.documents.text(name) for name in files)
    assert {hit.page for hit in bot.search(word, k=20) if hit.key == "b.pptx"} == {2}


@pytest.mark.parametrize("part", ["the mini FAT", "a stream"])
def test_msg_whose_sectors_form_a_ring(part: str) -> None:
    """A part that is longer than the file, of sectors that follow one another in a ring, is refused at once."""
    data = bytearray(made.msg({SUBJECT: "Order", "__substg1.0_1000001F": "A long text. " * 1_000}))
    with OleFileIO(bytes(data)) as ole:
        fat = (struct.unpack_from("<I", data, 76)[0] + 1) * ole.sector_size
        entry = next(each for each in ole.direntries if each is not None and each.size > 20_000)
        first = ole.minifatsect if part == "the mini FAT" else entry.isectStart
        directory = (ole.first_dir_sector + 1) * ole.sector_size
        number = entry.sid
    struct.pack_into("<I", data, fat + 4 * first, first)
    if part == "the mini FAT":
        struct.pack_into("<I", data, 64, 10_000_000)
    else:
        struct.pack_into("<I", data, directory + 128 * number + 120, 2_000_000_000)
    with pytest.raises(ParseError, match="longer than the whole"):
        msg.create(None, CONTEXT).parse(ParserInput(data=bytes(data), name="a.msg"))
