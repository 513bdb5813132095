"""What every chat model behind an HTTP API does alike: calls, streams, and the way from JSON to an answer."""

from __future__ import annotations

import contextlib
import json
import math
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from minirag.errors import ProviderError, ProviderOptionsError
from minirag.interfaces.llm import LLM, LLMChunk, LLMRequest, LLMResponse, TokenUsage
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.tools import ToolCall
from minirag.providers.http.api_connection import ApiConnection, ApiOptions
from minirag.providers.http.client import Call, Reply
from minirag.providers.http.tool_calls import CallAssembly, CallPart, is_json

__all__ = ["ApiChat", "Piece", "contents", "count", "joined_text"]

_DONE = "[DONE]"


@dataclass(frozen=True, slots=True)
class Piece:
    """What a whole answer, or one event of a streamed one, tells.

    Attributes:
        finish_reason: the provider's own word.
        input_tokens: tokens read so far, None if this piece does not say.
        output_tokens: tokens written so far, None if this piece does not say.
        done: whether no event comes after this one.
        calls: tool calls, or pieces of them.
        refused: whether the model refuses to answer, where that is no finish reason.
    """

    text: str = ""
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str = ""
    done: bool = False
    calls: tuple[CallPart, ...] = ()
    refused: bool = False


class ApiChat(LLM):
    """A chat model behind an HTTP API. A subclass writes the request and reads the answer.

    The two reading methods may let `AttributeError`, `IndexError`, `KeyError` and `TypeError` pass: JSON of another
    form than theirs becomes a `ProviderResponseError`.
    """

    finish_reasons: ClassVar[Mapping[str, str]] = {}
    """The provider's words for `stop` and `length`; its other words are given on as they are."""

    failed_reasons: ClassVar[frozenset[str]] = frozenset()
    """The provider's words for an answer that broke off because of the provider."""

    error_statuses: ClassVar[Mapping[str, int]] = {}
    """The HTTP status that each type of error object would have had, had it not come inside a stream."""

    forces_tools: ClassVar[bool] = True
    """Whether the API can make a model call a tool."""

    schema_beside_tools: ClassVar[bool] = True
    """Whether the API takes a schema for the answer and tools in one request."""

    structured_output: bool = True
    tool_calls: bool = True

    text_place: ClassVar[str]
    """Where the text of a whole answer is, for a message."""

    def __init__(self, options: ApiOptions, context: ProviderContext) -> None:
        self._name = f"{options.provider}:{options.model}"
        self._provider = options.provider
        self._model = options.model
        self._connection = ApiConnection(options, context)
        self._client = self._connection.client

    @property
    def name(self) -> str:
        """The provider and the model."""
        return self._name

    @abstractmethod
    def _call(self, request: LLMRequest, *, stream: bool = False) -> Call:
        """Return the request as the API has it."""

    @abstractmethod
    def _answer(self, payload: Any) -> Piece:
        """Return what a whole answer tells."""

    @abstractmethod
    def _event(self, payload: Any) -> Piece:
        """Return what one event of a stream tells."""

    def _error(self, payload: Any, *, call: Call, request_id: str | None) -> ProviderError | None:
        """Return the error that an answer or an event stands for, or None if it is none."""
        error = payload.get("error") if isinstance(payload, dict) else None
        if not error:
            return None
        kind = error.get("type") if isinstance(error, dict) else None
        status = self.error_statuses.get(kind) if isinstance(kind, str) else None
        return self._client.failures.in_stream(payload, sent=call.contents, request_id=request_id, status=status)

    def check(self, request: LLMRequest) -> None:
        """Raise `ProviderOptionsError` if the request wants what the model or its API cannot."""
        super().check(request)
        if not self.forces_tools and request.tool_choice not in {"auto", "none"}:
            problem = f"{self._name!r} cannot be made to call a tool; leave `tool_choice` at 'auto'"
            raise ProviderOptionsError(problem, provider=self._provider)
        if not self.schema_beside_tools and request.tools and request.output_schema is not None:
            problem = f"{self._name!r} takes `output_schema` or `tools`, not both in one request"
            raise ProviderOptionsError(problem, provider=self._provider)

    def generate(self, request: LLMRequest) -> LLMResponse:
        """Return the whole answer."""
        call = self._checked_call(request)
        return self._response(self._client.post(call), call=call, request=request)

    async def agenerate(self, request: LLMRequest) -> LLMResponse:
        """Return the whole answer without blocking the event loop."""
        call = self._checked_call(request)
        return self._response(await self._client.apost(call), call=call, request=request)

    def stream(self, request: LLMRequest) -> Generator[LLMChunk, None, None]:
        """Yield the answer as it is written. Closing the generator closes the connection."""
        call = self._checked_call(request, stream=True)
        answer = _StreamedAnswer(self, call=call, request=request)
        with contextlib.closing(self._client.stream(call)) as events:
            for event in events:
                if text := answer.read(event):
                    yield LLMChunk(text=text)
                if answer.done:
                    break
        yield answer.last_chunk()

    async def astream(self, request: LLMRequest) -> AsyncGenerator[LLMChunk, None]:
        """Yield the answer as it is written, without blocking the event loop."""
        call = self._checked_call(request, stream=True)
        answer = _StreamedAnswer(self, call=call, request=request)
        async with contextlib.aclosing(self._client.astream(call)) as events:
            async for event in events:
                if text := answer.read(event):
                    yield LLMChunk(text=text)
                if answer.done:
                    break
        yield answer.last_chunk()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._client.aclose()

    def _checked_call(self, request: LLMRequest, *, stream: bool = False) -> Call:
        self.check(request)
        return self._call(request, stream=stream)

    def _state(self, call: ToolCall) -> str:
        """Return what this vendor wants to see again with a call; nothing for a call that another vendor's model made."""
        provider, _, state = call.vendor_state.partition(":")
        return state if provider == self._provider else ""

    def _response(self, reply: Reply, *, call: Call, request: LLMRequest) -> LLMResponse:
        piece = self._piece(
            reply, self._answer, call=call, malformed=f"an answer without {self.text_place}", payload=reply.payload
        )
        assembly = CallAssembly()
        assembly.add(piece.calls)
        reason = "refusal" if piece.refused else self._reason(piece.finish_reason)
        reason, calls = self._end(request, reason, text=piece.text, calls=assembly, request_id=reply.request_id)
        return LLMResponse(
            text=piece.text,
            usage=TokenUsage(piece.input_tokens or 0, piece.output_tokens or 0),
            finish_reason=reason,
            model=piece.model or self._model,
            tool_calls=calls,
        )

    def _end(
        self, request: LLMRequest, reason: str, *, text: str, calls: CallAssembly, request_id: str | None
    ) -> tuple[str, tuple[ToolCall, ...]]:
        """Return why an answer ended, and its tool calls. Raises `ProviderResponseError` if it is not as asked for."""
        failures = self._client.failures
        # A model that was offered none may have been by `extra_body`, and its calls are nobody's business here.
        if request.tools and calls.has_calls:
            if reason == "length":
                raise failures.cut_short(request_id=request_id)
            try:
                made = calls.finish(request.tools, provider=self._provider)
            except ValueError as problem:
                raise failures.unfit(str(problem), request_id=request_id) from None
            return ("tool_calls" if reason == "stop" else reason), made
        if request.output_schema is not None and reason == "stop" and not is_json(text):
            raise failures.unfit("a text that is no JSON, though a schema was given", request_id=request_id)
        return reason, ()

    def _piece(self, reply: Reply, read: Callable[[Any], Piece], *, call: Call, malformed: str, payload: Any) -> Piece:
        if error := self._error(payload, call=call, request_id=reply.request_id):
            raise error
        try:
            piece = read(payload)
            texts = (piece.text, piece.model, piece.finish_reason or "")
            if not all(isinstance(text, str) for text in texts):
                raise TypeError("a field of another type")
        except (AttributeError, IndexError, KeyError, TypeError) as problem:
            raise self._client.failures.unusable(malformed, request_id=reply.request_id) from problem
        if piece.finish_reason in self.failed_reasons:
            told = {"error": piece.finish_reason}
            raise self._client.failures.in_stream(told, sent=call.contents, request_id=reply.request_id)
        return piece

    def _reason(self, word: str | None) -> str:
        return self.finish_reasons.get(word, word) if word else "stop"


class _StreamedAnswer:
    """What the events of a stream have told so far."""

    def __init__(self, chat: ApiChat, *, call: Call, request: LLMRequest) -> None:
        self.done = False
        self._request = request
        self._texts: list[str] = []
        self._calls = CallAssembly()
        self._refused = False
        self._chat = chat
        self._call = call
        self._read: int | None = None
        self._written: int | None = None
        self._finish_reason: str | None = None
        self._request_id: str | None = None

    def read(self, event: Reply) -> str:
        """Return the text that an event adds."""
        chat, malformed = self._chat, "a stream with an event that is not a chat chunk"
        self._request_id = event.request_id
        if event.payload == _DONE:
            self.done = True
            return ""
        try:
            payload = json.loads(event.payload)
        except (ValueError, RecursionError):
            raise chat._client.failures.unusable(malformed, request_id=event.request_id) from None
        piece = chat._piece(event, chat._event, call=self._call, malformed=malformed, payload=payload)
        self.done = piece.done
        self._finish_reason = piece.finish_reason or self._finish_reason
        self._read = self._read if piece.input_tokens is None else piece.input_tokens
        self._written = self._written if piece.output_tokens is None else piece.output_tokens
        self._calls.add(piece.calls)
        self._refused = self._refused or piece.refused
        if self._request.output_schema is not None:
            self._texts.append(piece.text)
        return piece.text

    def last_chunk(self) -> LLMChunk:
        """Return the chunk that ends the answer.

        Raises:
            ProviderResponseError: the stream was cut off, or what came is not as asked for.
        """
        if not self.done and self._finish_reason is None:
            raise self._chat._client.failures.cut_off(request_id=self._request_id)
        counted = self._read is not None or self._written is not None
        usage = TokenUsage(self._read or 0, self._written or 0) if counted else None
        reason, calls = self._chat._end(
            self._request,
            "refusal" if self._refused else self._chat._reason(self._finish_reason),
            text="".join(self._texts),
            calls=self._calls,
            request_id=self._request_id,
        )
        return LLMChunk(usage=usage, finish_reason=reason, tool_calls=calls)


def contents(request: LLMRequest) -> list[str]:
    """Return the texts of a request that no error message may repeat."""
    calls = (call for message in request.messages for call in message.tool_calls)
    return [*(message.content for message in request.messages), *(str(dict(call.arguments)) for call in calls)]


def joined_text(content: Any) -> str:
    """Return a text, or the texts in a list of parts; parts of another type, such as thoughts, are left out."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in content if part.get("type") == "text")


def count(counts: Any, name: str) -> int | None:
    """Return a number of tokens out of an object, or None if it is not there or makes no sense."""
    value = counts.get(name) if isinstance(counts, dict) else None
    if isinstance(value, int | float) and math.isfinite(value) and value >= 0:
        return int(value)
    return None
