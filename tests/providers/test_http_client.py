"""Retries, waits and the translation of failures, against a local server."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import time
from collections.abc import Iterator
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from minirag.errors import (
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderError,
    ProviderRateLimitError,
    ProviderRequestError,
    ProviderResponseError,
    ProviderTimeoutError,
)
from minirag.providers.http import client as client_module
from minirag.providers.http.client import Call, HttpClient
from minirag.providers.http.failures import Failures, retry_after
from tests.servers.openai_server import OpenAIServer, Scripted, chat, failure, stream

SECRET = "canary-secret"
BOTH = pytest.mark.parametrize("way", ["sync", "async"])


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server that answers as it is told."""
    with OpenAIServer() as running:
        yield running


def post(server_url: str, *, way: str, contents: tuple[str, ...] = (), **settings: Any) -> Any:
    """Return the answer to one call."""
    settings = {"timeout": 5.0, "max_retries": 2, "secrets": [SECRET], **settings}
    body = {"messages": [{"role": "user", "content": "Hi"}], "model": "m"}
    call = Call("/chat/completions", body=body, headers={"Authorization": f"Bearer {SECRET}"}, contents=contents)
    with contextlib.closing(HttpClient(provider="test", base_url=server_url, **settings)) as client:
        return client.post(call).payload if way == "sync" else asyncio.run(client.apost(call)).payload


@BOTH
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(server: OpenAIServer, pauses: list[float], way: str, status: int) -> None:
    """Two failures, then an answer: the caller sees the answer, after two growing pauses."""
    server.script(failure(status), failure(status), chat("at last"))
    assert post(server.base_url, way=way)["choices"][0]["message"]["content"] == "at last"
    assert len(server.requests) == 3
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1.0


@BOTH
@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 422, 501])
def test_lasting_failures_are_not_tried_again(server: OpenAIServer, pauses: list[float], way: str, status: int) -> None:
    """What would fail again is reported at once."""
    server.script(failure(status))
    with pytest.raises(ProviderError) as caught:
        post(server.base_url, way=way)
    assert (len(server.requests), pauses) == (1, [])
    assert not caught.value.retryable


@BOTH
def test_attempts_are_bounded(server: OpenAIServer, pauses: list[float], way: str) -> None:
    """After the last attempt the last failure is raised."""
    server.script(*[failure(503)] * 9)
    with pytest.raises(ProviderResponseError) as caught:
        post(server.base_url, way=way, max_retries=3)
    assert len(server.requests) == 4
    assert caught.value.retryable


@BOTH
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(server: OpenAIServer, pauses: list[float], way: str, status: int) -> None:
    """The server says how long to wait, and that long it is."""
    server.script(failure(status, retry_after="7"), chat("ok"))
    post(server.base_url, way=way)
    assert pauses == [7.0]


@BOTH
def test_a_server_that_asks_for_too_long_is_not_waited_for(server: OpenAIServer, pauses: list[float], way: str) -> None:
    """The caller learns how long to wait instead."""
    server.script(failure(429, retry_after="3600"))
    with pytest.raises(ProviderRateLimitError) as caught:
        post(server.base_url, way=way)
    assert (caught.value.retry_after, pauses) == (3600.0, [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12", 12.0), ("0.5", 0.5), ("-1", None), ("nan", None), ("soon", None), ("", None)],
)
def test_retry_after_in_seconds(value: str, expected: float | None) -> None:
    """Only a finite number of seconds counts."""
    assert retry_after({"retry-after": value}) == expected


def test_retry_after_as_a_date() -> None:
    """A date is that many seconds away; one in the past is now."""
    now = dt.datetime.now(dt.UTC)
    ahead = retry_after({"retry-after": format_datetime(now + dt.timedelta(seconds=30), usegmt=True)})
    behind = retry_after({"retry-after": format_datetime(now - dt.timedelta(seconds=30), usegmt=True)})
    assert ahead is not None
    assert 25 < ahead <= 30
    assert behind == 0.0


@BOTH
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, ProviderRequestError),
        (400, ProviderRequestError),
        (401, ProviderAuthenticationError),
        (403, ProviderAuthenticationError),
        (404, ProviderRequestError),
        (408, ProviderTimeoutError),
        (429, ProviderRateLimitError),
        (500, ProviderResponseError),
        (501, ProviderResponseError),
    ],
)
def test_statuses_become_errors(server: OpenAIServer, way: str, status: int, kind: type[ProviderError]) -> None:
    """The error carries status, provider and request id, and says what the server said."""
    server.script(failure(status, message="That will not do."))
    with pytest.raises(kind, match="That will not do") as caught:
        post(server.base_url, way=way, max_retries=0)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.provider) == (status, "test")
    assert caught.value.request_id == f"req-{status}"


@BOTH
def test_a_redirect_does_not_carry_the_key_away(server: OpenAIServer, way: str) -> None:
    """Another server that an API redirects to gets nothing."""
    with OpenAIServer() as other:
        server.script(Scripted(status=307, headers={"Location": f"{other.base_url}/chat/completions"}))
        with pytest.raises(ProviderRequestError, match="base_url"):
            post(server.base_url, way=way)
        assert other.requests == []


@BOTH
def test_silence_is_a_timeout(server: OpenAIServer, way: str) -> None:
    """A server that does not answer in time is given up, and tried again."""
    server.script(Scripted(body=b"{}", delay=0.6), Scripted(body=b"{}", delay=0.6))
    with pytest.raises(ProviderTimeoutError, match=r"0\.1 s") as caught:
        post(server.base_url, way=way, timeout=0.1, max_retries=1)
    assert len(server.requests) == 2
    assert caught.value.retryable


@BOTH
def test_no_server_is_a_connection_error(pauses: list[float], way: str) -> None:
    """A port where nobody listens is tried again, then reported."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ProviderConnectionError, match=f"127.0.0.1:{port}") as caught:
        post(f"http://127.0.0.1:{port}/v1", way=way)
    assert len(pauses) == 2
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


@BOTH
def test_a_huge_answer_is_refused(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """An answer beyond the limit is not read to its end."""
    monkeypatch.setattr(client_module, "_MAX_REPLY_BYTES", 1000)
    server.script(chat("x" * 2000))
    with pytest.raises(ProviderResponseError, match="more than 1000 bytes"):
        post(server.base_url, way=way)


def test_an_endless_stream_is_refused(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream beyond the limit is broken off."""
    monkeypatch.setattr(client_module, "_MAX_REPLY_BYTES", 1000)
    server.script(stream(*["word " * 20] * 50))
    client = HttpClient(provider="test", base_url=server.base_url, timeout=5, max_retries=0, secrets=[])
    with contextlib.closing(client), pytest.raises(ProviderResponseError, match="more than 1000 bytes"):
        list(client.stream(Call("/chat/completions", body={}, headers={})))


@BOTH
@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (f"Bad key: {SECRET}", "Bad key: ***"),
        ("Bad key: sk-abc***xyz.", "Bad key: ***"),
        ("Bad key: abc****xyz.", "Bad key: ***"),
        ("You wrote: my grandmother's recipe", ""),
        ("x" * 400, ""),
    ],
)
def test_what_a_server_says_is_shown_without_secrets_and_contents(
    server: OpenAIServer, way: str, message: str, shown: str
) -> None:
    """Keys are blanked, masked ones too; a message that repeats what was sent, or is long, is left out."""
    server.script(failure(400, message=message))
    with pytest.raises(ProviderRequestError) as caught:
        post(server.base_url, way=way, contents=("This is  my grandmother's\nrecipe for bread.",))
    assert str(caught.value).endswith(f"(status 400): {shown}" if shown else "(status 400)")


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[1]", b'{"error": 5}', b"\xff", b"[" * 100_000])
def test_an_error_page_of_any_kind_is_read(server: OpenAIServer, body: bytes) -> None:
    """What cannot be understood adds nothing to the message."""
    server.script(Scripted(status=400, body=body))
    with pytest.raises(ProviderRequestError, match=r"\(status 400\)$"):
        post(server.base_url, way="sync")


def test_every_exception_of_httpx_is_translated() -> None:
    """No class below `httpx.HTTPError` gets through."""
    failures = Failures(provider="test", base_url="http://host", timeout=1, secrets=[])
    waiting = [httpx.HTTPError]
    seen = 0
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        problem: httpx.HTTPError = kind.__new__(kind)
        with pytest.raises(ProviderError), failures.translated():
            raise problem
        seen += 1
    assert seen > 15


def test_proxies_are_left_out_for_the_loopback(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model server on the same machine is not looked for behind the company's proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert post(server.base_url, way="sync")


def test_a_closed_client_opens_anew(server: OpenAIServer) -> None:
    """Closing frees connections; it does not forbid a later call."""
    client = HttpClient(provider="test", base_url=server.base_url, timeout=5, max_retries=0, secrets=[])
    call = Call("/embeddings", body={"input": ["a"], "model": "m"}, headers={})
    for _ in range(2):
        assert client.post(call).payload["data"]
        client.close()
    client.close()


@BOTH
def test_the_pause_is_waited_for(server: OpenAIServer, way: str) -> None:
    """The next attempt comes after the pause, not before."""
    server.script(failure(429, retry_after="0.3"), chat("ok"))
    started = time.monotonic()
    post(server.base_url, way=way)
    assert time.monotonic() - started >= 0.3


def test_waiting_for_one_server_does_not_stop_the_loop(server: OpenAIServer) -> None:
    """The pause between attempts is awaited."""
    server.script(failure(429, retry_after="0.4"), chat("ok"))

    async def tick() -> int:
        client = HttpClient(provider="test", base_url=server.base_url, timeout=5, max_retries=1, secrets=[])
        call = asyncio.ensure_future(client.apost(Call("/chat/completions", body={}, headers={})))
        ticks = 0
        while not call.done():
            await asyncio.sleep(0.02)
            ticks += 1
        await call
        await client.aclose()
        return ticks

    assert asyncio.run(tick()) > 5
