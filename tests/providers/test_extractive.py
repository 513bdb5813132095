"""The extractive answerer: the right sentence with its marker, or nothing."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirag.interfaces.llm import LLMRequest, Passage
from minirag.interfaces.specs import ProviderContext
from minirag.providers.local.extractive import Extractive, ExtractiveOptions, create
from minirag.testing import LLMConformance

RETURNS = (
    "# Returns\n\nAcme sells laptops and phones in Norway. A laptop may be returned within 30 days of delivery. "
    "A phone may be returned within\n14 days. Refunds reach the customer's account after five working days."
)
COMPANY = (
    "The company was founded by Kari Nordmann. It was founded in a garage in Bergen in 1998. Its first product was a modem. "
    "Today it has offices in four countries."
)
SHIPPING = "How much is express shipping?\nNine euros for each parcel. Is shipping free?\nAbove fifty euros it is."
WEATHER = "Rain falls in Bergen on most days of the year. The mountains keep the clouds above the town."


class TestExtractive(LLMConformance):
    """The answerer keeps every clause of `LLM`; it has neither tools nor schemas, and counts no tokens."""

    counts_tokens = False

    def make_llm(self) -> Extractive:
        return Extractive()


def ask(
    question: str, *texts: str, scores: tuple[float, ...] = (), titles: tuple[str | None, ...] = (), sentences: int = 1
) -> str:
    """Return the answer from passages of these texts; scores are 0, as by keyword search, unless given."""
    passages = tuple(
        Passage(number, text, titles[number - 1] if titles else None, scores[number - 1] if scores else 0.0)
        for number, text in enumerate(texts, start=1)
    )
    return Extractive(max_sentences=sentences).generate(LLMRequest((), question, passages)).text


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How long may I return a laptop?", "A laptop may be returned within 30 days of delivery. [1]"),
        ("return of phones", "A phone may be returned within 14 days. [1]"),
        ("When do refunds reach my account?", "Refunds reach the customer's account after five working days. [1]"),
        ("Who founded the company?", "The company was founded by Kari Nordmann. [2]"),
        ("In what year was the company founded?", "It was founded in a garage in Bergen in 1998. [2]"),
        ("What was the company's first product?", "Its first product was a modem. [2]"),
        ("How much is express shipping?", "Nine euros for each parcel. [3]"),
        ("What keeps the clouds above the town?", "The mountains keep the clouds above the town. [4]"),
    ],
)
def test_the_best_sentence_is_quoted_with_its_marker(question: str, answer: str) -> None:
    """The sentence that answers comes word for word, its white space collapsed, whichever passage holds it."""
    assert ask(question, RETURNS, COMPANY, SHIPPING, WEATHER) == answer


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        (
            "手机多少天内可以退货？",
            "笔记本电脑可在三十天内退货。手机可在十四天内退货。运费为九欧元。",
            "手机可在十四天内退货。 [1]",
        ),
        (
            "電話は何日以内に返品できますか",
            "送料は九ユーロです。電話は十四日以内に返品できます。",
            "電話は十四日以内に返品できます。 [1]",
        ),
        (
            "За сколько дней можно вернуть телефон?",
            "Ноутбук стоит дорого. Телефон можно вернуть за 14 дней.",
            "Телефон можно вернуть за 14 дней. [1]",
        ),
        (
            "Wer gründete die Firma?",
            "Die Firma verkauft Telefone. Kari Nordmann gründete die Firma in Bergen.",
            "Kari Nordmann gründete die Firma in Bergen. [1]",
        ),
        (
            "फ़ोन कितने दिनों में लौटाया जा सकता है?",
            "कंपनी ओस्लो में है। फ़ोन 14 दिनों में लौटाया जा सकता है।",
            "फ़ोन 14 दिनों में लौटाया जा सकता है। [1]",
        ),
        (
            "متى يمكن إرجاع الهاتف",
            "تقع الشركة في أوسلو. يمكن إرجاع الهاتف خلال 14 يوما.",
            "يمكن إرجاع الهاتف خلال 14 يوما. [1]",
        ),
    ],
)
def test_other_scripts_answer_too(question: str, text: str, answer: str) -> None:
    """Words and character pairs do the same work in scripts with and without spaces."""
    assert ask(question, text) == answer


@pytest.mark.parametrize(
    "question",
    [
        "Which enzymes does the liver release during fasting?",
        "What is the boundary layer of a hypersonic wing?",
        "Who is the chancellor of Austria?",
        "who are you?",
        "???",
        "",
    ],
)
@pytest.mark.parametrize("cosine", [0.0, 0.12])
def test_a_question_that_the_passages_do_not_answer_is_left_alone(question: str, cosine: float) -> None:
    """Without evidence the text is empty and the finish reason says so, with cosines and without."""
    passages = tuple(
        Passage(number, text, None, cosine) for number, text in enumerate((RETURNS, COMPANY, WEATHER), start=1)
    )
    response = Extractive().generate(LLMRequest((), question, passages))
    assert (response.text, response.finish_reason) == ("", "abstain")


def test_no_passages_no_answer() -> None:
    """An empty context abstains, and so does one of blank texts and headings."""
    for texts in [(), ("",), (" \n",), ("# Returns of laptops",), ("Returns of laptops",)]:
        assert ask("Returns of laptops?", *texts) == ""


def test_a_high_cosine_carries_a_sentence_that_shares_few_words() -> None:
    """Where dense search is sure, half the words suffice; alone, they do not."""
    question = "Which entrepreneur established the manufacturer of Acme computers?"
    text = "Acme was started by Kari Nordmann. She likes skiing."
    assert ask(question, text) == ""
    assert ask(question, text, scores=(0.65,)) == "Acme was started by Kari Nordmann. [1]"
    assert ask(question, "She likes skiing.", scores=(0.95,)) == ""


def test_a_question_in_the_text_is_answered_by_the_sentence_after_it() -> None:
    """In a list of frequent questions, the answer need not repeat a word of its question."""
    faq = "How much is express shipping to Oslo?\nNine euros for each parcel."
    assert (
        ask("How much is express shipping to Oslo?", "Express parcels to Oslo leave at nine.", faq)
        == "Nine euros for each parcel. [2]"
    )


def test_a_title_stands_in_for_words_the_sentence_leaves_out() -> None:
    """The subject of a document is often only in its title."""
    texts = ("It may be returned within 30 days.", "It may be returned within 14 days.")
    assert (
        ask("How long may a phone be returned?", *texts, titles=("Laptop", "Phone"))
        == "It may be returned within 14 days. [2]"
    )


def test_further_sentences_come_while_they_are_nearly_as_good() -> None:
    """At most `max_sentences`, best first, none twice."""
    first = "A laptop may be returned within 30 days of delivery."
    second = "A laptop may be returned in any shop within 30 days."
    texts = (first, second, first, "Phones are sold in Norway.")
    question = "May a used laptop be returned within 30 days?"
    assert ask(question, *texts, sentences=3) == f"{first} [1] {second} [2]"
    assert ask(question, *texts, sentences=1) == f"{first} [1]"


def test_no_sentence_follows_once_the_question_is_covered() -> None:
    """A sentence that holds all that was asked is enough; "as long as" is no reason to add another."""
    laptop = "A laptop may be returned within 30 days of delivery."
    phone = "Phones may be returned within 14 days, as long as the seal is unbroken."
    assert ask("How long may I return a laptop?", f"{laptop} {phone}", sentences=3) == f"{laptop} [1]"
    both = ask("How long may I return a laptop and a phone?", f"{laptop} {phone}", sentences=3)
    assert laptop in both
    assert phone in both


def test_a_question_of_one_word_is_not_covered_by_a_sentence() -> None:
    """It asks for what there is to say about a subject."""
    assert ask("What does a cat do?", "A cat sleeps all day. A cat eats fish.", sentences=3).count("[1]") == 2


@pytest.mark.parametrize(
    "line",
    [
        "A laptop may be returned to the shop in the following way:",
        "Laptop returned, phones, chargers, cables and more",
    ],
)
def test_a_whole_sentence_goes_before_one_that_is_not(line: str) -> None:
    """A lead-in and a line that no full stop ends are said after a sentence that holds as much."""
    sentence = "A laptop may be returned to any shop, by post or by courier, complete with charger, box and manual."
    assert ask("May a laptop be returned?", f"{line}\n\n{sentence}") == f"{sentence} [1]"


def test_of_sentences_that_cover_the_question_the_shortest_is_said() -> None:
    """As no other follows it, it had better be to the point."""
    long = "Timeouts are on by default, so that a connection which is never made raises an error rather than hanging."
    short = "The default timeout is five seconds."
    assert ask("What is the default timeout?", f"{long} {short}", sentences=3) == f"{short} [1]"


def test_a_sentence_of_two_documents_is_said_once() -> None:
    """Note numbers and white space make no other sentence of it."""
    texts = ("A used laptop may be returned within 30 days [1].", "A used laptop may be  returned within 30 days (12).")
    assert ask("How soon may a broken laptop be returned?", *texts, sentences=3).count("30 days") == 1


@pytest.mark.parametrize(
    "clutter",
    [
        "## Returning laptops within days\n\n",
        "Returning a laptop, days\n------\n\n",
        "| laptop returned | days allowed |\n| --- | --- |\n\n",
        "```python\nlaptop.returned(days=30)\n```\n\n",
        ">>> laptop.returned(days=30)\n\n",
        "laptop.returned_days(30)\n```\n\n",
        "- [Laptop returned in days](/laptop)\n- [Phone](/phone)\n\n",
        "[Laptop](/laptop) | [Returned days](/days)\n\n",
        "Laptop returned, days and more\n\n",
        "laptop_returned = days(30)\n\n",
        "A laptop is returned in days as follows:\n\n",
    ],
)
def test_markup_is_no_answer(clutter: str) -> None:
    """Headings, heads of tables, code, navigation and lead-ins give way to a sentence, however many words they hold."""
    sentence = "Every laptop may be returned within 30 days."
    assert ask("In how many days may a laptop be returned?", f"{clutter}{sentence}") == f"{sentence} [1]"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("- Laptops are returned within 30 days", "Laptops are returned within 30 days [1]"),
        ("| goods | returned |\n|---|---|\n| laptops | within 30 days |", "laptops | within 30 days [1]"),
        ("> Laptops are returned within 30 days.", "Laptops are returned within 30 days. [1]"),
        ("## Rules\nLaptops are returned within 30 days.", "Laptops are returned within 30 days. [1]"),
        ("[Laptops](/a_(b).md) are returned **within** 30 days.", "Laptops are returned **within** 30 days. [1]"),
    ],
)
def test_marks_are_left_out_of_what_is_said(text: str, answer: str) -> None:
    """An item, a row or a linked text is said without its list mark, borders and target."""
    assert ask("When are laptops returned?", text) == answer


def test_a_documents_own_note_numbers_are_not_taken_for_markers() -> None:
    """`[7]` in a document would cite passage 7."""
    assert (
        ask("When was the tower built?", "The tower was built in 1889 [7].") == "The tower was built in 1889 (7). [1]"
    )


@given(st.text(max_size=80), st.lists(st.text(max_size=120), max_size=4), st.floats(-1, 1))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_a_well_formed_answer(question: str, texts: list[str], score: float) -> None:
    """Streamed and whole answers are equal; every sentence ends in a marker of a passage; empty means abstained."""
    passages = tuple(Passage(number, text, text[:9], score) for number, text in enumerate(texts, start=1))
    request = LLMRequest((), question, passages)
    engine = Extractive()
    response = engine.generate(request)
    chunks = list(engine.stream(request))
    assert "".join(chunk.text for chunk in chunks) == response.text
    assert chunks[-1].finish_reason == response.finish_reason == ("stop" if response.text else "abstain")
    assert all(1 <= int(number) <= len(texts) for number in re.findall(r"\[(\d+)\]", response.text))
    assert not response.text or re.search(r" \[\d\]\Z", response.text)


def test_a_stream_comes_sentence_by_sentence() -> None:
    """Each sentence with its marker is a chunk; the last chunk carries the finish reason."""
    passages = (
        Passage(1, "A laptop may be returned within 30 days.", None, 0.0),
        Passage(2, "A laptop may be returned.", None, 0.0),
    )
    chunks = list(Extractive().stream(LLMRequest((), "May a used laptop be returned?", passages)))
    assert [chunk.text for chunk in chunks] == [
        "A laptop may be returned within 30 days. [1]",
        " A laptop may be returned. [2]",
        "",
    ]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, "stop"]
    assert (
        asyncio.run(Extractive().agenerate(LLMRequest((), "May a used laptop be returned?", passages))).text.count("[")
        == 2
    )


def test_the_factory_makes_an_engine_that_reads_no_prompts() -> None:
    """It is named as what it is, and takes the number of sentences."""
    engine = create(ExtractiveOptions(max_sentences=2), ProviderContext())
    assert (engine.name, engine.reads_prompts) == ("extractive", False)
    with pytest.raises(ValueError, match="max_sentences"):
        ExtractiveOptions(max_sentences=0)
