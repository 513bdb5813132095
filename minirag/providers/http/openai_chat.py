"""Language models behind the OpenAI protocol's `/chat/completions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from minirag.interfaces.llm import LLMRequest, PromptMessage
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_connection import merged
from minirag.providers.http.chat import ApiChat, Piece, contents, count, joined_text
from minirag.providers.http.client import Call
from minirag.providers.http.openai_protocol import OpenAIOptions
from minirag.providers.http.tool_calls import CallPart, function_calls, function_part, function_tools

__all__ = ["OpenAIChat", "OpenAIChatOptions"]


class OpenAIChatOptions(OpenAIOptions):
    """Options of a chat model behind the OpenAI protocol.

    Attributes:
        max_tokens_field: what the request calls the answer's limit. By default `max_completion_tokens` at
            api.openai.com, whose newer models refuse the older name, and `max_tokens` elsewhere, which is the one
            that llama.cpp, vLLM and other servers know.
        send_temperature: False for reasoning models, which refuse a temperature.
        include_usage: whether a stream is asked for its token counts; False for a server that refuses
            `stream_options`.
        strict_schema: whether the server is told to hold the model to `output_schema` to the letter. OpenAI then takes only
            schemas whose objects require every property and allow no other; some models elsewhere take none.
    """

    offers_schemas: ClassVar[bool] = True
    """Whether the vendor has `response_format` with a JSON schema."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    send_temperature: bool = True
    include_usage: bool = True
    strict_schema: bool = True


class OpenAIChat(ApiChat):
    """A chat model behind the OpenAI protocol."""

    text_place: ClassVar[str] = "`choices[0].message.content`"
    finish_reasons: ClassVar[Mapping[str, str]] = {"model_length": "length"}  # Mistral's, for a full context
    failed_reasons: ClassVar[frozenset[str]] = frozenset({"error", "insufficient_system_resource"})

    def __init__(self, options: OpenAIChatOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options
        self.structured_output = options.offers_schemas

    def _call(self, request: LLMRequest, *, stream: bool = False) -> Call:
        options = self._options
        limit = options.max_tokens_field or ("max_completion_tokens" if options.is_openai else "max_tokens")
        body: dict[str, Any] = {
            "model": options.model,
            "messages": [self._message(message) for message in request.messages],
            limit: request.max_tokens,
        }
        if options.send_temperature:
            body["temperature"] = request.temperature
        if stream:
            body["stream"] = True
            if options.include_usage:
                body["stream_options"] = {"include_usage": True}
        if request.output_schema is not None:
            schema = {"name": "answer", "schema": dict(request.output_schema), "strict": options.strict_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if request.tools:
            body["tools"] = function_tools(request.tools)
        if request.tools and request.tool_choice != "auto":
            words = {"none", "required"}
            named = {"type": "function", "function": {"name": request.tool_choice}}
            body["tool_choice"] = request.tool_choice if request.tool_choice in words else named
        return Call(
            path=self._path(),
            body=merged(body, options.extra_body),
            headers=self._headers(),
            contents=contents(request),
        )

    def _message(self, message: PromptMessage) -> dict[str, Any]:
        if message.role == "tool":
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
        if not message.tool_calls:
            return {"role": message.role, "content": message.content}
        repeated: dict[str, Any] = {
            "role": message.role,
            "content": message.content or None,
            "tool_calls": function_calls(message.tool_calls),
        }
        if thoughts := "".join(map(self._state, message.tool_calls)):
            repeated["reasoning_content"] = thoughts
        return repeated

    def _path(self) -> str:
        return "/chat/completions"

    def _headers(self) -> dict[str, str]:
        return self._connection.headers()

    def _answer(self, payload: Any) -> Piece:
        choice, usage = payload["choices"][0], payload.get("usage")
        message = choice["message"]
        return Piece(
            text=joined_text(message.get("content")),
            finish_reason=choice.get("finish_reason"),
            input_tokens=count(usage, "prompt_tokens"),
            output_tokens=count(usage, "completion_tokens"),
            model=payload.get("model") or "",
            calls=_parts(message),
            refused=bool(message.get("refusal")),
        )

    def _event(self, payload: Any) -> Piece:
        # Where it is asked for, the usage comes last, in an event without choices.
        choice, usage = (payload.get("choices") or [{}])[0], payload.get("usage")
        delta = choice.get("delta") or {}
        return Piece(
            text=joined_text(delta.get("content")),
            finish_reason=choice.get("finish_reason"),
            input_tokens=count(usage, "prompt_tokens"),
            output_tokens=count(usage, "completion_tokens"),
            calls=_parts(delta),
            refused=bool(delta.get("refusal")),
        )


def _parts(message: Any) -> tuple[CallPart, ...]:
    """Return the calls in a message, or the pieces of them in a part of one.

    DeepSeek refuses a call that is given back without the thoughts that led to it.
    """
    # Where a server leaves out the index, each entry is a whole call.
    parts = [function_part(call, place=call.get("index")) for call in message.get("tool_calls") or []]
    thoughts = message.get("reasoning_content")
    # Some servers have a field of this name and another form; it matters only to those who want it back.
    return tuple([CallPart(place=-1, state=thoughts), *parts] if isinstance(thoughts, str) else parts)
