"""Language models behind the OpenAI protocol's `/chat/completions`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Generator
from typing import Any, Literal

from minirag.interfaces.llm import LLM, LLMChunk, LLMRequest, LLMResponse, TokenUsage
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.client import Call, Reply
from minirag.providers.http.failures import Failures
from minirag.providers.http.openai_protocol import OpenAIConnection, OpenAIOptions

__all__ = ["OpenAIChat", "OpenAIChatOptions"]

_DONE = "[DONE]"


class OpenAIChatOptions(OpenAIOptions):
    """Options of a chat model behind the OpenAI protocol.

    Attributes:
        max_tokens_field: what the request calls the answer's limit. By default `max_completion_tokens` at
            api.openai.com, whose newer models refuse the older name, and `max_tokens` elsewhere, which is the one
            that llama.cpp, vLLM and other servers know.
        send_temperature: False for reasoning models, which refuse a temperature.
        include_usage: whether a stream is asked for its token counts; False for a server that refuses
            `stream_options`.
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    send_temperature: bool = True
    include_usage: bool = True


class OpenAIChat(LLM):
    """A chat model behind the OpenAI protocol."""

    def __init__(self, options: OpenAIChatOptions, context: ProviderContext) -> None:
        self._options = options
        self._connection = OpenAIConnection(options, context)
        self._client = self._connection.client

    @property
    def name(self) -> str:
        """`"openai:"` and the model."""
        return f"openai:{self._options.model}"

    def generate(self, request: LLMRequest) -> LLMResponse:
        """Return the whole answer."""
        return self._response(self._client.post(self._call(request)))

    async def agenerate(self, request: LLMRequest) -> LLMResponse:
        """Return the whole answer without blocking the event loop."""
        return self._response(await self._client.apost(self._call(request)))

    def stream(self, request: LLMRequest) -> Generator[LLMChunk, None, None]:
        """Yield the answer as it is written. Closing the generator closes the connection."""
        call = self._call(request, stream=True)
        answer = _StreamedAnswer(call, failures=self._client.failures)
        with contextlib.closing(self._client.stream(call)) as events:
            for event in events:
                if text := answer.read(event):
                    yield LLMChunk(text=text)
                if answer.done:
                    break
        yield answer.last_chunk()

    async def astream(self, request: LLMRequest) -> AsyncGenerator[LLMChunk, None]:
        """Yield the answer as it is written, without blocking the event loop."""
        call = self._call(request, stream=True)
        answer = _StreamedAnswer(call, failures=self._client.failures)
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

    def _call(self, request: LLMRequest, *, stream: bool = False) -> Call:
        options = self._options
        limit = options.max_tokens_field or ("max_completion_tokens" if options.is_openai else "max_tokens")
        body: dict[str, Any] = {
            "model": options.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            limit: request.max_tokens,
        }
        if options.send_temperature:
            body["temperature"] = request.temperature
        if stream:
            body["stream"] = True
            if options.include_usage:
                body["stream_options"] = {"include_usage": True}
        return Call(
            path="/chat/completions",
            body={**body, **options.extra_body},
            headers=self._connection.headers(),
            contents=[message.content for message in request.messages],
        )

    def _response(self, reply: Reply) -> LLMResponse:
        try:
            choice = reply.payload["choices"][0]
            text = choice["message"].get("content") or ""
            reason = choice.get("finish_reason") or "stop"
            model = reply.payload.get("model") or self._options.model
            usage = _usage(reply.payload.get("usage")) or TokenUsage()
            if not (isinstance(text, str) and isinstance(reason, str) and isinstance(model, str)):
                raise TypeError("a field of another type")
        except (AttributeError, IndexError, KeyError, TypeError) as problem:
            what = "an answer without `choices[0].message.content`"
            raise self._client.failures.unusable(what, request_id=reply.request_id) from problem
        return LLMResponse(text=text, usage=usage, finish_reason=reason, model=model)


class _StreamedAnswer:
    """What the events of a stream have told so far."""

    def __init__(self, call: Call, *, failures: Failures) -> None:
        self.done = False
        self._call = call
        self._failures = failures
        self._usage: TokenUsage | None = None
        self._finish_reason: str | None = None
        self._request_id: str | None = None

    def read(self, event: Reply) -> str:
        """Return the text that an event adds."""
        self._request_id = event.request_id
        if event.payload == _DONE:
            self.done = True
            return ""
        try:
            payload = json.loads(event.payload)
        except (ValueError, RecursionError):
            raise self._malformed() from None
        if isinstance(payload, dict) and payload.get("error"):
            raise self._failures.in_stream(payload, sent=self._call.contents, request_id=event.request_id)
        try:
            # Where it is asked for, the usage comes last, in an event without choices.
            self._usage = _usage(payload.get("usage")) or self._usage
            choices = payload.get("choices") or [{}]
            self._finish_reason = choices[0].get("finish_reason") or self._finish_reason
            text = (choices[0].get("delta") or {}).get("content") or ""
            if not isinstance(text, str) or not isinstance(self._finish_reason, str | None):
                raise TypeError("a field of another type")
        except (AttributeError, KeyError, TypeError) as problem:
            raise self._malformed() from problem
        return text

    def last_chunk(self) -> LLMChunk:
        """Return the chunk that ends the answer. Raises `ProviderResponseError` if the stream was cut off."""
        if not self.done and self._finish_reason is None:
            raise self._failures.cut_off(request_id=self._request_id)
        return LLMChunk(usage=self._usage, finish_reason=self._finish_reason or "stop")

    def _malformed(self) -> Exception:
        return self._failures.unusable("a stream with an event that is not a chat chunk", request_id=self._request_id)


def _usage(payload: Any) -> TokenUsage | None:
    if not isinstance(payload, dict):
        return None
    return TokenUsage(
        input_tokens=_count(payload.get("prompt_tokens")), output_tokens=_count(payload.get("completion_tokens"))
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
