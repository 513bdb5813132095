"""Transports of an HTTP client that reach only allowed addresses; see `guarded_network`."""

from __future__ import annotations

import math
import ssl

import httpcore
import httpx

from minirag.models.urls import UrlPolicy
from minirag.providers.http.guarded_network import AsyncGuardedNetwork, Deadline, GuardedNetwork

__all__ = ["AsyncGuardedTransport", "GuardedTransport"]

_NO_DEADLINE = Deadline(math.inf)
"""A model may write for as long as it likes; the client's own timeouts end what hangs."""


class GuardedTransport(httpx.HTTPTransport):
    """Connections to addresses that a policy allows. Each is checked as it is connected to."""

    def __init__(self, policy: UrlPolicy, ssl_context: ssl.SSLContext) -> None:
        super().__init__(verify=ssl_context)
        self._pool.close()
        self._pool = httpcore.ConnectionPool(ssl_context, network_backend=GuardedNetwork(policy, deadline=_NO_DEADLINE))


class AsyncGuardedTransport(httpx.AsyncHTTPTransport):
    """What `GuardedTransport` is, for an event loop."""

    def __init__(self, policy: UrlPolicy, ssl_context: ssl.SSLContext) -> None:
        super().__init__(verify=ssl_context)
        self._pool = httpcore.AsyncConnectionPool(ssl_context, network_backend=AsyncGuardedNetwork(policy))
