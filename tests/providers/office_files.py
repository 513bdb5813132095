"""Small documents of each format, written by hand, for the tests of their parsers."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
SLIDE = (
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
SHEET = (
    'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
OPEN = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"'
)
RELATIONSHIP = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    """Return a ZIP archive of these parts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts.items():
            packing = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            file.writestr(zipfile.ZipInfo(name), data, packing)
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, str | bytes]:
    """Return the parts of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def changed(data: bytes, **parts: str | bytes) -> bytes:
    """Return an archive with some parts replaced; `__` in a name stands for `/` and `_dot_` for `.`."""
    named = {name.replace("__", "/").replace("_dot_", "."): part for name, part in parts.items()}
    return archive({**unpacked(data), **named})


def relationships(*targets: tuple[str, str, str]) -> str:
    """Return a part of relationships: identifier, kind and target of each."""
    inside = "".join(f'<Relationship Id="{i}" Type="{RELATIONSHIP}{kind}" Target="{to}"/>' for i, kind, to in targets)
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{inside}</Relationships>'
    )


def properties(title: str, author: str) -> str:
    """Return the properties of an Office document."""
    return (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title><dc:creator>{author}</dc:creator>'
        "</cp:coreProperties>"
    )


def run(text: str) -> str:
    """Return a run of a Word document."""
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(text: str, *, style: str = "", more: str = "") -> str:
    """Return a paragraph of a Word document."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{more}</w:pPr>{run(text)}</w:p>"


def docx(body: str, *, title: str = "", styles: str = "", numbering: str = "", footnotes: str = "") -> bytes:
    """Return a Word document."""
    return archive({
        "_rels/.rels": relationships(("r1", "officeDocument", "word/document.xml")),
        "docProps/core.xml": properties(title, "A. Writer"),
        "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {WORD}>{styles}</w:styles>",
        "word/numbering.xml": f"<w:numbering {WORD}>{numbering}</w:numbering>",
        "word/footnotes.xml": f"<w:footnotes {WORD}>{footnotes}</w:footnotes>",
        "word/_rels/document.xml.rels": relationships(
            ("s", "styles", "styles.xml"), ("n", "numbering", "/word/numbering.xml"), ("f", "footnotes", "footnotes.xml")
        ),
    })  # fmt: skip


def shape(text: str, *, place: str = "") -> str:
    """Return a shape of a slide, a paragraph for each line of the text."""
    kind = f'<p:ph type="{place}"/>' if place else ""
    lines = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f"<p:sp><p:nvSpPr><p:nvPr>{kind}</p:nvPr></p:nvSpPr><p:txBody>{lines}</p:txBody></p:sp>"


def pptx(*slides: str, notes: str = "") -> bytes:
    """Return a presentation of slides, the first with the speaker's notes."""
    numbers = range(1, len(slides) + 1)
    parts = {
        "_rels/.rels": relationships(("r1", "officeDocument", "ppt/presentation.xml")),
        # Slides are listed in an order of their own: the last file is the first slide.
        "ppt/presentation.xml": f"<p:presentation {SLIDE}><p:sldIdLst>"
        + "".join(f'<p:sldId id="{255 + n}" r:id="s{n}"/>' for n in numbers)
        + "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relationships(
            *((f"s{n}", "slide", f"slides/slide{len(slides) + 1 - n}.xml") for n in numbers)
        ),
        f"ppt/slides/_rels/slide{len(slides)}.xml.rels": relationships(("n", "notesSlide", "../notesSlides/n1.xml")),
        "ppt/notesSlides/n1.xml": f"<p:notes {SLIDE}><p:cSld><p:spTree>{notes}</p:spTree></p:cSld></p:notes>",
    }
    for number, slide in zip(reversed(numbers), slides, strict=True):
        parts[f"ppt/slides/slide{number}.xml"] = f"<p:sld {SLIDE}><p:cSld><p:spTree>{slide}</p:spTree></p:cSld></p:sld>"
    return archive(parts)


def xlsx(*sheets: tuple[str, str], strings: str = "", styles: str = "", hidden: str = "") -> bytes:
    """Return a workbook of named sheets, the XML of their rows."""
    parts = {
        "_rels/.rels": relationships(("r1", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f"<workbook {SHEET}><sheets>"
        + "".join(
            f'<sheet name="{name}" sheetId="{n}" r:id="s{n}"{" state=" + chr(34) + "hidden" + chr(34) if name == hidden else ""}/>'
            for n, (name, _) in enumerate(sheets)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relationships(
            ("t", "sharedStrings", "sharedStrings.xml"),
            ("y", "styles", "styles.xml"),
            *((f"s{n}", "worksheet", f"worksheets/{n}.xml") for n in range(len(sheets))),
        ),
        "xl/sharedStrings.xml": f"<sst {SHEET}>{strings}</sst>",
        "xl/styles.xml": f"<styleSheet {SHEET}>{styles}</styleSheet>",
    }
    for number, (_, rows) in enumerate(sheets):
        parts[f"xl/worksheets/{number}.xml"] = f"<worksheet {SHEET}><sheetData>{rows}</sheetData></worksheet>"
    return archive(parts)


def open_document(kind: str, body: str, *, styles: str = "", title: str = "") -> bytes:
    """Return an OpenDocument file: `text`, `spreadsheet` or `presentation`."""
    return archive({
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": f"<office:document-content {OPEN}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>",
        "meta.xml": f"<office:document-meta {OPEN}><office:meta><dc:title>{title}</dc:title>"
        "<dc:creator>A. Writer</dc:creator></office:meta></office:document-meta>",
        "META-INF/manifest.xml": "<manifest/>",
    })  # fmt: skip


def epub(*chapters: str, title: str = "A book") -> bytes:
    """Return a book of chapters, the inside of the body of each."""
    numbers = range(len(chapters))
    return archive({
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title><dc:creator>A. Writer</dc:creator>'
        "</metadata><manifest>"
        + "".join(f'<item id="c{n}" href="text/c%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in numbers)
        + "</manifest><spine>"
        + "".join(f'<itemref idref="c{n}"/>' for n in reversed(numbers))
        + "</spine></package>",
        **{
            f"OPS/text/c {n}.xhtml": f'<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">'
            f"<head><title/></head><body>{chapter}</body></html>"
            for n, chapter in enumerate(chapters)
        },
    })  # fmt: skip


def compound(streams: Mapping[str, bytes]) -> bytes:
    """Return an OLE compound file of streams; `folder/name` lies in a storage."""
    folders = sorted({name.split("/")[0] for name in streams if "/" in name})
    top = folders + sorted(name for name in streams if "/" not in name)
    inner = sorted(name for name in streams if "/" in name)
    order = ["", *top, *inner]
    mini, chains, places = b"", [], {}
    for name in order:
        data = streams.get(name, b"")
        if data:
            first, count = len(chains), -(-len(data) // 64)
            places[name] = first
            chains += [*range(first + 1, first + count), 0xFFFFFFFE]
            mini += data.ljust(count * 64, b"\0")
    free, end = 0xFFFFFFFF, 0xFFFFFFFE

    def entry(index: int, name: str) -> bytes:
        short = ("Root Entry" if not name else name.rpartition("/")[2]).encode("utf-16-le") + b"\0\0"
        folder = name.split("/", maxsplit=1)[0]
        siblings = top if name in top else [one for one in inner if one.split("/")[0] == folder]
        after = siblings[siblings.index(name) + 1 :] if name in siblings else []
        children = top if not name else [one for one in inner if one.split("/")[0] == name]
        kind = 5 if not name else 1 if name in folders else 2
        size = len(mini) if not name else len(streams.get(name, b""))
        start = (mini_start if mini else end) if not name else places.get(name, end if kind == 2 else 0)
        return struct.pack(
            "<64sHBBIII16sIQQIQ", short.ljust(64, b"\0"), len(short), kind, 1, free,
            order.index(after[0]) if after else free, order.index(children[0]) if children else free,
            bytes(16), 0, 0, 0, start, size,
        )  # fmt: skip

    def sectors(data: bytes) -> int:
        return -(-len(data) // 512)

    directory_sectors = -(-len(order) * 128 // 512)
    mini_fat = b"".join(struct.pack("<I", one) for one in chains)
    mini_fat = mini_fat.ljust(sectors(mini_fat) * 512, b"\xff")
    fat_start, directory_start = 0, 1
    mini_fat_start = directory_start + directory_sectors
    mini_start = mini_fat_start + sectors(mini_fat)
    fat = [0xFFFFFFFD]
    for count in (directory_sectors, sectors(mini_fat), sectors(mini)):
        fat += [*range(len(fat) + 1, len(fat) + count), end] if count else []
    directory = b"".join(entry(index, name) for index, name in enumerate(order))
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6, bytes(6),
        0, 1, directory_start, 0, 4096, mini_fat_start if mini else end, sectors(mini_fat), end, 0, fat_start,
    )  # fmt: skip
    return b"".join((
        header.ljust(512, b"\xff"),
        b"".join(struct.pack("<I", one) for one in fat).ljust(512, b"\xff"),
        directory.ljust(directory_sectors * 512, b"\0"),
        mini_fat,
        mini.ljust(sectors(mini) * 512, b"\0"),
    ))  # fmt: skip


def msg(properties: Mapping[str, str | bytes], *, sent: int = 0, code_page: int = 0) -> bytes:
    """Return an e-mail of Outlook; text becomes UTF-16, and `sent` counts 100 ns since 1601."""
    fixed = bytes(32) + struct.pack("<IIQIIQ", 0x00390040, 6, sent, 0x3FFD0003, 6, code_page)
    return compound({
        "__properties_version1.0": fixed,
        **{
            name: value.encode("utf-16-le") if isinstance(value, str) else value
            for name, value in properties.items()
        },
    })  # fmt: skip
