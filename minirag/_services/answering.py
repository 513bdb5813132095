"""Answers: retrieve, pack, ask the model, turn its markers into exact citations, abstain where nothing supports one."""

from __future__ import annotations

import bisect
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from minirag._services import prompting
from minirag._services.citing import Citer
from minirag._services.conversations import Conversations
from minirag._services.core import BotContext
from minirag._services.evidence import Evidence
from minirag._services.ledger import Ledger, OpenCall
from minirag._services.planning import pages_of
from minirag._services.retrieval import SearchRequest, check_request, search
from minirag._services.steps import Effect, LLMStream, Steps
from minirag.errors import MiniRAGError
from minirag.interfaces import LLM, LLMRequest, PromptMessage, TokenUsage
from minirag.models.answers import Answer, AnswerEvent, AnswerTrace, Citation
from minirag.models.chats import Message
from minirag.models.checks import check_integer, check_text
from minirag.models.documents import PageSpan
from minirag.models.search import Hit, SearchResults
from minirag.models.tenants import BotRecord
from minirag.models.usage import Usage
from minirag.types import new_id, utc_now

__all__ = ["ABSTENTION", "EventSteps", "answer", "answer_events"]

ABSTENTION: Final = "The documents do not answer this question."
_HISTORY: Final = 10
_MAXIMUM_QUESTION: Final = 20_000

EventSteps: TypeAlias = Generator["Effect | LLMStream | AnswerEvent", Any, None]


@dataclass(slots=True)
class _Turn:
    """One question on its way to an answer."""

    bot: BotContext
    record: BotRecord
    llm: LLM
    question: str
    query: str
    results: SearchResults
    packed: prompting.Packed
    request: LLMRequest
    usage: Usage
    chat_id: str | None
    message_id: str | None
    seconds: dict[str, float]
    began: float
    abstained_because: str | None = None
    cited_by: Literal["model", "comparison"] | None = None
    citer: Citer = field(init=False)

    def __post_init__(self) -> None:
        self.citer = Citer(self.packed.hits, page_of=_Pages(self.bot).page_of)


def answer(
    bot: BotContext,
    question: object,
    *,
    k: object = 8,
    where: Mapping[str, Any] | None = None,
    chat_id: str | None = None,
) -> Steps[Answer]:
    """Return the answer to a question, with exact citations or an abstention."""
    request = _check_question(question, k, where)
    return _answer(bot, request, chat_id)


def _answer(bot: BotContext, request: SearchRequest, chat_id: str | None) -> Steps[Answer]:
    bot.allow("ask")
    turn = yield from _prepare(bot, request, chat_id)
    try:
        if turn.packed.passages:
            started = time.perf_counter()
            with _metered(turn) as call:
                response = yield Effect(
                    lambda: turn.llm.generate(turn.request), lambda: turn.llm.agenerate(turn.request)
                )
                call.usage = response.usage
            turn.seconds["model"] = time.perf_counter() - started
            _count(turn, response.usage)
            _note_abstention(turn, response.text, response.finish_reason)
            if turn.abstained_because is None:
                turn.citer.feed(response.text)
                turn.citer.finish()
                _ground(turn)
        return _conclude(turn)
    except Exception:
        _save_unfinished(turn, "failed")
        raise


def answer_events(
    bot: BotContext,
    question: object,
    *,
    k: object = 8,
    where: Mapping[str, Any] | None = None,
    chat_id: str | None = None,
) -> EventSteps:
    """Yield the answer as events, and on the way what either face must do. Arguments are checked at once."""
    request = _check_question(question, k, where)
    bot.core.check()
    return _answer_events(bot, request, chat_id)


def _answer_events(bot: BotContext, request: SearchRequest, chat_id: str | None) -> EventSteps:
    bot.allow("ask")
    turn: _Turn | None = None
    try:
        turn = yield from _prepare(bot, request, chat_id)
        yield AnswerEvent(type="sources", hits=tuple(turn.results))
        if turn.packed.passages:
            yield from _stream_model(turn)
        finished = _conclude(turn)
        if finished.abstained:
            yield AnswerEvent(type="delta", text=finished.text)
        yield AnswerEvent(type="usage", usage=finished.usage)
    except GeneratorExit:
        if turn is not None:
            _save_unfinished(turn, "partial")
        raise
    except Exception as problem:  # noqa: BLE001 - a stream ends in `done` or in `error`, whatever it was
        if turn is not None:
            _save_unfinished(turn, "failed")
        yield AnswerEvent(type="error", error=problem)
    else:
        yield AnswerEvent(type="done", answer=finished)


def _stream_model(turn: _Turn) -> EventSteps:
    """Yield what the model writes, as clean text and citations; text that may be an abstention is held back."""
    started = time.perf_counter()
    stream = LLMStream(turn.llm, turn.request)
    yield stream
    usage = TokenUsage()
    reason = "stop"
    held: str | None = ""
    with _metered(turn) as call:
        while (chunk := (yield stream.next())) is not None:
            call.answered = True
            call.usage = usage = chunk.usage or usage
            reason = chunk.finish_reason or reason
            if held is None:
                yield from _emit(turn, turn.citer.feed(chunk.text))
                continue
            held += chunk.text
            if not prompting.may_become_abstention(held):
                begun, held = held, None
                yield from _emit(turn, turn.citer.feed(begun))
    turn.seconds["model"] = time.perf_counter() - started
    _count(turn, usage)
    if held is not None:
        _note_abstention(turn, held, reason)
        if turn.abstained_because is None:
            yield from _emit(turn, turn.citer.feed(held))
    if turn.abstained_because is None:
        yield from _emit(turn, turn.citer.finish())
        yield from _emit(turn, _ground(turn))


def _ground(turn: _Turn) -> Sequence[str | Citation]:
    """Return the markers and citations of an answer whose model wrote none, and note who cited."""
    if turn.citer.citations:
        turn.cited_by = "model"
        return ()
    found = turn.citer.ground()
    turn.cited_by = "comparison" if found else None
    return found


def _emit(turn: _Turn, pieces: Sequence[str | Citation]) -> Generator[AnswerEvent, None, None]:
    evidence = Evidence(turn.bot.core, turn.bot.scope, turn.bot.principal)
    for piece in pieces:
        if isinstance(piece, str):
            yield AnswerEvent(type="delta", text=piece)
        else:
            yield AnswerEvent(type="citation", citation=piece._bind(evidence))


def _check_question(question: object, k: object, where: Mapping[str, Any] | None) -> SearchRequest:
    text = check_text("question", question, maximum=_MAXIMUM_QUESTION)
    return check_request(text, k=check_integer("k", k, minimum=1, maximum=200), where=where)


def _prepare(bot: BotContext, request: SearchRequest, chat_id: str | None) -> Steps[_Turn]:
    """Understand the question, search, and build the prompt; in a chat, the question is stored first."""
    if chat_id is None:
        return (yield from _prepare_turn(bot, request, [], None, None))
    history = Conversations(bot).messages(chat_id, last=_HISTORY)
    Conversations(bot).append(chat_id, Message(id=new_id(), role="user", text=request.query, created_at=utc_now()))
    message_id = new_id()
    try:
        return (yield from _prepare_turn(bot, request, history, chat_id, message_id))
    except (Exception, GeneratorExit) as problem:
        status: Literal["partial", "failed"] = "partial" if isinstance(problem, GeneratorExit) else "failed"
        with suppress(MiniRAGError):
            reply = Message(id=message_id, role="assistant", text="", created_at=utc_now(), status=status)
            Conversations(bot).append(chat_id, reply)
        raise


def _prepare_turn(
    bot: BotContext,
    request: SearchRequest,
    history: Sequence[Message],
    chat_id: str | None,
    message_id: str | None,
) -> Steps[_Turn]:
    began = time.perf_counter()
    record = bot.load()
    llm = bot.core.engines.llm(bot, record)
    usage, seconds = Usage(), {}
    question = query = request.query
    if history:
        query, usage = yield from _condense(bot, llm, history, question)
        seconds["condense"] = time.perf_counter() - began
    started = time.perf_counter()
    results = yield from search(bot, replace(request, query=query))
    seconds["search"] = time.perf_counter() - started
    budget = record.profile.context_tokens
    packed = prompting.pack_context(results, budget=budget, count_tokens=llm.count_tokens)
    recent = prompting.recent_history(_turns(history), budget=budget // 2, count_tokens=llm.count_tokens)
    messages = prompting.answer_messages(record.profile.system_prompt, recent, question, packed.passages)
    asked_of_model = LLMRequest(messages=messages, question=query, passages=packed.passages)
    return _Turn(
        bot, record, llm, question, query, results, packed, asked_of_model, usage, chat_id, message_id, seconds, began
    )


def _condense(bot: BotContext, llm: LLM, history: Sequence[Message], question: str) -> Steps[tuple[str, Usage]]:
    """Return a follow-up question with what it refers to, so that it can be searched for alone."""
    turns = _turns(history)
    plain = prompting.condense_without_model(turns, question)
    if not llm.reads_prompts:
        return plain, Usage()
    request = LLMRequest(messages=prompting.condense_messages(turns, question), max_tokens=200)
    with _entered(bot, llm, request) as call:
        response = yield Effect(lambda: llm.generate(request), lambda: llm.agenerate(request))
        call.usage = response.usage
    used = Usage(input_tokens=response.usage.input_tokens, output_tokens=response.usage.output_tokens, calls=1)
    return prompting.parse_condensed(response.text, plain), used


def _turns(history: Sequence[Message]) -> list[PromptMessage]:
    """Return the turns that were completed, as a prompt's messages."""
    return [PromptMessage(message.role, message.text) for message in history if message.status == "complete"]


def _metered(turn: _Turn) -> AbstractContextManager[OpenCall]:
    return _entered(turn.bot, turn.llm, turn.request)


def _entered(bot: BotContext, llm: LLM, request: LLMRequest) -> AbstractContextManager[OpenCall]:
    """Return the block of a model's call, in which it is entered in the ledger with what it may use at most."""
    provider, _, model = llm.name.partition(":")
    at_most = TokenUsage()
    if llm.metered:
        sent = sum(llm.count_tokens(message.content) for message in request.messages)
        at_most = TokenUsage(input_tokens=sent, output_tokens=request.max_tokens)
    return Ledger(bot).call("llm", provider=provider, model=model, metered=llm.metered, at_most=at_most)


def _count(turn: _Turn, usage: TokenUsage) -> None:
    calls = 1 if turn.llm.metered else 0
    turn.usage += Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, calls=calls)


def _note_abstention(turn: _Turn, text: str, reason: str) -> None:
    if reason == "abstain":
        turn.abstained_because = "no passage supports an answer"
    elif not text.strip():
        turn.abstained_because = "the model wrote nothing"
    elif prompting.is_abstention(text):
        turn.abstained_because = "the model found no answer in the passages"


def _conclude(turn: _Turn) -> Answer:
    """Return the answer, stored if it belongs to a chat."""
    if not turn.packed.passages:
        turn.abstained_because = "the search found nothing"
    abstained = turn.abstained_because is not None
    evidence = Evidence(turn.bot.core, turn.bot.scope, turn.bot.principal)
    turn.seconds["total"] = time.perf_counter() - turn.began
    finished = Answer(
        text=ABSTENTION if abstained else turn.citer.text,
        citations=() if abstained else tuple(citation._bind(evidence) for citation in turn.citer.citations),
        hits=tuple(turn.results),
        usage=turn.usage,
        abstained=abstained,
        model=turn.llm.name,
        chat_id=turn.chat_id,
        message_id=turn.message_id,
        trace=AnswerTrace(
            question=turn.question,
            query=turn.query,
            search=turn.results.trace,
            passages=tuple(hit.chunk_id for hit in turn.packed.hits),
            dropped=tuple(turn.packed.dropped),
            prompt_tokens=sum(turn.llm.count_tokens(message.content) for message in turn.request.messages),
            unknown_markers=() if abstained else tuple(turn.citer.unknown),
            cited_by=turn.cited_by,
            abstained_because=turn.abstained_because,
            seconds=turn.seconds,
        ),
    )
    _save(turn, finished.text, "complete", finished.citations)
    return finished


def _save(
    turn: _Turn,
    text: str,
    status: Literal["complete", "partial", "failed"],
    citations: Sequence[Citation] | None = None,
) -> None:
    if turn.chat_id is None or turn.message_id is None:
        return
    cited = turn.citer.citations if citations is None else citations
    message = Message(
        id=turn.message_id, role="assistant", text=text, citations=tuple(cited), created_at=utc_now(), status=status
    )
    Conversations(turn.bot).append(turn.chat_id, message)


def _save_unfinished(turn: _Turn, status: Literal["partial", "failed"]) -> None:
    # Where the chat or the workspace is gone, what ended the turn matters more.
    with suppress(MiniRAGError):
        _save(turn, turn.citer.text, status)


class _Pages:
    """Finds the page of an offset, reading each version's pages once."""

    def __init__(self, bot: BotContext) -> None:
        self._bot = bot
        self._pages: dict[str, tuple[PageSpan, ...]] = {}

    def page_of(self, hit: Hit, offset: int) -> int | None:
        if hit.page is None:
            return None
        pages = self._pages.get(hit.version_id)
        if pages is None:
            with self._bot.core.storage.read(self._bot.scope) as reader:
                version = reader.version(hit.version_id)
            pages = self._pages[hit.version_id] = pages_of(version.spans) if version is not None else ()
        at = bisect.bisect_right([page.start for page in pages], offset) - 1
        return pages[at].number if at >= 0 else hit.page
