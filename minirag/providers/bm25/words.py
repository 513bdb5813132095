"""How text is cut into words, before any language is considered."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["cut_words"]

_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e"  # Thai
    "\u0e81-\u0ecd\u0edc-\u0edf"  # Lao
    "\u1000-\u103f\u1050-\u108f"  # Burmese
    "\u1780-\u17d3"  # Khmer
    "\u3005-\u3007\u3021-\u3029"  # ideographic iteration mark, zero and numerals
    "\u3041-\u3096\u309d-\u309f"  # Hiragana
    "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
"""Letters and marks of the scripts written without spaces between words, as a part of a character class."""

_IGNORED = dict.fromkeys((0x00AD, 0x0640, 0x200C, 0x200D, 0x2060, 0xFEFF))
"""Soft hyphen, Arabic tatweel, joiners: they change how a word looks, not which word it is."""

_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")


def cut_words(text: str) -> tuple[list[str], list[str]]:
    """Return a text's words and its unspaced runs, each in order, in compatibility form (NFKC) and case-folded.

    A word is letters and digits with the marks that combine with them, and apostrophes inside it; everything else
    separates, underscores and hyphens too. A run is an unbroken string of a script written without spaces.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower()), []
    text = unicodedata.normalize("NFKC", text).casefold()
    # Folding may leave what is not in normal form; a dotted capital I folds to an i and a dot above it.
    text = unicodedata.normalize("NFKC", text).replace("i\u0307", "i").replace("\u2019", "'").translate(_IGNORED)
    words, runs = _patterns()
    return words.findall(text), runs.findall(text)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    # `\w` holds no combining marks, without which Hindi falls apart at every vowel sign.
    letters = f"[^\\W_{_UNSPACED}]+(?:[{_marks()}]+[^\\W_{_UNSPACED}]*)*"
    return re.compile(f"{letters}(?:'{letters})*"), re.compile(f"[{_UNSPACED}]+")


def _marks() -> str:
    """Return the combining marks of spaced scripts, as a part of a character class."""
    unspaced = re.compile(f"[{_UNSPACED}]")
    ranges: list[list[int]] = []
    for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)):  # the planes that have any
        if unicodedata.category(chr(code))[0] == "M" and not unspaced.match(chr(code)):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
