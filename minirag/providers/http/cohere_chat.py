"""Command models behind version 2 of Cohere's `/chat`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from minirag.errors import ProviderError
from minirag.interfaces.llm import LLM, LLMRequest, PromptMessage
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_connection import ApiOptions, merged
from minirag.providers.http.chat import ApiChat, Piece, contents, count, joined_text
from minirag.providers.http.client import Call
from minirag.providers.http.tool_calls import CallPart, function_calls, function_part, function_tools

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

    schema_beside_tools: ClassVar[bool] = False
    text_place: ClassVar[str] = "`message.content`"
    finish_reasons: ClassVar[Mapping[str, str]] = {
        "COMPLETE": "stop",
        "STOP_SEQUENCE": "stop",
        "MAX_TOKENS": "length",
        "TOOL_CALL": "tool_calls",
    }
    failed_reasons: ClassVar[frozenset[str]] = frozenset({"ERROR", "TIMEOUT"})

    def __init__(self, options: CohereChatOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _call(self, request: LLMRequest, *, stream: bool = False) -> Call:
        body: dict[str, Any] = {
            "model": self._options.model,
            "messages": [self._message(message) for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": stream,
        }
        if request.output_schema is not None:
            body["response_format"] = {"type": "json_object", "json_schema": dict(request.output_schema)}
        if request.tools:
            body["tools"] = function_tools(request.tools)
        if request.tools and request.tool_choice == "none":
            body["tool_choice"] = "NONE"
        elif request.tools and request.tool_choice != "auto":
            body["tool_choice"] = "REQUIRED"
            # The API cannot name a tool; one that is the only one need not be named.
            if request.tool_choice != "required":
                body["tools"] = function_tools(tool for tool in request.tools if tool.name == request.tool_choice)
        return Call(
            path="/chat",
            body=merged(body, self._options.extra_body),
            headers=self._connection.headers(),
            contents=contents(request),
        )

    def _message(self, message: PromptMessage) -> dict[str, Any]:
        if message.role == "tool":
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
        sent: dict[str, Any] = {"role": message.role}
        if message.content or not message.tool_calls:
            sent["content"] = message.content
        if message.tool_calls:
            sent["tool_calls"] = function_calls(message.tool_calls)
            if plan := "".join(map(self._state, message.tool_calls)):
                sent["tool_plan"] = plan
        return sent

    def _error(self, payload: Any, *, call: Call, request_id: str | None) -> ProviderError | None:
        # Inside a stream an error is told in the event that ends it.
        end = payload.get("delta") if isinstance(payload, dict) else None
        return super()._error(end or payload, call=call, request_id=request_id)

    def _answer(self, payload: Any) -> Piece:
        message = payload["message"]
        calls = enumerate(message.get("tool_calls") or [])
        return _end(
            payload,
            text=joined_text(message.get("content")),
            calls=(*_planned(message), *(function_part(call, place=place) for place, call in calls)),
        )

    def _event(self, payload: Any) -> Piece:
        kind = payload["type"]
        if kind == "content-delta":
            return Piece(text=payload["delta"]["message"]["content"].get("text") or "")
        if kind == "tool-plan-delta":
            return Piece(calls=_planned(payload["delta"]["message"]))
        if kind in {"tool-call-start", "tool-call-delta"}:
            return Piece(calls=(function_part(payload["delta"]["message"]["tool_calls"], place=payload.get("index")),))
        if kind == "message-end":
            return _end(payload.get("delta") or {}, done=True)
        return Piece()


def create_llm(options: CohereChatOptions, context: ProviderContext) -> LLM:
    """Return a chat model. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return CohereChat(options, context)


def _planned(message: Any) -> tuple[CallPart, ...]:
    """Return the plan that comes before the calls."""
    plan = message.get("tool_plan")
    return (CallPart(-1, state=plan),) if plan else ()


def _end(payload: Any, *, text: str = "", done: bool = False, calls: tuple[CallPart, ...] = ()) -> Piece:
    usage = payload.get("usage") or {}
    tokens = usage.get("tokens") or usage.get("billed_units")
    return Piece(
        text=text,
        finish_reason=payload.get("finish_reason"),
        input_tokens=count(tokens, "input_tokens"),
        output_tokens=count(tokens, "output_tokens"),
        done=done,
        calls=calls,
    )
