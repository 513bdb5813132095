"""The clauses of `LLM` on structured output and tool calls, as `LLMConformance` tests them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from minirag.errors import ProviderOptionsError
from minirag.interfaces.llm import LLM, LLMRequest, LLMResponse, PromptMessage
from minirag.interfaces.tools import Tool, ToolCall

__all__ = ["ToolClauses"]

_WAYS: Final = pytest.mark.parametrize("way", ["generate", "stream", "agenerate", "astream"])
_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"days": {"type": "integer"}},
    "required": ["days"],
    "additionalProperties": False,
}
_TOOL: Final = Tool(
    name="look_up_order",
    description="Returns what is known of an order. Call it for every question about an order.",
    parameters={"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
)
_RESULT: Final = "Sent on Monday."


class ToolClauses(ABC):
    """What `LLMConformance` asks of structured output and tool calls."""

    deterministic: bool

    @abstractmethod
    def make_llm(self) -> LLM:
        """Return a new model that works."""

    def make_schema_request(self) -> LLMRequest:
        """Return a request for a JSON object whose only field is the integer `days`."""
        question = (
            'How many days may I return an item that may be returned within 30 days? Answer as JSON: {"days": ...}'
        )
        return LLMRequest(messages=(PromptMessage("user", question),), question=question, output_schema=_SCHEMA)

    def make_tool_request(self) -> LLMRequest:
        """Return a request that the model answers by calling a tool."""
        question = "When was the order A-17 sent?"
        return LLMRequest(messages=(PromptMessage("user", question),), question=question, tools=(_TOOL,))

    @_WAYS
    def test_l9_what_is_not_declared_is_refused(self, way: str) -> None:
        """L9: a schema, tools, or messages with calls are refused by a model that does not declare them."""
        plain = LLMRequest(messages=(PromptMessage("user", "Where is A-17?"),))
        call = ToolCall("1", _TOOL.name, {"number": "A-17"})
        result = PromptMessage("tool", _RESULT, tool_call_id="1")
        wishes = {
            "output_schema": replace(plain, output_schema=_SCHEMA),
            "tools": replace(plain, tools=(_TOOL,)),
            "a call": replace(plain, messages=(*plain.messages, PromptMessage("assistant", "", (call,)), result)),
        }
        with contextlib.closing(self.make_llm()) as llm:
            declared = {"output_schema": llm.structured_output, "tools": llm.tool_calls, "a call": llm.tool_calls}
            assert all(isinstance(value, bool) for value in declared.values()), "L9: a declaration is no bool"
            for wish, request in wishes.items():
                if not declared[wish]:
                    _check_refused(llm, request, way=way, wish=wish)

    @_WAYS
    def test_l10_text_follows_the_schema(self, way: str) -> None:
        """L10: with a schema the text is one JSON value that follows it."""
        with contextlib.closing(self.make_llm()) as llm:
            if not llm.structured_output:
                pytest.skip("the model does not declare structured_output")
            response = _response(llm, self.make_schema_request(), way=way)
        assert response.finish_reason == "stop", f"L10: the answer ended with {response.finish_reason!r}"
        try:
            value = json.loads(response.text)
        except ValueError:
            raise AssertionError("L10: the text is no JSON") from None
        follows = isinstance(value, dict) and value.keys() == {"days"} and type(value["days"]) is int
        assert follows, "L10: the text does not follow the schema"

    @_WAYS
    def test_l11_calls_are_of_offered_tools(self, way: str) -> None:
        """L11: calls are of the request's tools, whole, and told apart; they are the reason to end."""
        request = self.make_tool_request()
        with contextlib.closing(self.make_llm()) as llm:
            if not llm.tool_calls:
                pytest.skip("the model does not declare tool_calls")
            response = _response(llm, request, way=way)
            whole = llm.generate(request)
        calls, offered = response.tool_calls, {tool.name for tool in request.tools}
        assert isinstance(calls, tuple), f"L11: tool_calls is a {type(calls).__name__}"
        assert calls, "L11: no tool was called; let make_tool_request return a request that needs one"
        assert all(isinstance(call, ToolCall) for call in calls), "L11: a call is no ToolCall"
        assert all(call.name in offered for call in calls), "L11: a tool was called that was not offered"
        assert all(isinstance(call.id, str) and call.id for call in calls), "L11: a call has no id"
        assert len({call.id for call in calls}) == len(calls), "L11: two calls have one id"
        assert all(isinstance(call.arguments, Mapping) for call in calls), "L11: arguments are no mapping"
        assert response.finish_reason == "tool_calls", f"L11: the answer ended with {response.finish_reason!r}"
        same = [(call.name, call.arguments) for call in calls] == [
            (call.name, call.arguments) for call in whole.tool_calls
        ]
        assert same or not self.deterministic, f"L11: {way} and generate make other calls"

    @_WAYS
    def test_l12_results_are_answered(self, way: str) -> None:
        """L12: calls and their results are taken back."""
        request = self.make_tool_request()
        with contextlib.closing(self.make_llm()) as llm:
            if not llm.tool_calls:
                pytest.skip("the model does not declare tool_calls")
            first = llm.generate(request)
            answer = PromptMessage("assistant", first.text, tool_calls=first.tool_calls)
            results = [PromptMessage("tool", _RESULT, tool_call_id=call.id) for call in first.tool_calls]
            try:
                response = _response(
                    llm, replace(request, messages=(*request.messages, answer, *results), tool_choice="auto"), way=way
                )
            except Exception as problem:
                raise AssertionError(f"L12: the results were refused with a {type(problem).__name__}") from problem
        assert response.text or response.tool_calls, "L12: nothing came after the results"


def _check_refused(llm: LLM, request: LLMRequest, *, way: str, wish: str) -> None:
    try:
        _response(llm, request, way=way)
    except ProviderOptionsError:
        return
    except Exception as problem:
        raise AssertionError(f"L9: {wish} was refused with a {type(problem).__name__}") from problem
    raise AssertionError(f"L9: {way} takes {wish}, which the model does not declare; call `self.check(request)`")


def _response(llm: LLM, request: LLMRequest, *, way: str) -> LLMResponse:
    """Return the answer; that of a stream put together."""

    async def ask() -> LLMResponse:
        try:
            if way == "agenerate":
                return await llm.agenerate(request)
            return _joined([chunk async for chunk in llm.astream(request)])
        finally:
            await llm.aclose()

    if way == "generate":
        return llm.generate(request)
    return _joined(list(llm.stream(request))) if way == "stream" else asyncio.run(ask())


def _joined(chunks: list[Any]) -> LLMResponse:
    calls = [call for chunk in chunks for call in chunk.tool_calls]
    reason = chunks[-1].finish_reason if chunks else ""
    return LLMResponse("".join(chunk.text for chunk in chunks), finish_reason=reason or "", tool_calls=tuple(calls))
