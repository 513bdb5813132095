"""EPUB: the chapters of a book in reading order."""

from __future__ import annotations

import posixpath
import re
from typing import Final
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from minirag.errors import NoTextError, ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.models.formats import MEDIA_TYPES
from minirag.providers.parsers.archive import Archive, translated
from minirag.providers.parsers.composing import Composer, one_line, proper_title
from minirag.providers.parsers.html import HtmlParser
from minirag.providers.parsers.xml_tree import child, children, descendant, parse_xml
from minirag.types import MetadataValue

__all__ = ["EpubParser", "create"]

_WHAT: Final = "EPUB"
_CHAPTER_TYPES: Final = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")
# Fonts are garbled by these, the text is not.
_FONT_ALGORITHMS: Final = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_CLOSED = re.compile(rb"<([A-Za-z][A-Za-z0-9:]*)((?:\s[^<>]*)?)/>")
_ASIDE = re.compile(rb"<(/?)(?:aside|header|footer)\b", re.IGNORECASE)


class EpubParser(Parser):
    """Reads books that are not protected against copying."""

    def __init__(self) -> None:
        self._html = HtmlParser()

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the chapters' text in reading order, with their headings, table rows and code as spans.

        Raises:
            NoTextError: if no chapter has text.
            ParseError: if it is broken, protected against copying or expands beyond all proportion.
        """
        with translated(file, _WHAT):
            archive = Archive(file, _WHAT)
            _refuse_protection(archive, file.name)
            container = parse_xml(archive.require("META-INF/container.xml"), name=file.name)
            rootfile = descendant(container, "rootfile")
            part = unquote((rootfile.get("full-path") if rootfile is not None else None) or "content.opf")
            package = parse_xml(archive.require(part), name=file.name)
            chapters = _reading_order(package, posixpath.dirname(part))
            if len(chapters) > file.max_pages:
                raise ParseError(
                    f"{file.name!r} has {len(chapters)} chapters, more than the {file.max_pages} allowed; split it"
                )
            composer = Composer(file.name)
            missing = 0
            for chapter in chapters:
                data = archive.read(chapter)
                if data is None:
                    missing += 1
                else:
                    self._add(composer, data)
            title, metadata = _properties(package)
            warnings = (f"chapters that are missing in the file: {missing}",) if missing else ()
            return composer.finish(MEDIA_TYPES["epub"][0], title=title, metadata=metadata, warnings=warnings)

    def _add(self, composer: Composer, data: bytes) -> None:
        try:
            chapter = self._html.parse(ParserInput(data=_as_html(data), name=composer.name))
        except NoTextError:
            return  # a cover or a picture
        composer.document(chapter.text, chapter.spans)


def create(options: None, context: ProviderContext) -> EpubParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of EPUB."""
    return EpubParser()


def _as_html(data: bytes) -> bytes:
    """Return a chapter so that an HTML reader takes it as meant.

    `<title/>` would begin a title that never ends. Asides are footnotes in a book, and headers belong to their chapter.
    """
    return _ASIDE.sub(rb"<\1div", _CLOSED.sub(rb"<\1\2></\1>", data))


def _refuse_protection(archive: Archive, name: str) -> None:
    data = archive.read("META-INF/encryption.xml")
    for method in parse_xml(data, name=name).iter("EncryptionMethod") if data else ():
        if method.get("Algorithm", "") not in _FONT_ALGORITHMS:
            raise ParseError(f"{name!r} is protected against copying, its text is encrypted; get a copy without that")


def _reading_order(package: Element, folder: str) -> list[str]:
    """Return the names of the chapters' parts in the order of the spine."""
    items = {item.get("id"): item for item in children(child(package, "manifest"), "item")}
    found: list[str] = []
    for reference in children(child(package, "spine"), "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type", _CHAPTER_TYPES[0]) not in _CHAPTER_TYPES:
            continue
        if "nav" in item.get("properties", "").split():
            continue  # the table of contents repeats the headings
        target = unquote(item.get("href", "").partition("#")[0])
        found.append(posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/"))
    return found


def _properties(package: Element) -> tuple[str | None, dict[str, MetadataValue]]:
    about = child(package, "metadata")
    older = child(about, "dc-metadata")
    about = about if older is None else older
    found = {
        name: one_line(element.text)
        for name, tag in (("author", "creator"), ("language", "language"), ("publisher", "publisher"))
        if about is not None and (element := descendant(about, tag)) is not None
    }
    metadata: dict[str, MetadataValue] = {name: value for name, value in found.items() if 0 < len(value) <= 500}
    title = descendant(about, "title") if about is not None else None
    return proper_title(title.text if title is not None else None), metadata
