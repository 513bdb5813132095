"""Command models behind version 2 of Cohere's `/chat`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from minirag.errors import ProviderError
from minirag.interfaces.llm import LLM, LLMRequest
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_connection import ApiOptions, merged
from minirag.providers.http.chat import ApiChat, Piece, count, joined_text
from minirag.providers.http.client import Call

__all__ = ["CohereChat", "CohereChatOptions", "create_llm"]


class CohereChatOptions(ApiOptions):
    """Options of a chat model at Cohere.

    Attributes:
        model: the model's name, such as `command-a-03-2025`.
        base_url: the API's root, up to and with its version.
    """

    provider: ClassVar[str] = "cohere"

    base_url: str = "https://api.cohere.com/v2"


class CohereChat(ApiChat):
    """A chat model at Cohere."""

    text_place: ClassVar[str] = "`message.content`"
    finish_reasons: ClassVar[Mapping[str, str]] = {
        "COMPLETE": "stop",
        "STOP_SEQUENCE": "stop",
        "MAX_TOKENS": "length",
    }
    failed_reasons: ClassVar[frozenset[str]] = frozenset({"ERROR", "TIMEOUT"})

    def __init__(self, options: CohereChatOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _call(self, request: LLMRequest, *, stream: bool = False) -> Call:
        body: dict[str, Any] = {
            "model": self._options.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": stream,
        }
        return Call(
            path="/chat",
            body=merged(body, self._options.extra_body),
            headers=self._connection.headers(),
            contents=[message.content for message in request.messages],
        )

    def _error(self, payload: Any, *, call: Call, request_id: str | None) -> ProviderError | None:
        # Inside a stream an error is told in the event that ends it.
        end = payload.get("delta") if isinstance(payload, dict) else None
        return super()._error(end or payload, call=call, request_id=request_id)

    def _answer(self, payload: Any) -> Piece:
        return _end(payload, text=joined_text(payload["message"].get("content")))

    def _event(self, payload: Any) -> Piece:
        kind = payload["type"]
        if kind == "content-delta":
            return Piece(text=payload["delta"]["message"]["content"].get("text") or "")
        if kind == "message-end":
            return _end(payload.get("delta") or {}, done=True)
        return Piece()


def create_llm(options: CohereChatOptions, context: ProviderContext) -> LLM:
    """Return a chat model. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return CohereChat(options, context)


def _end(payload: Any, *, text: str = "", done: bool = False) -> Piece:
    usage = payload.get("usage") or {}
    tokens = usage.get("tokens") or usage.get("billed_units")
    return Piece(
        text=text,
        finish_reason=payload.get("finish_reason"),
        input_tokens=count(tokens, "input_tokens"),
        output_tokens=count(tokens, "output_tokens"),
        done=done,
    )
