"""A bound on markup before it is parsed: HTML's own rules let a small page become a huge or slow tree."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

__all__ = ["DEPTH_LIMIT", "bound_markup"]

DEPTH_LIMIT: Final = 256
"""Elements nested deeper than this are taken out of the markup, their text stays. Browsers stop at 512."""

_OPEN_FORMATTING_LIMIT: Final = 16
_ATTRIBUTES_LIMIT: Final = 200
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>\x00]*)([^>]*)>")
# These have no children, or a following one closes them, so they do not nest by being left open.
_NOT_NESTING: Final = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
        "html",
        "head",
        "body",
        "p",
        "li",
        "dt",
        "dd",
        "tr",
        "td",
        "th",
        "thead",
        "tbody",
        "tfoot",
        "colgroup",
        "caption",
        "option",
        "optgroup",
        "rt",
        "rp",
    ],
)
# Left open, the parser opens all of these anew in each paragraph that follows.
_FORMATTING: Final = frozenset(
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)
_INLINE: Final = _FORMATTING | frozenset(
    [
        "span",
        "abbr",
        "cite",
        "q",
        "sub",
        "sup",
        "label",
        "time",
        "var",
        "kbd",
        "samp",
        "mark",
        "ins",
        "del",
        "bdi",
        "bdo",
    ]
)


def bound_markup(markup: str) -> str:
    """Return `markup` so that parsing it takes time and memory in proportion to its length.

    A page that a person wrote comes back as it is. Otherwise tags nested too deep, inline tags left open by the dozen and
    surplus attributes are taken out; no text is.
    """
    depth, formatting, attributes = _measure(markup)
    if depth <= DEPTH_LIMIT and formatting <= _OPEN_FORMATTING_LIMIT and attributes <= _ATTRIBUTES_LIMIT:
        return markup
    drop = _INLINE if formatting > _OPEN_FORMATTING_LIMIT else frozenset()
    open_tags: list[str] = []

    def rewrite(match: re.Match[str]) -> str:
        closing, name, rest = match[1], match[2].lower(), match[3]
        if name in drop:
            return ""
        if len(rest) > _ATTRIBUTES_LIMIT and rest.count("=") + len(rest.split()) > 2 * _ATTRIBUTES_LIMIT:
            rest = ""
        if name not in _NOT_NESTING:
            if not closing and not rest.endswith("/"):
                open_tags.append(name)
                if len(open_tags) > DEPTH_LIMIT:
                    return "<br>"
            elif closing and open_tags and open_tags[-1] == name:
                open_tags.pop()
                if len(open_tags) >= DEPTH_LIMIT:
                    return "<br>"
            elif closing and len(open_tags) > DEPTH_LIMIT:
                return ""
        return f"<{closing}{name}{rest}>"

    end = _end_of_tags(markup)
    return _TAG.sub(rewrite, markup[:end]) + markup[end:]


def _measure(markup: str) -> tuple[int, int, int]:
    """Return upper estimates of the tree's depth, of formatting tags left open, and of one tag's attributes."""
    open_tags: Counter[str] = Counter()
    depth = deepest = formatting = most_formatting = attributes = 0
    for match in _TAG.finditer(markup, 0, _end_of_tags(markup)):
        name = match[2].lower()
        if len(match[3]) > _ATTRIBUTES_LIMIT:
            attributes = max(attributes, match[3].count("=") // 2, len(match[3].split()) // 2)
        if name in _NOT_NESTING:
            continue
        if not match[1]:
            open_tags[name] += 1
            depth += 1
            formatting += name in _FORMATTING
        elif open_tags[name]:
            open_tags[name] -= 1
            depth -= 1
            formatting -= name in _FORMATTING
        deepest, most_formatting = max(deepest, depth), max(most_formatting, formatting)
    return deepest, most_formatting, attributes


def _end_of_tags(markup: str) -> int:
    # Up to the last ">" every match attempt finds one, so that scanning stays linear.
    return markup.rfind(">") + 1
