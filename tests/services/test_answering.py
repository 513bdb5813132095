"""Answers: markers to exact citations, abstention, streams, conversations, and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag import DocumentInput, errors
from minirag._services.prompting import SENTINEL
from minirag.interfaces import LLM, LLMChunk, LLMRequest, LLMResponse, TokenUsage

FACTS = "The kettle is red. It boils in two minutes. The teapot is blue and holds one litre."


class Scripted(LLM):
    """Says what it is told to, in pieces, and keeps what it was asked."""

    name = "tests:scripted"

    def __init__(self, reply: str | Callable[[LLMRequest], str], *, pieces: int = 3) -> None:
        self._reply = reply
        self._pieces = pieces
        self.requests: list[LLMRequest] = []
        self.closed = 0
        self.fail_after: int | None = None

    def _text(self, request: LLMRequest) -> str:
        self.requests.append(request)
        return self._reply if isinstance(self._reply, str) else self._reply(request)

    def generate(self, request: LLMRequest) -> LLMResponse:
        if self.fail_after is not None:
            raise errors.ProviderTimeoutError("too slow", provider="tests")
        return LLMResponse(text=self._text(request), usage=TokenUsage(100, 10))

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        text = self._text(request)
        try:
            for number, start in enumerate(range(0, len(text), self._pieces)):
                if self.fail_after == number:
                    raise errors.ProviderConnectionError("cut off", provider="tests")
                yield LLMChunk(text=text[start : start + self._pieces])
            yield LLMChunk(usage=TokenUsage(100, 10), finish_reason="stop")
        finally:
            self.closed += 1


@pytest.fixture
def make(workspace: minirag.Workspace) -> Callable[..., tuple[minirag.Bot, Scripted]]:
    """Make a bot that knows the facts, and its scripted model."""

    def make_bot(reply: str | Callable[[LLMRequest], str], **profile: Any) -> tuple[minirag.Bot, Scripted]:
        llm = Scripted(reply)
        bot = workspace.tenant("acme", create=True).bot("b", create=True, llm=llm, **profile)
        bot.add(DocumentInput(text=FACTS, key="facts", title="Kitchen"))
        return bot, llm

    return make_bot


def test_markers_become_exact_citations(make: Any) -> None:
    """Each marker has a citation whose quote is the sentence that supports the statement."""
    bot, _ = make("The kettle is red [1]. The teapot holds a litre [1].")
    answer = bot.ask("Tell me of the kitchen.")
    assert answer.text == "The kettle is red [1]. The teapot holds a litre [1]."
    assert [citation.quote for citation in answer.citations] == [
        "The kettle is red.",
        "The teapot is blue and holds one litre.",
    ]
    for citation in answer.citations:
        assert citation.marker == "[1]"
        assert FACTS[citation.start : citation.end] == citation.quote
        assert citation.verify()
    assert answer.model == "tests:scripted"
    assert not answer.abstained


def test_a_marker_without_a_source_is_removed(make: Any) -> None:
    """A number that no passage has never reaches the caller, and the trace names it."""
    bot, _ = make("The kettle is red [1] and fast [7].")
    answer = bot.ask("kettle?")
    assert answer.text == "The kettle is red [1] and fast."
    assert answer.trace.unknown_markers == ("[7]",)


@pytest.mark.parametrize("reply", [SENTINEL, f"  {SENTINEL}.", f'"{SENTINEL}"', ""])
def test_the_model_abstains(make: Any, reply: str) -> None:
    """The sentinel, or nothing, is an abstention and never reaches the caller."""
    bot, _ = make(reply)
    answer = bot.ask("What is the capital of France?")
    assert answer.abstained
    assert answer.citations == ()
    assert SENTINEL not in answer.text
    events = list(bot.stream("What is the capital of France?"))
    assert [event.type for event in events] == ["sources", "delta", "usage", "done"]
    assert all(SENTINEL not in (event.text or "") for event in events)


def test_nothing_found_is_an_abstention_without_a_call(workspace: minirag.Workspace) -> None:
    """Where the bot has no documents, the model is not asked."""
    llm = Scripted("Anything [1].")
    bot = workspace.tenant("acme", create=True).bot("empty", create=True, llm=llm)
    answer = bot.ask("Anything?")
    assert answer.abstained
    assert llm.requests == []
    assert answer.trace.abstained_because == "the search found nothing"


def test_stream_joins_to_the_answer(make: Any) -> None:
    """Deltas joined are the answer's text; the stream ends in one `done` that carries the answer."""
    bot, _ = make("The kettle is red [1]. It boils [1, 9] fast.")
    events = list(bot.stream("kettle?"))
    types = [event.type for event in events]
    assert types[0] == "sources"
    assert types[-2:] == ["usage", "done"]
    assert types.count("done") == 1
    assert "error" not in types
    done = events[-1].answer
    assert "".join(event.text for event in events if event.type == "delta") == done.text == bot.ask("kettle?").text
    assert tuple(event.citation for event in events if event.type == "citation") == done.citations
    assert events[-2].usage == done.usage == minirag.Usage(input_tokens=100, output_tokens=10, calls=1)


def test_stream_that_breaks_ends_in_one_error(make: Any) -> None:
    """A model that fails midway ends the stream in exactly one `error` and no `done`."""
    bot, llm = make("The kettle is red [1].")
    llm.fail_after = 3
    events = list(bot.stream("kettle?"))
    assert [event.type for event in events if event.type in {"done", "error"}] == ["error"]
    assert isinstance(events[-1].error, errors.ProviderConnectionError)


def test_leaving_a_stream_early_closes_it(make: Any, workspace: minirag.Workspace) -> None:
    """Closing the stream closes the model's."""
    bot, llm = make("The kettle is red [1]. " * 30)
    stream = bot.stream("kettle?")
    for event in stream:
        if event.type == "delta":
            break
    stream.close()
    assert llm.closed == 1
    assert [event.status for event in workspace.tenant("acme").usage.events()] == ["cancelled"]


def test_ledger_has_a_row_for_each_call(workspace: minirag.Workspace) -> None:
    """Done and failed calls are in the ledger, with the provider's own count."""
    session = workspace.tenant("acme", create=True)
    llm = Scripted("The kettle is red [1].")
    bot = session.bot("b", create=True, llm=llm)
    bot.add(DocumentInput(text=FACTS, key="facts"))
    bot.ask("kettle?")
    list(bot.stream("kettle?"))
    llm.fail_after = 0
    with pytest.raises(errors.ProviderTimeoutError):
        bot.ask("kettle?")
    row = session.usage.total().rows[0]
    assert (row.kind, row.provider, row.model) == ("llm", "tests", "scripted")
    assert (row.calls, row.failed, row.input_tokens, row.output_tokens) == (3, 1, 200, 20)
    assert [event.status for event in session.usage.events()] == ["failed", "done", "done"]
    assert len(list(session.usage.events(bot=bot))) == 3


def test_extractive_answers_cost_nothing(bot: minirag.Bot, workspace: minirag.Workspace) -> None:
    """The extractive answerer is named as such and enters no row."""
    bot.add(DocumentInput(text=FACTS, key="facts"))
    answer = bot.ask("What colour is the kettle?")
    assert answer.model == "extractive"
    assert answer.citations[0].quote == "The kettle is red."
    assert answer.usage == minirag.Usage()
    assert workspace.tenant("acme").usage.total().rows == ()


def test_prompt_keeps_documents_out_of_the_system_role(make: Any) -> None:
    """The bot's prompt is in the system message; retrieved text is not."""
    bot, llm = make("The kettle is red [1].", system_prompt="You help cooks.")
    bot.ask("What colour is the kettle?")
    system, *_, user = llm.requests[0].messages
    assert system.role == "system"
    assert "You help cooks." in system.content
    assert "teapot" not in system.content
    assert user.role == "user"
    assert FACTS in user.content
    assert "What colour is the kettle?" in user.content


def test_a_chat_understands_what_went_before(make: Any) -> None:
    """A follow-up is rewritten by the model before it is searched for, and every turn is kept."""
    replies = iter(["The kettle is red [1].", "How fast does the kettle boil?", "In two minutes [1]."])
    bot, llm = make(lambda request: next(replies))
    chat = bot.chat()
    first = chat.send("What colour is the kettle?")
    second = chat.send("And how fast is it?")
    assert second.trace.query == "How fast does the kettle boil?"
    assert second.usage.calls == 2
    assert (first.chat_id, second.chat_id) == (chat.id, chat.id)
    messages = bot.chat(chat.id).messages
    assert [(message.role, message.status) for message in messages] == [
        ("user", "complete"), ("assistant", "complete"), ("user", "complete"), ("assistant", "complete"),
    ]  # fmt: skip
    assert messages[3].id == second.message_id
    assert messages[1].citations[0].verify()
    assert any(message.role == "assistant" for message in llm.requests[-1].messages)
    assert next(bot.chats.list()).title == "What colour is the kettle?"


def test_a_chat_keeps_partial_and_failed_turns(make: Any) -> None:
    """Leaving a stream keeps what had come; a failure is kept as one."""
    bot, llm = make("The kettle is red [1]. It boils.")
    chat = bot.chat()
    stream = chat.stream("kettle?")
    for event in stream:
        if event.type == "citation":
            break
    stream.close()
    llm.fail_after = 0
    with pytest.raises(errors.ProviderTimeoutError):
        chat.send("kettle?")
    statuses = [message.status for message in chat.messages]
    assert statuses == ["complete", "partial", "complete", "failed"]
    assert chat.messages[1].text.startswith("The kettle is red [1]")
    chat.delete()
    with pytest.raises(errors.ChatNotFoundError):
        bot.chat(chat.id)


def test_chats_survive_reopening(tmp_path: Path, embedder: Any) -> None:
    """A conversation goes on in another process's workspace."""
    with minirag.Workspace.open(tmp_path, embedder=embedder) as ws:
        bot = ws.tenant("acme", create=True).bot("b", create=True)
        bot.add(DocumentInput(text=FACTS, key="facts"))
        chat = bot.chat()
        chat.send("What colour is the kettle?")
    with minirag.Workspace.open(tmp_path, embedder=embedder) as ws:
        again = ws.tenant("acme").bot("b").chat(chat.id)
        answer = again.send("And how fast does it boil?")
        assert "two minutes" in answer.text
        assert len(again.messages) == 4


def test_the_page_of_a_quote(workspace: minirag.Workspace) -> None:
    """A citation's page is that of its quote, not of its chunk's beginning."""
    bot = workspace.tenant("acme", create=True).bot("whole", create=True, chunker="whole")
    bot.add(Path(__file__).parents[1] / "data" / "handbook.pdf")
    assert [hit.page for hit in bot.search("laptop")] == [1]
    for question, page in (("Is delivery free?", 1), ("How long may a laptop be returned?", 2), ("A worn battery?", 3)):
        citation = bot.ask(question).citations[0]
        assert citation.page == page
        pages = bot.documents.versions("handbook.pdf")[0].pages
        assert pages[page - 1].start <= citation.start < pages[page - 1].end


def test_open_takes_a_stored_citation(make: Any) -> None:
    """A citation that the application stored as JSON opens again."""
    bot, _ = make("The kettle is red [1].")
    stored = bot.ask("kettle?").citations[0].model_dump_json()
    citation = minirag.Citation.model_validate_json(stored)
    assert bot.open(citation) == "The kettle is red."
    assert bot.open(citation, after=3) == "The kettle is red. It"
    with pytest.raises(errors.WorkspaceStateError, match=r"bot\.open"):
        citation.verify()


def test_another_tenant_cannot_open_it(make: Any, workspace: minirag.Workspace) -> None:
    """A citation of one tenant is gone for another."""
    bot, _ = make("The kettle is red [1].")
    citation = bot.ask("kettle?").citations[0]
    other = workspace.tenant("other", create=True).bot("b", create=True)
    with pytest.raises(errors.EvidenceGoneError):
        other.open(citation)


def test_a_small_context_drops_passages_and_says_so(make: Any) -> None:
    """What does not fit the context is dropped, with the reason in the trace."""
    bot, llm = make("Yes [1].", context_tokens=100)
    for number in range(6):
        bot.add(DocumentInput(text=f"Fact {number}. " + "A kettle is a kettle. " * 12, key=str(number)))
    answer = bot.ask("kettle?")
    assert answer.trace.dropped
    assert "budget of 100 tokens" in answer.trace.dropped[-1].reason
    assert len(llm.requests[-1].passages) == len(answer.trace.passages) < len(answer.hits)
