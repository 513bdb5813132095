"""Sentence boundaries as offsets, in any script. Chunkers, the extractive answerer and citations share it."""

from __future__ import annotations

import re

__all__ = ["sentence_spans"]

# A sentence ends after . ! ? and their kin, with closing quotes, brackets and note numbers, before white space; after a full stop of
# a script that writes no spaces; or at a blank line or a line that begins a list item, heading or table row. Every
# repetition is possessive and starts at one place only, so that dots or blank lines by the million cost linear time.
_END = re.compile(
    r"""
      (?<! [.!?…։؟۔।॥።፧] ) [.!?…։؟۔।॥።፧]++ ["'”’»)\]]*+ (?:\[\d{1,3}\])*+ (?=\s)
    | [。！？｡។။]++ [」』”’）]*+
    | \u2029
    | \n (?= [^\S\n]*+ \n )
    | \n (?= [^\S\n]*+ (?: [-*+•#|>] | \d{1,9} [.)] ) \s )
    """,
    re.VERBOSE,
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[])(?:[A-ZА-ЯΑ-Ω]|[A-Z]\.[A-Z]|Mr|Mrs|Ms|Dr|Prof|Gen|Col|Lt|Rev|Hon|St|Mt|Sr|Jr|vs|No|Nos|Fig|Figs|Eq|Eqs"
    r"|Sec|Vol|Ch|ed|eds|pp?|cf|etc|e\.g|i\.e|a\.m|p\.m|Ph\.D|approx|Inc|Ltd|Co|Corp|al|Jan|Feb|Aug|Sept?|Oct|Nov|Dec"
    r"|bzw|z\.B|d\.h|u\.a|Nr|Abs|Art|Str|bspw|ca|usw|ul|art|núm|pág|Sra|Dra|p\.ej|p\.ex|av|т\.е|т\.д|т\.п|г|ул|им)\.$",
)


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return the sentences of `text[start:end]` as `(start, end)` offsets into `text`, without white space around them.

    Every character that is not white space lies in exactly one sentence.
    """
    stop = len(text) if end is None else end
    spans: list[tuple[int, int]] = []
    begin = start
    for match in _END.finditer(text, start, stop):
        cut = match.end()
        if text[match.start()] == "." and _is_abbreviation(text, begin, match.start() + 1, cut, stop):
            continue
        _append_stripped(spans, text, begin, cut)
        begin = cut
    _append_stripped(spans, text, begin, stop)
    return spans


def _is_abbreviation(text: str, begin: int, dot: int, cut: int, stop: int) -> bool:
    if _ABBREVIATION.search(text[max(begin, dot - 12) : dot]):
        return True
    following = text[cut : min(stop, cut + 3)].lstrip()
    return bool(following) and following[0].islower() and "\n\n" not in text[cut : cut + 3]


def _append_stripped(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))
