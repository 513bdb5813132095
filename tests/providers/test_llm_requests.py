"""What `Tool` and `LLMRequest` take and refuse."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from minirag.errors import InvalidInputError
from minirag.interfaces import LLMRequest, PromptMessage, Tool, ToolCall

CLOCK = Tool(name="clock", description="Returns the time.")
CALL = ToolCall("a", "clock")
ASKED = LLMRequest(messages=(PromptMessage("user", "What time is it?"),), tools=(CLOCK,))


@pytest.mark.parametrize("name", ["clock", "_clock", "look-up_2", "x" * 64])
def test_names_that_every_vendor_takes(name: str) -> None:
    """Letters, digits, hyphens and underscores, up to 64."""
    assert Tool(name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "2nd", "-x", "a b", "a.b", "Uhr\u00e9", "auto", "none", "required", "clock\n"]
)
def test_names_that_some_vendor_refuses(name: str) -> None:
    """The message names the tool; words of `tool_choice` are no names."""
    with pytest.raises(InvalidInputError, match="tool name"):
        Tool(name=name)


@pytest.mark.parametrize("schema", [{"type": {1, 2}}, {"minimum": float("nan")}, {"type": b"x"}, [], "object", None])
def test_schemas_that_are_no_json(schema: Any) -> None:
    """A schema that could not be sent is refused where it is given."""
    with pytest.raises(InvalidInputError, match="parameters of tool 'clock' must be a mapping of JSON values"):
        Tool(name="clock", parameters=schema)
    if schema is not None:
        with pytest.raises(InvalidInputError, match="output_schema must be a mapping of JSON values"):
            LLMRequest(messages=(), output_schema=schema)


def test_any_mapping_is_a_schema() -> None:
    """It need not be a dict."""
    schema = MappingProxyType({"type": "object"})
    assert (
        LLMRequest(messages=(), output_schema=schema, tools=(Tool(name="x", parameters=schema),)).output_schema
        is schema
    )


@pytest.mark.parametrize("choice", ["auto", "none", "required", "clock"])
def test_choices(choice: str) -> None:
    """One of three words, or a tool of the request."""
    assert replace(ASKED, tool_choice=choice).tool_choice == choice


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tool_choice": "calendar"}, "tool_choice 'calendar' is no tool .* auto, clock, none, required"),
        ({"tools": (), "tool_choice": "required"}, "needs tools"),
        ({"tools": (CLOCK, Tool(name="clock"))}, "'clock' is given twice"),
    ],
)
def test_requests_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    """A choice of nothing and two tools of one name are refused before anything is called."""
    with pytest.raises(InvalidInputError, match=message):
        replace(ASKED, **changes)


@pytest.mark.parametrize("number", ["", "b"])
def test_results_need_their_call(number: str) -> None:
    """A result of a call that no message before it made is refused."""
    said, result = PromptMessage("assistant", "", (CALL,)), PromptMessage("tool", "Noon.", tool_call_id=number)
    with pytest.raises(InvalidInputError, match="is no call of the messages before it"):
        replace(ASKED, messages=(*ASKED.messages, said, result))
    late = replace(result, tool_call_id="a")
    with pytest.raises(InvalidInputError, match="'a' is no call of the messages before it"):
        replace(ASKED, messages=(*ASKED.messages, late, said))
    assert replace(ASKED, messages=(*ASKED.messages, said, late)).messages[-1] is late


def test_a_request_without_extras_is_as_it_was() -> None:
    """Schema and tools are nothing that a request must have; it can still be a key of a mapping."""
    plain = LLMRequest(messages=ASKED.messages)
    assert (plain.output_schema, plain.tools, plain.tool_choice) == (None, (), "auto")
    assert {plain: 1}[LLMRequest(messages=ASKED.messages)] == 1
