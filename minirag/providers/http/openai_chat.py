"""Language models behind the OpenAI protocol's `/chat/completions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from minirag.interfaces.llm import LLMRequest
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_connection import merged
from minirag.providers.http.chat import ApiChat, Piece, count, joined_text
from minirag.providers.http.client import Call
from minirag.providers.http.openai_protocol import OpenAIOptions

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
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    send_temperature: bool = True
    include_usage: bool = True


class OpenAIChat(ApiChat):
    """A chat model behind the OpenAI protocol."""

    text_place: ClassVar[str] = "`choices[0].message.content`"
    finish_reasons: ClassVar[Mapping[str, str]] = {"model_length": "length"}  # Mistral's, for a full context
    failed_reasons: ClassVar[frozenset[str]] = frozenset({"error", "insufficient_system_resource"})

    def __init__(self, options: OpenAIChatOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

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
            path=self._path(),
            body=merged(body, options.extra_body),
            headers=self._headers(),
            contents=[message.content for message in request.messages],
        )

    def _path(self) -> str:
        return "/chat/completions"

    def _headers(self) -> dict[str, str]:
        return self._connection.headers()

    def _answer(self, payload: Any) -> Piece:
        choice, usage = payload["choices"][0], payload.get("usage")
        return Piece(
            text=joined_text(choice["message"].get("content")),
            finish_reason=choice.get("finish_reason"),
            input_tokens=count(usage, "prompt_tokens"),
            output_tokens=count(usage, "completion_tokens"),
            model=payload.get("model") or "",
        )

    def _event(self, payload: Any) -> Piece:
        # Where it is asked for, the usage comes last, in an event without choices.
        choice, usage = (payload.get("choices") or [{}])[0], payload.get("usage")
        return Piece(
            text=joined_text((choice.get("delta") or {}).get("content")),
            finish_reason=choice.get("finish_reason"),
            input_tokens=count(usage, "prompt_tokens"),
            output_tokens=count(usage, "completion_tokens"),
        )
