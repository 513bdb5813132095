"""The OpenAI-compatible chat model, against a local server that speaks the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from minirag.errors import (
    ProviderAuthenticationError,
    ProviderOptionsError,
    ProviderRequestError,
    ProviderResponseError,
)
from minirag.interfaces import LLM, LLMChunk, LLMRequest, LLMResponse, PromptMessage, ProviderContext, TokenUsage
from minirag.providers.http.openai import OpenAIChatOptions, create_llm
from tests.servers.openai_server import OpenAIServer, Scripted, chat, failure, stream

KEY = "sk-canary-5f0c1e"
REQUEST = LLMRequest(messages=(PromptMessage("user", "How long may I return a laptop, Ms Canary-Contents?"),))
FINISHED: Any = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server of one's own."""
    with OpenAIServer() as running:
        yield running


@contextlib.contextmanager
def opened(server: OpenAIServer, *, api_key: str = KEY, **options: Any) -> Iterator[LLM]:
    """Open a model that is closed at the end."""
    options = {"model": "small", "base_url": server.base_url, "max_retries": 0, **options}
    context = ProviderContext(credentials={"api_key": api_key} if api_key else {})
    with contextlib.closing(create_llm(OpenAIChatOptions(**options), context)) as llm:
        yield llm


def run(llm: LLM, *, way: str, request: LLMRequest = REQUEST) -> str:
    """Return the text of an answer got in one of four ways."""

    async def arun() -> str:
        if way == "agenerate":
            return (await llm.agenerate(request)).text
        return "".join([chunk.text async for chunk in llm.astream(request)])

    if way == "generate":
        return llm.generate(request).text
    if way == "stream":
        return "".join(chunk.text for chunk in llm.stream(request))
    return asyncio.run(arun())


def pieces(llm: LLM, *, way: str) -> list[LLMChunk]:
    """Return the chunks of a stream, synchronous or not."""

    async def collect() -> list[LLMChunk]:
        return [chunk async for chunk in llm.astream(REQUEST)]

    return list(llm.stream(REQUEST)) if way == "stream" else asyncio.run(collect())


WAYS = pytest.mark.parametrize("way", ["generate", "stream", "agenerate", "astream"])
STREAMS = pytest.mark.parametrize("way", ["stream", "astream"])


@WAYS
def test_request_has_the_documented_form(server: OpenAIServer, way: str) -> None:
    """Model, messages, limit, temperature and the key are sent as the protocol has them."""
    request = LLMRequest(
        messages=(PromptMessage("system", "Be brief."), PromptMessage("user", "Why?")), max_tokens=9, temperature=0.5
    )
    with opened(server, extra_body={"seed": 1}) as llm:
        run(llm, way=way, request=request)
    (sent,) = server.requests
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if "stream" in way else {}
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.body == {
        "model": "small",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 1,
        **streamed,
    }


def test_options_change_the_request(server: OpenAIServer) -> None:
    """The limit's name, the temperature and the stream's usage can be chosen."""
    options = {"max_tokens_field": "max_completion_tokens", "send_temperature": False, "include_usage": False}
    with opened(server, **options) as llm:
        run(llm, way="stream")
    body = server.requests[0].body
    assert body["max_completion_tokens"] == 1024
    assert not {"max_tokens", "temperature", "stream_options"} & body.keys()


def test_openai_itself_gets_the_newer_limit() -> None:
    """At api.openai.com the limit is called `max_completion_tokens`."""
    llm: Any = create_llm(OpenAIChatOptions(model="gpt-5"), ProviderContext(credentials={"api_key": KEY}))
    assert "max_completion_tokens" in llm._call(REQUEST).body


def test_answer_carries_usage_model_and_reason(server: OpenAIServer) -> None:
    """Text, counts, model and finish reason come from the answer."""
    server.script(chat("Hello [1]."))
    with opened(server) as llm:
        response = llm.generate(REQUEST)
    assert response == LLMResponse("Hello [1].", TokenUsage(11, 7), finish_reason="stop", model="served")


@STREAMS
def test_stream_arrives_in_pieces_with_one_end(server: OpenAIServer, way: str) -> None:
    """Each delta is a chunk; reason and usage come with the last one."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    server.script(stream("Hel", "", "lo", FINISHED, usage))
    with opened(server) as llm:
        chunks = pieces(llm, way=way)
    assert chunks == [
        LLMChunk("Hel"),
        LLMChunk("lo"),
        LLMChunk(usage=TokenUsage(3, 2), finish_reason="length"),
    ]


@STREAMS
def test_stream_without_done_is_whole_once_it_has_a_reason(server: OpenAIServer, way: str) -> None:
    """Servers that leave out `[DONE]` are understood."""
    server.script(stream("Hello", FINISHED, done=False))
    with opened(server) as llm:
        assert pieces(llm, way=way)[-1].finish_reason == "length"


@STREAMS
@pytest.mark.parametrize("cut", [True, False], ids=["broken connection", "clean end"])
def test_cut_stream_is_a_retryable_error(server: OpenAIServer, way: str, cut: bool) -> None:
    """A stream that ends in the middle is no answer; what came before was already given."""
    server.script(stream("Hel", "lo", done=False, cut=cut))
    with opened(server, max_retries=3) as llm:
        with pytest.raises(ProviderResponseError) as caught:
            run(llm, way=way)
        assert caught.value.retryable
    assert len(server.requests) == 1, "a stream that has begun must not be tried again"


@STREAMS
def test_error_inside_a_stream_is_raised(server: OpenAIServer, way: str) -> None:
    """An error object among the events ends the stream, with the server's id of the call."""
    server.script(stream("Hel", {"error": {"message": "The server had an error", "type": "server_error"}}))
    with opened(server) as llm, pytest.raises(ProviderResponseError, match="The server had an error") as caught:
        run(llm, way=way)
    assert caught.value.retryable
    assert caught.value.request_id == "req-stream"


def test_error_with_a_status_inside_a_stream_is_that_status(server: OpenAIServer) -> None:
    """An error object that names a status becomes the error of that status."""
    server.script(stream({"error": {"message": "too long", "code": 400}}))
    with opened(server) as llm, pytest.raises(ProviderRequestError, match="too long") as caught:
        run(llm, way="stream")
    assert caught.value.status == 400


@STREAMS
@pytest.mark.parametrize(
    "part", [b"data: {oops\n\n", b"data: 5\n\n", b'data: {"choices":[{"delta":{"content":5}}]}\n\n']
)
def test_malformed_event_is_an_error(server: OpenAIServer, way: str, part: bytes) -> None:
    """An event that is not a chat chunk ends the stream."""
    server.script(Scripted(parts=[part]))
    with opened(server) as llm, pytest.raises(ProviderResponseError, match="not a chat chunk"):
        run(llm, way=way)


@pytest.mark.parametrize("way", ["generate", "agenerate"])
@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": "x"}]}'])
def test_malformed_answer_is_an_error(server: OpenAIServer, way: str, body: bytes) -> None:
    """What is not a chat answer is a `ProviderResponseError`."""
    server.script(Scripted(body=body))
    with opened(server) as llm, pytest.raises(ProviderResponseError, match="check that `base_url`"):
        run(llm, way=way)


def test_answer_without_content_is_empty(server: OpenAIServer) -> None:
    """`content: null` is an empty text."""
    server.script(chat(None))
    with opened(server) as llm:
        assert llm.generate(REQUEST).text == ""


@WAYS
def test_messages_never_hold_key_or_contents(server: OpenAIServer, way: str) -> None:
    """A server that repeats the key and the question in its error is not quoted."""
    server.script(failure(400, message=f"Bad key {KEY}"), failure(400, message=f"In '{REQUEST.messages[0].content}'"))
    with opened(server) as llm:
        for _ in range(2):
            with pytest.raises(ProviderRequestError) as caught:
                run(llm, way=way)
            assert KEY not in str(caught.value)
            assert "Canary-Contents" not in str(caught.value)


@WAYS
def test_missing_key_is_named_before_anything_is_sent(way: str) -> None:
    """OpenAI's own server is not called without a key; the environment is not asked for one."""
    llm = create_llm(OpenAIChatOptions(model="gpt-5"), ProviderContext())
    with contextlib.closing(llm), pytest.raises(ProviderAuthenticationError, match=r"credentials=\{'api_key'"):
        run(llm, way=way)


def test_environment_key_is_not_read(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server gets no key at all when none was given."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with opened(server, api_key="") as llm:
        run(llm, way="generate")
    assert "authorization" not in server.requests[0].headers


def test_key_with_a_line_end_is_refused_without_showing_it(server: OpenAIServer) -> None:
    """A key read with its line end would be named whole in the HTTP library's error."""
    with opened(server, api_key=f"{KEY}\n") as llm, pytest.raises(ProviderAuthenticationError) as caught:
        run(llm, way="generate")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"model": ""},
        {"model": "m", "base_url": "ftp://host"},
        {"model": "m", "base_url": "https://me:secret@host/v1"},
        {"model": "m", "base_url": "https://host/v1?key=secret"},
        {"model": "m", "timeout": 0},
        {"model": "m", "timeout": float("nan")},
        {"model": "m", "max_retries": -1},
        {"model": "m", "api_key": "secret"},
        {"model": "m", "extra_body": {"messages": []}},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    """Options that cannot work are `ProviderOptionsError`, without their values' secrets."""
    with pytest.raises(ProviderOptionsError) as caught:
        OpenAIChatOptions(**options)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_leaving_a_stream_closes_the_connection(server: OpenAIServer, way: str) -> None:
    """The server notices that nobody listens any more."""
    server.script(stream(*["word "] * 2000, delay=0.005))

    async def leave() -> None:
        answer: Any = llm.astream(REQUEST)
        await anext(answer)
        await answer.aclose()

    with opened(server) as llm:
        if way == "stream":
            answer: Any = llm.stream(REQUEST)
            next(answer)
            answer.close()
        else:
            asyncio.run(leave())
        assert server.hung_up.wait(5)


def test_cancelling_an_asynchronous_call_closes_the_connection(server: OpenAIServer) -> None:
    """A cancelled task leaves no call behind."""
    server.script(stream(*["word "] * 2000, delay=0.005))

    async def cancel() -> None:
        task = asyncio.ensure_future(consume(llm.astream(REQUEST)))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def consume(chunks: AsyncIterator[LLMChunk]) -> None:
        async for _ in chunks:
            pass

    with opened(server) as llm:
        asyncio.run(cancel())
        assert server.hung_up.wait(5)


def test_loop_after_loop_works_without_leaving_anything_open(server: OpenAIServer) -> None:
    """A model may be used in one event loop after another; each closes its own connections."""
    with opened(server) as llm:
        for _ in range(3):
            assert run(llm, way="agenerate")
        assert [thread.name for thread in threading.enumerate() if "asyncio" in thread.name] == []


def test_connections_are_kept_within_a_loop(server: OpenAIServer) -> None:
    """Calls one after the other share a connection."""

    async def twice() -> None:
        await llm.agenerate(REQUEST)
        await llm.agenerate(REQUEST)

    with opened(server) as llm:
        asyncio.run(twice())
    assert server.connections == 1


def test_a_slow_answer_does_not_block_the_event_loop(server: OpenAIServer) -> None:
    """Ten slow calls take as long as one, without a thread each."""
    server.script(*[Scripted(body=chat("Hi").body, delay=0.5) for _ in range(10)])

    async def many() -> int:
        await asyncio.gather(*(llm.agenerate(REQUEST) for _ in range(10)))
        return threading.active_count()

    with opened(server) as llm:
        started = time.monotonic()
        asyncio.run(many())
    assert time.monotonic() - started < 2.5


def test_a_text_that_no_server_can_read_is_sent_as_question_marks(server: OpenAIServer) -> None:
    """Lone surrogates do not break the request."""
    with opened(server) as llm:
        run(llm, way="generate", request=LLMRequest(messages=(PromptMessage("user", "a\ud800b"),)))
    assert server.requests[0].body["messages"][0]["content"] == "a?b"
