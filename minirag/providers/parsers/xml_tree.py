"""XML of untrusted origin: no document type, no entities, bounded depth and size, names without their namespaces."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder, XMLParser

from minirag.errors import ParseError

__all__ = [
    "DEPTH_LIMIT",
    "ELEMENTS_LIMIT",
    "BoundedXml",
    "attribute",
    "child",
    "children",
    "descendant",
    "parse_xml",
    "read_xml",
]

DEPTH_LIMIT: Final = 200
"""Elements may lie this deep in each other; what people write lies within 40."""
ELEMENTS_LIMIT: Final = 2_000_000


class BoundedXml:
    """A target for `xml.etree.ElementTree.XMLParser` that refuses what no office program writes.

    Entities can only be declared in a document type, so without one there is nothing to expand and nothing to fetch.
    """

    elements_limit = ELEMENTS_LIMIT

    def __init__(self, name: str) -> None:
        self.name = name
        self._depth = 0
        self._elements = 0

    def doctype(self, *_: object) -> None:
        """Refuse a document type."""
        raise ParseError(f"{self.name!r} declares a document type in its XML, which may hide entities; save it anew")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take in the start of an element."""
        raise NotImplementedError

    def end(self, tag: str) -> None:
        """Take in the end of an element."""
        raise NotImplementedError

    def data(self, text: str) -> None:
        """Take in text."""

    def close(self) -> None:
        """End the document."""

    def opened(self, tag: str) -> str:
        """Count an element that begins; return its name without the namespace."""
        self._depth += 1
        self._elements += 1
        if self._depth > DEPTH_LIMIT:
            raise ParseError(f"{self.name!r} nests more than {DEPTH_LIMIT} XML elements in each other; save it anew")
        if self._elements > self.elements_limit:
            raise ParseError(f"{self.name!r} has more than {self.elements_limit:,} XML elements in one part; split it")
        return sys.intern(tag.rpartition("}")[2])

    def closed(self, tag: str) -> str:
        """Count an element that ends; return its name without the namespace."""
        self._depth -= 1
        return tag.rpartition("}")[2]


class _Tree(BoundedXml):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._builder = TreeBuilder()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._builder.start(self.opened(tag), attributes)

    def data(self, text: str) -> None:
        self._builder.data(text)

    def end(self, tag: str) -> None:
        self._builder.end(self.closed(tag))

    def root(self) -> Element:
        return self._builder.close()


def parse_xml(data: bytes, *, name: str) -> Element:
    """Return the root of an XML document; tags have lost their namespace, attributes keep it.

    Args:
        name: of the file, for messages.

    Raises:
        ParseError: if it declares a document type, or is too deep or too large.
        xml.etree.ElementTree.ParseError: if it is not well-formed.
    """
    tree = _Tree(name)
    read_xml(data, tree)
    return tree.root()


def read_xml(data: bytes, target: BoundedXml) -> None:
    """Feed an XML document to a target.

    Raises:
        ParseError: if the target refuses it.
        xml.etree.ElementTree.ParseError: if it is not well-formed.
    """
    # The attacks that the rule knows of need a document type, which every target refuses.
    parser: XMLParser[None] = XMLParser(target=target)  # noqa: S314 - see above
    parser.feed(data)
    parser.close()


def attribute(element: Element, name: str) -> str | None:
    """Return the value of an attribute by its name without the namespace, or by the end of `namespace}name`."""
    value = element.get(name)
    if value is not None:
        return value
    ending = name if "}" in name else f"}}{name}"
    return next((value for key, value in element.items() if key.endswith(ending)), None)


def child(element: Element | None, *path: str) -> Element | None:
    """Return the first child of the first name, in it that of the second, and so on, or None."""
    for tag in path:
        if element is None:
            return None
        element = next(iter(children(element, tag)), None)
    return element


def children(element: Element | None, *tags: str) -> Iterator[Element]:
    """Yield the children that have one of these names."""
    if element is not None:
        yield from (one for one in element if one.tag in tags)


def descendant(element: Element, tag: str) -> Element | None:
    """Return the first element of this name anywhere below, or None."""
    return next(element.iter(tag), None)
