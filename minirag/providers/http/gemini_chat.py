"""Gemini models behind Google's `generateContent`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

from minirag.errors import ProviderError
from minirag.interfaces.llm import LLM, LLMRequest, PromptMessage
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.tools import Tool
from minirag.providers.http.api_connection import ApiOptions, merged
from minirag.providers.http.chat import ApiChat, Piece, contents, count
from minirag.providers.http.client import Call
from minirag.providers.http.tool_calls import CallPart, arguments_text, own_id

__all__ = ["GeminiChat", "GeminiOptions", "create_llm"]

_ROLES: Final = {"user": "user", "assistant": "model"}
_CHOICES: Final = {"none": "NONE", "required": "ANY"}


class GeminiOptions(ApiOptions):
    """Options of a Gemini model.

    Attributes:
        model: the model's name, such as `gemini-2.5-flash`.
        base_url: the API's root, up to and with its version.
        send_temperature: False for models that are not to be given a temperature.
    """

    provider: ClassVar[str] = "gemini"
    own_fields: ClassVar[frozenset[str]] = frozenset({"contents", "systemInstruction"})

    base_url: str = "https://generativelanguage.googleapis.com/v1beta"
    send_temperature: bool = True


class GeminiChat(ApiChat):
    """A model behind `generateContent`."""

    text_place: ClassVar[str] = "`candidates[0]`"
    finish_reasons: ClassVar[Mapping[str, str]] = {"STOP": "stop", "MAX_TOKENS": "length"}
    failed_reasons: ClassVar[frozenset[str]] = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"})

    def __init__(self, options: GeminiOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _call(self, request: LLMRequest, *, stream: bool = False) -> Call:
        instructions = [message.content for message in request.messages if message.role == "system"]
        settings: dict[str, Any] = {"maxOutputTokens": request.max_tokens}
        if self._options.send_temperature:
            settings["temperature"] = request.temperature
        if request.output_schema is not None:
            settings["responseMimeType"] = "application/json"
            settings["responseJsonSchema"] = dict(request.output_schema)
        body: dict[str, Any] = {"contents": self._contents(request), "generationConfig": settings}
        if request.tools:
            body["tools"] = [{"functionDeclarations": [_declared(tool) for tool in request.tools]}]
        if request.tools and request.tool_choice != "auto":
            word = _CHOICES.get(request.tool_choice)
            named = {"mode": "ANY", "allowedFunctionNames": [request.tool_choice]}
            body["toolConfig"] = {"functionCallingConfig": {"mode": word} if word else named}
        if instructions:
            body["systemInstruction"] = {"parts": [{"text": text} for text in instructions]}
        model = quote(self._options.model.removeprefix("models/"), safe="")
        return Call(
            path=f"/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent"),
            body=merged(body, self._options.extra_body),
            headers=self._connection.headers("x-goog-api-key", prefix=""),
            contents=contents(request),
        )

    def _contents(self, request: LLMRequest) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        results: list[dict[str, Any]] = []
        names: dict[str, str] = {}
        for message in request.messages:
            names.update((call.id, call.name) for call in message.tool_calls)
            if message.role == "tool":
                # The results of all calls of one answer belong into one content.
                if not results:
                    sent.append({"role": "user", "parts": results})
                number, response = message.tool_call_id, {"output": message.content}
                results.append(
                    {"functionResponse": {**_id(number), "name": names[number], "response": response}},
                )
            elif message.role != "system":
                results = []
                sent.append({"role": _ROLES[message.role], "parts": self._parts(message)})
        return sent

    def _parts(self, message: PromptMessage) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        if message.content or not message.tool_calls:
            parts.append({"text": message.content})
        for call in message.tool_calls:
            part = {"functionCall": {**_id(call.id), "name": call.name, "args": dict(call.arguments)}}
            # Newer models refuse a call that is given back without the signature of the thoughts that led to it.
            signature = self._state(call)
            parts.append({**part, "thoughtSignature": signature} if signature else part)
        return parts

    def _error(self, payload: Any, *, call: Call, request_id: str | None) -> ProviderError | None:
        if isinstance(payload, dict) and not payload.get("candidates"):
            feedback = payload.get("promptFeedback")
            reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
            if isinstance(reason, str):
                return self._client.failures.blocked(reason, request_id=request_id)
        return super()._error(payload, call=call, request_id=request_id)

    def _answer(self, payload: Any) -> Piece:
        return self._read(payload, candidate=payload["candidates"][0])

    def _event(self, payload: Any) -> Piece:
        return self._read(payload, candidate=(payload.get("candidates") or [{}])[0])

    def _read(self, payload: Any, *, candidate: Any) -> Piece:
        usage = payload.get("usageMetadata")
        written = [count(usage, name) for name in ("candidatesTokenCount", "thoughtsTokenCount")]
        # A candidate that a filter stopped, or that was all thoughts, has no content or no parts.
        parts = (candidate.get("content") or {}).get("parts") or []
        return Piece(
            text="".join(part.get("text", "") for part in parts if not part.get("thought")),
            finish_reason=candidate.get("finishReason"),
            input_tokens=count(usage, "promptTokenCount"),
            output_tokens=None if written == [None, None] else sum(number or 0 for number in written),
            model=payload.get("modelVersion") or "",
            calls=tuple(_call_part(part) for part in parts if part.get("functionCall")),
        )


def create_llm(options: GeminiOptions, context: ProviderContext) -> LLM:
    """Return a chat model. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return GeminiChat(options, context)


def _declared(tool: Tool) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name, "description": tool.description}
    # Google refuses an object without properties; a function without parameters has no schema at all.
    return (
        {**declaration, "parametersJsonSchema": dict(tool.parameters)}
        if tool.parameters.get("properties")
        else declaration
    )


def _call_part(part: Any) -> CallPart:
    call = part["functionCall"]
    return CallPart(
        id=call.get("id") or "",
        name=call.get("name") or "",
        arguments=arguments_text(call.get("args")),
        state=part.get("thoughtSignature") or "",
    )


def _id(number: str) -> dict[str, str]:
    """Return a call's id as a field; older models give none, and are not sent ours."""
    return {} if own_id(number) else {"id": number}
