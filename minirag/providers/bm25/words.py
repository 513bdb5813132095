"""How text is cut into words, before any language is considered."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["WESTERN", "cut_folded", "cut_words", "fold", "western_words"]

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

_IGNORED = re.compile("[\u00ad\u0640\u200c\u200d\u2060\ufeff]")
"""Soft hyphen, Arabic tatweel, joiners: they change how a word looks, not which word it is."""

WESTERN = "cp1252"
"""One byte a character: the letters of Western Europe, with the dashes and quotation marks that are usual there."""

_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")


def cut_words(text: str) -> tuple[list[str], list[str]]:
    """Return a text's words and its unspaced runs, each in order, in compatibility form (NFKC) and case-folded.

    A word is letters and digits with the marks that combine with them, and apostrophes inside it; everything else
    separates, underscores and hyphens too. A run is an unbroken string of a script written without spaces.
    """
    return cut_folded(fold(text))


def cut_folded(folded: str) -> tuple[list[str], list[str]]:
    """Return what `cut_words` returns, of a text that `fold` has returned."""
    if folded.isascii():
        return _ASCII_WORD.findall(folded), []
    words, runs = _patterns()
    return words.findall(folded), runs.findall(folded)


def fold(text: str) -> str:
    """Return a text in the form in which words are compared."""
    if text.isascii():
        return text.lower()
    # A dotted capital I folds to an i and a dot above it, and other letters too to what is not in normal form.
    text = unicodedata.normalize("NFKC", text).casefold().replace("i\u0307", "i")
    return _IGNORED.sub("", unicodedata.normalize("NFKC", text).replace("\u2019", "'"))


def western_words(folded: str) -> bytes | None:
    """Return the words of a folded text in the encoding `WESTERN`, between spaces; None if it has a character that this lacks.

    Several times faster than a pattern. But the words may have apostrophes at any place: `cut_folded` of such a word gives those
    that it is.
    """
    try:
        return folded.encode("ascii" if folded.isascii() else WESTERN).translate(_western_letters())
    except UnicodeEncodeError:
        return None


@cache
def _western_letters() -> bytes:
    """Return a table for `bytes.translate` that leaves letters, digits and apostrophes as they are, and makes the rest spaces."""
    letters = bytes(range(256)).decode(WESTERN, "replace")
    return bytes(code if re.match(r"[^\W_]|'", letter) else 0x20 for code, letter in enumerate(letters))


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    # `\w` holds no combining marks, without which Hindi falls apart at every vowel sign.
    # Looking ahead spares most words' ends the search through the long list of them.
    letters = f"[^\\W_{_UNSPACED}]+(?:(?=[\u0300-\U0010ffff])[{_marks()}]+[^\\W_{_UNSPACED}]*)*"
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
