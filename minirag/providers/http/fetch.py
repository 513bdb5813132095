"""Reads documents from URLs without letting them reach what is not public."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from typing import Any
from urllib.parse import urljoin

import httpcore
import httpx

from minirag.errors import BlockedAddressError, FetchError, InvalidInputError
from minirag.interfaces.fetcher import Fetched, Fetcher
from minirag.models.urls import UrlPolicy, display_url, normalize_url, split_url
from minirag.providers.http.addresses import allowed_addresses
from minirag.providers.http.guarded_network import AsyncGuardedNetwork, Deadline, GuardedNetwork

__all__ = ["HttpFetcher", "create_fetcher"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GZIP = 16 + zlib.MAX_WBITS


def create_fetcher(policy: UrlPolicy | Mapping[str, Any] | None = None) -> HttpFetcher:
    """Return a fetcher for this policy, or for the default one."""
    return HttpFetcher(policy if isinstance(policy, UrlPolicy) else UrlPolicy(**(policy or {})))


class HttpFetcher(Fetcher):
    """Reads http and https URLs, each over a connection of its own.

    Every address is checked as it is connected to, at each redirect anew (see `GuardedNetwork`). Nothing of the
    process goes along: no proxy, no cookie, no credential. A connection is never kept for the next URL, which may
    name another host at the same address with another certificate. Resolving a name takes as long as the system's
    resolver lets it; everything else ends with `policy.timeout`.

    Args:
        ssl_context: how certificates are verified; by default against the public authorities, or those that
            `SSL_CERT_FILE` names.
    """

    def __init__(self, policy: UrlPolicy, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._ssl_context = ssl_context

    def check(self, url: str) -> None:
        """Raise if `url` may not be read, as its host's name resolves now."""
        visit = _Visit(url, policy=self._policy)
        parts = split_url(visit.url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as problem:
            raise FetchError(f"{visit.shown}: its host has no address") from problem
        with _translated(visit):
            allowed_addresses(host, port=port, resolved=resolved, policy=self._policy)

    def fetch(self, url: str) -> Fetched:
        """Return the page at `url`."""
        visit = _Visit(url, policy=self._policy)
        network = GuardedNetwork(self._policy, deadline=Deadline(self._policy.timeout))
        with _translated(visit):
            while True:
                with (
                    httpcore.ConnectionPool(
                        self._verification(visit), max_keepalive_connections=0, network_backend=network
                    ) as pool,
                    pool.stream("GET", visit.target, headers=visit.headers) as response,
                ):
                    if visit.redirected(response.status, response.headers):
                        continue
                    body = _Body(visit, response.headers)
                    for part in response.iter_stream():
                        body.feed(part)
                    return body.finish()

    async def afetch(self, url: str) -> Fetched:
        """Return the page at `url` without blocking the event loop."""
        visit = _Visit(url, policy=self._policy)
        network = AsyncGuardedNetwork(self._policy)
        with _translated(visit):
            async with asyncio.timeout(self._policy.timeout):
                while True:
                    verification = self._ssl_context or await asyncio.to_thread(self._verification, visit)
                    async with (
                        httpcore.AsyncConnectionPool(
                            verification, max_keepalive_connections=0, network_backend=network
                        ) as pool,
                        pool.stream("GET", visit.target, headers=visit.headers) as response,
                    ):
                        if visit.redirected(response.status, response.headers):
                            continue
                        body = _Body(visit, response.headers)
                        async for part in response.aiter_stream():
                            body.feed(part)
                        return body.finish()

    def _verification(self, visit: _Visit) -> ssl.SSLContext | None:
        if not visit.url.startswith("https:"):
            return None
        if self._ssl_context is None:
            self._ssl_context = httpx.create_ssl_context()
        return self._ssl_context


class _Visit:
    """One URL on its way through redirects: where it is now and what to ask there."""

    def __init__(self, url: str, *, policy: UrlPolicy) -> None:
        self.policy = policy
        self.redirects = 0
        self.url = normalize_url(url)
        if not policy.enabled:
            raise FetchError(f"{self.shown} is not read: url_policy={{'enabled': False}} switches URLs off")

    @property
    def shown(self) -> str:
        return display_url(self.url)

    @property
    def target(self) -> httpcore.URL:
        # From parts, so that no second parser has a say in which host is meant.
        parts = split_url(self.url)
        query = f"?{parts.query}" if parts.query else ""
        return httpcore.URL(
            scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=f"{parts.path}{query}"
        )

    @property
    def headers(self) -> list[tuple[bytes | str, bytes | str]]:
        return [
            ("Host", split_url(self.url).netloc),
            ("User-Agent", "MiniRAG"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "gzip"),
            ("Connection", "close"),
        ]

    def redirected(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Move on to a redirect's target and return True, or return False if the page is here.

        Raises:
            FetchError: the status is an error, or there were too many redirects.
        """
        location = _header(headers, "location")
        if status in _REDIRECTS and location is not None:
            if self.redirects >= self.policy.max_redirects:
                raise FetchError(f"{self.shown} redirects once more than max_redirects={self.policy.max_redirects}")
            self.redirects += 1
            try:
                self.url = normalize_url(urljoin(self.url, location))
            except (InvalidInputError, ValueError) as problem:
                raise FetchError(f"{self.shown} redirects to something that is not an http or https URL") from problem
            return True
        if status != 200:
            raise FetchError(f"{self.shown} answered with status {status}")
        return False


class _Body:
    """A page as it comes in, with its size counted before and after decompression."""

    def __init__(self, visit: _Visit, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._visit = visit
        self._limit = visit.policy.max_bytes
        self._received = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._etag = _header(headers, "etag")
        self._last_modified = _header(headers, "last-modified")
        self._media_type, self._charset = _content_type(_header(headers, "content-type"))
        if not visit.policy.takes(self._media_type):
            raise FetchError(f"{visit.shown} is of type {self._media_type!r}, which url_policy's media_types leave out")
        length = _header(headers, "content-length")
        if length is not None and int(length) > self._limit:
            raise self._too_large()
        encoding = (_header(headers, "content-encoding") or "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip"}:
            raise FetchError(f"{visit.shown} is encoded as {encoding!r}, which was not asked for")
        self._gzip = None if encoding == "identity" else zlib.decompressobj(_GZIP)

    def feed(self, part: bytes) -> None:
        self._received += len(part)
        if self._received > self._limit:
            raise self._too_large()
        if self._gzip is None:
            self._append(part)
            return
        try:
            self._inflate(part)
        except zlib.error as problem:
            raise FetchError(f"{self._visit.shown} is not valid gzip") from problem

    def finish(self) -> Fetched:
        if self._gzip is not None and self._received and not self._gzip.eof:
            raise FetchError(f"{self._visit.shown} was cut off")
        return Fetched(
            url=self._visit.url,
            data=b"".join(self._parts),
            media_type=self._media_type,
            charset=self._charset,
            etag=self._etag,
            last_modified=self._last_modified,
        )

    def _inflate(self, data: bytes) -> None:
        assert self._gzip is not None
        while data:
            if self._gzip.eof:  # a gzip file may hold several members
                self._gzip = zlib.decompressobj(_GZIP)
            # One byte more than allowed is enough to know: a bomb is never unpacked.
            self._append(self._gzip.decompress(data, self._limit - self._size + 1))
            data = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail

    def _append(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise self._too_large()
        self._parts.append(part)

    def _too_large(self) -> FetchError:
        return FetchError(f"{self._visit.shown} is larger than url_policy's max_bytes={self._limit}")


def _header(headers: Iterable[tuple[bytes, bytes]], name: str) -> str | None:
    wanted = name.encode("ascii")
    values = [value.decode("latin-1") for key, value in headers if key.lower() == wanted]
    return ", ".join(values) if values else None


def _content_type(value: str | None) -> tuple[str | None, str | None]:
    if not value:
        return None, None
    message = Message()
    message["Content-Type"] = value
    return message.get_content_type(), message.get_content_charset()


@contextlib.contextmanager
def _translated(visit: _Visit) -> Iterator[None]:
    """Turn httpcore's exceptions into `FetchError`, naming the URL that the visit has reached."""
    try:
        yield
    except BlockedAddressError as problem:
        raise BlockedAddressError(f"{visit.shown}: {problem}") from None
    except (httpcore.TimeoutException, TimeoutError) as problem:
        raise FetchError(f"{visit.shown} was not read within {visit.policy.timeout:g} s") from problem
    except httpcore.ConnectError as problem:
        if isinstance(problem.__context__, ssl.SSLCertVerificationError):
            raise FetchError(f"{visit.shown}: its certificate is not valid for the host") from problem
        raise FetchError(f"{visit.shown} could not be reached") from problem
    except (httpcore.NetworkError, httpcore.ProtocolError) as problem:
        raise FetchError(f"{visit.shown} broke off, or did not answer as a web server does") from problem
