"""Network connections that reach only allowed addresses, and end at a deadline."""

# ruff: noqa: ARG002, ASYNC109  httpcore's signatures name what a guarded connection has no use for

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from minirag.models.urls import UrlPolicy
from minirag.providers.http.addresses import allowed_addresses

__all__ = ["AsyncGuardedNetwork", "Deadline", "GuardedNetwork"]

_CONNECT_SECONDS = 10.0


class Deadline:
    """A moment by which everything must be done.

    A timeout for each read is not enough: a server that sends one byte a second would never reach it.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self, limit: float | None = None) -> float:
        """Return the seconds left, at most `limit`.

        Raises:
            httpcore.ReadTimeout: none are left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return left if limit is None else min(left, limit)


class GuardedNetwork(httpcore.NetworkBackend):
    """Resolves a host once, checks every address, and connects to one of those it has checked.

    Because the check and the connection share one look-up, a name that changes its address between them (DNS
    rebinding) gains nothing. TLS still verifies the certificate against the host's name, which httpcore keeps apart.
    """

    def __init__(self, policy: UrlPolicy, *, deadline: Deadline) -> None:
        self._policy = policy
        self._deadline = deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to the first checked address that answers."""
        self._deadline.remaining()
        try:
            resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as problem:
            raise httpcore.ConnectError(str(problem)) from problem
        problem_seen: Exception = httpcore.ConnectError("no address")
        for address in allowed_addresses(host, port=port, resolved=resolved, policy=self._policy):
            try:
                stream = self._backend.connect_tcp(address, port, self._deadline.remaining(_CONNECT_SECONDS))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as problem:
                problem_seen = problem
            else:
                return _DeadlineStream(stream, deadline=self._deadline)
        raise problem_seen


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose every operation ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, *, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.remaining(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            left = self._deadline.remaining(timeout)
        except httpcore.ReadTimeout:
            self.close()
            raise
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), deadline=self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class AsyncGuardedNetwork(httpcore.AsyncNetworkBackend):
    """What `GuardedNetwork` is, for an event loop; there `asyncio.timeout` is the deadline."""

    def __init__(self, policy: UrlPolicy) -> None:
        self._policy = policy
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection to the first checked address that answers."""
        try:
            resolved = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as problem:
            raise httpcore.ConnectError(str(problem)) from problem
        problem_seen: Exception = httpcore.ConnectError("no address")
        for address in allowed_addresses(host, port=port, resolved=resolved, policy=self._policy):
            try:
                return await self._backend.connect_tcp(address, port, _CONNECT_SECONDS)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as problem:
                problem_seen = problem
        raise problem_seen
