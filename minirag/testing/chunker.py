"""`ChunkerConformance`: the clauses of `Chunker`, one test each, over any Unicode text."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from minirag.interfaces.chunker import Chunker, ChunkSpan
from minirag.interfaces.parser import ParsedDocument, Span

__all__ = ["ChunkerConformance", "texts_with_structure"]

_PARTS: Final = (
    "word", "A sentence. ", "Is it? ", "# Heading\n", "\n## Deeper\n\n", "\n\n", "\n", "\r\n", " ", "\u3000", "\u2029",
    "```\ncode\n\ncode\n```\n", "- item\n", "| a | b |\n", "知识库。", "ก็ไม่มี", "e\u0301", "👩🏽‍🔬", "🇪🇺🇩🇪", "\u1112\u1161\u11ab",
    " \u0301", "\u200b", "x" * 300, ".", "…", "3.5 ", "e.g. ",
)  # fmt: skip
_FIXED: Final = (
    "a", "a" + " " * 300 + "b", "\n\n a\n\n", "word " * 200, "One sentence. " * 60, "# A\n\n# B\n\n# C\n", "知识" * 200,
    "```\n" + "code\n\n" * 80, "x" * 3000, "no end", " \u0301", "\ufeff\u200b\ufffd",
)  # fmt: skip
_LARGE: Final = {
    "without spaces": "x" * 60_000,
    "of short lines": "ab\n" * 20_000,
    "of full stops": "." * 60_000,
    "of line ends": "a" + "\n" * 60_000 + "b",
    "of combining marks": "a" + "\u0301" * 60_000,
    "of sentences": "The cat sat on the mat. " * 2_500,
    "of headings": "# a\n" * 15_000,
}


def texts_with_structure() -> st.SearchStrategy[str]:
    """Return texts that are not blank: any Unicode, and parts that chunkers look for, in any order."""
    parts = st.lists(st.sampled_from(_PARTS) | st.text(max_size=5), max_size=25).map("".join)
    return (parts | st.text(min_size=1)).filter(lambda text: not text.isspace() and text != "")


class ChunkerConformance(ABC):
    """The contract of `minirag.interfaces.Chunker` as tests. Subclass it in a test module, and pytest does the rest.

    ```python
    class TestMine(ChunkerConformance):
        def make_chunker(self):
            return Mine()
    ```

    Attributes:
        examples: how many texts each clause is tried with.
        seconds: how long a text of 60,000 characters may take.
    """

    examples: ClassVar[int] = 60
    seconds: ClassVar[float] = 20.0

    @abstractmethod
    def make_chunker(self) -> Chunker:
        """Return a new chunker; equal arguments at every call."""

    def test_c1_every_chunk_lies_in_the_text_and_is_not_blank(self) -> None:
        """C1: `0 <= start < end <= len(text)`, and a chunk holds something other than white space."""

        def check(document: ParsedDocument, chunks: Sequence[ChunkSpan]) -> None:
            for chunk in chunks:
                assert 0 <= chunk.start < chunk.end <= len(document.text), "C1: a chunk is empty or outside the text"
                assert not document.text[chunk.start : chunk.end].isspace(), "C1: a chunk is blank"

        self._for_texts(check)

    def test_c2_chunks_are_in_order_and_differ(self) -> None:
        """C2: starts do not descend, and no span comes twice."""

        def check(_document: ParsedDocument, chunks: Sequence[ChunkSpan]) -> None:
            starts = [chunk.start for chunk in chunks]
            assert starts == sorted(starts), "C2: chunks are out of order"
            spans = {(chunk.start, chunk.end) for chunk in chunks}
            assert len(spans) == len(chunks), "C2: two chunks are the same span"

        self._for_texts(check)

    def test_c3_nothing_is_lost(self) -> None:
        """C3: every character that is not white space lies in a chunk."""

        def check(document: ParsedDocument, chunks: Sequence[ChunkSpan]) -> None:
            covered = bytearray(len(document.text))
            for chunk in chunks:
                covered[chunk.start : chunk.end] = b"\x01" * (chunk.end - chunk.start)
            lost = [i for i, c in enumerate(document.text) if not covered[i] and not c.isspace()]
            assert not lost, f"C3: {len(lost)} characters lie in no chunk, the first at {lost[0]}"

        self._for_texts(check)

    def test_c4_the_same_text_gives_the_same_chunks(self) -> None:
        """C4: by the same chunker after other texts, and by another."""
        chunker = self.make_chunker()

        def check(document: ParsedDocument, chunks: Sequence[ChunkSpan]) -> None:
            assert list(chunker.split(document, _count)) == list(chunks), "C4: another chunker cut otherwise"
            assert list(chunker.split(document, _count)) == list(chunks), "C4: the second time it was cut otherwise"

        self._for_texts(check)

    def test_c5_any_unicode_is_taken(self) -> None:
        """C5: no text raises, whatever spans a parser found in it."""
        self._for_texts(lambda _document, _chunks: None)

    def test_c5_work_grows_with_the_length(self) -> None:
        """C5: a text four times as long is measured about four times as much, and large texts take seconds."""
        for kind, text in _LARGE.items():
            started = time.monotonic()
            quarter, whole = (self._measured(text[: len(text) // share]) for share in (4, 1))
            taken = time.monotonic() - started
            assert whole <= 8 * quarter + 20_000, f"C5: a text {kind}: {quarter} characters measured, then {whole}"
            assert taken <= self.seconds, f"C5: a text {kind} took {taken:.1f} s"

    def _measured(self, text: str) -> int:
        total = 0

        def measure(part: str) -> int:
            nonlocal total
            total += len(part)
            return _count(part)

        self.make_chunker().split(ParsedDocument(text, "text/plain"), measure)
        return total

    def _for_texts(self, check: Callable[[ParsedDocument, Sequence[ChunkSpan]], None]) -> None:
        @settings(max_examples=self.examples, deadline=None, database=None, derandomize=True)
        @given(texts_with_structure(), st.sampled_from(("text/plain", "text/markdown", "text/csv")), st.data())
        def run(text: str, media_type: str, data: st.DataObject) -> None:
            spans = data.draw(_spans(len(text)))
            document = ParsedDocument(text, media_type, spans=spans)
            check(document, self.make_chunker().split(document, _count))

        for text in _FIXED:
            plain = ParsedDocument(text, "text/plain")
            check(plain, self.make_chunker().split(plain, _count))
        run()


def _spans(length: int) -> st.SearchStrategy[tuple[Span, ...]]:
    """Return spans as a parser may give them: in the text, those of one kind in order."""
    places = st.tuples(st.integers(0, length), st.integers(0, length)).map(sorted)
    kinds = st.sampled_from(("page", "heading", "code", "table", "row"))
    one = st.builds(
        lambda kind, place, number: Span(kind, place[0], place[1], number, "label"), kinds, places, st.integers(1, 6)
    )
    return st.lists(one, max_size=4).map(lambda spans: tuple(sorted(spans, key=lambda span: (span.start, span.end))))


def _count(text: str) -> int:
    """Return a text's tokens as embedders count them, roughly: a few characters of a word each."""
    return sum(1 + len(word) // 6 for word in text.split())
