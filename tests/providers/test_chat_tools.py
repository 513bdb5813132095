"""Tools and tool calls of every chat vendor: what is sent, what is read, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from minirag.errors import InvalidInputError, ProviderOptionsError, ProviderRequestError, ProviderResponseError
from minirag.interfaces import LLMRequest, LLMResponse, PromptMessage, Tool, ToolCall
from tests.providers.chat_models import failure_of, opened, run
from tests.servers.openai_server import Scripted
from tests.servers.vendor_servers import ANTHROPIC, COHERE, DIALECTS, GEMINI, OLLAMA, OPENAI, VendorServer

ORDER = Tool(
    name="look_up_order",
    description="Returns an order.",
    parameters={"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
)
CLOCK = Tool(name="clock", description="Returns the time.")
REQUEST = LLMRequest(messages=(PromptMessage("user", "Where is A-17?"),), tools=(ORDER, CLOCK))
PLACED = {"number": 'A-17 "é😀'}
CALLS = (("a", "look_up_order", PLACED), ("b", "clock", {}))
WITHOUT_IDS = {"ollama"}
STATES = {"anthropic", "azure", "cohere", "gemini", "openai"}
"""The vendors that want to see something again."""

WAYS = pytest.mark.parametrize("way", ["generate", "stream", "agenerate", "astream"])
BOTH = pytest.mark.parametrize("way", ["generate", "astream"])


@pytest.fixture(params=[*DIALECTS, OPENAI], ids=lambda dialect: dialect.name)
def server(request: pytest.FixtureRequest) -> Iterator[VendorServer]:
    """A server of one vendor."""
    with VendorServer(request.param) as running:
        yield running


def scripted(server: VendorServer, *calls: tuple[str, str, Any], way: str, word: str = "calls") -> None:
    """Let the next answer be these calls."""
    server.script(server.calls(*calls, streamed="stream" in way, word=word))


def after_calls(response: LLMResponse, *, request: LLMRequest = REQUEST) -> LLMRequest:
    """Return the request that gives the results of an answer's calls back."""
    results = [
        PromptMessage("tool", f"result {place}", tool_call_id=call.id) for place, call in enumerate(response.tool_calls)
    ]
    said = PromptMessage("assistant", response.text, tool_calls=response.tool_calls)
    return replace(request, messages=(*request.messages, said, *results))


@WAYS
def test_calls_are_read(server: VendorServer, way: str) -> None:
    """Calls come whole, in their order, with arguments as values, and are why the answer ended."""
    scripted(server, *CALLS, way=way)
    with opened(server) as llm:
        response = run(llm, REQUEST, way=way)
    assert (response.text, response.finish_reason) == ("", "tool_calls")
    assert [(call.name, call.arguments) for call in response.tool_calls] == [("look_up_order", PLACED), ("clock", {})]
    if server.dialect.name not in WITHOUT_IDS:
        assert [call.id for call in response.tool_calls] == ["a", "b"]
    assert len({call.id for call in response.tool_calls}) == 2


@BOTH
def test_results_go_back(server: VendorServer, way: str) -> None:
    """The server, which refuses what its vendor would, takes the calls it made and their results, again and again."""
    request, once = REQUEST, (("c", "look_up_order", {"number": "B"}),)
    with opened(server) as llm:
        for calls in (CALLS, once):
            scripted(server, *calls, way=way)
            request = after_calls(run(llm, request, way=way), request=request)
        assert run(llm, request, way=way).text == "The handbook says so [1]."


@pytest.mark.parametrize("way", ["generate", "stream"])
def test_only_the_vendor_sees_its_state_again(server: VendorServer, way: str) -> None:
    """What a vendor wants to see again goes with the first call, is not shown, and is sent to no other vendor."""
    scripted(server, *CALLS, way=way)
    with opened(server) as llm:
        first, second = run(llm, REQUEST, way=way).tool_calls
        assert (first.vendor_state.partition(":")[0] == server.dialect.name) == (server.dialect.name in STATES)
        assert second.vendor_state == ""
        assert "state" not in repr(first)
    foreign = replace(first, vendor_state="elsewhere:c2VjcmV0")
    server.script(Scripted(status=400))
    failure_of(server, after_calls(LLMResponse("", tool_calls=(foreign,))), way=way)
    assert "c2VjcmV0" not in json.dumps(server.requests[-1].body)


@BOTH
@pytest.mark.parametrize("arguments", ['{"number": "A-1', "[]", '{"number": NaN}'])
def test_arguments_that_make_no_sense(server: VendorServer, way: str, arguments: str) -> None:
    """They are the model's mistake, which it may not make again; the message does not repeat them."""
    values = server.dialect.name in {"gemini", "ollama"} or (server.dialect is ANTHROPIC and way.endswith("generate"))
    if values:
        arguments = '["A-1"]'  # what comes as a value instead of a text is always JSON
    scripted(server, ("a", "look_up_order", arguments), way=way)
    error = failure_of(server, REQUEST, way=way)
    assert isinstance(error, ProviderResponseError)
    assert error.retryable
    assert "arguments are no JSON object" in str(error)
    assert "A-1" not in str(error)


@BOTH
def test_a_tool_that_was_not_offered(server: VendorServer, way: str) -> None:
    """It is the model's mistake, which it may not make again."""
    scripted(server, ("a", "delete_order", PLACED), way=way)
    error = failure_of(server, REQUEST, way=way)
    assert isinstance(error, ProviderResponseError)
    assert error.retryable
    assert "not offered" in str(error)


@BOTH
def test_a_limit_within_a_call(server: VendorServer, way: str) -> None:
    """A call that the limit of tokens may have cut is not given on, whatever came of it; it would be cut again."""
    scripted(server, ("a", "look_up_order", PLACED), way=way, word="length")
    error = failure_of(server, REQUEST, way=way)
    assert isinstance(error, ProviderResponseError)
    assert not error.retryable
    assert "raise `max_tokens`" in str(error)


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("broken", [True, False], ids=["broken connection", "clean end"])
def test_a_stream_cut_within_a_call(server: VendorServer, way: str, broken: bool) -> None:
    """It is an answer broken off, as within a text; no call of it is given on."""
    parts = server.calls(("a", "look_up_order", PLACED), streamed=True).parts
    assert parts is not None
    begun = next(place for place, part in enumerate(parts) if b"look_up_order" in part)
    server.script(server.parts(*parts[: begun + 1], cut=broken))
    error = failure_of(server, REQUEST, way=way)
    assert isinstance(error, ProviderResponseError)
    assert error.retryable
    assert "broke the answer off" in str(error)


@BOTH
def test_nobody_s_calls_are_left_out(server: VendorServer, way: str) -> None:
    """A request without tools gets none, whatever comes; an answer of calls alone is an empty text, as it always was."""
    scripted(server, ("a", "look_up_order", '["not", "looked", "at"]'), way=way)
    with opened(server) as llm:
        response = run(llm, replace(REQUEST, tools=()), way=way)
    assert (response.text, response.tool_calls) == ("", ())


@BOTH
def test_text_beside_tools(server: VendorServer, way: str) -> None:
    """A model that calls nothing answers as ever."""
    with opened(server) as llm:
        response = run(llm, REQUEST, way=way)
    assert (response.text, response.finish_reason, response.tool_calls) == ("The handbook says so [1].", "stop", ())


CHOICES: dict[str, dict[str, Any]] = {
    "anthropic": {
        "auto": None,
        "none": {"tool_choice": {"type": "none"}},
        "required": {"tool_choice": {"type": "any"}},
        "clock": {"tool_choice": {"type": "tool", "name": "clock"}},
    },
    "openai": {
        "auto": None,
        "none": {"tool_choice": "none"},
        "required": {"tool_choice": "required"},
        "clock": {"tool_choice": {"type": "function", "function": {"name": "clock"}}},
    },
    "cohere": {"auto": None, "none": {"tool_choice": "NONE"}, "required": {"tool_choice": "REQUIRED"}},
    "gemini": {
        "auto": None,
        "none": {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
        "required": {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        "clock": {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["clock"]}}},
    },
}


@pytest.mark.parametrize("choice", ["auto", "none", "required", "clock"])
@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI, COHERE, GEMINI], ids=lambda dialect: dialect.name)
def test_choices_have_the_vendor_s_words(dialect: Any, choice: str) -> None:
    """Left to the model, no choice is sent; Cohere, which cannot name a tool, is sent that one alone."""
    with VendorServer(dialect) as server, opened(server) as llm:
        llm.generate(replace(REQUEST, tool_choice=choice))
    body = server.requests[0].body
    if (dialect, choice) == (COHERE, "clock"):
        assert [tool["function"]["name"] for tool in body["tools"]] == ["clock"]
        assert body["tool_choice"] == "REQUIRED"
        return
    expected = CHOICES[dialect.name][choice] or {}
    assert {name: body[name] for name in ("tool_choice", "toolConfig") if name in body} == expected


def test_tools_are_sent_as_the_vendor_has_them(server: VendorServer) -> None:
    """Name, description and schema have their places."""
    with opened(server) as llm:
        llm.generate(REQUEST)
    function = {"name": "look_up_order", "description": "Returns an order."}
    order, clock = dict(ORDER.parameters), {"type": "object", "properties": {}}
    expected: Any = {
        "anthropic": [
            {**function, "input_schema": order},
            {"name": "clock", "description": "Returns the time.", "input_schema": clock},
        ],
        "gemini": [
            {
                "functionDeclarations": [
                    {**function, "parametersJsonSchema": order},
                    {"name": "clock", "description": "Returns the time."},
                ]
            }
        ],
    }
    plain = [
        {"type": "function", "function": {**function, "parameters": order}},
        {"type": "function", "function": {"name": "clock", "description": "Returns the time.", "parameters": clock}},
    ]
    assert server.requests[0].body["tools"] == expected.get(server.dialect.name, plain)


def test_ollama_cannot_be_made_to_call() -> None:
    """It has no choice of tools: a forced call is refused before anything is sent, and for `none` no tool is sent."""
    with VendorServer(OLLAMA) as server:
        for choice in ("required", "clock"):
            error = failure_of(server, replace(REQUEST, tool_choice=choice), way="stream")
            assert isinstance(error, ProviderOptionsError)
            assert not error.retryable
        assert server.requests == []
        with opened(server) as llm:
            llm.generate(replace(REQUEST, tool_choice="none"))
    assert "tools" not in server.requests[0].body


def test_anthropic_repeats_calls_with_their_thoughts() -> None:
    """Thoughts are put together again out of a stream, stand before the text and the calls; results are one message."""
    with VendorServer(ANTHROPIC) as server, opened(server) as llm:
        scripted(server, *CALLS, way="stream")
        first = replace(run(llm, REQUEST, way="stream"), text="I look.")
        llm.generate(after_calls(first))
    assert server.requests[1].body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm, hm.", "signature": "c2lnbmVk"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "a", "name": "look_up_order", "input": PLACED},
                {"type": "tool_use", "id": "b", "name": "clock", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "result 0"},
                {"type": "tool_result", "tool_use_id": "b", "content": "result 1"},
            ],
        },
    ]


def test_anthropic_state_that_was_cut_is_refused() -> None:
    """A call that was kept in too short a field is the caller's mistake, told before anything is sent."""
    call = ToolCall("a", "clock", vendor_state='anthropic:{"type": "thinking", "thi')
    with VendorServer(ANTHROPIC) as server, opened(server) as llm:
        with pytest.raises(InvalidInputError, match="give back the ToolCall"):
            llm.generate(after_calls(LLMResponse("", tool_calls=(call,))))
        assert server.requests == []


def test_openai_repeats_calls_with_their_thoughts() -> None:
    """Arguments are text again; thoughts, which DeepSeek wants back, are a field beside them."""
    with VendorServer(OPENAI) as server, opened(server, name="deepseek") as llm:
        scripted(server, CALLS[0], way="stream")
        llm.generate(after_calls(run(llm, REQUEST, way="stream")))
    assistant, tool = server.requests[1].body["messages"][1:]
    arguments = assistant["tool_calls"][0]["function"].pop("arguments")
    assert json.loads(arguments) == PLACED
    assert assistant == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look_up_order"}}],
        "reasoning_content": "Hm, hm.",
    }
    assert tool == {"role": "tool", "tool_call_id": "a", "content": "result 0"}


def test_cohere_repeats_its_plan() -> None:
    """The plan that came before the calls goes back with them."""
    with VendorServer(COHERE) as server, opened(server) as llm:
        scripted(server, CALLS[0], way="stream")
        llm.generate(after_calls(run(llm, REQUEST, way="stream")))
    assistant = server.requests[1].body["messages"][1]
    assert (assistant["tool_plan"], "content" in assistant) == ("I will look.", False)


def test_gemini_gets_only_ids_that_it_gave() -> None:
    """A call without an id has one here, which Google never sees; results are objects, by the tool's name."""
    with VendorServer(GEMINI) as server, opened(server) as llm:
        scripted(server, ("", "look_up_order", PLACED), ("b", "clock", {}), way="stream")
        first = run(llm, REQUEST, way="stream")
        llm.generate(after_calls(first))
    assert first.tool_calls[0].id.startswith("minirag-")
    assert server.requests[1].body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "look_up_order", "args": PLACED}, "thoughtSignature": "c2lnbmVk"},
                {"functionCall": {"id": "b", "name": "clock", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "look_up_order", "response": {"output": "result 0"}}},
                {"functionResponse": {"id": "b", "name": "clock", "response": {"output": "result 1"}}},
            ],
        },
    ]


def test_ollama_results_go_by_name() -> None:
    """Ollama knows no ids: a result names the tool, and arguments stay an object."""
    with VendorServer(OLLAMA) as server, opened(server) as llm:
        scripted(server, CALLS[0], way="generate")
        llm.generate(after_calls(run(llm, REQUEST, way="generate")))
    assert server.requests[1].body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "look_up_order", "arguments": PLACED}}],
        },
        {"role": "tool", "content": "result 0", "tool_name": "look_up_order"},
    ]


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_gemini_call_that_google_could_not_read(reason: str) -> None:
    """Google says so by the reason; the model may do better the next time."""
    with VendorServer(GEMINI) as server:
        server.script(Scripted(body=json.dumps({"candidates": [{"finishReason": reason}]}).encode()))
        error = failure_of(server, REQUEST, way="generate")
    assert isinstance(error, ProviderResponseError)
    assert error.retryable
    assert reason in str(error)


def test_openai_stream_without_indexes() -> None:
    """Servers that leave out the index send each call whole."""
    calls = [
        {"id": number, "function": {"name": "look_up_order", "arguments": '{"number": "A"}'}} for number in ("a", "b")
    ]
    events = [{"choices": [{"delta": {"tool_calls": [call]}}]} for call in calls]
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    with VendorServer(OPENAI) as server, opened(server) as llm:
        server.script(server.parts(*map(OPENAI.event, [*events, end])))
        response = run(llm, REQUEST, way="stream")
    assert [call.id for call in response.tool_calls] == ["a", "b"]
    assert response.finish_reason == "tool_calls"


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_thoughts_of_another_form(streamed: bool) -> None:
    """They are left out, and the answer is one."""
    said = {"content": "Yes.", "reasoning_content": [{"text": "Hm."}]}
    choice = {"delta" if streamed else "message": said, "finish_reason": "stop"}
    with VendorServer(OPENAI) as server, opened(server) as llm:
        whole = Scripted(body=json.dumps({"choices": [choice]}).encode())
        server.script(server.parts(OPENAI.event({"choices": [choice]})) if streamed else whole)
        assert run(llm, REQUEST, way="stream" if streamed else "generate").text == "Yes."


@pytest.mark.parametrize("index", ["0", 1.5])
def test_openai_index_of_another_type(index: Any) -> None:
    """A stream whose calls cannot be told apart is one of another form."""
    call = {"index": index, "id": "a", "function": {"name": "clock", "arguments": ""}}
    with VendorServer(OPENAI) as server:
        server.script(server.parts(OPENAI.event({"choices": [{"delta": {"tool_calls": [call]}}]})))
        error = failure_of(server, REQUEST, way="stream")
    assert "not a chat chunk" in str(error)
    assert not error.retryable


def test_errors_do_not_repeat_what_was_given_to_a_tool() -> None:
    """A refusal that quotes the arguments of a call is not passed on."""
    secret = "the customer's confession of 1987"
    call = ToolCall("a", "look_up_order", {"number": secret})
    with VendorServer(OPENAI) as server:
        server.script(server.refusal(400, f"wrong value: {secret}"))
        error = failure_of(server, after_calls(LLMResponse("", tool_calls=(call,))), way="generate")
    assert isinstance(error, ProviderRequestError)
    assert "confession" not in str(error)
