"""Tool calls on the wire: put together from their pieces, checked, and in the form that several vendors share."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Never

from minirag.interfaces.tools import Tool, ToolCall

__all__ = [
    "CallAssembly",
    "CallPart",
    "arguments_text",
    "function_calls",
    "function_part",
    "function_tools",
    "is_json",
    "own_id",
]

_OWN_ID: Final = "minirag-"


@dataclass(frozen=True, slots=True)
class CallPart:
    """A tool call, or a piece of one.

    Attributes:
        place: which call of the answer the piece belongs to; None for a call that comes whole.
        arguments: the JSON text of the arguments, or what comes next of it.
        state: what the vendor wants to see again, or what comes next of it. A piece with nothing else goes with the call
            after it.
    """

    place: int | None = None
    id: str = ""
    name: str = ""
    arguments: str = ""
    state: str = ""

    def __post_init__(self) -> None:
        texts = (self.id, self.name, self.arguments, self.state)
        if not all(isinstance(text, str) for text in texts) or not isinstance(self.place, int | None):
            raise TypeError("a field of another type")


@dataclass(slots=True)
class _Begun:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    state: list[str] = field(default_factory=list)

    @property
    def is_call(self) -> bool:
        return bool(self.id or self.name or any(self.arguments))


class CallAssembly:
    """The tool calls of one answer, as far as they have come."""

    def __init__(self) -> None:
        self._begun: dict[int, _Begun] = {}

    def add(self, parts: Iterable[CallPart]) -> None:
        """Take in what an event, or a whole answer, tells of calls."""
        for part in parts:
            place = max(self._begun, default=-1) + 1 if part.place is None else part.place
            begun = self._begun.setdefault(place, _Begun())
            begun.id = begun.id or part.id
            begun.name = begun.name or part.name
            begun.arguments.append(part.arguments)
            begun.state.append(part.state)

    @property
    def has_calls(self) -> bool:
        """Whether any call has begun."""
        return any(begun.is_call for begun in self._begun.values())

    def finish(self, tools: Sequence[Tool], *, provider: str) -> tuple[ToolCall, ...]:
        """Return the calls in the order in which they began.

        Raises:
            ValueError: a call has no arguments that make sense, or is of a tool that was not offered; says which.
        """
        offered = {tool.name for tool in tools}
        calls: list[ToolCall] = []
        state = ""
        for begun in self._begun.values():
            state += "".join(begun.state)
            if not begun.is_call:
                continue
            if begun.name not in offered:
                raise ValueError("a call of a tool that was not offered")
            number = begun.id or f"{_OWN_ID}{secrets.token_hex(8)}"
            calls.append(
                ToolCall(
                    number, begun.name, _arguments("".join(begun.arguments)), f"{provider}:{state}" if state else ""
                )
            )
            state = ""
        return tuple(calls)


def own_id(number: str) -> bool:
    """Return whether a call's id was made here, because the vendor gave none."""
    return number.startswith(_OWN_ID)


def arguments_text(arguments: Any) -> str:
    """Return arguments that a vendor sends as JSON values, as the text of a piece."""
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments) if arguments else ""


def function_part(call: Any, *, place: int | None) -> CallPart:
    """Return a call, or a piece of one, as OpenAI, Cohere and Ollama send it."""
    function = call.get("function") or {}
    return CallPart(
        place=place,
        id=call.get("id") or "",
        name=function.get("name") or "",
        arguments=arguments_text(function.get("arguments")),
    )


def function_tools(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """Return tools as OpenAI, Cohere and Ollama name them."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
        }
        for tool in tools
    ]


def function_calls(calls: Iterable[ToolCall]) -> list[dict[str, Any]]:
    """Return calls as OpenAI and Cohere repeat them."""
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments), ensure_ascii=False)},
        }
        for call in calls
    ]


def is_json(text: str) -> bool:
    """Return whether a text is one JSON value."""
    try:
        _parsed(text)
    except (RecursionError, ValueError):
        return False
    return True


def _arguments(text: str) -> Mapping[str, Any]:
    # A call without arguments comes with no text at all.
    try:
        arguments = _parsed(text) if text.strip() else {}
    except (RecursionError, ValueError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ValueError("a tool call whose arguments are no JSON object")
    return arguments


def _parsed(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(word: str) -> Never:
    raise ValueError(f"{word} is no JSON")
