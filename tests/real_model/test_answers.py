"""Answers of a real model: exact usage, exact citations, streams, chats, abstentions, and connections that end."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.models.answers import Answer
from tests.real_model.conftest import CONTEXT_TOKENS
from tests.real_model.listening import Exchange, Listening

QUESTIONS = (
    "Who was the oldest quarterback ever to play in a Super Bowl?",
    "How do I post form data with httpx?",
    "What does the word wiki mean in Hawaiian?",
)
# The model writes some words, and then a marker, the second of which has no source.
CITING = 'root ::= [A-Za-z ,]{20,80} "[1]" [A-Za-z ,]{10,40} "[9]."'
ABSTAINING = 'root ::= "NO_ANSWER_IN_PASSAGES"'


@pytest.fixture(scope="module")
def answers(bot: minirag.Bot, server: Listening) -> list[tuple[Answer, Exchange]]:
    """The answer to each question, with what the server was asked and said."""
    found = []
    for question in QUESTIONS:
        answer = bot.ask(question, k=3)
        found.append((answer, server.exchanges[-1]))
    return found


def check_citations(bot: minirag.Bot, answer: Answer) -> None:
    """Assert that markers and citations belong together, and that each quote is the stored text of its span."""
    assert set(re.findall(r"\[\d+\]", answer.text)) == {citation.marker for citation in answer.citations}
    for citation in answer.citations:
        assert citation.verify()
        text = bot.documents.text(citation.key, version_id=citation.version_id)
        assert text[citation.start : citation.end] == citation.quote
        assert citation.open(5, 5) == text[max(0, citation.start - 5) : citation.end + 5]


def test_usage_is_what_the_server_counted(
    session: minirag.TenantSession, answers: list[tuple[Answer, Exchange]]
) -> None:
    """Answer, ledger and server agree on every call."""
    counted = {(x.usage["prompt_tokens"], x.usage["completion_tokens"]) for _, x in answers}
    assert {(a.usage.input_tokens, a.usage.output_tokens) for a, _ in answers} == counted
    assert all(prompt > 0 and written > 0 for prompt, written in counted)
    events = [event for event in session.usage.events() if (event.input_tokens, event.output_tokens) in counted]
    assert len(events) >= len(answers)
    assert {(event.kind, event.provider, event.status) for event in events} == {("llm", "openai", "done")}
    assert all(answer.usage.calls == 1 for answer, _ in answers)


def test_prompt_size_is_close_to_the_models_own_count(answers: list[tuple[Answer, Exchange]]) -> None:
    """The estimate that packs passages is of the size that the model counts, and the budget holds."""
    for answer, exchange in answers:
        assert answer.trace.prompt_tokens / 1.6 < exchange.usage["prompt_tokens"] < answer.trace.prompt_tokens * 1.6
        assert answer.trace.passages
        passages = [hit.text for hit in answer.hits if hit.chunk_id in answer.trace.passages]
        assert sum(len(text) for text in passages) / 4 < 2 * CONTEXT_TOKENS


def test_answers_have_hits_and_exact_citations(bot: minirag.Bot, answers: list[tuple[Answer, Exchange]]) -> None:
    """Whatever the model wrote: no marker without a source, no quote that is not there."""
    for answer, _ in answers:
        assert answer.text
        assert answer.hits
        assert not answer.abstained
        assert (answer.trace.cited_by is None) == (not answer.citations)
        check_citations(bot, answer)


def test_stream_is_the_answer_in_pieces(bot: minirag.Bot, server: Listening) -> None:
    """Sources come first, the joined deltas are the text, citations and usage come once, and one `done` ends it."""
    events = list(bot.stream(QUESTIONS[0], k=3))
    kinds = [event.type for event in events]
    assert kinds[0] == "sources"
    assert events[0].hits
    assert kinds[-2:] == ["usage", "done"]
    assert kinds.count("done") == kinds.count("usage") == 1
    answer = events[-1].answer
    assert answer is not None
    assert kinds.count("delta") > 1
    assert "".join(event.text or "" for event in events) == answer.text
    assert tuple(event.citation for event in events if event.citation) == answer.citations
    assert events[-2].usage == answer.usage
    counted = server.exchanges[-1].usage
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (
        counted["prompt_tokens"],
        counted["completion_tokens"],
    )
    check_citations(bot, answer)


@pytest.mark.parametrize("streamed", [False, True])
def test_markers_of_the_model_become_citations(
    session: minirag.TenantSession, llm: Callable[..., Any], location: Path, streamed: bool
) -> None:
    """A marker that the model writes is cited; one without a passage is removed and noted."""
    bot = session.bot("citing", create=True, llm=llm(grammar=CITING), context_tokens=CONTEXT_TOKENS)
    bot.add(
        minirag.DocumentInput(text="Parcels leave the warehouse in Bergen on weekdays.", key="parcels"), progress=False
    )
    question = "When do parcels leave?"
    answer = list(bot.stream(question))[-1].answer if streamed else bot.ask(question)
    assert answer is not None
    assert [citation.marker for citation in answer.citations] == ["[1]"]
    assert answer.citations[0].quote == "Parcels leave the warehouse in Bergen on weekdays."
    assert answer.trace.unknown_markers == ("[9]",)
    assert answer.trace.cited_by == "model"
    check_citations(bot, answer)


def test_sentinel_is_an_abstention(session: minirag.TenantSession, llm: Callable[..., Any]) -> None:
    """What the model is told to write where it finds nothing never reaches the caller, answered or streamed."""
    bot = session.bot("abstaining", create=True, llm=llm(grammar=ABSTAINING), context_tokens=CONTEXT_TOKENS)
    bot.add(
        minirag.DocumentInput(text="Parcels leave the warehouse in Bergen on weekdays.", key="parcels"), progress=False
    )
    answer = bot.ask("Who painted the ceiling?")
    assert answer.abstained
    assert answer.citations == ()
    assert answer.usage.output_tokens > 0
    events = list(bot.stream("Who painted the ceiling?"))
    assert [event.type for event in events] == ["sources", "delta", "usage", "done"]
    assert "".join(event.text or "" for event in events) == answer.text
    assert "NO_ANSWER" not in answer.text


def test_nothing_found_costs_no_call(bot: minirag.Bot, server: Listening) -> None:
    """Where the filter allows no passage the model is not asked."""
    before = len(server.exchanges)
    answer = bot.ask(QUESTIONS[0], where={"$key": "nothing"})
    assert answer.abstained
    assert answer.usage.calls == 0
    assert len(server.exchanges) == before


def test_follow_up_is_condensed_by_the_model(
    session: minirag.TenantSession, bot: minirag.Bot, server: Listening
) -> None:
    """The second question costs two calls: one that completes it, one that answers; the ledger holds both."""
    chat = bot.chat()
    chat.send(QUESTIONS[0])
    before = len(server.exchanges)
    answer = chat.send("And how old was he?")
    calls = server.exchanges[before:]
    assert len(calls) == 2
    assert "rewrite" in calls[0].body["messages"][0]["content"]
    assert answer.usage.calls == 2
    assert answer.usage.input_tokens == sum(call.usage["prompt_tokens"] for call in calls)
    assert answer.usage.output_tokens == sum(call.usage["completion_tokens"] for call in calls)
    newest = list(session.usage.events(bot=bot))[:2]
    assert sorted(event.input_tokens for event in newest) == sorted(call.usage["prompt_tokens"] for call in calls)
    assert [message.role for message in chat.messages] == ["user", "assistant"] * 2
    assert chat.messages[-1].text == answer.text


def test_leaving_a_stream_ends_the_call(session: minirag.TenantSession, bot: minirag.Bot, server: Listening) -> None:
    """The connection is closed, the ledger's row is `cancelled`, and a chat keeps what had come."""
    chat = bot.chat()
    events = chat.stream("Tell me everything about wikis.")
    for event in events:
        if event.type == "delta":
            break
    events.close()
    exchange = server.exchanges[-1]
    assert exchange.ended.wait(60)
    assert exchange.left.is_set(), "the answer was written to its end"
    assert next(session.usage.events(bot=bot)).status == "cancelled"
    assert [message.status for message in chat.messages] == ["complete", "partial"]
    assert chat.messages[-1].text
