"""The built-in chunkers keep the contract, and cut where a reader would."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from minirag.interfaces import Chunker, ChunkSpan, ParsedDocument, ProviderContext, Span
from minirag.models.sentences import sentence_spans
from minirag.providers.chunkers import markdown, recursive, whole
from minirag.providers.chunkers.graphemes import is_safe_cut
from minirag.providers.chunkers.recursive import SizeOptions
from minirag.testing.chunker import ChunkerConformance, texts_with_structure

CONTEXT = ProviderContext()


class TestRecursive(ChunkerConformance):
    def make_chunker(self) -> Chunker:
        return recursive.create(SizeOptions(size=20), CONTEXT)


class TestRecursiveWithOverlap(ChunkerConformance):
    def make_chunker(self) -> Chunker:
        return recursive.create(SizeOptions(size=8, overlap=3), CONTEXT)


class TestMarkdown(ChunkerConformance):
    def make_chunker(self) -> Chunker:
        return markdown.create(SizeOptions(size=12), CONTEXT)


class TestWhole(ChunkerConformance):
    def make_chunker(self) -> Chunker:
        return whole.create(None, CONTEXT)


def words(text: str) -> int:
    return len(text.split())


def chunks(text: str, chunker: Chunker, media_type: str = "text/plain", spans: tuple[Span, ...] = ()) -> list[str]:
    document = ParsedDocument(text, media_type, spans=spans)
    return [text[chunk.start : chunk.end] for chunk in chunker.split(document, words)]


def by_words(size: int, overlap: int = 0) -> Chunker:
    return recursive.create(SizeOptions(size=size, overlap=overlap), CONTEXT)


def with_headings(text: str, size: int) -> tuple[list[str], Sequence[ChunkSpan]]:
    found = markdown.create(SizeOptions(size=size), CONTEXT).split(ParsedDocument(text, "text/markdown"), words)
    return [text[chunk.start : chunk.end] for chunk in found], found


def test_paragraphs_are_packed_up_to_the_size() -> None:
    """Neighbouring paragraphs share a chunk as long as it holds them."""
    text = "one two three\n\nfour five six\n\nseven eight nine ten"
    assert chunks(text, by_words(6)) == ["one two three\n\nfour five six", "seven eight nine ten"]


def test_a_large_paragraph_is_cut_at_sentences() -> None:
    """What is too large for one chunk is cut after a sentence, not inside one."""
    text = "The cat sat on the mat. The dog ran to the door. Nobody saw the bird. It sang all day."
    assert chunks(text, by_words(12)) == [
        "The cat sat on the mat. The dog ran to the door.",
        "Nobody saw the bird. It sang all day.",
    ]


def test_a_large_sentence_is_cut_between_words() -> None:
    """A sentence too large for one chunk is cut at white space."""
    text = " ".join(f"word{number}" for number in range(100))
    found = chunks(text, by_words(30))
    assert " ".join(found) == text
    assert all(words(chunk) <= 30 for chunk in found)


@pytest.mark.parametrize("size", [5, 20, 200])
def test_no_chunk_is_larger_than_the_size(size: int) -> None:
    """Every chunk measures at most `size`, with and without overlap."""
    text = "\n\n".join(f"# Head {n}\n\n" + "Some words of a sentence here. " * (n % 9) for n in range(60))
    for chunker in (by_words(size), by_words(size, size // 3), markdown.create(SizeOptions(size=size), CONTEXT)):
        assert max(words(chunk) for chunk in chunks(text, chunker)) <= size


def test_a_heading_stays_with_what_follows() -> None:
    """No chunk ends with a heading, though one word more would not fit."""
    text = "# First\n\n" + "alpha " * 15 + "\n\n# Second\n\n" + "beta " * 10 + "\n\n## Third\n\n" + "gamma. " * 19
    for found in (chunks(text, by_words(20)), with_headings(text, 20)[0]):
        assert not any(chunk.splitlines()[-1].startswith("#") for chunk in found), found


def test_a_heading_moves_on_with_what_does_not_fit() -> None:
    """Where the paragraph after a heading begins a new chunk, the heading begins it."""
    text = "alpha " * 8 + "\n\n# Second\n\n" + "beta " * 12
    assert chunks(text, by_words(20)) == [("alpha " * 8).strip(), text[text.index("#") :].strip()]


def test_a_mark_on_a_space_keeps_it() -> None:
    """A text that begins with a mark on a space is not stripped inside that grapheme."""
    assert chunks(" \u0301b", by_words(5)) == [" \u0301b"]


def test_a_row_of_several_lines_stays_whole() -> None:
    """A line end inside a row is no place to cut."""
    rows = [f'{n},"a b\nc d"\n' for n in range(9)]
    spans = tuple(Span("row", n * len(rows[0]), (n + 1) * len(rows[0]) - 1) for n in range(9))
    found = chunks("".join(rows), by_words(7), "text/csv", spans)
    assert len(found) > 3
    assert all(chunk.endswith('d"') for chunk in found)


def test_a_heading_stays_with_a_paragraph_that_fills_a_chunk() -> None:
    """A heading before a paragraph of exactly the size takes its first sentences along."""
    text = "# A heading of five words\n\n" + "Two words. " * 10
    found = chunks(text, by_words(20))
    assert found[0].startswith("# A heading of five words\n\nTwo words.")


def test_a_short_tail_shares_with_the_chunk_before() -> None:
    """The last chunk is no leftover of a few words."""
    text = "One two three four five. " * 9 + "\n\nBye now."
    found = chunks(text, by_words(40))
    assert min(words(chunk) for chunk in found) > 10, found


def test_overlap_repeats_whole_sentences() -> None:
    """A chunk begins with the last sentences of the one before, within `overlap` tokens."""
    text = " ".join(f"Sentence number {number} is here." for number in range(12))
    found = chunks(text, by_words(20, 6))
    for before, after in pairwise(found):
        first = after.split(".")[0] + "."
        assert before.endswith(first)
    assert chunks(text, by_words(20))[1].split(".")[0] not in chunks(text, by_words(20))[0]


def test_rows_are_not_cut() -> None:
    """In CSV and JSON lines every chunk is whole rows."""
    text = "".join(f'{n},"a b c. d e f",x y\n' for n in range(20))
    spans, start = [], 0
    for line in text.splitlines(keepends=True):
        spans.append(Span("row", start, start + len(line) - 1))
        start += len(line)
    for given_spans in ((), tuple(spans)):
        found = chunks(text, by_words(30), "text/csv", given_spans)
        assert len(found) > 3
        assert all(line in text.splitlines() for chunk in found for line in chunk.splitlines())


def test_page_ends_do_not_cut() -> None:
    """A paragraph on two pages may be one chunk."""
    text = "One two\n\nthree four."
    assert chunks(text, by_words(10), "application/pdf", (Span("page", 0, 7, 1), Span("page", 9, 20, 2))) == [text]


def test_text_without_spaces_is_cut_by_length() -> None:
    """A tokenizer that counts an overlong word as one token does not make an endless chunk."""
    found = chunks("x" * 100_000, by_words(200))
    assert max(map(len, found)) <= 200 * 12
    assert len(found) < 60


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(texts_with_structure())
def test_no_grapheme_is_cut(text: str) -> None:
    """Chunks of one token end and begin only between what a reader takes for characters."""
    for chunk in by_words(1).split(ParsedDocument(text, "text/plain"), len):
        for place in (chunk.start, chunk.end):
            assert is_safe_cut(text, place), f"{unicodedata.normalize('NFC', text[place - 1 : place + 1])!r} was cut"


@pytest.mark.parametrize("grapheme", ["e\u0301", "👩🏽‍🔬", "🇪🇺", "\u1112\u1161\u11ab", "क्षि", "❤️", "\r\n"])
def test_a_grapheme_holds_no_safe_cut(grapheme: str) -> None:
    """Marks, joined emoji, flags, Hangul jamo, Indic conjuncts and CRLF are one each; a letter before is apart."""
    text = f"a{grapheme}b"
    safe = [place for place in range(1, len(text)) if is_safe_cut(text, place)]
    assert safe == [1, 1 + len(grapheme)]


def test_flags_are_cut_in_pairs() -> None:
    """A row of flags may be cut between two flags only."""
    text = "🇪🇺🇩🇪🇫🇷"
    assert [place for place in range(1, 6) if is_safe_cut(text, place)] == [2, 4]


def test_chunks_know_their_headings() -> None:
    """`metadata["headings"]` is the path from the outermost heading to the chunk's own."""
    text = "# Shop\n\n## Returns\n\nThirty days for all.\n\n### Laptops\n\nOnly fourteen days here.\n\n## Mail\n\nWrite to us often."
    found, spans = with_headings(text, 8)
    assert [chunk.metadata for chunk in spans] == [
        {"headings": ["Shop", "Returns"]},
        {"headings": ["Shop", "Returns", "Laptops"]},
        {"headings": ["Shop", "Mail"]},
    ], found


def test_sections_of_one_level_stay_apart() -> None:
    """Two sections that would fit one chunk are two chunks; a subsection may share its section's."""
    text = "## A\n\none two three four\n\n## B\n\nfive six seven eight\n\n### B1\n\nnine ten"
    assert with_headings(text, 30)[0] == [text[: text.index("## B\n") - 2], text[text.index("## B\n") :]]


def test_tiny_sections_are_merged() -> None:
    """A section of two words does not make a chunk, and the chunk's headings are those that its parts share."""
    text = "# Top\n\n## A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree"
    found, spans = with_headings(text, 200)
    assert found == [text]
    assert spans[0].metadata == {"headings": ["Top"]}


def test_headings_of_the_parser_are_used() -> None:
    """Headings come from the spans where a parser found them, as in HTML."""
    text = "Returns\n\nThirty days."
    spans = (Span("heading", 0, 7, 1, "Returns"),)
    document = ParsedDocument(text, "text/html", spans=spans)
    (chunk,) = markdown.create(None, CONTEXT).split(document, words)
    assert chunk.metadata == {"headings": ["Returns"]}


def test_code_blocks_stay_whole() -> None:
    """Fenced code that fits a chunk is not cut at its blank lines."""
    code = "```python\na = 1\n\nb = 2\n\nc = 3\n```"
    text = "Some words come first, more than a few.\n\n" + code + "\n\nMore words follow after it, quite a few."
    for found in (chunks(text, by_words(14)), with_headings(text, 14)[0]):
        assert any(code in chunk for chunk in found), found


def test_whole_is_one_chunk_without_outer_white_space() -> None:
    """`whole` gives one chunk, stripped."""
    assert chunks(" \n one two\n\nthree \n", whole.create(None, CONTEXT)) == ["one two\n\nthree"]


@pytest.mark.parametrize("options", [{"size": 0}, {"overlap": -1}, {"size": 10, "overlap": 6}, {"sise": 5}])
def test_wrong_options_are_refused(options: dict[str, int]) -> None:
    """Options out of range or unknown do not make a chunker."""
    with pytest.raises(ValidationError):
        SizeOptions(**options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It cost 3.5 euros. Dr. Smith paid.", ["It cost 3.5 euros.", "Dr. Smith paid."]),
        ("See e.g. the U.S. law. Then stop!", ["See e.g. the U.S. law.", "Then stop!"]),
        ("Wait... what? Yes.", ["Wait... what?", "Yes."]),
        ("これは本です。それはペンです。", ["これは本です。", "それはペンです。"]),
        ("هل هذا صحيح؟ نعم.", ["هل هذا صحيح؟", "نعم."]),
        ("यह है। वह है।", ["यह है।", "वह है।"]),
        ("- one\n- two\n\nText", ["- one", "- two", "Text"]),
        ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
        ("Das ist z.B. gut. Ja.", ["Das ist z.B. gut.", "Ja."]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    """Sentences end where a reader of the language sees an end."""
    assert [text[start:end] for start, end in sentence_spans(text)] == expected


@pytest.mark.parametrize("text", ["." * 200_000 + "x", "\n" * 200_000 + "x", ".)" * 100_000, "\n " * 100_000 + "x"])
def test_sentences_of_hostile_texts_take_linear_time(text: str) -> None:
    """Dots and line ends by the hundred thousand are cut at once (quadratic time would be minutes)."""
    spans = sentence_spans(text)
    assert sum(end - start for start, end in spans) >= sum(not c.isspace() for c in text)
