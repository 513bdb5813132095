"""Tools, tool calls and schemas as each chat vendor has them on the wire, and what is wrong with those of a request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Calls",
    "anthropic_blocks",
    "anthropic_events",
    "anthropic_problem",
    "cohere_events",
    "cohere_message_problem",
    "cohere_problem",
    "functions",
    "gemini_parts",
    "gemini_problem",
    "ollama_calls",
    "ollama_message_problem",
    "ollama_problem",
    "openai_deltas",
    "openai_message_problem",
    "openai_problem",
]

SIGNATURE = "c2lnbmVk"


@dataclass(frozen=True)
class Calls:
    """Tool calls that a server answers with: id, name, arguments as text or as what a vendor sends in their place."""

    calls: tuple[tuple[str, str, Any], ...]

    def __iter__(self) -> Iterator[tuple[str, str, Any]]:
        return iter(self.calls)


def functions(calls: Calls) -> list[dict[str, Any]]:
    """Return whole calls as OpenAI and Cohere have them, with arguments as text."""
    return [
        {"id": number, "type": "function", "function": {"name": name, "arguments": _text(arguments)}}
        for number, name, arguments in calls
    ]


def openai_deltas(calls: Calls) -> list[dict[str, Any]]:
    """Return the pieces of a stream: the beginning of each call, then its arguments, which come in turns."""
    begun = [
        {"index": place, **call, "function": {**call["function"], "arguments": ""}}
        for place, call in enumerate(functions(calls))
    ]
    pieces = [list(_text(arguments)) for _, _, arguments in calls]
    longest = max(map(len, pieces), default=0)
    added = [
        {"index": place, "function": {"arguments": letters[turn]}}
        for turn in range(longest)
        for place, letters in enumerate(pieces)
        if turn < len(letters)
    ]
    return [{"tool_calls": [piece]} for piece in [*begun, *added]]


def openai_problem(body: Any) -> str | None:
    """Return what is wrong with tools, choice and format."""
    names = _function_names(body)
    if names is None:
        return "wrong tools"
    choice = body.get("tool_choice", "auto")
    named = [{"type": "function", "function": {"name": name}} for name in names]
    if "tool_choice" in body and (not names or choice not in ["auto", "none", "required", *named]):
        return "wrong tool_choice"
    wanted = body.get("response_format")
    if wanted is None:
        return None
    form = wanted.get("json_schema", {})
    right = (
        wanted.keys() == {"type", "json_schema"}
        and wanted["type"] == "json_schema"
        and form.keys() == {"name", "schema", "strict"}
    )
    return None if right and _is_schema(form["schema"]) else "wrong response_format"


def openai_message_problem(message: Any, known: set[str]) -> str | None:
    """Return what is wrong with a message of calls, or of a result; notes the ids of calls in `known`."""
    if message["role"] == "tool":
        right = message.keys() == {"role", "content", "tool_call_id"} and message["tool_call_id"] in known
        return None if right else "wrong result"
    optional = {"content", "reasoning_content", "tool_plan"}
    if message["role"] != "assistant" or message.keys() - optional != {"role", "tool_calls"}:
        return "wrong message"
    for call in message["tool_calls"]:
        known.add(call["id"])
        right = call.keys() == {"id", "type", "function"} and call["function"].keys() == {"name", "arguments"}
        if not right or not isinstance(json.loads(call["function"]["arguments"]), dict):
            return "wrong call"
    return None


def cohere_events(calls: Calls) -> list[dict[str, Any]]:
    """Return the events of a plan and of the calls after it."""
    events = [_cohere("tool-plan-delta", {"tool_plan": piece}) for piece in ("I will ", "look.")]
    for place, call in enumerate(functions(calls)):
        function = call["function"]
        start = {**call, "function": {"name": function["name"], "arguments": ""}}
        events.append(_cohere("tool-call-start", {"tool_calls": start}, index=place))
        events += [
            _cohere("tool-call-delta", {"tool_calls": {"function": {"arguments": letter}}}, index=place)
            for letter in function["arguments"]
        ]
        events.append({"type": "tool-call-end", "index": place})
    return events


def cohere_problem(body: Any) -> str | None:
    """Return what is wrong with tools, choice and format."""
    names = _function_names(body)
    if names is None:
        return "wrong tools"
    if "tool_choice" in body and (not names or body["tool_choice"] not in {"NONE", "REQUIRED"}):
        return "wrong tool_choice"
    wanted = body.get("response_format")
    if wanted is None:
        return None
    if names:
        return "response_format is not supported with tools"
    right = wanted.keys() == {"type", "json_schema"} and wanted["type"] == "json_object"
    return None if right and _is_schema(wanted["json_schema"]) else "wrong response_format"


def cohere_message_problem(message: Any, known: set[str]) -> str | None:
    """Return what is wrong with a message of calls, or of a result."""
    if message["role"] == "assistant" and message.get("content", "x") is None:
        return "content must not be null"
    return openai_message_problem(message, known)


def ollama_calls(calls: Calls) -> list[dict[str, Any]]:
    """Return whole calls, which have no id, and arguments as an object."""
    return [{"function": {"name": name, "arguments": _object(arguments)}} for _, name, arguments in calls]


def ollama_problem(body: Any) -> str | None:
    """Return what is wrong with tools and format."""
    if _function_names(body) is None:
        return "wrong tools"
    return "wrong format" if "format" in body and not _is_schema(body["format"]) else None


def ollama_message_problem(message: Any, known: set[str]) -> str | None:
    """Return what is wrong with a message of calls, or of a result."""
    if message["role"] == "tool":
        right = message.keys() == {"role", "content", "tool_name"} and message["tool_name"] in known
        return None if right else "wrong result"
    if message["role"] != "assistant" or message.keys() != {"role", "content", "tool_calls"}:
        return "wrong message"
    for call in message["tool_calls"]:
        known.add(call["function"]["name"])
        if not isinstance(call["function"]["arguments"], dict):
            return "wrong call"
    return None


def anthropic_blocks(calls: Calls) -> list[dict[str, Any]]:
    """Return a signed thought and the calls it led to."""
    thought = {"type": "thinking", "thinking": "Hm, hm.", "signature": SIGNATURE}
    uses = [
        {"type": "tool_use", "id": number, "name": name, "input": _object(arguments)}
        for number, name, arguments in calls
    ]
    return [thought, *uses]


def anthropic_events(calls: Calls) -> list[dict[str, Any]]:
    """Return the same as the events of a stream."""
    deltas: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        (
            {"type": "thinking", "thinking": "", "signature": ""},
            [
                {"type": "thinking_delta", "thinking": "Hm, "},
                {"type": "thinking_delta", "thinking": "hm."},
                {"type": "signature_delta", "signature": SIGNATURE},
            ],
        )
    ]
    for number, name, arguments in calls:
        pieces = ["", *_text(arguments)]
        added = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        deltas.append(({"type": "tool_use", "id": number, "name": name, "input": {}}, added))
    events: list[dict[str, Any]] = []
    for place, (block, added) in enumerate(deltas):
        events.append({"type": "content_block_start", "index": place, "content_block": block})
        events += [{"type": "content_block_delta", "index": place, "delta": delta} for delta in added]
        events.append({"type": "content_block_stop", "index": place})
    return events


def anthropic_problem(body: Any) -> str | None:
    """Return what is wrong with tools, choice, format, and messages that are lists of blocks."""
    tools = body.get("tools", [])
    if any(tool.keys() != {"name", "description", "input_schema"} for tool in tools):
        return "wrong tools"
    named = [{"type": "tool", "name": tool["name"]} for tool in tools]
    choices = [{"type": "auto"}, {"type": "any"}, {"type": "none"}, *named]
    if "tool_choice" in body and (not tools or body["tool_choice"] not in choices):
        return "wrong tool_choice"
    wanted = body.get("output_config")
    if wanted is not None and (
        wanted.keys() != {"format"}
        or wanted["format"].get("type") != "json_schema"
        or not _is_schema(wanted["format"].get("schema"))
    ):
        return "wrong output_config"
    asked: list[str] = []
    for message in body["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else []
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if answered != asked:
            return "tool_use ids were found without tool_result blocks immediately after"
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if asked and blocks[0] != {"type": "thinking", "thinking": "Hm, hm.", "signature": SIGNATURE}:
            return "a final assistant message must start with a thinking block"
        if any(block["type"] == "text" and not block["text"] for block in blocks):
            return "text content blocks must be non-empty"
    return None


def gemini_parts(calls: Calls) -> list[dict[str, Any]]:
    """Return calls, of which the first one is signed; an empty id is none."""
    parts: list[dict[str, Any]] = [
        {"functionCall": {**({"id": number} if number else {}), "name": name, "args": _object(arguments)}}
        for number, name, arguments in calls
    ]
    parts[0]["thoughtSignature"] = SIGNATURE
    return parts


def gemini_problem(body: Any) -> str | None:
    """Return what is wrong with tools, choice, format, calls and results."""
    settings = body["generationConfig"]
    if ("responseJsonSchema" in settings) != (settings.get("responseMimeType") == "application/json"):
        return "a schema needs responseMimeType application/json"
    declared = [function for tool in body.get("tools", []) for function in tool["functionDeclarations"]]
    if any(function.keys() - {"parametersJsonSchema"} != {"name", "description"} for function in declared):
        return "wrong functionDeclarations"
    chosen = body.get("toolConfig", {}).get("functionCallingConfig", {"mode": "AUTO"})
    allowed = set(chosen.get("allowedFunctionNames", [])) <= {function["name"] for function in declared}
    if chosen["mode"] not in {"AUTO", "ANY", "NONE"} or not allowed:
        return "wrong toolConfig"
    asked: list[tuple[Any, str]] = []
    for content in body["contents"]:
        results = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        if [(result.get("id"), result["name"]) for result in results] != asked:
            return "the number of function response parts should be equal to that of function call parts"
        if any(not isinstance(result["response"], dict) for result in results):
            return "wrong functionResponse"
        made = [part for part in content["parts"] if "functionCall" in part]
        if made and made[0].get("thoughtSignature") != SIGNATURE:
            return "Function call is missing a thought_signature in functionCall parts"
        asked = [(part["functionCall"].get("id"), part["functionCall"]["name"]) for part in made]
    return None


def _cohere(kind: str, message: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, **more, "delta": {"message": message}}


def _function_names(body: Any) -> Sequence[str] | None:
    """Return the names of the tools, or None if one is of another form."""
    tools = body.get("tools", [])
    keys = {"name", "description", "parameters"}
    if not all(tool.get("type") == "function" and tool["function"].keys() == keys for tool in tools):
        return None
    return [tool["function"]["name"] for tool in tools]


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict) and "type" in value


def _text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _object(arguments: Any) -> Any:
    """Return arguments as a value: vendors that send objects have none that is not JSON."""
    try:
        return json.loads(_text(arguments))
    except ValueError:
        return arguments
