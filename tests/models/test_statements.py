"""What sentences say without their markup, and that each of them is a sentence of the text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirag.models.sentences import sentence_spans
from minirag.models.statements import statements_of


def said(text: str) -> list[str]:
    """Return what the sentences of `text` say, without those that say nothing."""
    return [statement.said for statement in statements_of(text) if statement.said]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 30\n  days [3]. More.", ["It is 30 days (3).", "More."]),
        ("# Head\nText.\n\nTitle\n=====\n\nMore.", ["Text.", "More."]),
        ("| a | b |\n| --- | :-: |\n| c | d |\n|  | e |", ["c | d", "e"]),
        ("|a|b|\n|---|---|\n|c|d|", ["c | d"]),
        ("- one\n* [x] two\n> three\n4) four", ["one", "two", "three", "four"]),
        ("> 5 kg cost more.", ["> 5 kg cost more."]),
        ("2. Open it.\n\n1990.", ["Open it.", "1990."]),
        ("Intro:\n```sh\nmake\n\ntest\n```\nThen.", ["Intro:", "Then."]),
        ('See [the guide](a_(b).md "Guide") or ![a picture](p.png).', ["See the guide or a picture."]),
        ("- [Home](/)\n- <https://example.org/>\n- [Docs](/docs) now", ["Docs now"]),
        ("[We return laptops.](/returns)", []),
        ("[We return laptops](/returns).", ["We return laptops."]),
        ("!!! tip\nKeep it.\n\n[ref]: https://example.org/\n\n* * *\n\n<br>", ["Keep it."]),
    ],
)
def test_only_what_a_sentence_says_is_left(text: str, expected: list[str]) -> None:
    """Words stay, in order; list marks, borders, headings, code, targets and navigation go."""
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\nprint(x)\n```\n\nThen.\n\n```py\ny\n```", ["Then."]),
        ("Before.\n\n```\ncut off", ["Before."]),
        ("```\nx = 1\n```\nThen.", ["Then."]),
        ("print(x)\n```", []),
    ],
)
def test_code_that_was_cut_is_still_code(text: str, expected: list[str]) -> None:
    """A passage may begin or end within a fence."""
    assert said(text) == expected


@given(st.text(alphabet=st.sampled_from("ab1 .\n|-#>`[]()!*:"), max_size=120))
@settings(max_examples=300, deadline=None)
def test_statements_are_the_sentences(text: str) -> None:
    """There is one for each sentence, in order; it says words of that sentence only, on one line."""
    statements = statements_of(text)
    assert [(statement.start, statement.end) for statement in statements] == sentence_spans(text)
    for statement in statements:
        assert statement.said == " ".join(statement.said.split())
        letters = [character for character in text[statement.start : statement.end] if character.isalnum()]
        remaining = iter(letters)
        assert all(character in remaining for character in statement.said if character.isalnum())
