"""Deliberately wrong parsers and chunkers fail their suites by the clause they break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import pytest

from minirag.errors import NoTextError, ParseError
from minirag.interfaces import Chunker, ChunkSpan, ParsedDocument, Parser, ParserInput, Span, TextMeasure
from minirag.testing.chunker import ChunkerConformance
from minirag.testing.parser import ParserConformance


class RightParser(Parser):
    """Reads text in UTF encodings; `!` at the start means a broken file, each line is a row."""

    def text(self, data: bytes) -> str:
        encoding = "utf-8-sig"
        if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
            encoding = "utf-32"
        elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
            encoding = "utf-16"
        return data.decode(encoding, errors="replace").replace("\x00", "\ufffd")

    def refuse(self, file: ParserInput, text: str) -> None:
        if text.startswith("!"):
            raise ParseError(f"{file.name!r} is broken")

    def spans(self, text: str) -> tuple[Span, ...]:
        rows, start = [], 0
        for line in text.splitlines(keepends=True):
            rows.append(Span("row", start, start + len(line)))
            start += len(line)
        return tuple(rows)

    def parse(self, file: ParserInput) -> ParsedDocument:
        text = self.text(file.data)
        self.refuse(file, text)
        if not text.strip():
            raise NoTextError(f"{file.name!r} is empty")
        return ParsedDocument(text, "text/plain", spans=self.spans(text))


class ChangesLineEnds(RightParser):
    def text(self, data: bytes) -> str:
        return super().text(data).replace("\r\n", "\n")


class KeepsNul(RightParser):
    def text(self, data: bytes) -> str:
        return data.decode("utf-16") if data.startswith(b"\xff\xfe") else super().text(data)


class SpansOutside(RightParser):
    def spans(self, text: str) -> tuple[Span, ...]:
        return (Span("row", 0, len(text) + 1),)


class SpansOutOfOrder(RightParser):
    def spans(self, text: str) -> tuple[Span, ...]:
        return super().spans(text)[::-1]


class EmptyIsText(RightParser):
    def parse(self, file: ParserInput) -> ParsedDocument:
        return ParsedDocument(self.text(file.data), "text/plain")


class QuotesContents(RightParser):
    def refuse(self, file: ParserInput, text: str) -> None:
        if text.startswith("!"):
            raise ParseError(f"{file.name!r} is broken at {text!r}")


class RaisesItsOwn(RightParser):
    def text(self, data: bytes) -> str:
        return data.decode("utf-8-sig") if not data.startswith((b"\xff\xfe", b"\x00")) else super().text(data)


class NeverTheSame(RightParser):
    numbers = count()

    def parse(self, file: ParserInput) -> ParsedDocument:
        parsed = super().parse(file)
        return ParsedDocument(parsed.text, "text/plain", title=str(next(self.numbers)), spans=parsed.spans)


class ParserSuite(ParserConformance):
    file_name = "sample.txt"
    plain_text = "Grüße, 世界.\nA second line.\n"
    blank = b" \n"
    broken = (b"! {canary}",)
    parser: type[Parser] = RightParser

    def make_parser(self) -> Parser:
        return self.parser()

    def sample(self) -> bytes:
        return self.plain_text.encode()


class RightChunker(Chunker):
    """Cuts at every tenth character, then strips."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [(start, min(len(text), start + 10)) for start in range(0, len(text), 10)]

    def split(self, document: ParsedDocument, measure: TextMeasure) -> Sequence[ChunkSpan]:
        text = document.text
        return [ChunkSpan(start, end) for start, end in self.spans(text) if not text[start:end].isspace()]


class KeepsBlankChunks(RightChunker):
    def split(self, document: ParsedDocument, measure: TextMeasure) -> Sequence[ChunkSpan]:
        return [ChunkSpan(start, end) for start, end in self.spans(document.text)]


class PastTheEnd(RightChunker):
    def spans(self, text: str) -> list[tuple[int, int]]:
        return [(start, start + 10) for start in range(0, len(text), 10)]


class Backwards(RightChunker):
    def spans(self, text: str) -> list[tuple[int, int]]:
        return super().spans(text)[::-1]


class Twice(RightChunker):
    def spans(self, text: str) -> list[tuple[int, int]]:
        return [span for span in super().spans(text) for _ in range(2)]


class LosesTheTail(RightChunker):
    def spans(self, text: str) -> list[tuple[int, int]]:
        return super().spans(text)[:-1] or [(0, len(text))]


class Remembers(RightChunker):
    def __init__(self) -> None:
        self.before = 0

    def spans(self, text: str) -> list[tuple[int, int]]:
        self.before += 1
        return super().spans(text) if self.before % 2 else [(0, len(text))]


class AsciiOnly(RightChunker):
    def spans(self, text: str) -> list[tuple[int, int]]:
        text.encode("ascii")
        return super().spans(text)


class MeasuresEveryPrefix(RightChunker):
    def split(self, document: ParsedDocument, measure: TextMeasure) -> Sequence[ChunkSpan]:
        for end in range(0, len(document.text), 500):
            measure(document.text[:end])
        return super().split(document, measure)


class ChunkerSuite(ChunkerConformance):
    examples = 30
    chunker: type[Chunker] = RightChunker

    def make_chunker(self) -> Chunker:
        return self.chunker()


def failures(suite: ParserConformance | ChunkerConformance, tests: str = "test_") -> str:
    """Return the messages of the suite's failing tests, of those whose names begin with `tests`."""
    messages = []
    for name in dir(suite):
        if name.startswith(tests):
            test: Callable[[], None] = getattr(suite, name)
            try:
                test()
            except pytest.skip.Exception:
                continue
            except (Exception, pytest.fail.Exception) as problem:
                messages.append(f"{name}: {problem!r}")
    return "\n".join(messages)


def test_right_ones_pass() -> None:
    """A parser and a chunker that keep every clause fail nothing."""
    assert failures(ParserSuite()) == ""
    assert failures(ChunkerSuite()) == ""


@pytest.mark.parametrize(
    ("parser", "test"),
    [
        (ChangesLineEnds, "test_p1_plain_text"),
        (KeepsNul, "test_p1_what_cannot_be_stored"),
        (SpansOutside, "test_p2_spans_lie"),
        (SpansOutOfOrder, "test_p2_spans_lie"),
        (EmptyIsText, "test_p3_a_file_without_text"),
        (QuotesContents, "test_p3_a_broken_file"),
        (RaisesItsOwn, "test_p3_damage"),
        (NeverTheSame, "test_p4_the_same_bytes"),
    ],
)
def test_a_wrong_parser_fails_its_clause(parser: type[Parser], test: str) -> None:
    """Each wrong parser fails the test of the clause that it breaks."""
    suite = ParserSuite()
    suite.parser = parser
    assert test in failures(suite, test)


@pytest.mark.parametrize(
    ("chunker", "test"),
    [
        (KeepsBlankChunks, "test_c1_"),
        (PastTheEnd, "test_c1_"),
        (Backwards, "test_c2_"),
        (Twice, "test_c2_"),
        (LosesTheTail, "test_c3_"),
        (Remembers, "test_c4_"),
        (AsciiOnly, "test_c5_any_unicode"),
        (MeasuresEveryPrefix, "test_c5_work_grows"),
    ],
)
def test_a_wrong_chunker_fails_its_clause(chunker: type[Chunker], test: str) -> None:
    """Each wrong chunker fails the test of the clause that it breaks."""
    suite = ChunkerSuite()
    suite.chunker = chunker
    assert test in failures(suite, test)
