"""Deliberately wrong models fail `LLMConformance` by the clause they break."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from minirag.errors import InvalidInputError, ProviderAuthenticationError
from minirag.interfaces import LLM, LLMChunk, LLMRequest, LLMResponse, TokenUsage, ToolCall
from minirag.testing.llm import LLMConformance

SECRET = "sk-canary"


class Right(LLM):
    """A model that repeats the question."""

    name = "right:echo"

    def generate(self, request: LLMRequest) -> LLMResponse:
        self.check(request)
        return LLMResponse(text=request.question, usage=TokenUsage(1, 1))


class NoText(Right):
    """Breaks L1."""

    def generate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(text=None, usage=TokenUsage(1, 1))  # type: ignore[arg-type]


class OtherStream(Right):
    """Breaks L2: its stream loses the last letter."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        yield LLMChunk(text=request.question[:-1], usage=TokenUsage(), finish_reason="stop")


class EmptyStream(Right):
    """Breaks L2: its stream yields nothing."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        yield from ()


class NoReason(Right):
    """Breaks L3: no finish reason."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        yield LLMChunk(text=request.question, usage=TokenUsage())


class UsageTwice(Right):
    """Breaks L3: the usage comes with every piece."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        yield LLMChunk(text=request.question, usage=TokenUsage())
        yield LLMChunk(usage=TokenUsage(), finish_reason="stop")


class OtherAsync(Right):
    """Breaks L4: the asynchronous answer differs."""

    async def agenerate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(text=request.question.upper(), usage=TokenUsage(1, 1))


class OtherAsyncStream(Right):
    """Breaks L4: the asynchronous stream has no end."""

    async def astream(self, request: LLMRequest) -> AsyncIterator[LLMChunk]:
        yield LLMChunk(text=request.question, usage=TokenUsage())


class CannotClose(Right):
    """Breaks L5: its stream is a plain iterator."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        return iter([LLMChunk(text=request.question, usage=TokenUsage(), finish_reason="stop")])


class CloseRaises(Right):
    """Breaks L5: leaving its stream early is an error."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        try:
            yield LLMChunk(text=request.question)
        except GeneratorExit:
            raise RuntimeError("not finished") from None
        yield LLMChunk(usage=TokenUsage(), finish_reason="stop")


class ForeignError(Right):
    """Breaks L6: fails with an error that is none of ours."""

    def generate(self, request: LLMRequest) -> LLMResponse:
        raise ConnectionResetError("gone")


class Refuses(Right):
    """Fails as it should."""

    def generate(self, request: LLMRequest) -> LLMResponse:
        raise ProviderAuthenticationError("refused; check `credentials`")


class ShowsKey(Right):
    """Breaks L6: the error behind its error names the key."""

    def generate(self, request: LLMRequest) -> LLMResponse:
        try:
            raise KeyError(SECRET)
        except KeyError as problem:
            raise ProviderAuthenticationError("refused") from problem


class MixesThreads(Right):
    """Breaks L7: keeps the question where another thread overwrites it."""

    def __init__(self) -> None:
        self.question = ""
        self.barrier = threading.Event()

    def generate(self, request: LLMRequest) -> LLMResponse:
        self.question = request.question
        self.barrier.wait(0.02)
        return LLMResponse(text=self.question, usage=TokenUsage(1, 1))


class ChangesName(Right):
    """Breaks L8."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def name(self) -> str:  # type: ignore[override]
        self.count += 1
        return f"model-{self.count}"


class TakesAll(Right):
    """Breaks L9: answers as if no schema and no tool were there."""

    def generate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(text=request.question, usage=TokenUsage(1, 1))


class RefusesOtherwise(Right):
    """Breaks L9: its refusal is another error."""

    def check(self, request: LLMRequest) -> None:
        raise InvalidInputError("no")


class StreamsAll(Right):
    """Breaks L9: only its stream forgets to check."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        yield LLMChunk(text=request.question, usage=TokenUsage(), finish_reason="stop")


class Skilled(Right):
    """A model with structured output and tool calls."""

    structured_output = True
    tool_calls = True
    text = json.dumps({"days": 30})
    reason = "tool_calls"
    calls: tuple[ToolCall, ...] = (ToolCall("a", "look_up_order", {"number": "A-17"}),)

    def generate(self, request: LLMRequest) -> LLMResponse:
        usage = TokenUsage(1, 1)
        if request.output_schema is not None:
            return LLMResponse(self.text, usage)
        if request.tools and request.messages[-1].role != "tool":
            return LLMResponse("", usage, finish_reason=self.reason, tool_calls=self.calls)
        return LLMResponse(request.question, usage)


class Prose(Skilled):
    """Breaks L10: no JSON."""

    text = "Thirty days."


class OtherFields(Skilled):
    """Breaks L10: JSON of another form."""

    text = json.dumps({"days": "thirty"})


class ProseInStream(Skilled):
    """Breaks L10: only its stream is no JSON."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        yield LLMChunk("Here it is: ")
        yield from super().stream(request)


class NeverCalls(Skilled):
    """Breaks L11: calls nothing."""

    calls = ()


class InventsTools(Skilled):
    """Breaks L11: calls what was not offered."""

    calls = (ToolCall("a", "look_up_weather"),)


class OneId(Skilled):
    """Breaks L11: two calls cannot be told apart."""

    calls = (ToolCall("a", "look_up_order"), ToolCall("a", "look_up_order"))


class NoId(Skilled):
    """Breaks L11: a call has no id."""

    calls = (ToolCall("", "look_up_order"),)


class TextArguments(Skilled):
    """Breaks L11: the arguments are still text."""

    calls = (ToolCall("a", "look_up_order", '{"number": "A-17"}'),)  # type: ignore[arg-type]


class StopsToCall(Skilled):
    """Breaks L11: the reason does not tell of the calls."""

    reason = "stop"


class ForgetsCalls(Skilled):
    """Breaks L11: its stream has no calls."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        response = self.generate(request)
        yield LLMChunk(response.text, response.usage, response.finish_reason)


class CallsTwice(Skilled):
    """Breaks L11: each call comes with its beginning and once more whole."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        response = self.generate(request)
        yield LLMChunk(tool_calls=tuple(ToolCall("b", call.name) for call in response.tool_calls))
        yield LLMChunk(response.text, response.usage, response.finish_reason, response.tool_calls)


class RefusesResults(Skilled):
    """Breaks L12: knows no message of the role `tool`."""

    def generate(self, request: LLMRequest) -> LLMResponse:
        assert all(message.role != "tool" for message in request.messages)
        return super().generate(request)


class SilentAfterResults(Skilled):
    """Breaks L12: says nothing of the results."""

    def generate(self, request: LLMRequest) -> LLMResponse:
        response = super().generate(request)
        return LLMResponse("", response.usage) if request.messages[-1].role == "tool" else response


def suite_of(model: Callable[[], LLM], *, failing: Callable[[], LLM] | None = None) -> LLMConformance:
    """Return the suite for one model."""

    class Suite(LLMConformance):
        credential = SECRET

        def make_llm(self) -> LLM:
            return model()

        def make_failing_llm(self) -> LLM | None:
            return failing() if failing else None

    return Suite()


@pytest.mark.parametrize(
    ("model", "clause", "test"),
    [
        (NoText, "L1", "test_l1_generate_returns_text"),
        (OtherStream, "L2", "test_l2_stream_is_one_answer"),
        (EmptyStream, "L2", "test_l2_stream_is_one_answer"),
        (NoReason, "L3", "test_l3_stream_ends_with_reason_and_usage"),
        (UsageTwice, "L3", "test_l3_stream_ends_with_reason_and_usage"),
        (OtherAsync, "L4", "test_l4_agenerate_returns_what_generate_does"),
        (OtherAsync, "L4", "test_l4_concurrent_calls_in_one_loop"),
        (OtherAsyncStream, "L4", "test_l4_astream_yields_what_stream_does"),
        (CannotClose, "L5", "test_l5_stream_may_be_closed_early"),
        (CloseRaises, "L5", "test_l5_stream_may_be_closed_early"),
        (MixesThreads, "L7", "test_l7_threads_get_their_own_answers"),
        (ChangesName, "L8", "test_l8_name_is_stable"),
    ],
)
def test_wrong_model_fails_by_its_clause(model: Callable[[], LLM], clause: str, test: str) -> None:
    """The suite names the clause that a wrong model breaks."""
    check: Any = getattr(suite_of(model), test)
    with pytest.raises(AssertionError, match=f"^{clause}: "):
        check()


L9, L10 = "test_l9_what_is_not_declared_is_refused", "test_l10_text_follows_the_schema"
L11, L12 = "test_l11_calls_are_of_offered_tools", "test_l12_results_are_answered"


@pytest.mark.parametrize(
    ("model", "clause", "test", "way"),
    [
        (TakesAll, "L9", L9, "generate"),
        (TakesAll, "L9", L9, "agenerate"),
        (RefusesOtherwise, "L9", L9, "generate"),
        (StreamsAll, "L9", L9, "stream"),
        (Prose, "L10", L10, "generate"),
        (OtherFields, "L10", L10, "astream"),
        (ProseInStream, "L10", L10, "stream"),
        (NeverCalls, "L11", L11, "generate"),
        (InventsTools, "L11", L11, "generate"),
        (OneId, "L11", L11, "generate"),
        (NoId, "L11", L11, "generate"),
        (TextArguments, "L11", L11, "generate"),
        (StopsToCall, "L11", L11, "agenerate"),
        (ForgetsCalls, "L11", L11, "stream"),
        (CallsTwice, "L11", L11, "stream"),
        (RefusesResults, "L12", L12, "generate"),
        (SilentAfterResults, "L12", L12, "astream"),
    ],
)
def test_wrong_tools_and_schemas_fail_by_their_clause(
    model: Callable[[], LLM], clause: str, test: str, way: str
) -> None:
    """The suite names the clause on structured output or tool calls that a wrong model breaks."""
    with pytest.raises(AssertionError, match=f"^{clause}: "):
        getattr(suite_of(model), test)(way)


@pytest.mark.parametrize("failing", [Right, ForeignError, ShowsKey])
@pytest.mark.parametrize("way", ["generate", "stream", "agenerate", "astream"])
def test_wrong_failures_fail_l6(failing: Callable[[], LLM], way: str) -> None:
    """L6 refuses a foreign error, a key in the chain, and a failing model that does not fail."""
    with pytest.raises(AssertionError, match=r"^L6: "):
        suite_of(Right, failing=failing).test_l6_failures_are_provider_errors(way)


class TestRight(LLMConformance):
    """A model that writes only `name` and `generate` keeps every clause."""

    def make_llm(self) -> LLM:
        return Right()

    def make_failing_llm(self) -> LLM:
        return Refuses()


class TestSkilled(LLMConformance):
    """A model that writes only `name` and `generate`, and declares both abilities, keeps every clause too."""

    def make_llm(self) -> LLM:
        return Skilled()

    def make_failing_llm(self) -> LLM:
        return Refuses()
