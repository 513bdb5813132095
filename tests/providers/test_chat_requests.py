"""What is special about each chat vendor: the form of its requests, its errors, its options."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from minirag.errors import (
    ProviderAuthenticationError,
    ProviderError,
    ProviderOptionsError,
    ProviderRateLimitError,
    ProviderRequestError,
    ProviderResponseError,
)
from minirag.interfaces import LLM, LLMRequest, PromptMessage, ProviderContext, TokenUsage
from minirag.models.tenants import ProviderRef
from tests.providers.chat_models import KEY, REGISTRY, make
from tests.servers.openai_server import Scripted
from tests.servers.vendor_servers import ANTHROPIC, AZURE, COHERE, GEMINI, OLLAMA, OPENAI, Dialect, VendorServer

REQUEST = LLMRequest(
    messages=(
        PromptMessage("system", "Be brief."),
        PromptMessage("user", "Hello"),
        PromptMessage("assistant", "Hi."),
        PromptMessage("user", "Why?"),
    ),
    max_tokens=9,
    temperature=0.5,
)
PRESETS = {
    "deepseek": "https://api.deepseek.com",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "openrouter": "https://openrouter.ai/api/v1",
}


@contextlib.contextmanager
def served(dialect: Dialect, *replies: Scripted, name: str = "", **options: Any) -> Iterator[tuple[LLM, VendorServer]]:
    """Open a server of a vendor and a model that calls it."""
    with VendorServer(dialect) as server:
        server.script(*replies)
        options = {"base_url": server.base_url, **options}
        with contextlib.closing(make(name or dialect.name, **options)) as llm:
            yield llm, server


def body(payload: Any, *, status: int = 200) -> Scripted:
    """Return a reply of this JSON."""
    return Scripted(status=status, body=json.dumps(payload).encode())


def failure_of(llm: LLM, *, streamed: bool = False) -> ProviderError:
    """Return the error that a call ends with."""
    with pytest.raises(ProviderError) as caught:
        list(llm.stream(REQUEST)) if streamed else llm.generate(REQUEST)
    return caught.value


def test_anthropic_has_instructions_in_a_field_of_their_own() -> None:
    """The request names the protocol's version; `system` is no message."""
    with served(ANTHROPIC) as (llm, server):
        list(llm.stream(REQUEST))
    (sent,) = server.requests
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert sent.body == {
        "model": "small",
        "max_tokens": 9,
        "temperature": 0.5,
        "stream": True,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": "Why?"},
        ],
    }


@pytest.mark.parametrize("name", ["anthropic", "gemini"])
def test_a_temperature_can_be_left_out(name: str) -> None:
    """Models that refuse a temperature are not sent one."""
    dialect = {"anthropic": ANTHROPIC, "gemini": GEMINI}[name]
    with served(dialect, send_temperature=False) as (llm, server):
        llm.generate(REQUEST)
    assert "temperature" not in json.dumps(server.requests[0].body)


@pytest.mark.parametrize(
    ("kind", "error", "retryable"),
    [
        ("overloaded_error", ProviderResponseError, True),
        ("rate_limit_error", ProviderRateLimitError, True),
        ("authentication_error", ProviderAuthenticationError, False),
        ("invalid_request_error", ProviderRequestError, False),
        ("some_new_error", ProviderResponseError, True),
    ],
)
def test_anthropic_errors_in_a_stream_are_what_their_type_says(
    kind: str, error: type[ProviderError], retryable: bool
) -> None:
    """An error event has no status of its own; its type stands for one."""
    event = ANTHROPIC.event({"type": "error", "error": {"type": kind, "message": "So it is."}})
    with served(ANTHROPIC, Scripted(parts=[event])) as (llm, _):
        caught = failure_of(llm, streamed=True)
    assert (type(caught), caught.retryable) == (error, retryable)
    assert "So it is." in str(caught)


def test_gemini_has_roles_and_instructions_of_its_own() -> None:
    """Answers are `model`; instructions and limits have their places; the model is part of the path."""
    with served(GEMINI, extra_body={"generationConfig": {"seed": 1}}) as (llm, server):
        failure_of(llm)  # the test's server knows no seed
    (sent,) = server.requests
    assert sent.path == "/v1beta/models/small:generateContent"
    assert sent.body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hello"}]},
            {"role": "model", "parts": [{"text": "Hi."}]},
            {"role": "user", "parts": [{"text": "Why?"}]},
        ],
        "generationConfig": {"maxOutputTokens": 9, "temperature": 0.5, "seed": 1},
    }


def test_gemini_model_cannot_leave_its_place_in_the_path() -> None:
    """Slashes and question marks of a name are no part of the address; `models/` may stand before it."""
    for model, path in [("models/small", "small"), ("../x?y", "..%2Fx%3Fy")]:
        with served(GEMINI, GEMINI_ANSWER, model=model) as (llm, server):
            llm.generate(REQUEST)
        assert server.requests[0].path == f"/v1beta/models/{path}:generateContent"


GEMINI_ANSWER = body(GEMINI.whole("Hi", "STOP"))


@pytest.mark.parametrize("streamed", [False, True])
def test_gemini_blocked_prompt_is_a_refused_request(streamed: bool) -> None:
    """No candidate and a reason: the prompt will be blocked the next time too."""
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}
    with served(GEMINI, Scripted(parts=[GEMINI.event(blocked)]) if streamed else body(blocked)) as (llm, _):
        error = failure_of(llm, streamed=streamed)
    assert isinstance(error, ProviderRequestError)
    assert not error.retryable
    assert "SAFETY" in str(error)


def test_gemini_answer_that_a_filter_stopped_is_empty() -> None:
    """A candidate without content has the filter's reason."""
    with served(GEMINI, body({"candidates": [{"finishReason": "SAFETY", "index": 0}]})) as (llm, _):
        response = llm.generate(REQUEST)
    assert (response.text, response.finish_reason) == ("", "SAFETY")


def test_gemini_wrong_key_is_known_by_its_reason() -> None:
    """Google refuses a key with the status of a wrong request."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    refused = {"error": {"code": 400, "message": "API key not valid.", "details": details}}
    with served(GEMINI, body(refused, status=400)) as (llm, _):
        error = failure_of(llm)
    assert isinstance(error, ProviderAuthenticationError)
    assert error.status == 400


@pytest.mark.parametrize("delay", ["37.5s", "soon", 5, None])
def test_gemini_wait_is_read_from_the_body(delay: Any) -> None:
    """Google tells how long to wait in the error's details."""
    details = [5, {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    with served(GEMINI, body({"error": {"code": 429, "details": details}}, status=429)) as (llm, _):
        error = failure_of(llm)
    assert isinstance(error, ProviderRateLimitError)
    assert error.retry_after == (37.5 if delay == "37.5s" else None)


def test_ollama_gets_its_limits_as_options_and_no_key() -> None:
    """Context, answer and temperature are options of the model."""
    with served(OLLAMA, api_key="", num_ctx=4096, extra_body={"keep_alive": "5m"}) as (llm, server):
        failure_of(llm)  # the test's server knows no keep_alive
    (sent,) = server.requests
    assert "authorization" not in sent.headers
    assert sent.body["options"] == {"num_ctx": 4096, "num_predict": 9, "temperature": 0.5}
    assert (sent.body["stream"], sent.body["keep_alive"]) == (False, "5m")


def test_ollama_context_can_be_left_to_the_server() -> None:
    """None sends no context length; without the option it is long enough for passages."""
    for options, expected in [({"num_ctx": None}, None), ({}, 8192)]:
        with served(OLLAMA, **options) as (llm, server):
            llm.generate(REQUEST)
        assert server.requests[0].body["options"].get("num_ctx") == expected


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_cohere_failed_generation_is_an_error(reason: str) -> None:
    """An answer that the vendor's own failure ended is none."""
    with served(COHERE, body({**COHERE.whole("Hal", "x"), "finish_reason": reason})) as (llm, _):
        error = failure_of(llm)
    assert isinstance(error, ProviderResponseError)
    assert error.retryable
    assert reason in str(error)


def test_cohere_counts_what_was_billed_where_no_tokens_are_told() -> None:
    """Older answers have billed units alone."""
    billed = {**COHERE.whole("Hi", "COMPLETE"), "usage": {"billed_units": {"input_tokens": 3, "output_tokens": 2}}}
    with served(COHERE, body(billed)) as (llm, _):
        assert llm.generate(REQUEST).usage == TokenUsage(3, 2)


def test_azure_older_path_names_deployment_and_version() -> None:
    """With a version the deployment is part of the path; the limit has its newer name."""
    with served(AZURE, body(OPENAI.whole("Hi", "stop")), model="my deployment", api_version="2024-10-21") as (
        llm,
        server,
    ):
        llm.generate(REQUEST)
    (sent,) = server.requests
    assert sent.path == "/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21"
    assert sent.headers["api-key"] == KEY
    assert "authorization" not in sent.headers
    assert sent.body["max_completion_tokens"] == 9


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_know_their_address(name: str) -> None:
    """The vendor's own address is the default, and needs a key; the model is called by the vendor's name."""
    llm: Any = make(name, api_key="")
    assert llm.name == f"{name}:small"
    assert llm._options.base_url == PRESETS[name]
    assert f"{name}: no API key was given" in str(failure_of(llm))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_speak_the_protocol(name: str) -> None:
    """Mistral, which refuses `stream_options`, is not sent any; all get the older name of the limit."""
    with served(OPENAI, name=name) as (llm, server):
        assert list(llm.stream(REQUEST))[-1].usage == TokenUsage(11, 7)
    assert ("stream_options" in server.requests[0].body) == (name != "mistral")
    assert server.requests[0].body["max_tokens"] == 9
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_text_that_comes_in_parts_is_joined() -> None:
    """Mistral's reasoning models answer with parts, of which the thoughts are left out."""
    parts: Any = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Thirty "},
        {"type": "text", "text": "days."},
    ]
    with served(OPENAI, body(OPENAI.whole(parts, "model_length")), name="mistral") as (llm, _):
        response = llm.generate(REQUEST)
    assert (response.text, response.finish_reason) == ("Thirty days.", "length")


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource"])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_the_vendor_broke_off_is_an_error(reason: str, streamed: bool) -> None:
    """Such a reason stands for a failure, whichever preset told it."""
    events = Scripted(parts=OPENAI.events(["Hal"], reason))
    reply = events if streamed else body(OPENAI.whole("Hal", reason))
    with served(OPENAI, reply, name="deepseek") as (llm, _):
        error = failure_of(llm, streamed=streamed)
    assert isinstance(error, ProviderResponseError)
    assert error.retryable


def test_an_error_in_a_whole_answer_is_raised() -> None:
    """OpenRouter reports some errors with status 200."""
    with served(OPENAI, body({"error": {"code": 402, "message": "No credit."}}), name="openrouter") as (llm, _):
        error = failure_of(llm)
    assert isinstance(error, ProviderRequestError)
    assert (error.status, "No credit." in str(error)) == (402, True)


@pytest.mark.parametrize("name", ["anthropic", "cohere", "gemini", *PRESETS])
def test_the_vendor_itself_is_not_called_without_a_key(name: str) -> None:
    """The error says where the key belongs; the environment is not asked."""
    error = failure_of(make(name, api_key=""), streamed=True)
    assert isinstance(error, ProviderAuthenticationError)
    assert "credentials={'api_key'" in str(error)


@pytest.mark.parametrize(
    ("dialect", "name", "variable"),
    [
        (ANTHROPIC, "anthropic", "ANTHROPIC_API_KEY"),
        (AZURE, "azure", "AZURE_OPENAI_API_KEY"),
        (COHERE, "cohere", "CO_API_KEY"),
        (GEMINI, "gemini", "GEMINI_API_KEY"),
        *[(OPENAI, name, f"{name.upper()}_API_KEY") for name in PRESETS],
    ],
)
def test_a_workspace_s_leave_reaches_the_vendor_s_variable(dialect: Dialect, name: str, variable: str) -> None:
    """Where the environment may be read, the key is looked for under the name that the vendor documents."""
    with VendorServer(dialect, api_key=KEY) as server:
        ref = ProviderRef(provider=name, options={"model": "small", "base_url": server.base_url})
        llm = REGISTRY.create("llm", ref, ProviderContext(environment={variable: KEY, "OTHER_API_KEY": "x"}))
        assert isinstance(llm, LLM)
        with contextlib.closing(llm):
            assert llm.generate(REQUEST).text


def test_azure_is_never_called_without_a_key() -> None:
    """Every resource at Azure needs one."""
    error = failure_of(make("azure", api_key="", base_url="http://127.0.0.1:9"))
    assert isinstance(error, ProviderAuthenticationError)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("anthropic", {"extra_body": {"system": "x"}}),
        ("anthropic", {"token": "secret"}),
        ("gemini", {"extra_body": {"contents": []}}),
        ("gemini", {"base_url": "https://host/v1?key=secret"}),
        ("ollama", {"num_ctx": 0}),
        ("ollama", {"model": ""}),
        ("cohere", {"timeout": 0}),
        ("azure", {}),
        ("azure", {"base_url": "https://host/openai/v1/"}),
        ("azure", {"base_url": "https://host", "api_version": "2024&key=secret"}),
        ("groq", {"max_retries": -1}),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, Any]) -> None:
    """Options that cannot work are refused when the bot is made, without the secrets in them."""
    with pytest.raises(ProviderOptionsError) as caught:
        make(name, **options)
    assert "secret" not in str(caught.value)
