"""Local models behind Ollama's `/api/chat`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from minirag.interfaces.llm import LLM, LLMRequest, PromptMessage
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_connection import ApiOptions, merged
from minirag.providers.http.chat import ApiChat, Piece, contents, count
from minirag.providers.http.client import Call
from minirag.providers.http.tool_calls import function_part, function_tools

__all__ = ["OllamaChat", "OllamaOptions", "create_llm"]


class OllamaOptions(ApiOptions):
    """Options of a model that Ollama runs.

    Attributes:
        model: the model's name, such as `qwen3:8b`.
        base_url: the server's root, without `/api`.
        timeout: seconds of silence after which a call is given up; loading a model for the first call counts too.
        num_ctx: how many tokens prompt and answer may have together; None for as many as the server is set to.
            Ollama's own default is often too small for passages, and it cuts a longer prompt without a word.
    """

    provider: ClassVar[str] = "ollama"

    base_url: str = "http://127.0.0.1:11434"
    timeout: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    num_ctx: int | None = Field(default=8192, ge=512, le=10_000_000)

    @property
    def needs_key(self) -> bool:
        """A server of one's own needs no key; one that is given is sent, for a server behind a gate."""
        return False


class OllamaChat(ApiChat):
    """A model behind Ollama."""

    forces_tools: ClassVar[bool] = False
    text_place: ClassVar[str] = "`message.content`"

    def __init__(self, options: OllamaOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _call(self, request: LLMRequest, *, stream: bool = False) -> Call:
        settings: dict[str, Any] = {"num_predict": request.max_tokens, "temperature": request.temperature}
        if self._options.num_ctx is not None:
            settings["num_ctx"] = self._options.num_ctx
        body: dict[str, Any] = {
            "model": self._options.model,
            "messages": _messages(request),
            "stream": stream,
            "options": settings,
        }
        if request.output_schema is not None:
            body["format"] = dict(request.output_schema)
        if request.tools and request.tool_choice != "none":
            body["tools"] = function_tools(request.tools)
        return Call(
            path="/api/chat",
            body=merged(body, self._options.extra_body),
            headers=self._connection.headers(),
            contents=contents(request),
            lines=True,
        )

    def _answer(self, payload: Any) -> Piece:
        # The answer, and each line of a streamed one, are the same object.
        message = payload["message"]
        return Piece(
            text=message.get("content") or "",
            finish_reason=payload.get("done_reason"),
            input_tokens=count(payload, "prompt_eval_count"),
            output_tokens=count(payload, "eval_count"),
            model=payload.get("model") or "",
            done=payload.get("done") is True,
            calls=tuple(function_part(call, place=None) for call in message.get("tool_calls") or []),
        )

    def _event(self, payload: Any) -> Piece:
        return self._answer(payload)


def create_llm(options: OllamaOptions, context: ProviderContext) -> LLM:
    """Return a chat model."""
    return OllamaChat(options, context)


def _messages(request: LLMRequest) -> list[dict[str, Any]]:
    names: dict[str, str] = {}
    messages: list[dict[str, Any]] = []
    for message in request.messages:
        names.update((call.id, call.name) for call in message.tool_calls)
        messages.append(_message(message, names))
    return messages


def _message(message: PromptMessage, names: Mapping[str, str]) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.role == "tool":
        sent["tool_name"] = names[message.tool_call_id]
    if message.tool_calls:
        sent["tool_calls"] = [
            {"function": {"name": call.name, "arguments": dict(call.arguments)}} for call in message.tool_calls
        ]
    return sent
