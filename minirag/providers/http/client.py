"""Calls to a provider's JSON API: connections, retries and streams, for threads and for event loops."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import random
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from minirag.errors import ProviderError, ProviderRateLimitError
from minirag.models.urls import UrlPolicy
from minirag.providers.http.failures import Failures, request_id, wait_asked
from minirag.providers.http.guarded_transport import AsyncGuardedTransport, GuardedTransport
from minirag.providers.http.json_lines import LineParser
from minirag.providers.http.server_sent_events import EventParser

__all__ = ["Call", "HttpClient", "Reply"]

T = TypeVar("T")

_CONNECT_SECONDS = 10.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0
_LONGEST_WAIT = 60.0
# The pauses of so many refusals add up to more than the minute that most limits are counted in.
_PATIENT_RETRIES = 16
_MAX_REPLY_BYTES = 64_000_000
_MAX_REFUSAL_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Call:
    """A JSON request.

    Attributes:
        contents: the texts in it that no error message may repeat.
        lines: whether a stream comes as lines of JSON instead of server-sent events.
        patient: whether nobody waits for the answer, so that status 429 is tried again for longer.
    """

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    contents: Sequence[str] = ()
    lines: bool = False
    patient: bool = False


@dataclass(slots=True)
class _Tried:
    """How often one call has failed: by refusals that are waited out patiently, and otherwise."""

    refusals: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A JSON answer, or the data of one streamed event, with the id that the server gave the call."""

    payload: Any
    request_id: str | None


class HttpClient:
    """Posts JSON to one API.

    Status 429, 500, 502, 503, 504 and 529, failed connections and timeouts are tried again, at most `max_retries`
    times: after what `Retry-After` asks for, or else after 0.5 s, 1 s, 2 s and so on, shortened at random by up to
    half. A server that asks for more than a minute is not waited for. A stream is not tried again once it has begun.
    A patient call is tried again up to 16 times after status 429, unless `max_retries` is 0.

    Redirects are refused, so that credentials reach no other host. The environment's proxies are used, except for a
    loopback address.

    Args:
        provider: the provider's name, for errors.
        timeout: seconds of silence after which a call is given up.
        secrets: values that must not appear in any message.
        policy: which addresses may be connected to; each is checked as it is connected to, and no proxy is used. None for any.

    Attributes:
        on_refusal: called after every status 429, before it is waited.
    """

    def __init__(
        self,
        *,
        provider: str,
        base_url: str,
        timeout: float,
        max_retries: int,
        secrets: Sequence[str],
        policy: UrlPolicy | None = None,
    ) -> None:
        self.on_refusal: Callable[[], None] | None = None
        self.failures = Failures(provider=provider, base_url=base_url, timeout=timeout, secrets=secrets)
        self._base_url = base_url.rstrip("/")
        self._max_retries = max_retries
        self._settings: dict[str, Any] = {
            "timeout": httpx.Timeout(timeout, connect=min(_CONNECT_SECONDS, timeout)),
            "follow_redirects": False,
            "trust_env": policy is None and not _is_loopback(base_url),
        }
        self._policy = policy
        self._lock = threading.Lock()
        self._ssl_context: ssl.SSLContext | None = None
        self._client: httpx.Client | None = None
        self._async_clients: dict[
            asyncio.AbstractEventLoop, tuple[httpx.AsyncClient, AsyncGenerator[httpx.AsyncClient, None]]
        ] = {}

    def post(self, call: Call) -> Reply:
        """Return the whole answer. Raises `ProviderError`."""
        return self._send(call, take=lambda response: self._reply(response, _read(response, limit=_MAX_REPLY_BYTES)))

    async def apost(self, call: Call) -> Reply:
        """Return what `post` returns, without blocking the event loop."""

        async def take(response: httpx.Response) -> Reply:
            return self._reply(response, await _aread(response, limit=_MAX_REPLY_BYTES))

        return await self._asend(call, take=take)

    def stream(self, call: Call) -> Generator[Reply, None, None]:
        """Yield the data of every event of the answer. Closing the generator closes the connection."""
        response = self._send(call, take=lambda response: response)
        with contextlib.closing(response), self.failures.translated(streaming=True):
            events = _Events(response, failures=self.failures, lines=call.lines)
            for received in response.iter_bytes():
                yield from events.feed(received)
            yield from events.finish()

    async def astream(self, call: Call) -> AsyncGenerator[Reply, None]:
        """Yield what `stream` yields, without blocking the event loop."""

        async def take(response: httpx.Response) -> httpx.Response:
            return response

        response = await self._asend(call, take=take)
        try:
            with self.failures.translated(streaming=True):
                events = _Events(response, failures=self.failures, lines=call.lines)
                async for received in response.aiter_bytes():
                    for event in events.feed(received):
                        yield event
                for event in events.finish():
                    yield event
        finally:
            await response.aclose()

    def close(self) -> None:
        """Close the connections of threads, and let event loops close theirs. A later call opens new ones."""
        with self._lock:
            client, self._client = self._client, None
            # A keeper that nothing holds any more is closed by its own loop; see `_async_client`.
            self._async_clients.clear()
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop. A later call opens new ones."""
        with self._lock:
            entry = self._async_clients.pop(asyncio.get_running_loop(), None)
        if entry is not None:
            await entry[1].aclose()

    def _send(self, call: Call, *, take: Callable[[httpx.Response], T]) -> T:
        client = self._sync_client()
        request = self._request(client, call)
        tried = _Tried()
        while True:
            wait = None
            try:
                with self.failures.translated():
                    response = client.send(request, stream=True)
                    try:
                        if response.is_success:
                            return take(response)
                        refusal = _read(response, limit=_MAX_REFUSAL_BYTES) or b""
                        wait = wait_asked(response.headers, refusal)
                        raise self._refusal(call, response, refusal)
                    except BaseException:
                        response.close()
                        raise
            except ProviderError as error:
                attempt, retries = self._count(error, tried, call)
                pause = self._pause(error, attempt=attempt, retries=retries, wait=wait)
                if pause is None:
                    raise
            time.sleep(pause)

    async def _asend(self, call: Call, *, take: Callable[[httpx.Response], Awaitable[T]]) -> T:
        client = await self._async_client()
        request = self._request(client, call)
        tried = _Tried()
        while True:
            wait = None
            try:
                with self.failures.translated():
                    response = await client.send(request, stream=True)
                    try:
                        if response.is_success:
                            return await take(response)
                        refusal = await _aread(response, limit=_MAX_REFUSAL_BYTES) or b""
                        wait = wait_asked(response.headers, refusal)
                        raise self._refusal(call, response, refusal)
                    except BaseException:
                        await response.aclose()
                        raise
            except ProviderError as error:
                attempt, retries = self._count(error, tried, call)
                pause = self._pause(error, attempt=attempt, retries=retries, wait=wait)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    def _count(self, error: ProviderError, tried: _Tried, call: Call) -> tuple[int, int]:
        """Return which failure of its kind this is, from 0, and how many of the kind are tried again."""
        if not isinstance(error, ProviderRateLimitError):
            tried.failures += 1
            return tried.failures - 1, self._max_retries
        if self.on_refusal is not None:
            self.on_refusal()
        if call.patient:
            tried.refusals += 1
            return tried.refusals - 1, max(self._max_retries, _PATIENT_RETRIES) if self._max_retries else 0
        tried.failures += 1
        return tried.failures - 1, self._max_retries

    def _pause(self, error: ProviderError, *, attempt: int, retries: int, wait: float | None) -> float | None:
        """Return the seconds to wait before the next attempt, or None if there is to be none."""
        if not error.retryable or attempt >= retries:
            return None
        if wait is not None and wait > _LONGEST_WAIT:
            return None
        # At random, so that clients that failed together do not come back together.
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**attempt) * random.uniform(0.5, 1.0)
        if wait is None:
            return pause
        # The server's word counts, until it has been wrong too often: "0" again and again must not become a storm.
        return wait if attempt < self._max_retries else max(wait, pause)

    def _request(self, client: httpx.Client | httpx.AsyncClient, call: Call) -> httpx.Request:
        # Lone surrogates, which no server could read, become question marks.
        content = json.dumps(call.body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **call.headers}
        return client.build_request("POST", f"{self._base_url}{call.path}", content=content, headers=headers)

    def _reply(self, response: httpx.Response, content: bytes | None) -> Reply:
        number = request_id(response.headers)
        if content is None:
            raise self.failures.unusable(f"more than {_MAX_REPLY_BYTES} bytes", request_id=number)
        try:
            return Reply(json.loads(content), number)
        except (ValueError, RecursionError):
            raise self.failures.unusable("an answer that is not JSON", request_id=number) from None

    def _refusal(self, call: Call, response: httpx.Response, content: bytes) -> ProviderError:
        return self.failures.refusal(response.status_code, response.headers, content, sent=call.contents)

    def _sync_client(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                verification = self._verification()
                transport = None if self._policy is None else GuardedTransport(self._policy, verification)
                self._client = httpx.Client(**self._settings, verify=verification, transport=transport)
            return self._client

    def _verification(self) -> ssl.SSLContext:
        """Return how certificates are verified. Loading the authorities takes long enough to do it only once."""
        if self._ssl_context is None:
            if self._base_url.startswith("http:"):
                self._ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used, and trusts nobody
            else:
                self._ssl_context = httpx.create_ssl_context()
        return self._ssl_context

    async def _async_client(self) -> httpx.AsyncClient:
        """Return the running loop's client.

        It lives in an asynchronous generator, because a loop closes those that are still open before it ends
        (`loop.shutdown_asyncgens`, which `asyncio.run` calls): connections never outlive their loop.
        """
        loop = asyncio.get_running_loop()
        verification = self._ssl_context
        if verification is None:
            verification = await asyncio.to_thread(self._verification)
        with self._lock:
            for other in [other for other in self._async_clients if other.is_closed()]:
                del self._async_clients[other]
            entry = self._async_clients.get(loop)
        if entry is None:
            transport = None if self._policy is None else AsyncGuardedTransport(self._policy, verification)
            keeper = _keep(httpx.AsyncClient(**self._settings, verify=verification, transport=transport))
            entry = (await anext(keeper), keeper)  # it does not suspend, so no other task comes between
            with self._lock:
                self._async_clients[loop] = entry
        return entry[0]


class _Events:
    """The events of one streamed answer, up to the largest answer there may be."""

    def __init__(self, response: httpx.Response, *, failures: Failures, lines: bool) -> None:
        self._failures = failures
        self._parser = LineParser() if lines else EventParser()
        self._received = 0
        self._request_id = request_id(response.headers)

    def feed(self, received: bytes) -> list[Reply]:
        self._received += len(received)
        if self._received > _MAX_REPLY_BYTES:
            raise self._failures.unusable(f"more than {_MAX_REPLY_BYTES} bytes", request_id=self._request_id)
        return [Reply(data, self._request_id) for data in self._parser.feed(received)]

    def finish(self) -> list[Reply]:
        return [Reply(data, self._request_id) for data in self._parser.finish()]


async def _keep(client: httpx.AsyncClient) -> AsyncGenerator[httpx.AsyncClient, None]:
    try:
        yield client
    finally:
        await client.aclose()


def _read(response: httpx.Response, *, limit: int) -> bytes | None:
    """Return the body, or None if it is larger than `limit` bytes."""
    content = bytearray()
    for part in response.iter_bytes():
        content += part
        if len(content) > limit:
            return None
    return bytes(content)


async def _aread(response: httpx.Response, *, limit: int) -> bytes | None:
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > limit:
            return None
    return bytes(content)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
