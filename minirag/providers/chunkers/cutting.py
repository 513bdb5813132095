"""A text into pieces that fit: blocks, else sentences or lines, else words, else characters."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from minirag.interfaces import ParsedDocument, Span, TextMeasure
from minirag.models.headings import markdown_outline
from minirag.models.sentences import sentence_spans
from minirag.providers.chunkers.graphemes import is_safe_cut, next_safe_cut

__all__ = ["Piece", "cut", "structure", "trimmed"]

_PARAGRAPH = re.compile(r"(?>\r\n|\r|\n)(?:[^\S\r\n]*+(?>\r\n|\r|\n))++")
_LINE = re.compile(r"\r\n|\r|\n")
_BREAK = re.compile(r"\s+|(?<=[,;:、，；：।])")
_LINE_FORMATS: Final = frozenset(("application/json", "application/x-ndjson", "text/csv", "text/tab-separated-values"))
_MAY_BE_MARKDOWN: Final = frozenset(("text/plain", "text/markdown"))
# Tokenizers count an overlong word as one unknown token; no real token stands for more characters than this.
_CHARACTERS_PER_TOKEN: Final = 12


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the text that is not cut further.

    Attributes:
        tokens: its size by the measure given; the sizes of neighbours add up to a little more than that of both.
        level: of the heading that it is, else 0.
        label: the heading's title.
    """

    start: int
    end: int
    tokens: int
    level: int = 0
    label: str = ""


def structure(document: ParsedDocument) -> tuple[Span, ...]:
    """Return the document's spans, with headings and code found here where a text came without a parser."""
    if document.spans or document.media_type not in _MAY_BE_MARKDOWN:
        return document.spans
    outline = markdown_outline(document.text)
    headings = (Span("heading", one.start, one.end, number=one.level, label=one.title) for one in outline.headings)
    return (*headings, *(Span("code", start, end) for start, end in outline.code))


def cut(document: ParsedDocument, spans: Iterable[Span], measure: TextMeasure, *, size: int, fine: int) -> list[Piece]:
    """Return the text in pieces of at most `size` tokens, in order; white space between them may belong to none.

    Paragraphs of more than `fine` tokens are cut into sentences. Each character is measured a few times at most, since
    a part too long to fit is cut before it is measured.
    """
    return list(_Cutter(document, tuple(spans), measure, size, fine).pieces())


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the span without white space around it; a mark that sits on a space keeps that space."""
    begin = start
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if begin < start < end and not is_safe_cut(text, start):
        start -= 1
    return start, end


class _Cutter:
    def __init__(
        self, document: ParsedDocument, spans: tuple[Span, ...], measure: TextMeasure, size: int, fine: int
    ) -> None:
        self.text = document.text
        self.measure = measure
        self.size = size
        self.fine = fine
        self.by_line = document.media_type in _LINE_FORMATS
        self.headings = {span.start: span for span in spans if span.kind == "heading" and span.start < span.end}
        self.rows = [span.start for span in spans if span.kind == "row"]
        self.code = [(span.start, span.end) for span in spans if span.kind == "code"]
        self.characters_per_token = 4.0

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces of the whole text."""
        headings = 0  # tokens of the headings just before, which the next block should leave room for
        for start, end in pairwise(self._block_cuts()):
            block = self.text[start:end]
            if not block or block.isspace():
                continue
            tokens = self._tokens(start, end)
            heading = self.headings.get(start)
            if heading is not None and tokens is not None and tokens <= self.size:
                yield Piece(start, end, tokens, heading.number or 1, heading.label or "")
                headings += tokens
                continue
            first = self.size - headings if headings < self.size else self.size
            if tokens is not None and tokens <= min(first, self.size if self._is_code(start) else self.fine):
                yield Piece(start, end, tokens)
            else:
                yield from self._smaller(start, end, tokens, first)
            headings = 0

    def _block_cuts(self) -> list[int]:
        cuts = {match.end() for match in _PARAGRAPH.finditer(self.text)}
        cuts.update(self.rows)
        for span in self.headings.values():
            following = _LINE.search(self.text, span.end)
            cuts.update((span.start, following.end() if following else len(self.text)))
        starts = [start for start, _ in self.code]
        inside = {
            position
            for position in cuts
            if (index := bisect_right(starts, position) - 1) >= 0 and starts[index] < position < self.code[index][1]
        }
        cuts -= inside
        cuts.update(position for span in self.code for position in span)
        safe = [position for position in cuts if 0 < position < len(self.text) and is_safe_cut(self.text, position)]
        return [0, *sorted(safe), len(self.text)]

    def _is_code(self, start: int) -> bool:
        index = bisect_right(self.code, (start, len(self.text))) - 1
        return index >= 0 and self.code[index][0] <= start < self.code[index][1]

    def _tokens(self, start: int, end: int) -> int | None:
        """Return the size of a part, or None if it is too long to fit whatever its tokens are."""
        least = -(-(end - start) // _CHARACTERS_PER_TOKEN)
        if least > self.size:
            return None
        return max(self.measure(self.text[start:end]), least)

    def _smaller(self, start: int, end: int, tokens: int | None, first: int) -> Iterator[Piece]:
        """Yield a block's sentences or lines, whichever suit it, and cut those that are still too large.

        The first piece has at most `first` tokens, so that headings before it find room in its chunk.
        """
        lines_first = self.by_line or self._is_code(start)
        finders = (self._line_cuts, self._sentence_cuts) if lines_first else (self._sentence_cuts, self._line_cuts)
        pending = [(start, end, tokens, 0)]
        while pending:
            begin, stop, tokens, level = pending.pop()
            limit = first if begin == start else self.size
            if level > 0 and tokens is not None and tokens <= limit:
                yield Piece(begin, stop, tokens)
            elif level == len(finders):
                yield from self._forced(begin, stop, limit)
            else:
                cuts = [begin, *finders[level](begin, stop), stop]
                if len(cuts) == 2:
                    pending.append((begin, stop, tokens, level + 1))
                    continue
                parts = [
                    (a, b, self._tokens(a, b), level + 1) for a, b in pairwise(cuts) if not self.text[a:b].isspace()
                ]
                pending.extend(reversed(parts))

    def _sentence_cuts(self, start: int, end: int) -> list[int]:
        return self._safe([begin for begin, _ in sentence_spans(self.text, start, end)], start, end)

    def _line_cuts(self, start: int, end: int) -> list[int]:
        return self._safe([match.end() for match in _LINE.finditer(self.text, start, end)], start, end)

    def _safe(self, cuts: Sequence[int], start: int, end: int) -> list[int]:
        return [position for position in cuts if start < position < end and is_safe_cut(self.text, position)]

    def _forced(self, start: int, end: int, limit: int) -> Iterator[Piece]:
        """Yield parts of a text without structure, each as long as fits, cut at white space where there is some.

        The first has at most `limit` tokens.
        """
        while start < end:
            room = max(1, min(end - start, int(limit * self.characters_per_token)))
            while True:
                stop = min(end, next_safe_cut(self.text, start + room))
                tokens = self._tokens(start, stop)
                if room == 1 or (tokens is not None and tokens <= limit):
                    break
                shrink = 0.95 * limit / tokens if tokens else 0.5
                room = max(1, min(int(room * shrink), room - 1))
            tokens = max(1, tokens or self.size)
            ratio = (stop - start) / tokens
            self.characters_per_token = (
                min(ratio, _CHARACTERS_PER_TOKEN * 0.9) if stop < end else self.characters_per_token
            )
            if stop < end:
                stop = self._word_end(start, stop)
            if not self.text[start:stop].isspace():
                yield Piece(start, stop, tokens)
            start, limit = stop, self.size

    def _word_end(self, start: int, stop: int) -> int:
        """Return the last break between words in the second half of a part, or its end."""
        middle = start + (stop - start + 1) // 2
        best = stop
        for match in _BREAK.finditer(self.text, middle, stop):
            if match.end() > start and is_safe_cut(self.text, match.end()):
                best = match.end()
        return best
