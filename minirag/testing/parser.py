"""`ParserConformance`: the clauses of `Parser`, one test each."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirag.errors import NoTextError, ParseError
from minirag.interfaces.parser import ParsedDocument, Parser, ParserInput

__all__ = ["ParserConformance"]

_ENCODINGS: Final = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
_CANARY: Final = "zanzibar-canary"


class ParserConformance(ABC):
    """The contract of `minirag.interfaces.Parser` as tests. Subclass it in a test module, and pytest does the rest.

    ```python
    class TestMine(ParserConformance):
        file_name = "sample.mine"
        blank = b""

        def make_parser(self):
            return Mine()

        def sample(self):
            return b"..."
    ```

    Attributes:
        file_name: the name that files are given, for the extension.
        plain_text: for formats whose canonical text is the decoded file: a valid file as text. P1 is tested with it.
        blank: a file of the format that holds no text, or None if there can be none.
        broken: files that are not of the format, or are damaged beyond reading. Those given as text may hold `{canary}`,
            which must not come back in a message.
        pages: how many pages the sample has, if it has pages.
        seconds: how long `large()` may take.
    """

    file_name: ClassVar[str]
    plain_text: ClassVar[str | None] = None
    blank: ClassVar[bytes | None] = None
    broken: ClassVar[tuple[bytes, ...]] = ()
    pages: ClassVar[int | None] = None
    seconds: ClassVar[float] = 60.0

    @abstractmethod
    def make_parser(self) -> Parser:
        """Return a new parser; equal arguments at every call."""

    @abstractmethod
    def sample(self) -> bytes:
        """Return a file that the parser reads, with spans of every kind that it makes."""

    def large(self) -> bytes | None:
        """Return a large or hostile file of the format, or None. It may be refused, but not after long."""
        return None

    def test_p1_plain_text_is_the_decoded_file(self) -> None:
        """P1: nothing but a byte-order mark is taken away, in any encoding and with any line ends."""
        if self.plain_text is None:
            pytest.skip("the format is not plain text")
        for text in (self.plain_text, self.plain_text.replace("\n", "\r\n")):
            for encoding in _ENCODINGS:
                parsed = self._parse(text.encode(encoding))
                assert parsed.text == text, f"P1: the text of a {encoding} file is not the decoded file"

    def test_p1_what_cannot_be_stored_is_replaced(self) -> None:
        """The text holds no NUL and no lone surrogate, whatever the file holds."""
        if self.plain_text is None:
            pytest.skip("the format is not plain text")
        for stray in ("\x00", "\ud800"):
            try:
                parsed = self._parse((self.plain_text + stray).encode("utf-16-le", errors="surrogatepass"), bom=True)
            except ParseError:
                continue
            assert stray not in parsed.text, f"the text holds U+{ord(stray):04X}"
            assert parsed.text.startswith(self.plain_text[:10]), "a stray character changed what stands before it"

    def test_p2_spans_lie_in_the_text(self) -> None:
        """P2: `0 <= start <= end <= len(text)`."""
        _check_spans(self._parse(self.sample()))

    def test_p2_pages_are_numbered_from_one(self) -> None:
        """P2: a document of n pages has the page spans 1 to n, in order."""
        if self.pages is None:
            pytest.skip("the format has no pages")
        numbers = [span.number for span in self._parse(self.sample()).spans if span.kind == "page"]
        assert numbers == list(range(1, self.pages + 1)), f"P2: the pages are numbered {numbers}"

    def test_p3_a_file_without_text_is_no_text(self) -> None:
        """P3: a file without text raises `NoTextError`, naming the file."""
        if self.blank is None:
            pytest.skip("the format cannot be without text")
        with pytest.raises(NoTextError) as caught:
            self._parse(self.blank)
        assert self.file_name in str(caught.value), "P3: the message does not name the file"

    def test_p3_a_broken_file_is_a_parse_error(self) -> None:
        """P3: a broken file raises `ParseError`, naming the file but none of its contents."""
        for data in self.broken:
            with pytest.raises(ParseError) as caught:
                self._parse(data.replace(b"{canary}", _CANARY.encode()))
            assert self.file_name in str(caught.value), "P3: the message does not name the file"
            assert _CANARY not in str(caught.value), "P3: the message holds contents of the file"

    def test_p3_damage_gives_a_document_or_a_parse_error(self) -> None:
        """P3: a file with bytes changed, cut off or put in is read or refused; no other error comes out."""
        sample = self.sample()
        parser = self.make_parser()

        @settings(max_examples=40, deadline=None, database=None, derandomize=True)
        @given(place=st.integers(0, len(sample)), removed=st.integers(0, 2000), put=st.binary(max_size=40))
        def damaged(place: int, removed: int, put: bytes) -> None:
            data = sample[:place] + put + sample[place + removed :]
            try:
                parsed = parser.parse(ParserInput(data=data, name=self.file_name))
            except ParseError:
                return
            _check_spans(parsed)
            assert parsed.text.strip(), "P3: a document without text was returned"

        damaged()

    def test_p4_the_same_bytes_give_the_same_result(self) -> None:
        """P4: twice by one parser, and by another."""
        parser = self.make_parser()
        file = ParserInput(data=self.sample(), name=self.file_name)
        first = parser.parse(file)
        assert parser.parse(file) == first, "P4: the same parser gave another result"
        assert self.make_parser().parse(file) == first, "P4: another parser gave another result"

    def test_p5_max_pages_is_a_bound(self) -> None:
        """P5: a document of more than `max_pages` pages is refused, one of as many is read."""
        if self.pages is None:
            pytest.skip("the format has no pages")
        data = self.sample()
        self.make_parser().parse(ParserInput(data=data, name=self.file_name, max_pages=self.pages))
        with pytest.raises(ParseError):
            self.make_parser().parse(ParserInput(data=data, name=self.file_name, max_pages=self.pages - 1))

    def test_p5_a_large_file_is_read_or_refused_in_time(self) -> None:
        """P5: work is bounded by the size of the input."""
        data = self.large()
        if data is None:
            pytest.skip("no large file was given")
        started = time.monotonic()
        with suppress(ParseError):
            self._parse(data)
        taken = time.monotonic() - started
        assert taken <= self.seconds, f"P5: {len(data)} bytes took {taken:.1f} s"

    def _parse(self, data: bytes, *, bom: bool = False) -> ParsedDocument:
        return self.make_parser().parse(ParserInput(data=b"\xff\xfe" * bom + data, name=self.file_name))


def _check_spans(parsed: ParsedDocument) -> None:
    last: dict[str, int] = {}
    for span in parsed.spans:
        assert 0 <= span.start <= span.end <= len(parsed.text), f"P2: a {span.kind} span lies outside the text"
        assert span.start >= last.get(span.kind, 0), f"P2: {span.kind} spans are out of order"
        last[span.kind] = span.start
