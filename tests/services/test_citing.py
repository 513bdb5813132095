"""Citations: exact spans of the hits, the same for every way of cutting a stream."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirag._services.citing import Citer, supporting_span
from minirag.interfaces.llm import LLMRequest, Passage
from minirag.models.answers import Citation
from minirag.models.search import Hit
from minirag.providers.local.extractive import Extractive

RETURNS = (
    "Acme was founded in 1998 in Oslo. A laptop may be returned within 30 days of delivery.  The box must be unopened.\n"
    "A phone may be returned within 14 days. Refunds reach the customer's account after five working days."
)
SHIPPING = (
    "Shipping is free above 50 euros. Parcels leave the warehouse in Bergen on weekdays.\n\nExpress costs 9 euros."
)


def a_hit(text: str, *, start: int = 0, key: str = "handbook.md", page: int | None = None) -> Hit:
    """Return a hit whose text begins at `start` of its document version."""
    return Hit(
        text=text, score=0.5, key=key, bot="support", chunk_id=f"c-{key}-{start}", document_id=f"d-{key}", version_id=f"v-{key}",
        source_id="s", source_name="inline", title=None, start=start, end=start + len(text), page=page, metadata={},
    )  # fmt: skip


HITS = (a_hit(RETURNS, start=100), a_hit(SHIPPING, key="shipping.md", page=7))


def cited(text: str, hits: tuple[Hit, ...] = HITS) -> Citer:
    """Return a citer that was fed `text` at once and finished."""
    citer = Citer(hits)
    citer.feed(text)
    citer.finish()
    return citer


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("Thirty days [1].", "Thirty days [1]."),
        ("Thirty days [1, 2].", "Thirty days [1][2]."),
        ("Thirty days [1][2].", "Thirty days [1][2]."),
        ("Thirty days [1-2].", "Thirty days [1][2]."),
        ("Thirty days [2–1].", "Thirty days [2][1]."),
        ("Thirty days [1; 1 2].", "Thirty days [1][2]."),
        ("Thirty days [^1].", "Thirty days [1]."),
        ("Thirty days [ 1 ].", "Thirty days [1]."),
        ("三十天【1】。", "三十天[1]。"),
        ("三十天［1，2］。", "三十天[1][2]。"),
        ("٣٠ يوما [١].", "٣٠ يوما [1]."),
        ("Thirty days (1).", "Thirty days (1)."),
        (
            "A list [ ] and [x] and [0, 1] and [-1, 1] and [0.5].",
            "A list [ ] and [x] and [0, 1] and [-1, 1] and [0.5].",
        ),
        ("An open [1", "An open [1"),
        ("Thirty days [1]\n\nmore words here [2]\n", "Thirty days [1]\n\nmore words here [2]"),
    ],
)
def test_every_way_of_writing_a_marker_becomes_one(written: str, clean: str) -> None:
    """Markers are written `[1]`, one after the other; what is no marker stays as it is."""
    assert cited(written).text == clean


@pytest.mark.parametrize(
    ("written", "clean", "unknown"),
    [
        ("One word [9].", "One word.", ["[9]"]),
        ("One word[9] more.", "One word more.", ["[9]"]),
        ("One word [9] more [9].", "One word more.", ["[9]"]),
        ("One word [9] [1].", "One word [1].", ["[9]"]),
        ("One word [1] [9].", "One word [1].", ["[9]"]),
        ("One word [1, 9].", "One word [1].", ["[1, 9]"]),
        ("One word [1-999999].", "One word [1][2].", ["[1-999999]"]),
        ("First.\n[9] Second.", "First.\nSecond.", ["[9]"]),
        ("First [9]\n\nSecond.", "First\n\nSecond.", ["[9]"]),
        ("(see [9])", "(see)", ["[9]"]),
        ("[9] Begin.", "Begin.", ["[9]"]),
        ("[9]", "", ["[9]"]),
        ("一【9】。", "一。", ["【9】"]),
    ],
)
def test_a_marker_without_a_source_is_removed_and_noted(written: str, clean: str, unknown: list[str]) -> None:
    """Nothing of an unknown marker is left in the text, its space neither."""
    citer = cited(written)
    assert (citer.text, citer.unknown) == (clean, unknown)


def test_a_removed_marker_joins_no_new_one() -> None:
    """What stood around a removed marker does not become a marker that cites nothing."""
    assert cited("so [[9]1] it is").text == "so […1] it is"
    assert cited("so [1\n[9]] it is").citations == []


@pytest.mark.parametrize(
    ("written", "quote"),
    [
        (
            "You may return a laptop for 30 days after delivery [1].",
            "A laptop may be returned within 30 days of delivery.",
        ),
        ("A phone can be sent back for 14 days. [1]", "A phone may be returned within 14 days."),
        ("The company dates from 1998 and Oslo is its home [1]. Good luck.", "Acme was founded in 1998 in Oslo."),
        ("According to [1], refunds reach the account after five working days.", RETURNS.split("\n")[1].split(". ")[1]),
        (
            "As stated in passage [1], a laptop may be returned.\n\nFree shipping.",
            "A laptop may be returned within 30 days of delivery.",
        ),
        ("Express costs 9 euros [2]", "Express costs 9 euros."),
        (
            "According to [1], refunds take five days\nYou asked: may a laptop be returned within 30 days of delivery",
            "Refunds reach the customer's account after five working days.",
        ),
    ],
)
def test_the_quote_is_the_sentence_that_supports_the_statement(written: str, quote: str) -> None:
    """The sentence of the cited hit that shares most with the statement is quoted, alone."""
    (citation,) = cited(written).citations
    assert citation.quote == quote


def test_a_marker_that_begins_a_line_is_about_what_follows() -> None:
    """Lists of findings, each after its marker, quote each their own; a bare list of sources quotes for what it ends."""
    citer = cited("[1] Phones may be returned within 14 days.\n[2] Express costs 9 euros.")
    assert [(citation.marker, citation.quote) for citation in citer.citations] == [
        ("[1]", "A phone may be returned within 14 days."),
        ("[2]", "Express costs 9 euros."),
    ]
    assert cited("Shipping is free above 50 euros.\n\n[2]").citations[0].quote == "Shipping is free above 50 euros."


def test_a_sentence_equal_to_the_statement_is_preferred_to_one_of_the_same_words() -> None:
    """Word for word beats word by word."""
    text = "Returned it may be. It may be\nreturned. Returned may it be."
    start, end = supporting_span(text, "It may be returned.")
    assert text[start:end] == "It may be\nreturned."


def test_two_markers_of_one_sentence_quote_by_their_own_parts() -> None:
    """Each marker is about what stands between it and the marker before."""
    citer = cited("A laptop may be returned within 30 days [1] and a phone may be returned within 14 days [1].")
    assert [citation.quote for citation in citer.citations] == [
        "A laptop may be returned within 30 days of delivery.",
        "A phone may be returned within 14 days.",
    ]


def test_adjacent_markers_share_their_statement() -> None:
    """`[1][2]` after one statement cite both hits for it."""
    citer = cited("Shipping is free above 50 euros [1] [2].")
    assert [citation.marker for citation in citer.citations] == ["[1]", "[2]"]
    assert citer.citations[1].quote == "Shipping is free above 50 euros."


def test_a_statement_drawn_from_two_sentences_quotes_both() -> None:
    """A neighbour that adds much of the statement joins the quote, with the white space between."""
    citer = cited("A laptop may be returned within 30 days if the box is unopened [1].")
    assert citer.citations[0].quote == RETURNS[RETURNS.index("A laptop") : RETURNS.index("\nA phone")]


def test_the_same_span_under_the_same_marker_is_cited_once() -> None:
    """A repeated statement adds its marker to the text but no second citation."""
    citer = cited("Express costs 9 euros [2]. Yes, express costs 9 euros [2].")
    assert citer.text.count("[2]") == 2
    assert len(citer.citations) == 1


def test_a_citation_names_its_document_and_page() -> None:
    """Offsets count from the beginning of the document version; pages come from the callable."""
    asked: list[tuple[str, int]] = []

    def page_of(hit: Hit, offset: int) -> int:
        asked.append((hit.version_id, offset))
        return 3

    citer = Citer(HITS, page_of=page_of)
    citer.feed("A phone may be returned within 14 days [1].")
    citer.finish()
    start = 100 + RETURNS.index("A phone")
    quote = "A phone may be returned within 14 days."
    assert citer.citations == [
        Citation(
            marker="[1]", quote=quote, key="handbook.md", bot="support", document_id="d-handbook.md", version_id="v-handbook.md",
            source_id="s", source_name="inline", title=None, start=start, end=start + len(quote), page=3,
        )
    ]  # fmt: skip
    assert asked == [("v-handbook.md", start)]
    assert cited("Express costs 9 euros [2].").citations[0].page == 7


def test_only_what_may_become_a_marker_is_held_back() -> None:
    """Plain text leaves at once; an open bracket waits only while numbers follow."""
    citer = Citer(HITS)
    assert citer.feed("Thirty days") == ["Thirty days"]
    assert citer.feed(" [") == []
    assert citer.feed("1") == []
    text, citation = citer.feed("]")
    assert text == " [1]"
    assert isinstance(citation, Citation)
    assert citer.feed(" and [x") == [" and [x"]
    assert citer.feed("]. ") == ["]."]
    assert citer.finish() == []


def test_a_long_answer_is_cited_to_its_end_in_linear_time() -> None:
    """Only the latest prose is remembered; statements near the end still find their sentences."""
    citer = Citer(HITS)
    for piece in re.findall(r"\S+\s*", "A phone may be returned within 14 days. So it is said, over and over. " * 1500):
        citer.feed(piece)
    citer.feed("Express costs 9 euros [2]. [1] says that a laptop may be returned.")
    citer.finish()
    assert [citation.quote for citation in citer.citations] == [
        "Express costs 9 euros.",
        "A laptop may be returned within 30 days of delivery.",
    ]


def test_an_extractive_answer_quotes_exactly_its_sentences() -> None:
    """For an answer made of the documents' sentences, each quote is that sentence, white space and notes and all."""
    text = (
        "The  tower was\nbuilt in 1889 [3]. It is 330 metres tall. Its architect was Sauvestre [4]. Painted in bronze."
    )
    hits = (a_hit(SHIPPING), a_hit(text, start=40, key="tower.md"))
    passages = tuple(Passage(number, hit.text, None, 0.0) for number, hit in enumerate(hits, start=1))
    for question, quote in [
        ("When was the tower built?", "The  tower was\nbuilt in 1889 [3]."),
        ("How tall is it in metres?", "It is 330 metres tall."),
        ("Who was its architect?", "Its architect was Sauvestre [4]."),
    ]:
        answer = Extractive(max_sentences=1).generate(LLMRequest((), question, passages)).text
        (citation,) = cited(answer, hits).citations
        assert (citation.marker, citation.quote) == ("[2]", quote)


WORDS = st.sampled_from(
    [
        "laptop",
        "30 days",
        "returned",
        "Oslo",
        "Bergen",
        "euros",
        "free",
        "the",
        "is",
        "退货",
        "三十天",
        "e.g.",
        "é",
        "I",
    ]
)
MARKS = st.sampled_from(
    [
        "[1]",
        " [2]",
        "[1, 2]",
        "[1-3]",
        "【1】",
        "［2］",
        "[9]",
        " [0]",
        "[",
        "]",
        "[1",
        "[[9]1]",
        "[ ",
        "【",
        "[^1]",
        "(1)",
        "[-1]",
        "[" + "1" * 45,
    ]
)
SPACES = st.sampled_from([" ", "\n", "\n\n", ". ", "! ", "。", ", ", "\u00a0", "  ", "\r\n", "- "])
TEXTS = st.one_of(st.lists(st.one_of(WORDS, MARKS, SPACES), max_size=30).map("".join), st.text(max_size=60))
DOCUMENTS = st.lists(st.tuples(st.one_of(TEXTS, st.text(min_size=1, max_size=80)), st.integers(0, 50)), max_size=3)


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Return a text and the same text in pieces, empty ones among them."""
    text = draw(TEXTS)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return text, [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@given(cut_texts(), DOCUMENTS)
@settings(max_examples=300, deadline=None)
def test_a_cut_stream_gives_the_same_answer(cut: tuple[str, list[str]], documents: list[tuple[str, int]]) -> None:
    """Text, citations and unknown markers do not depend on how the stream was cut."""
    text, pieces = cut
    hits = tuple(
        a_hit(document, start=start, key=f"k{number}") for number, (document, start) in enumerate(documents) if document
    )
    whole = cited(text, hits)
    citer = Citer(hits)
    output = [item for piece in pieces for item in citer.feed(piece)] + citer.finish()
    assert "".join(item for item in output if isinstance(item, str)) == citer.text == whole.text
    assert [item for item in output if isinstance(item, Citation)] == citer.citations == whole.citations
    assert citer.unknown == whole.unknown


@given(TEXTS, DOCUMENTS)
@settings(max_examples=300, deadline=None)
def test_every_citation_is_an_exact_span_and_every_marker_cites(text: str, documents: list[tuple[str, int]]) -> None:
    """Whatever model and documents say: quotes equal their spans, and text and citations name the same markers."""
    versions = {f"v-k{number}": "x" * start + document for number, (document, start) in enumerate(documents)}
    hits = tuple(
        a_hit(document, start=start, key=f"k{number}") for number, (document, start) in enumerate(documents) if document
    )
    citer = cited(text, hits)
    for citation in citer.citations:
        assert citation.quote
        assert versions[citation.version_id][citation.start : citation.end] == citation.quote
        assert hits[int(citation.marker[1:-1]) - 1].version_id == citation.version_id
    assert set(re.findall(r"\[[1-9]\d?\]", citer.text)) == {citation.marker for citation in citer.citations}
    assert citer.text == citer.text.strip()
    assert len({(citation.marker, citation.start, citation.end) for citation in citer.citations}) == len(
        citer.citations
    )


@given(TEXTS, TEXTS)
@settings(max_examples=150, deadline=None)
def test_a_supporting_span_lies_in_its_text(text: str, statement: str) -> None:
    """Any two texts give a span, never an empty one of a text that holds something."""
    start, end = supporting_span(text, statement)
    assert 0 <= start <= end <= len(text)
    assert text[start:end].strip() or not text.strip()
