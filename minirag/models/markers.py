"""Citation markers such as `[1]`: how they are read, and how look-alikes in documents are made harmless."""

from __future__ import annotations

import re

__all__ = ["MARKER", "MARKER_BEGINNING", "defuse_markers", "marker_numbers", "without_markers"]

_SPACE = r" \t\u00a0\u3000"
_BODY = rf"[\d^,;，、；\-–—{_SPACE}]"

MARKER = re.compile(rf"[\[【［]({_BODY}{{1,40}})[\]】］]")
"""What may be a marker: brackets, half or full width, around numbers. `marker_numbers` decides."""

MARKER_BEGINNING = re.compile(rf"[\[【［]{_BODY}{{0,40}}\Z")
"""The end of a text that more text may turn into a `MARKER`."""

# The look-behind keeps a long run of spaces from being tried from each of its places.
_MARKER_AND_SPACE = re.compile(rf"(?<![{_SPACE}])[{_SPACE}]*{MARKER.pattern}")

_NUMBERS = re.compile(rf"\^?(\d+)(?:[{_SPACE}]*[-–—][{_SPACE}]*(\d+))?")


def marker_numbers(body: str, *, highest: int) -> list[int] | None:
    """Return the numbers that a marker names, in order, or None if `body` is no marker.

    `1, 2`, `1-3` and `^1` are read. A body with a zero or a sign is an interval of numbers, not a marker. A range is
    spelt out no further than one number beyond `highest`, so that `1-999999` stays small.
    """
    if not re.match(rf"[{_SPACE}]*\^?\d", body):
        return None
    numbers: list[int] = []
    for match in _NUMBERS.finditer(body):
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if first == 0 or last == 0:
            return None
        numbers.append(first)
        numbers.extend(range(first + 1, min(last, highest + 1) + 1) if last > first else [last] if last < first else [])
    return numbers


def defuse_markers(text: str) -> str:
    """Return `text` with `[3]` written `(3)`, so that a document's own note numbers are not taken for citations."""
    return MARKER.sub(r"(\1)", text)


def without_markers(text: str) -> str:
    """Return `text` without its markers and the spaces before them."""
    return _MARKER_AND_SPACE.sub("", text)
