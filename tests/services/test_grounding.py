"""Grounding: an answer without markers is cited where a passage holds its statements, and nowhere else."""

from __future__ import annotations

import pytest

from minirag._services.citing import Citer
from minirag._services.grounding import supported_statements
from minirag.models.search import Hit

RETURNS = (
    "Acme was founded in 1998 in Oslo. A laptop may be returned within 30 days of delivery. Phones are not insured."
)
SHIPPING = "Shipping is free above 50 euros. Parcels leave the warehouse in Bergen on weekdays."


def a_hit(text: str, *, start: int = 0, key: str = "handbook.md") -> Hit:
    """Return a hit whose text begins at `start` of its document version."""
    return Hit(
        text=text, score=0.5, key=key, bot="support", chunk_id=f"c-{key}", document_id=f"d-{key}", version_id=f"v-{key}",
        source_id="s", source_name="inline", title=None, start=start, end=start + len(text), page=None, metadata={},
    )  # fmt: skip


HITS = (a_hit(RETURNS, start=100), a_hit(SHIPPING, key="shipping.md"))


def grounded(text: str) -> Citer:
    """Return a citer that was fed `text`, finished and grounded."""
    citer = Citer(HITS)
    citer.feed(text)
    citer.finish()
    citer.ground()
    return citer


@pytest.mark.parametrize(
    ("answer", "quotes"),
    [
        (
            "A laptop may be returned within 30 days of delivery.",
            ["A laptop may be returned within 30 days of delivery."],
        ),
        ("Laptops may be returned within 30 days.", ["A laptop may be returned within 30 days of delivery."]),
        (
            "The answer is that parcels leave from Bergen on weekdays.",
            ["Parcels leave the warehouse in Bergen on weekdays."],
        ),
        ("Phones aren't insured at all, phones.", []),  # two content words
        ("A laptop may be returned within 14 days of delivery.", []),  # another number
        ("A laptop may not be returned within 30 days of delivery.", []),  # turned round
        ("A laptop may be exchanged within 30 days in every shop.", []),  # too much besides
        ("Acme ships laptops from Oslo to Bergen within 30 days.", []),  # words of several sentences
        ("It is 30.", []),
        ("Hello! How can I help you today with your order?", []),
        ("", []),
    ],
)
def test_statement_is_cited_if_a_sentence_holds_it(answer: str, quotes: list[str]) -> None:
    """Words may change their form; numbers, negation and most of the content words may not differ."""
    assert [citation.quote for citation in grounded(answer).citations] == quotes


def test_markers_come_last_and_each_has_its_exact_span() -> None:
    """What was streamed before stays as it is: markers are added behind the text, in the passages' order."""
    answer = (
        "Shipping is free above 50 euros. A laptop may be returned within 30 days. The moon is made of green cheese."
    )
    citer = grounded(answer)
    assert citer.text == f"{answer} [1][2]"
    assert [citation.marker for citation in citer.citations] == ["[1]", "[2]"]
    for citation, hit in zip(citer.citations, HITS, strict=True):
        assert hit.text[citation.start - hit.start : citation.end - hit.start] == citation.quote


def test_answer_with_a_citation_of_its_own_is_left_alone() -> None:
    """A model that cites decides itself what it cites."""
    answer = "Shipping is free above 50 euros. A laptop may be returned within 30 days [1]."
    citer = grounded(answer)
    assert citer.text == answer
    assert len(citer.citations) == 1


def test_removed_marker_does_not_count_as_a_citation() -> None:
    """A number without a passage is removed, and the statement it stood at is grounded like any other."""
    citer = grounded("Shipping is free above 50 euros [7].")
    assert citer.text == "Shipping is free above 50 euros. [2]"
    assert citer.unknown == ["[7]"]


def test_long_list_does_not_support_a_few_of_its_words() -> None:
    """A sentence that says much else holds the words of false statements too."""
    items = (
        "Our shops sell lamps, tables, chairs, sofas, desks, shelves, beds, rugs, mirrors, clocks, frames and vases."
    )
    assert supported_statements("Our shops sell lamps, tables, chairs and sofas.", [a_hit(items)]) == [
        (1, 0, len(items))
    ]
    assert supported_statements("The lamps have vases and mirrors.", [a_hit(items)]) == []


def test_the_better_passage_is_cited_where_two_say_the_same() -> None:
    """Of equal sentences the one of the passage that was ranked first is quoted."""
    twice = (a_hit(SHIPPING, key="a.md"), a_hit(SHIPPING, key="b.md"))
    assert supported_statements("Shipping is free above 50 euros.", twice) == [(1, 0, 32)]
