"""Claude models behind Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from minirag.interfaces.llm import LLM, LLMRequest
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_connection import ApiOptions, merged
from minirag.providers.http.chat import ApiChat, Piece, count, joined_text
from minirag.providers.http.client import Call

__all__ = ["AnthropicChat", "AnthropicOptions", "create_llm"]

_VERSION = "2023-06-01"


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
            "messages": [
                {"role": message.role, "content": message.content}
                for message in request.messages
                if message.role != "system"
            ],
        }
        if system:
            body["system"] = system
        if self._options.send_temperature:
            body["temperature"] = request.temperature
        if stream:
            body["stream"] = True
        return Call(
            path="/messages",
            body=merged(body, self._options.extra_body),
            headers={"anthropic-version": _VERSION, **self._connection.headers("x-api-key", prefix="")},
            contents=[message.content for message in request.messages],
        )

    def _answer(self, payload: Any) -> Piece:
        usage = payload.get("usage")
        return Piece(
            text=joined_text(payload["content"]),
            finish_reason=payload.get("stop_reason"),
            input_tokens=_read_tokens(usage),
            output_tokens=count(usage, "output_tokens"),
            model=payload.get("model") or "",
        )

    def _event(self, payload: Any) -> Piece:
        kind = payload["type"]
        if kind == "message_start":
            usage = payload["message"].get("usage")
            return Piece(input_tokens=_read_tokens(usage), output_tokens=count(usage, "output_tokens"))
        if kind == "content_block_delta":
            delta = payload["delta"]
            return Piece(text=delta["text"] if delta.get("type") == "text_delta" else "")
        if kind == "message_delta":
            usage = payload.get("usage")
            return Piece(
                finish_reason=payload["delta"].get("stop_reason"),
                input_tokens=_read_tokens(usage),
                output_tokens=count(usage, "output_tokens"),
            )
        # Pings, the edges of content blocks, and kinds that do not exist yet.
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
