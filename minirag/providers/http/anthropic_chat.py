"""Claude models behind Anthropic's Messages API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from minirag.errors import InvalidInputError
from minirag.interfaces.llm import LLM, LLMRequest, PromptMessage
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_connection import ApiOptions, merged
from minirag.providers.http.chat import ApiChat, Piece, contents, count, joined_text
from minirag.providers.http.client import Call
from minirag.providers.http.tool_calls import CallPart, arguments_text

__all__ = ["AnthropicChat", "AnthropicOptions", "create_llm"]

_VERSION = "2023-06-01"
_CHOICES: Final = {"none": "none", "required": "any"}
_THOUGHTS: Final = frozenset({"thinking", "redacted_thinking"})


class AnthropicOptions(ApiOptions):
    """Options of a model behind the Messages API.

    Attributes:
        model: the model's name, such as `claude-haiku-4-5`.
        base_url: the API's root, up to and with its version.
        send_temperature: False for models that refuse a temperature.
    """

    provider: ClassVar[str] = "anthropic"
    own_fields: ClassVar[frozenset[str]] = frozenset({"messages", "model", "stream", "system"})

    base_url: str = "https://api.anthropic.com/v1"
    send_temperature: bool = True


class AnthropicChat(ApiChat):
    """A model behind the Messages API."""

    text_place: ClassVar[str] = "`content`"
    finish_reasons: ClassVar[Mapping[str, str]] = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "tool_use": "tool_calls",
        "model_context_window_exceeded": "length",
    }
    error_statuses: ClassVar[Mapping[str, int]] = {
        "invalid_request_error": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "api_error": 500,
        "timeout_error": 504,
        "overloaded_error": 529,
    }

    def __init__(self, options: AnthropicOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _call(self, request: LLMRequest, *, stream: bool = False) -> Call:
        # Instructions have a field of their own; a message in the role `system` would be refused.
        system = "\n\n".join(message.content for message in request.messages if message.role == "system")
        body: dict[str, Any] = {
            "model": self._options.model,
            "max_tokens": request.max_tokens,
            "messages": self._messages(request),
        }
        if system:
            body["system"] = system
        if self._options.send_temperature:
            body["temperature"] = request.temperature
        if stream:
            body["stream"] = True
        if request.output_schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": dict(request.output_schema)}}
        if request.tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
                for tool in request.tools
            ]
        if request.tools and request.tool_choice != "auto":
            word = _CHOICES.get(request.tool_choice)
            body["tool_choice"] = {"type": word} if word else {"type": "tool", "name": request.tool_choice}
        return Call(
            path="/messages",
            body=merged(body, self._options.extra_body),
            headers={"anthropic-version": _VERSION, **self._connection.headers("x-api-key", prefix="")},
            contents=contents(request),
        )

    def _messages(self, request: LLMRequest) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        results: list[dict[str, Any]] = []
        for message in request.messages:
            if message.role == "tool":
                # The results of all calls of one answer belong into one message.
                if not results:
                    messages.append({"role": "user", "content": results})
                results.append({"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content})
            elif message.role != "system":
                results = []
                blocks = self._blocks(message) if message.tool_calls else message.content
                messages.append({"role": message.role, "content": blocks})
        return messages

    def _blocks(self, message: PromptMessage) -> list[dict[str, Any]]:
        """Return an answer with calls as the API had sent it: each call after the thoughts that led to it."""
        blocks: list[dict[str, Any]] = []
        for number, call in enumerate(message.tool_calls):
            blocks += _thoughts(self._state(call))
            if number == 0 and message.content:
                blocks.append({"type": "text", "text": message.content})
            blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)})
        return blocks

    def _answer(self, payload: Any) -> Piece:
        usage = payload.get("usage")
        return Piece(
            text=joined_text(payload["content"]),
            finish_reason=payload.get("stop_reason"),
            input_tokens=_read_tokens(usage),
            output_tokens=count(usage, "output_tokens"),
            model=payload.get("model") or "",
            calls=tuple(part for place, block in enumerate(payload["content"]) for part in _parts(block, place)),
        )

    def _event(self, payload: Any) -> Piece:
        kind = payload["type"]
        if kind == "message_start":
            usage = payload["message"].get("usage")
            return Piece(input_tokens=_read_tokens(usage), output_tokens=count(usage, "output_tokens"))
        if kind == "content_block_start":
            return Piece(calls=_parts(payload.get("content_block") or {}, payload.get("index")))
        if kind == "content_block_delta":
            return _added(payload["delta"], payload.get("index"))
        if kind == "message_delta":
            usage = payload.get("usage")
            return Piece(
                finish_reason=payload["delta"].get("stop_reason"),
                input_tokens=_read_tokens(usage),
                output_tokens=count(usage, "output_tokens"),
            )
        # Pings, the ends of content blocks, and kinds that do not exist yet.
        return Piece(done=kind == "message_stop")


def create_llm(options: AnthropicOptions, context: ProviderContext) -> LLM:
    """Return a chat model. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return AnthropicChat(options, context)


def _read_tokens(usage: Any) -> int | None:
    """Return all tokens of the prompt: those that a cache took part in are counted apart."""
    fresh = count(usage, "input_tokens")
    if fresh is None:
        return None
    cached = (count(usage, name) or 0 for name in ("cache_creation_input_tokens", "cache_read_input_tokens"))
    return fresh + sum(cached)


def _parts(block: Any, place: int | None) -> tuple[CallPart, ...]:
    """Return what a content block, or the beginning of one, tells of tool calls."""
    kind = block.get("type")
    if kind == "tool_use":
        return (CallPart(place, block["id"], block["name"], arguments_text(block.get("input"))),)
    return (CallPart(place, state=f"{json.dumps(block)}\n"),) if kind in _THOUGHTS else ()


def _added(delta: Any, place: int | None) -> Piece:
    """Return what a stream adds to a content block."""
    kind = delta.get("type")
    if kind == "text_delta":
        return Piece(text=delta["text"])
    if kind == "input_json_delta":
        return Piece(calls=(CallPart(place, arguments=delta["partial_json"]),))
    if kind in {"thinking_delta", "signature_delta"}:
        return Piece(calls=(CallPart(place, state=f"{json.dumps(delta)}\n"),))
    return Piece()


def _thoughts(state: str) -> list[dict[str, Any]]:
    """Return the blocks of thoughts out of the lines that hold them, or their beginnings and what was added to them.

    Raises:
        InvalidInputError: the state was changed on its way.
    """
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in state.splitlines()]
    except ValueError:
        message = "the vendor_state of a tool call is not as it came; give back the ToolCall that the model made"
        raise InvalidInputError(message) from None
    blocks: list[dict[str, Any]] = []
    for line in lines:
        if line["type"] in _THOUGHTS:
            blocks.append(line)
        elif blocks:
            name = line["type"].removesuffix("_delta")
            blocks[-1][name] = blocks[-1].get(name, "") + line[name]
    return blocks
