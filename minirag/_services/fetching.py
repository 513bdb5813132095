"""Reads URLs for an open workspace; the HTTP library is imported when the first one is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from minirag.errors import ConfigurationError
from minirag.interfaces.fetcher import Fetcher
from minirag.models.checks import clipped
from minirag.models.urls import UrlPolicy

__all__ = ["check_policy", "make_fetcher"]


def check_policy(policy: UrlPolicy | Mapping[str, Any] | None) -> UrlPolicy:
    """Return a policy as it was given, or the default one.

    Raises:
        ConfigurationError: if it is none.
    """
    if policy is None:
        return UrlPolicy()
    if isinstance(policy, Mapping):
        return UrlPolicy(**{str(name): value for name, value in policy.items()})
    if not isinstance(policy, UrlPolicy):
        raise ConfigurationError(f"url_policy must be a mapping or a UrlPolicy, not {clipped(policy)}")
    return policy


def make_fetcher(policy: UrlPolicy) -> Fetcher:
    """Return what reads URLs as a policy allows."""
    return _LazyFetcher(policy)


class _LazyFetcher(Fetcher):
    """Imports the HTTP library when the first URL is read, not when a workspace is opened."""

    def __init__(self, policy: UrlPolicy) -> None:
        self._policy = policy
        self._fetcher: Fetcher | None = None

    def _made(self) -> Fetcher:
        if self._fetcher is None:
            from importlib import import_module

            self._fetcher = cast("Fetcher", import_module("minirag.providers.http.fetch").create_fetcher(self._policy))
        return self._fetcher

    def fetch(self, url: str) -> Any:
        return self._made().fetch(url)

    def check(self, url: str) -> None:
        self._made().check(url)

    async def afetch(self, url: str) -> Any:
        return await self._made().afetch(url)
