"""PPTX: the text of a presentation, slide by slide, with the speaker's notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.models.formats import MEDIA_TYPES
from minirag.providers.parsers.archive import Archive, translated
from minirag.providers.parsers.composing import Composer
from minirag.providers.parsers.office_open import document_properties, main_part, relationships
from minirag.providers.parsers.xml_tree import attribute, child, children, descendant, parse_xml

__all__ = ["PptxParser", "create"]

_WHAT: Final = "PPTX"
_SHAPES: Final = ("sp", "graphicFrame", "grpSp", "AlternateContent", "Choice", "cxnSp")
# Filled in by the program on each slide.
_FURNITURE: Final = frozenset(("dt", "ftr", "hdr", "sldNum", "sldImg"))


class PptxParser(Parser):
    """Reads presentations. Text in pictures, charts and diagrams is not read."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the slides' text, each slide a `page`, its title a heading, table rows as spans.

        Raises:
            NoTextError: if no slide has text.
            ParseError: if it is broken, needs a password, has too many slides or expands beyond all proportion.
        """
        with translated(file, _WHAT):
            archive = Archive(file, _WHAT)
            part, root = main_part(archive, "ppt/presentation.xml", tag="presentation", name=file.name)
            parts = relationships(archive, part, name=file.name)
            slides = [
                parts[identifier][1]
                for slide in children(child(root, "sldIdLst"), "sldId")
                if (identifier := attribute(slide, "relationships}id") or "") in parts
            ]
            if len(slides) > file.max_pages:
                raise ParseError(
                    f"{file.name!r} has {len(slides)} slides, more than the {file.max_pages} allowed; split it"
                )
            title, metadata = document_properties(archive, name=file.name)
            composer = Composer(file.name)
            for number, slide in enumerate(slides, start=1):
                start = composer.begin_page()
                _add_slide(composer, archive, slide)
                composer.end_page(start, number=number)
            return composer.finish(MEDIA_TYPES["pptx"][0], title=title or composer.first_heading(), metadata=metadata)


def create(options: None, context: ProviderContext) -> PptxParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of PPTX."""
    return PptxParser()


def _add_slide(composer: Composer, archive: Archive, part: str) -> None:
    tree = descendant(parse_xml(archive.require(part), name=composer.name), "spTree")
    shapes = list(_shapes(tree)) if tree is not None else []
    # The title comes first, wherever it stands in the file.
    for shape in sorted(shapes, key=lambda shape: not _is_title(shape)):
        _add_shape(composer, shape)
    for kind, target in relationships(archive, part, name=composer.name).values():
        notes = archive.read(target) if kind == "notesSlide" else None
        tree = descendant(parse_xml(notes, name=composer.name), "spTree") if notes else None
        texts = [_text(body) for shape in _shapes(tree) if (body := child(shape, "txBody")) is not None]
        if any(text.strip() for text in texts):
            composer.block("Notes: " + "\n".join(texts))


def _shapes(parent: Element | None) -> Iterator[Element]:
    """Yield the shapes of a slide, those in groups too, in the order of the file."""
    for element in children(parent, *_SHAPES):
        if element.tag in ("sp", "graphicFrame"):
            if _placeholder(element) not in _FURNITURE:
                yield element
        else:
            yield from _shapes(element)


def _add_shape(composer: Composer, shape: Element) -> None:
    body = child(shape, "txBody")
    if _is_title(shape) and body is not None:
        composer.heading(_text(body), level=1)
    elif body is not None:
        composer.block(_text(body))
    table = descendant(shape, "tbl") if shape.tag == "graphicFrame" else None
    if table is not None:
        composer.end_of_rows()
        for row in children(table, "tr"):
            composer.row(_text(cell) for cell in children(row, "tc"))
        composer.end_of_rows()


def _placeholder(shape: Element) -> str | None:
    """Return what a shape is the place for, such as `title`, or None."""
    for properties in ("nvSpPr", "nvGraphicFramePr"):
        place = child(shape, properties, "nvPr", "ph")
        if place is not None:
            return place.get("type", "obj")
    return None


def _is_title(shape: Element) -> bool:
    return _placeholder(shape) in ("title", "ctrTitle")


def _text(body: Element) -> str:
    """Return the paragraphs of a shape or cell, a line each; those of a lower level are marked as list items."""
    lines = []
    for paragraph in body.iter("p"):
        texts = ("\n" if one.tag == "br" else one.text or "" for one in paragraph.iter() if one.tag in ("t", "br"))
        line = "".join(texts)
        properties = child(paragraph, "pPr")
        level = properties.get("lvl", "0") if properties is not None else "0"
        marked = properties is not None and child(properties, "buChar") is not None
        lines.append(f"- {line}" if line.strip() and (level != "0" or marked) else line)
    return "\n".join(lines)
