"""Gemini models behind Google's `generateContent`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from minirag.errors import ProviderError
from minirag.interfaces.llm import LLM, LLMRequest
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_connection import ApiOptions, merged
from minirag.providers.http.chat import ApiChat, Piece, count
from minirag.providers.http.client import Call

__all__ = ["GeminiChat", "GeminiOptions", "create_llm"]

_ROLES = {"user": "user", "assistant": "model"}


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

    def __init__(self, options: GeminiOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _call(self, request: LLMRequest, *, stream: bool = False) -> Call:
        instructions = [message.content for message in request.messages if message.role == "system"]
        settings: dict[str, Any] = {"maxOutputTokens": request.max_tokens}
        if self._options.send_temperature:
            settings["temperature"] = request.temperature
        body: dict[str, Any] = {
            "contents": [
                {"role": _ROLES[message.role], "parts": [{"text": message.content}]}
                for message in request.messages
                if message.role != "system"
            ],
            "generationConfig": settings,
        }
        if instructions:
            body["systemInstruction"] = {"parts": [{"text": text} for text in instructions]}
        model = quote(self._options.model.removeprefix("models/"), safe="")
        return Call(
            path=f"/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent"),
            body=merged(body, self._options.extra_body),
            headers=self._connection.headers("x-goog-api-key", prefix=""),
            contents=[message.content for message in request.messages],
        )

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
        )


def create_llm(options: GeminiOptions, context: ProviderContext) -> LLM:
    """Return a chat model. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return GeminiChat(options, context)
