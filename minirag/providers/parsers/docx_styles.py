"""What a Word document's styles and numberings say of its paragraphs: heading levels and list markers."""

from __future__ import annotations

import re
from typing import Final
from xml.etree.ElementTree import Element

from minirag.providers.parsers.xml_tree import attribute, child, children

__all__ = ["ListMarkers", "ParagraphStyles"]

_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_BASES_LIMIT: Final = 20


class ParagraphStyles:
    """Heading level and list of each paragraph style, its bases taken into account."""

    def __init__(self, root: Element | None) -> None:
        self._styles = {attribute(style, "styleId") or "": style for style in children(root, "style")}

    def level(self, paragraph: Element) -> int:
        """Return the level of the heading that a paragraph is, or 0."""
        properties = child(paragraph, "pPr")
        own = _outline_level(properties)
        if own is not None:
            return own
        for style in self._bases(properties):
            name = attribute(named, "val") or "" if (named := child(style, "name")) is not None else ""
            if name.lower() == "title":
                return 1
            if match := _HEADING.fullmatch(name):
                return int(match[1])
            inherited = _outline_level(child(style, "pPr"))
            if inherited is not None:
                return inherited
        return 0

    def numbering(self, paragraph: Element) -> tuple[str, int] | None:
        """Return the list that a paragraph belongs to and its depth in it, or None."""
        properties = child(paragraph, "pPr")
        chain = [properties, *(child(style, "pPr") for style in self._bases(properties))]
        for one in chain:
            numbered = child(one, "numPr")
            if numbered is not None:
                identifier, depth = _value(child(numbered, "numId")), _value(child(numbered, "ilvl"))
                if identifier is None:
                    continue
                return None if identifier == "0" else (identifier, _depth(depth))
        return None

    def _bases(self, properties: Element | None) -> list[Element]:
        found: list[Element] = []
        identifier = _value(child(properties, "pStyle"))
        while identifier is not None and len(found) < _BASES_LIMIT:
            style = self._styles.get(identifier)
            if style is None:
                break
            found.append(style)
            identifier = _value(child(style, "basedOn"))
        return found


class ListMarkers:
    """The bullet or number before each list item. Numbers of every kind are written as digits."""

    def __init__(self, root: Element | None) -> None:
        abstract = {attribute(one, "abstractNumId"): one for one in children(root, "abstractNum")}
        self._levels: dict[str, dict[int, tuple[str, int]]] = {}
        for one in children(root, "num"):
            definition = abstract.get(_value(child(one, "abstractNumId")))
            levels: dict[int, tuple[str, int]] = {}
            for level in children(definition, "lvl"):
                depth, start = attribute(level, "ilvl") or "", _value(child(level, "start")) or ""
                if depth:
                    kind = _value(child(level, "numFmt")) or "decimal"
                    levels[_depth(depth)] = (kind, int(start) if start.isdecimal() and len(start) < 9 else 1)
            self._levels[attribute(one, "numId") or ""] = levels
        self._counters: dict[str, dict[int, int]] = {}

    def marker(self, identifier: str, depth: int) -> str:
        """Return the marker of the next item of a list, such as `"- "` or `"3. "`."""
        kind, start = self._levels.get(identifier, {}).get(depth, ("bullet", 1))
        counters = self._counters.setdefault(identifier, {})
        for deeper in [one for one in counters if one > depth]:
            del counters[deeper]
        if kind == "none":
            return ""
        if kind == "bullet":
            return "- "
        counters[depth] = counters.get(depth, start - 1) + 1
        return f"{counters[depth]}. "


def _value(element: Element | None) -> str | None:
    return None if element is None else attribute(element, "val")


def _depth(value: str | None) -> int:
    """Return a list level from 0 to 8, all that Word has."""
    return min(8, int(value)) if value is not None and value.isdecimal() and len(value) < 9 else 0


def _outline_level(properties: Element | None) -> int | None:
    """Return the level that paragraph properties set, 0 for that of body text, or None if they set none."""
    value = _value(child(properties, "outlineLvl"))
    if value is None or not value.isdecimal():
        return None
    return int(value) + 1 if value in "012345678" else 0
