"""The chat models of every vendor: each behaviour once, against a local server that speaks the vendor's protocol."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from minirag.errors import (
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitError,
    ProviderRequestError,
    ProviderResponseError,
    ProviderTimeoutError,
)
from minirag.interfaces import LLM, LLMChunk, LLMRequest, LLMResponse, PromptMessage, TokenUsage
from minirag.providers.http import client as client_module
from tests.providers.chat_models import KEY, make
from tests.servers.openai_server import Scripted
from tests.servers.vendor_servers import DIALECTS, VendorServer

MESSAGES = (PromptMessage("system", "Be brief."), PromptMessage("user", "How long may I return a laptop?"))
REQUEST = LLMRequest(messages=MESSAGES, max_tokens=64)
USAGE = TokenUsage(11, 7)
STREAMS = pytest.mark.parametrize("way", ["stream", "astream"])
WHOLES = pytest.mark.parametrize("way", ["generate", "agenerate"])
BOTH = pytest.mark.parametrize("way", ["generate", "astream"])
"""One whole and one streamed, one synchronous and one not: for what all four share."""


@pytest.fixture(params=DIALECTS, ids=lambda dialect: dialect.name)
def server(request: pytest.FixtureRequest) -> Iterator[VendorServer]:
    """A server of one vendor, which refuses every key but one."""
    with VendorServer(request.param, api_key=KEY) as running:
        yield running


@contextlib.contextmanager
def opened(server: VendorServer, **options: Any) -> Iterator[LLM]:
    """Open a model that is closed at the end."""
    with contextlib.closing(make(server.dialect.name, base_url=server.base_url, **options)) as llm:
        yield llm


def run(llm: LLM, *, way: str) -> Any:
    """Return the answer, or the chunks of a streamed one."""

    async def collect() -> list[LLMChunk]:
        return [chunk async for chunk in llm.astream(REQUEST)]

    if way == "generate":
        return llm.generate(REQUEST)
    if way == "stream":
        return list(llm.stream(REQUEST))
    return asyncio.run(llm.agenerate(REQUEST) if way == "agenerate" else collect())


def failure_of(server: VendorServer, *, way: str, **options: Any) -> ProviderError:
    """Return the error that a call ends with."""
    with opened(server, **options) as llm, pytest.raises(ProviderError) as caught:
        run(llm, way=way)
    return caught.value


@WHOLES
def test_a_whole_answer(server: VendorServer, way: str) -> None:
    """Text, tokens, reason and model come from the answer; thoughts are left out. The request is accepted."""
    server.script(server.whole("Thirty days [1]."))
    with opened(server) as llm:
        assert run(llm, way=way).text == "Thirty days [1]."
        response = run(llm, way=way)
    model = "small" if server.dialect.name == "cohere" else "served"
    assert response == LLMResponse("The handbook says so [1].", USAGE, finish_reason="stop", model=model)


@STREAMS
def test_a_streamed_answer(server: VendorServer, way: str) -> None:
    """Each text is a chunk; tokens and reason come with the last one. The request is accepted."""
    with opened(server) as llm:
        chunks = run(llm, way=way)
    texts = ["The ", "handbook ", "says ", "so ", "[1]."]
    assert chunks == [*map(LLMChunk, texts), LLMChunk(usage=USAGE, finish_reason="stop")]


@pytest.mark.parametrize("word", ["stop", "length", "other"])
@pytest.mark.parametrize("way", ["generate", "stream"])
def test_reasons_are_the_interface_s_words(server: VendorServer, way: str, word: str) -> None:
    """A full stop and a reached limit are called the same everywhere; any other reason keeps the vendor's word."""
    server.script(server.whole("Hi", word=word) if way == "generate" else server.stream("Hi", word=word))
    with opened(server) as llm:
        answer = run(llm, way=way)
    reason = answer.finish_reason if way == "generate" else answer[-1].finish_reason
    assert reason == (server.dialect.words["other"] if word == "other" else word)


@STREAMS
def test_characters_may_be_cut_anywhere(server: VendorServer, way: str) -> None:
    """A stream that arrives byte by byte, with signs of several bytes, is the same text."""
    text = "Größe 😀 \u2028 日本"
    whole = b"".join(server.dialect.events([text], server.dialect.words["stop"]))
    server.script(server.parts(*(whole[place : place + 1] for place in range(len(whole)))))
    with opened(server) as llm:
        assert "".join(chunk.text for chunk in run(llm, way=way)) == text


@WHOLES
@pytest.mark.parametrize("body", [b"", b"{oops", b"[]", b"{}", b"5", b'{"message": 5, "content": 5, "candidates": 5}'])
def test_an_answer_of_another_form(server: VendorServer, way: str, body: bytes) -> None:
    """An empty reply, broken JSON and other JSON are an answer that cannot be used."""
    server.script(Scripted(body=body))
    error = failure_of(server, way=way)
    assert isinstance(error, ProviderResponseError)
    assert not error.retryable
    assert "check that `base_url`" in str(error)


@STREAMS
@pytest.mark.parametrize("data", [b"{oops", b"5", b'{"type": 5, "choices": 5, "candidates": [5]}'])
def test_an_event_of_another_form(server: VendorServer, way: str, data: bytes) -> None:
    """Broken JSON and other JSON inside a stream end it."""
    if server.dialect.name in {"anthropic", "cohere"}:
        data = data.replace(b'"type": 5', b'"type": "content_block_delta"')
        data = data.replace(b"content_block_delta", b"content-delta") if server.dialect.name == "cohere" else data
    server.script(server.parts(data + b"\n" if server.dialect.lines else b"data: " + data + b"\n\n"))
    error = failure_of(server, way=way)
    assert isinstance(error, ProviderResponseError)
    assert not error.retryable
    assert "not a chat chunk" in str(error)
    assert error.request_id == "call-1"


@STREAMS
@pytest.mark.parametrize("cut", [True, False], ids=["broken connection", "clean end"])
def test_a_stream_cut_in_the_middle(server: VendorServer, way: str, cut: bool) -> None:
    """A stream without its end is no answer; it may be asked for again, but not by the model itself."""
    events = server.dialect.events(["Hel", "lo"], server.dialect.words["stop"])
    kept = next(place for place, event in enumerate(events) if b"Hel" in event) + 1
    server.script(server.parts(*events[:kept], cut=cut))
    error = failure_of(server, way=way, max_retries=2)
    assert isinstance(error, ProviderResponseError)
    assert error.retryable
    assert "broke the answer off" in str(error)
    assert len(server.requests) == 1


@STREAMS
def test_an_error_inside_a_stream(server: VendorServer, way: str) -> None:
    """The vendor's own error object ends the stream and says why."""
    events = server.dialect.events(["Hel", "lo"], server.dialect.words["stop"])
    server.script(server.parts(*events[:-2], server.dialect.event(server.dialect.error("The engine stopped."))))
    error = failure_of(server, way=way, max_retries=2)
    assert isinstance(error, ProviderResponseError)
    assert error.retryable
    assert "The engine stopped." in str(error)
    assert error.request_id == "call-1"


@BOTH
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key(server: VendorServer, pauses: list[float], way: str, status: int) -> None:
    """It is reported at once, with the call's id and without the key."""
    server.script(server.refusal(status, f"Wrong key: {KEY}"))
    error = failure_of(server, way=way, max_retries=2)
    assert isinstance(error, ProviderAuthenticationError)
    assert (error.retryable, error.status, error.request_id, pauses) == (False, status, "call-1", [])
    assert KEY not in str(error)
    assert "Wrong key: ***" in str(error)


@BOTH
def test_too_many_calls(server: VendorServer, pauses: list[float], way: str) -> None:
    """The wait that a server asks for is kept, else one of our own; after the last attempt the caller learns it."""
    server.script(server.refusal(429, retry_after="7"), server.refusal(429), server.refusal(429, retry_after="9"))
    error = failure_of(server, way=way, max_retries=2)
    assert isinstance(error, ProviderRateLimitError)
    assert (error.retryable, error.retry_after, error.request_id) == (True, 9.0, "call-1")
    assert pauses[0] == 7.0
    assert 0.5 <= pauses[1] <= 1.0


@BOTH
def test_a_failing_server(server: VendorServer, pauses: list[float], way: str) -> None:
    """It is asked again; after the last attempt its failure may be tried again by the caller."""
    server.script(server.refusal(500, "Out of memory."), server.refusal(529, "Out of memory."))
    error = failure_of(server, way=way, max_retries=1)
    assert isinstance(error, ProviderResponseError)
    assert (error.retryable, error.status, len(pauses)) == (True, 529, 1)
    assert "Out of memory." in str(error)


@BOTH
def test_a_wrong_request(server: VendorServer, way: str) -> None:
    """A field that the vendor does not know is refused by the server, and reported as the caller's mistake."""
    error = failure_of(server, way=way, extra_body={"no_such_field": 1})
    assert isinstance(error, ProviderRequestError)
    assert (error.retryable, error.status) == (False, 400)
    assert "no_such_field" in str(error)


@BOTH
def test_silence_before_the_answer(server: VendorServer, way: str) -> None:
    """A server that says nothing in time is given up."""
    silent = Scripted(delay=0.5) if "generate" in way else server.parts(b" ", b" ", delay=0.5)
    server.script(silent)
    error = failure_of(server, way=way, timeout=0.15)
    assert isinstance(error, ProviderTimeoutError)
    assert error.retryable


@STREAMS
def test_a_slow_stream_is_no_timeout(server: VendorServer, way: str) -> None:
    """Only silence counts: a stream may take longer than the timeout in all."""
    server.script(server.stream(*"abcdefgh", delay=0.08))
    with opened(server, timeout=0.6) as llm:
        started = time.monotonic()
        assert "".join(chunk.text for chunk in run(llm, way=way)) == "abcdefgh"
    assert time.monotonic() - started > 0.6


@BOTH
def test_an_oversized_answer(server: VendorServer, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """An answer beyond the limit is not read to its end."""
    monkeypatch.setattr(client_module, "_MAX_REPLY_BYTES", 2000)
    server.script(server.whole("x" * 3000) if "generate" in way else server.stream(*["x" * 500] * 9))
    error = failure_of(server, way=way)
    assert isinstance(error, ProviderResponseError)
    assert not error.retryable
    assert "more than 2000 bytes" in str(error)


@STREAMS
def test_leaving_a_stream_hangs_up(server: VendorServer, way: str) -> None:
    """Closing the generator closes the connection: the vendor stops writing, and counting."""
    server.script(server.stream(*["word "] * 2000, delay=0.004))

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


def test_cancelling_a_call_hangs_up(server: VendorServer) -> None:
    """A cancelled task leaves no call behind."""
    server.script(server.stream(*["word "] * 2000, delay=0.004))

    async def cancel(llm: LLM) -> None:
        started = asyncio.Event()

        async def consume() -> None:
            async for _ in llm.astream(REQUEST):
                started.set()

        task = asyncio.ensure_future(consume())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with opened(server) as llm:
        asyncio.run(cancel(llm))
        assert server.hung_up.wait(5)


def test_names_and_keys(server: VendorServer) -> None:
    """A model is called by its vendor; a key that cannot be one is refused before anything is sent."""
    with opened(server) as llm:
        assert llm.name == f"{server.dialect.name}:small"
    error = failure_of(server, way="generate", api_key=f"{KEY}\n")
    assert isinstance(error, ProviderAuthenticationError)
    assert KEY not in str(error)
    assert server.requests == []
