"""Cuts that split nothing a reader takes for one character."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["is_extender", "is_safe_cut", "next_safe_cut"]

_JOINER: Final = "\u200d"
_EXTENDERS: Final = frozenset(("Mn", "Mc", "Me"))
# A grapheme longer than this is no text; cutting it keeps time linear.
_LONGEST_GRAPHEME: Final = 64


def is_extender(character: str) -> bool:
    """Return whether the character belongs to the one before it: marks, joiners, variation selectors, skin tones, tags."""
    if character < "\u0300":
        return False
    return (
        unicodedata.category(character) in _EXTENDERS
        or character in "\u200c\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
    )


def is_safe_cut(text: str, position: int) -> bool:
    """Return whether no grapheme lies across `position`.

    Follows the rules of https://unicode.org/reports/tr29/ that matter in real text; prepended marks are left out.
    """
    if not 0 < position < len(text):
        return True
    before, after = text[position - 1], text[position]
    if after < "\u0300" and before < "\u0300":
        return not (before == "\r" and after == "\n")
    if is_extender(after) or before == _JOINER:
        return False
    if unicodedata.combining(before) == 9 and unicodedata.category(after) == "Lo":  # a virama joins Indic consonants
        return False
    if _is_regional(before) and _is_regional(after):
        return _regionals_before(text, position) % 2 == 0
    return not _joins_hangul(before, after)


def next_safe_cut(text: str, position: int) -> int:
    """Return the first safe cut at or after `position`, or `position` itself if none is near."""
    for candidate in range(position, min(len(text), position + _LONGEST_GRAPHEME) + 1):
        if is_safe_cut(text, candidate):
            return candidate
    return position


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _regionals_before(text: str, position: int) -> int:
    count = 0
    while count < min(position, _LONGEST_GRAPHEME) and _is_regional(text[position - 1 - count]):
        count += 1
    return count


def _joins_hangul(before: str, after: str) -> bool:
    leading = "\u1100" <= before <= "\u115f" or "\ua960" <= before <= "\ua97c"
    syllable = "\uac00" <= before <= "\ud7a3"
    vowel_or_final = "\u1160" <= before <= "\u11ff" or "\ud7b0" <= before <= "\ud7fb"
    if "\u1160" <= after <= "\u11ff" or "\ud7b0" <= after <= "\ud7fb":
        return leading or syllable or vowel_or_final
    return leading and ("\u1100" <= after <= "\u115f" or "\ua960" <= after <= "\ua97c" or "\uac00" <= after <= "\ud7a3")
