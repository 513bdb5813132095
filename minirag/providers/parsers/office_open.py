"""What the formats of Office Open XML share: relationships between parts, and the properties of the document."""

from __future__ import annotations

import posixpath
from xml.etree.ElementTree import Element

from minirag.errors import ParseError
from minirag.providers.parsers.archive import Archive
from minirag.providers.parsers.composing import one_line, proper_title
from minirag.providers.parsers.xml_tree import children, descendant, parse_xml
from minirag.types import MetadataValue

__all__ = ["document_properties", "main_part", "relationships"]


def main_part(archive: Archive, usual: str, *, tag: str, name: str) -> tuple[str, Element]:
    """Return the name and the root of the part that the package says is the document, or of the usual one.

    Raises:
        ParseError: if there is neither, or if it is a document of another kind, as `tag` tells.
    """
    parts = relationships(archive, "", name=name).values()
    part = next((target for kind, target in parts if kind == "officeDocument" and target in archive), usual)
    root = parse_xml(archive.require(part), name=name)
    if root.tag != tag:
        raise ParseError(f"{name!r} holds a document of another kind; give it the extension of its real format")
    return part, root


def relationships(archive: Archive, part: str, *, name: str) -> dict[str, tuple[str, str]]:
    """Return what a part refers to inside the package: by identifier, the last word of the type and the part's name."""
    folder, base = posixpath.split(part)
    data = archive.read(posixpath.join(folder, "_rels", f"{base}.rels"))
    found: dict[str, tuple[str, str]] = {}
    for one in children(parse_xml(data, name=name) if data else None, "Relationship"):
        target, identifier = one.get("Target", ""), one.get("Id", "")
        if one.get("TargetMode") != "External" and target and identifier:
            whole = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            found[identifier] = (one.get("Type", "").rpartition("/")[2], whole)
    return found


def document_properties(archive: Archive, *, name: str) -> tuple[str | None, dict[str, MetadataValue]]:
    """Return the title that the document gives itself, unless it is a placeholder, and its author."""
    data = archive.read("docProps/core.xml")
    if not data:
        return None, {}
    root = parse_xml(data, name=name)
    title, author = descendant(root, "title"), descendant(root, "creator")
    writer = one_line(author.text if author is not None else None)
    metadata: dict[str, MetadataValue] = {"author": writer} if 0 < len(writer) <= 500 else {}
    return proper_title(title.text if title is not None else None), metadata
