"""Local servers that speak each chat vendor's own protocol, and refuse a request that is not of its form.

```python
with VendorServer(ANTHROPIC, api_key="secret") as server:
    server.script(server.stream("Hel", "lo"))
    ...                                   # call it at server.base_url
```
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.servers import vendor_tools as tools
from tests.servers.openai_server import DEFAULT_ANSWER, OpenAIServer, Recorded, Scripted
from tests.servers.vendor_dialect import READ, WRITTEN, Dialect, dumps, plain_problem, sse
from tests.servers.vendor_tools import Calls

__all__ = ["ANTHROPIC", "AZURE", "COHERE", "DIALECTS", "GEMINI", "OLLAMA", "OPENAI", "Dialect", "VendorServer"]


class VendorServer(OpenAIServer):
    """A server that speaks a dialect; with `api_key`, other keys are refused."""

    def __init__(
        self, dialect: Dialect, *, answer: str | Callable[[Any], Any] = DEFAULT_ANSWER, api_key: str | None = None
    ) -> None:
        super().__init__(answer=answer, api_key=api_key)
        self.dialect = dialect

    @property
    def base_url(self) -> str:
        """The API's root."""
        return super().base_url.removesuffix("/v1") + self.dialect.root

    def whole(self, text: str, *, word: str = "stop") -> Scripted:
        """Return a whole answer; `word` is a key of the dialect's `words`."""
        return Scripted(body=dumps(self.dialect.whole(text, self.dialect.words[word])))

    def stream(self, *texts: str, word: str = "stop", **more: Any) -> Scripted:
        """Return a streamed answer."""
        return self.parts(*self.dialect.events(texts, self.dialect.words[word]), **more)

    def calls(self, *calls: tuple[str, str, Any], streamed: bool, word: str = "calls", **more: Any) -> Scripted:
        """Return an answer of tool calls: of id, name and arguments each."""
        dialect, reason = self.dialect, self.dialect.words[word]
        if streamed:
            return self.parts(*dialect.events([], reason, Calls(calls)), **more)
        return Scripted(body=dumps(dialect.whole("", reason, Calls(calls))))

    def parts(self, *parts: bytes, **more: Any) -> Scripted:
        """Return a streamed answer of exactly these bytes."""
        return Scripted(headers={self.dialect.request_id: "call-1"}, parts=parts, **more)

    def refusal(self, status: int, message: str = "No.", **headers: str) -> Scripted:
        """Return a refusal in the vendor's form."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = dumps(self.dialect.error(message))
        return Scripted(status=status, headers={self.dialect.request_id: "call-1", **named}, body=body)

    def reply(self, request: Recorded) -> Scripted:
        """Return what this request is answered with."""
        self.requests.append(request)
        if self._script:
            return self._script.popleft()
        header, prefix = self.dialect.key
        if self._api_key is not None and request.headers.get(header) != f"{prefix}{self._api_key}":
            return self.refusal(401, "The key is wrong.")
        problem = self.dialect.problem(request.body)
        if request.path not in self.dialect.path:
            problem = f"no such path: {request.path}"
        if problem is not None:
            return self.refusal(400, problem)
        text = self._answer if isinstance(self._answer, str) else self._answer(request.body)
        whole, streamed = self.dialect.path
        streams = request.body.get("stream") if whole == streamed else request.path == streamed
        if isinstance(text, Calls):
            return self.calls(*text, streamed=bool(streams))
        if not streams:
            return self.whole(text)
        return self.stream(*(word for word in text.replace(" ", " \0").split("\0") if word))


def _openai_problem(body: Any) -> str | None:
    optional = {"stream", "stream_options", "temperature", "max_tokens", "max_completion_tokens"}
    optional |= {"tools", "tool_choice", "response_format"}
    return plain_problem(
        body,
        required={"model", "messages"},
        optional=optional,
        roles={"system", "user", "assistant"},
        with_calls=tools.openai_message_problem,
    ) or tools.openai_problem(body)


def _openai_whole(text: str, word: str, calls: Calls | None = None) -> Any:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        message |= {"content": None, "tool_calls": tools.functions(calls), "reasoning_content": "Hm, hm."}
    choice = {"index": 0, "message": message, "finish_reason": word}
    usage = {"prompt_tokens": READ, "completion_tokens": WRITTEN, "total_tokens": READ + WRITTEN}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "served", "choices": [choice], "usage": usage}


def _openai_events(texts: Sequence[str], word: str, calls: Calls | None = None) -> list[bytes]:
    pieces: list[Any] = [{"content": text} for text in texts]
    if calls:
        thoughts = [{"reasoning_content": thought} for thought in ("Hm, ", "hm.")]
        pieces += [*thoughts, *tools.openai_deltas(calls)]
    deltas = [{"choices": [{"index": 0, "delta": piece, "finish_reason": None}]} for piece in pieces]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": word}]}
    usage = {"choices": [], "usage": {"prompt_tokens": READ, "completion_tokens": WRITTEN}}
    return [*map(sse, [*deltas, end, usage]), b"data: [DONE]\n\n"]


OPENAI = Dialect(
    name="openai",
    root="/v1",
    key=("authorization", "Bearer "),
    path=("/v1/chat/completions", "/v1/chat/completions"),
    problem=_openai_problem,
    whole=_openai_whole,
    events=_openai_events,
    error=lambda message: {"error": {"message": message, "type": "server_error", "code": None}},
    words={"stop": "stop", "length": "length", "calls": "tool_calls", "other": "content_filter"},
)


def _azure_events(texts: Sequence[str], word: str, calls: Calls | None = None) -> list[bytes]:
    # Azure's first event tells what its filter thinks of the prompt, and has no choices.
    filtered = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    return [sse(filtered), *_openai_events(texts, word, calls)]


AZURE = replace(
    OPENAI,
    name="azure",
    root="",
    key=("api-key", ""),
    path=("/openai/v1/chat/completions", "/openai/v1/chat/completions"),
    events=_azure_events,
    request_id="apim-request-id",
)


def _anthropic_problem(body: Any) -> str | None:
    required, optional = {"model", "messages", "max_tokens"}, {"system", "temperature", "stream"}
    optional |= {"tools", "tool_choice", "output_config"}
    roles = {"user", "assistant"}
    return plain_problem(body, required=required, optional=optional, roles=roles) or tools.anthropic_problem(body)


def _anthropic_whole(text: str, word: str, calls: Calls | None = None) -> Any:
    blocks = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": text}]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "served",
        "content": tools.anthropic_blocks(calls) if calls else blocks,
        "stop_reason": word,
        "stop_sequence": None,
        "usage": {"input_tokens": READ - 3, "cache_read_input_tokens": 3, "output_tokens": WRITTEN},
    }


def _anthropic_events(texts: Sequence[str], word: str, calls: Calls | None = None) -> list[bytes]:
    message = {**_anthropic_whole("", word), "content": [], "stop_reason": None}
    message["usage"] = {"input_tokens": READ - 3, "cache_read_input_tokens": 3, "output_tokens": 1}
    thought = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}}
    deltas = [
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": text}} for text in texts
    ]
    blocks: list[dict[str, Any]] = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "ping"},
        thought,
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        *deltas,
        {"type": "content_block_stop", "index": 1},
    ]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        *(tools.anthropic_events(calls) if calls else blocks),
        {"type": "message_delta", "delta": {"stop_reason": word}, "usage": {"output_tokens": WRITTEN}},
        {"type": "message_stop"},
    ]
    return [sse(event, name=event["type"]) for event in events]


ANTHROPIC = Dialect(
    name="anthropic",
    root="/v1",
    key=("x-api-key", ""),
    path=("/v1/messages", "/v1/messages"),
    problem=_anthropic_problem,
    whole=_anthropic_whole,
    events=_anthropic_events,
    error=lambda message: {"type": "error", "error": {"type": "api_error", "message": message}},
    words={"stop": "end_turn", "length": "max_tokens", "calls": "tool_use", "other": "refusal"},
    request_id="request-id",
)


def _gemini_problem(body: Any) -> str | None:
    if unknown := body.keys() - {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"}:
        return f"unknown fields: {sorted(unknown)}"
    if body["generationConfig"].keys() - {"maxOutputTokens", "temperature", "responseMimeType", "responseJsonSchema"}:
        return "unknown field in generationConfig"
    kinds = ({"text"}, {"functionCall"}, {"functionCall", "thoughtSignature"}, {"functionResponse"})
    for content in body["contents"]:
        if content["role"] not in {"user", "model"} or not all(part.keys() in kinds for part in content["parts"]):
            return "wrong content"
    return tools.gemini_problem(body)


def _gemini_whole(text: str, word: str | None, calls: Calls | None = None) -> Any:
    parts: list[dict[str, Any]] = [{"text": "Hm.", "thought": True}, {"text": text}]
    if calls:
        parts[1:] = tools.gemini_parts(calls)
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    usage = {"promptTokenCount": READ, "candidatesTokenCount": WRITTEN - 2, "thoughtsTokenCount": 2}
    ended = {**candidate, "finishReason": word} if word else candidate
    return {"candidates": [ended], "usageMetadata": usage, "modelVersion": "served"}


def _gemini_events(texts: Sequence[str], word: str, calls: Calls | None = None) -> list[bytes]:
    ended = _gemini_whole("", word)
    ended["candidates"][0].pop("content")
    called = [sse(_gemini_whole("", None, calls))] if calls else []
    return [*(sse(_gemini_whole(text, None)) for text in texts), *called, sse(ended)]


GEMINI = Dialect(
    name="gemini",
    root="/v1beta",
    key=("x-goog-api-key", ""),
    path=("/v1beta/models/small:generateContent", "/v1beta/models/small:streamGenerateContent?alt=sse"),
    problem=_gemini_problem,
    whole=_gemini_whole,
    events=_gemini_events,
    error=lambda message: {"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}},
    words={"stop": "STOP", "length": "MAX_TOKENS", "calls": "STOP", "other": "RECITATION"},
)


def _ollama_problem(body: Any) -> str | None:
    if body["options"].keys() - {"num_ctx", "num_predict", "temperature"}:
        return "unknown option"
    return plain_problem(
        body,
        required={"model", "messages", "stream", "options"},
        optional={"format", "tools"},
        roles={"system", "user", "assistant"},
        with_calls=tools.ollama_message_problem,
    ) or tools.ollama_problem(body)


def _ollama_whole(text: str, word: str, calls: Calls | None = None) -> Any:
    message: dict[str, Any] = {"role": "assistant", "content": text, "thinking": "Hm."}
    if calls:
        message["tool_calls"] = tools.ollama_calls(calls)
    counts = {"prompt_eval_count": READ, "eval_count": WRITTEN, "total_duration": 1}
    return {"model": "served", "message": message, "done": True, "done_reason": word, **counts}


def _ollama_events(texts: Sequence[str], word: str, calls: Calls | None = None) -> list[bytes]:
    messages: list[dict[str, Any]] = [{"role": "assistant", "content": text} for text in texts]
    if calls:
        messages += [{"role": "assistant", "content": "", "tool_calls": [call]} for call in tools.ollama_calls(calls)]
    lines = [{"model": "served", "message": message, "done": False} for message in messages]
    return [dumps(line) + b"\n" for line in [*lines, _ollama_whole("", word)]]


OLLAMA = Dialect(
    name="ollama",
    root="",
    key=("authorization", "Bearer "),
    path=("/api/chat", "/api/chat"),
    problem=_ollama_problem,
    whole=_ollama_whole,
    events=_ollama_events,
    error=lambda message: {"error": message},
    words={"stop": "stop", "length": "length", "calls": "stop", "other": "load"},
    lines=True,
)


def _cohere_problem(body: Any) -> str | None:
    return plain_problem(
        body,
        required={"model", "messages", "stream"},
        optional={"max_tokens", "temperature", "tools", "tool_choice", "response_format"},
        roles={"system", "user", "assistant"},
        with_calls=tools.cohere_message_problem,
    ) or tools.cohere_problem(body)


def _cohere_end(word: str) -> dict[str, Any]:
    tokens = {"input_tokens": float(READ), "output_tokens": float(WRITTEN)}
    return {"finish_reason": word, "usage": {"billed_units": {"input_tokens": 1}, "tokens": tokens}}


def _cohere_whole(text: str, word: str, calls: Calls | None = None) -> Any:
    content = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": text}]
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message = {"role": "assistant", "tool_plan": "I will look.", "tool_calls": tools.functions(calls)}
    return {"id": "1", "message": message, **_cohere_end(word)}


def _cohere_events(texts: Sequence[str], word: str, calls: Calls | None = None) -> list[bytes]:
    contents = [{"thinking": "Hm."}, *({"text": text} for text in texts)]
    events: list[dict[str, Any]] = [
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        *({"type": "content-delta", "index": 0, "delta": {"message": {"content": content}}} for content in contents),
        {"type": "content-end", "index": 0},
    ]
    events = [
        {"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant", "content": []}}},
        *(tools.cohere_events(calls) if calls else events),
        {"type": "message-end", "delta": _cohere_end(word)},
    ]
    return [sse(event, name=event["type"]) for event in events]


COHERE = Dialect(
    name="cohere",
    root="/v2",
    key=("authorization", "Bearer "),
    path=("/v2/chat", "/v2/chat"),
    problem=_cohere_problem,
    whole=_cohere_whole,
    events=_cohere_events,
    error=lambda message: {
        "type": "message-end",
        "message": message,
        "delta": {"error": message, "finish_reason": "ERROR"},
    },
    words={"stop": "COMPLETE", "length": "MAX_TOKENS", "calls": "TOOL_CALL", "other": "USER_CANCEL"},
    request_id="x-debug-trace-id",
)

DIALECTS = (ANTHROPIC, AZURE, COHERE, GEMINI, OLLAMA)
"""All but OpenAI's, which has tests of its own."""
