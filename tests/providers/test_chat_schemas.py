"""Structured output of every chat vendor: what is sent, and answers that are not what was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from minirag.errors import ProviderOptionsError, ProviderResponseError
from minirag.interfaces import LLMRequest, PromptMessage, Tool
from tests.providers.chat_models import failure_of, opened, run
from tests.servers.openai_server import Scripted
from tests.servers.vendor_servers import COHERE, DIALECTS, GEMINI, OPENAI, VendorServer

SCHEMA = {
    "type": "object",
    "properties": {"days": {"type": "integer"}},
    "required": ["days"],
    "additionalProperties": False,
}
REQUEST = LLMRequest(messages=(PromptMessage("user", "How many days? Answer as JSON."),), output_schema=SCHEMA)
WAYS = pytest.mark.parametrize("way", ["generate", "stream", "agenerate", "astream"])


@pytest.fixture(params=[*DIALECTS, OPENAI], ids=lambda dialect: dialect.name)
def server(request: pytest.FixtureRequest) -> Iterator[VendorServer]:
    """A server of one vendor, whose model answers with JSON."""
    with VendorServer(request.param, answer='{"days": 30}') as running:
        yield running


def test_a_schema_is_sent_as_the_vendor_has_it(server: VendorServer) -> None:
    """The schema has its place, beside what the vendor needs to be told with it."""
    with opened(server) as llm:
        llm.generate(REQUEST)
    body = server.requests[0].body
    strict = {"name": "answer", "schema": SCHEMA, "strict": True}
    sent: dict[str, Any] = {
        "anthropic": lambda: body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}},
        "cohere": lambda: body["response_format"] == {"type": "json_object", "json_schema": SCHEMA},
        "gemini": lambda: (
            body["generationConfig"]["responseMimeType"] == "application/json"
            and body["generationConfig"]["responseJsonSchema"] == SCHEMA
        ),
        "ollama": lambda: body["format"] == SCHEMA,
    }
    openai = lambda: body["response_format"] == {"type": "json_schema", "json_schema": strict}  # noqa: E731
    assert sent.get(server.dialect.name, openai)()


@WAYS
def test_json_is_answered(server: VendorServer, way: str) -> None:
    """The text is the JSON that came."""
    with opened(server) as llm:
        response = run(llm, REQUEST, way=way)
    assert (response.text, response.finish_reason) == ('{"days": 30}', "stop")


@pytest.mark.parametrize("way", ["generate", "astream"])
@pytest.mark.parametrize("text", ["Thirty days.", '{"days": 30', '{"days": NaN}', '{"days": 30} {}'])
def test_text_that_is_no_json(server: VendorServer, way: str, text: str) -> None:
    """It is the model's mistake, which it may not make again; the message does not repeat it."""
    server.script(server.whole(text) if way.endswith("generate") else server.stream(*text))
    error = failure_of(server, REQUEST, way=way)
    assert isinstance(error, ProviderResponseError)
    assert error.retryable
    assert "no JSON" in str(error)
    assert "days" not in str(error).partition("sent")[2]


@pytest.mark.parametrize("way", ["generate", "stream"])
@pytest.mark.parametrize("word", ["length", "other"])
def test_an_answer_that_did_not_end_by_itself(server: VendorServer, way: str, word: str) -> None:
    """An answer that a limit or a filter ended is given as it is: its reason says that it may be no JSON."""
    server.script(server.whole('{"da', word=word) if way == "generate" else server.stream('{"da', word=word))
    with opened(server) as llm:
        response = run(llm, REQUEST, way=way)
    assert response.text == '{"da'
    assert response.finish_reason != "stop"


@pytest.mark.parametrize("way", ["generate", "stream"])
def test_openai_refusals_are_a_reason(way: str) -> None:
    """A model that refuses to fill in the schema says so beside an empty text, and ends with `stop`."""
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    whole = {"choices": [{"message": message, "finish_reason": "stop"}]}
    pieces: list[Any] = [{"delta": {"refusal": "I cannot "}}, {"delta": {}, "finish_reason": "stop"}]
    with VendorServer(OPENAI) as server, opened(server) as llm:
        streamed = server.parts(*(OPENAI.event({"choices": [piece]}) for piece in pieces))
        server.script(Scripted(body=json.dumps(whole).encode()) if way == "generate" else streamed)
        response = run(llm, REQUEST, way=way)
    assert (response.text, response.finish_reason) == ("", "refusal")


def test_openai_need_not_be_strict() -> None:
    """For a schema, or a model, that a server does not hold to the letter."""
    with VendorServer(OPENAI, answer="{}") as server, opened(server, strict_schema=False) as llm:
        llm.generate(REQUEST)
    assert server.requests[0].body["response_format"]["json_schema"]["strict"] is False


def test_deepseek_takes_no_schema() -> None:
    """It says so, and a request with one is refused before anything is sent."""
    with VendorServer(OPENAI) as server:
        with opened(server, name="deepseek") as llm:
            assert (llm.structured_output, llm.tool_calls) == (False, True)
        error = failure_of(server, REQUEST, way="stream", name="deepseek")
        assert isinstance(error, ProviderOptionsError)
        assert not error.retryable
        assert "does not offer structured_output" in str(error)
        assert server.requests == []


def test_cohere_takes_a_schema_or_tools() -> None:
    """Both in one request are refused before anything is sent."""
    with VendorServer(COHERE) as server:
        error = failure_of(server, replace(REQUEST, tools=(Tool(name="clock"),)), way="generate")
        assert isinstance(error, ProviderOptionsError)
        assert "not both" in str(error)
        assert server.requests == []


def test_own_settings_stay_beside_a_schema() -> None:
    """`extra_body` is merged with what a schema needs."""
    with VendorServer(GEMINI, answer="{}") as server:
        failure_of(
            server, REQUEST, way="generate", extra_body={"generationConfig": {"seed": 1}}
        )  # the server knows no seed
    assert server.requests[0].body["generationConfig"].keys() >= {"seed", "responseJsonSchema", "responseMimeType"}
