"""From a model's text with markers to clean text and exact citations, at once or as a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from minirag._services.grounding import supported_statements
from minirag.models.answers import Citation
from minirag.models.markers import MARKER, MARKER_BEGINNING, defuse_markers, marker_numbers
from minirag.models.overlap import Overlap, content_words, words_of
from minirag.models.search import Hit
from minirag.models.sentences import sentence_spans

__all__ = ["Citer", "supporting_span"]

_OPENING = "[【［"
_CLOSING_PUNCTUATION = ".,;:!?)]}…»”’。，、；：！？）】」』"
_LONGEST_MARKER = 42
# How far back a statement may begin. Longer sentences are tables or lists, of which the end decides.
_STATEMENT_WINDOW = 2000
# A neighbour joins the quote if it adds at least this part of the statement's weight: a statement drawn from two sentences.
_NEIGHBOUR_ADDS = 0.2
_MOST_SENTENCES = 3
_REFERRING = frozenset(
    {
        "according",
        "document",
        "laut",
        "passage",
        "passages",
        "per",
        "según",
        "selon",
        "source",
        "sources",
        "stated",
        "states",
    }
)


class Citer:
    """Turns a model's text into clean text and citations of `hits`, where marker `[n]` cites `hits[n - 1]`.

    Feed the text in pieces of any size, then `finish`. What is returned, joined, is the same for every way of cutting
    the text: only what may still become a marker is held back, and white space until it is known what follows it.

    - `[1, 2]`, `[1-3]`, `[^1]`, `【1】` and `［1］` are written `[1][2]`, `[1][2][3]`, `[1]`.
    - A number without a hit is removed, with the space before it, and noted in `unknown`.
    - The text has no white space at either end.
    - Each marker yields a citation: the sentence, or up to three adjacent ones, of the hit that support the statement best.
      A citation comes after its marker's text; where the statement only follows its marker ("According to [1], ...", or a
      marker that begins a line), after that statement. The same span under the same marker is cited once.

    Attributes:
        citations: all so far.
        unknown: markers without a hit, as the model wrote them, each once.
    """

    def __init__(self, hits: Sequence[Hit], *, page_of: Callable[[Hit, int], int | None] | None = None) -> None:
        """Prepare to cite `hits`.

        Args:
            page_of: returns the page of an offset (into the document version) of a hit; by default the hit's own page.
        """
        self.citations: list[Citation] = []
        self.unknown: list[str] = []
        self._hits = hits
        self._page_of = page_of or (lambda hit, _offset: hit.page)
        self._buffer = ""
        self._written: list[str] = []
        self._tail = ""  # the end of what was written: may a removed marker's neighbours join to a new one?
        self._gap = ""  # white space not yet written
        self._gap_after_removed: str | None = None  # white space since a marker was removed from the gap
        self._prose = ""  # what was written, without its markers
        self._statement_start = 0  # in the prose: the end of the last marker
        # Of the last marker, if only white space came after it: its statement, or that this is still to come.
        self._statement: str | None = None
        self._just_waited = False
        # Markers at the beginning of their statement: number, and where in the prose the sentence begins.
        self._waiting: list[tuple[int, int]] = []
        self._output: list[str | Citation] = []

    @property
    def text(self) -> str:
        """The clean text so far; complete after `finish`."""
        return "".join(self._written)

    def feed(self, delta: str) -> list[str | Citation]:
        """Return what `delta` completes: pieces of clean text and citations, in order."""
        self._buffer += delta
        self._advance(final=False)
        if len(self._prose) > 8 * _STATEMENT_WINDOW and not self._waiting:
            gone = len(self._prose) - _STATEMENT_WINDOW
            self._prose = self._prose[gone:]
            self._statement_start -= gone
        return self._take_output()

    def finish(self) -> list[str | Citation]:
        """Return what was held back. Nothing may be fed after it."""
        self._advance(final=True)
        self._settle_waiting()
        return self._take_output()

    def ground(self) -> list[str | Citation]:
        """Return markers and citations for a finished text without any, where passages hold its statements; else nothing.

        The markers stand at the end of the text: until the model had finished, none of its own could be ruled out.
        """
        if not self.citations:
            supports = supported_statements(self.text, self._hits)
            for number in sorted({number for number, _, _ in supports}):
                self._gap = "" if self.citations else " "
                self._write(f"[{number}]", prose=False)
                for cited, start, end in supports:
                    if cited == number:
                        self._cite_span(number, start, end)
        return self._take_output()

    def _take_output(self) -> list[str | Citation]:
        """Return the collected output, with adjacent pieces of text joined."""
        merged: list[str | Citation] = []
        for item in self._output:
            if isinstance(item, str) and merged and isinstance(merged[-1], str):
                merged[-1] += item
            else:
                merged.append(item)
        self._output = []
        return merged

    def _advance(self, *, final: bool) -> None:
        place = 0
        buffer = self._buffer
        while place < len(buffer):
            character = buffer[place]
            if character in _OPENING:
                match = MARKER.match(buffer, place)
                numbers = marker_numbers(match[1], highest=len(self._hits)) if match else None
                if match and numbers:
                    self._marker(numbers, match[0])
                    place = match.end()
                    continue
                if not match and not final and MARKER_BEGINNING.match(buffer, place):
                    break
                end = place + 1
            elif character.isspace():
                if self._gap_after_removed is None:
                    self._gap += character
                else:
                    self._gap_after_removed += character
                place += 1
                continue
            else:
                end = place + 1
            while end < len(buffer) and buffer[end] not in _OPENING and not buffer[end].isspace():
                end += 1
            self._write(buffer[place:end], prose=True)
            place = end
        self._buffer = buffer[place:]

    def _write(self, piece: str, *, prose: bool) -> None:
        """Write the gap, tidied where a marker was removed from it, and `piece`, which holds no white space."""
        gap = self._gap
        if self._gap_after_removed is not None:
            after = self._gap_after_removed
            gap = after if "\n" in after and "\n" not in gap else gap or after
            if piece[0] in _CLOSING_PUNCTUATION:
                gap = ""
        if not self._written:
            gap = ""
        self._gap = ""
        self._gap_after_removed = None
        if "\n" in gap:
            self._settle_waiting()
        written = gap + piece
        self._written.append(written)
        self._output.append(written)
        self._tail = (self._tail + written)[-_LONGEST_MARKER:]
        self._prose += gap
        if prose:
            self._prose += piece
            self._statement = None
            self._just_waited = False

    def _marker(self, numbers: list[int], raw: str) -> None:
        known = list(dict.fromkeys(number for number in numbers if number <= len(self._hits)))
        if len(known) < len(set(numbers)) and raw not in self.unknown:
            self.unknown.append(raw)
        if not known:
            if MARKER_BEGINNING.search(self._tail):
                # "[[9]1]" without its "[9]" would be a marker that the model never wrote.
                self._write("…", prose=True)
            elif self._gap_after_removed is None:
                self._gap_after_removed = ""
            return
        statement, sentence_start = self._statement_before()
        self._write("".join(f"[{number}]" for number in known), prose=False)
        if statement is None:
            self._waiting.extend((number, sentence_start) for number in known)
            self._just_waited = True
            return
        self._settle_waiting()
        self._statement = statement
        self._statement_start = len(self._prose)
        for number in known:
            self._cite(number, statement)

    def _statement_before(self) -> tuple[str | None, int]:
        """Return what a marker at the end of the prose is about, None if that is still to come, and its sentence's place."""
        recent = max(0, len(self._prose) - _STATEMENT_WINDOW)
        sentences = sentence_spans(self._prose, recent)
        begin, end = sentences[-1] if sentences else (len(self._prose), len(self._prose))
        if self._statement is not None:
            return self._statement, begin
        if self._just_waited or "\n" in self._gap or "\n" in (self._gap_after_removed or ""):
            return None, len(self._prose)
        since = max(self._statement_start, recent)
        clause = self._prose[since:].strip()
        sentence = self._prose[begin:end]
        # A part of a sentence is a marker's own if another marker stands before it in the sentence.
        if _plain(clause) in self._quotable or (begin <= since and _says_something(clause)):
            return clause, begin
        if clause and not words_of(clause):
            # Punctuation after a marker that was cited: this one begins the next statement.
            return None, len(self._prose)
        return (sentence if _says_something(sentence) else None), begin

    @cached_property
    def _quotable(self) -> frozenset[str]:
        """The sentences of the hits: a statement that is one of them is quoted, not paraphrased."""
        return frozenset(_plain(hit.text[start:end]) for hit in self._hits for start, end in sentence_spans(hit.text))

    def _settle_waiting(self) -> None:
        """Cite the markers that stood at the beginning of their sentence, now that the rest of it is there."""
        waiting, self._waiting = self._waiting, []
        for number, place in waiting:
            # Nothing follows a list of markers at the end: then they are about what stands before.
            sentences = sentence_spans(self._prose, place) or sentence_spans(self._prose)[-1:]
            self._cite(number, self._prose[sentences[0][0] : sentences[0][1]] if sentences else "")

    def _cite(self, number: int, statement: str) -> None:
        self._cite_span(number, *supporting_span(self._hits[number - 1].text, statement))

    def _cite_span(self, number: int, start: int, end: int) -> None:
        hit = self._hits[number - 1]
        citation = Citation(
            marker=f"[{number}]",
            quote=hit.text[start:end],
            key=hit.key,
            bot=hit.bot,
            document_id=hit.document_id,
            version_id=hit.version_id,
            source_id=hit.source_id,
            source_name=hit.source_name,
            title=hit.title,
            start=hit.start + start,
            end=hit.start + end,
            page=self._page_of(hit, hit.start + start),
        )
        if citation not in self.citations:
            self.citations.append(citation)
            self._output.append(citation)


def supporting_span(text: str, statement: str) -> tuple[int, int]:
    """Return the span of `text` that supports `statement` best: a sentence, or up to three adjacent ones.

    A sentence equal to the statement but for white space is returned alone. Otherwise that sentence counts which holds
    most of the statement's content words by weight and little besides (their harmonic mean); neighbours join while they
    add a good part of the rest. A text without any sentence is returned whole.
    """
    spans = sentence_spans(text)
    if not spans:
        return 0, len(text)
    sentences = [text[start:end] for start, end in spans]
    wanted = _plain(statement)
    for span, sentence in zip(spans, sentences, strict=True):
        if _plain(sentence) == wanted:
            return span
    overlap = Overlap(statement, sentences)

    def fitness(place: int) -> float:
        found = overlap.found[place]
        size = len(content_words(sentences[place]))
        share = overlap.share(found)
        density = min(1.0, len(found) / size) if size else 0.0
        # Mostly what is held; how little else there is only decides between sentences that hold about the same.
        return 5 * share * density / (share + 4 * density) if share and density else 0.0

    best = max(range(len(spans)), key=lambda place: (fitness(place), -place))
    first = last = best
    found = overlap.found[best]
    while last - first + 1 < _MOST_SENTENCES:
        gains = [
            (overlap.share(overlap.found[place] - found), place)
            for place in (first - 1, last + 1)
            if 0 <= place < len(spans)
        ]
        gain, place = max(gains, key=lambda item: (item[0], -item[1]), default=(0.0, best))
        if gain < _NEIGHBOUR_ADDS:
            break
        first, last = min(first, place), max(last, place)
        found |= overlap.found[place]
    return spans[first][0], spans[last][1]


def _plain(text: str) -> str:
    return defuse_markers(" ".join(text.split()))


def _says_something(text: str) -> bool:
    """Return whether `text` is a statement rather than the beginning of one, such as "According to"."""
    return sum(word not in _REFERRING for word in content_words(text)) >= 2
