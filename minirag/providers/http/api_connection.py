"""What every provider behind an HTTP API shares: where the server is, how patiently it is called, and the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator

from minirag.errors import InvalidInputError, ProviderAuthenticationError, ProviderOptionsError
from minirag.interfaces.specs import ProviderContext
from minirag.models.base import InputModel
from minirag.models.urls import split_url
from minirag.providers.http.client import HttpClient

__all__ = ["ApiConnection", "ApiOptions", "merged"]


class ApiOptions(InputModel):
    """Where an API is and how patiently it is called. A subclass names the provider and gives `base_url` a default.

    Attributes:
        model: the model's name, as the server knows it.
        base_url: the API's root.
        timeout: seconds of silence after which a call is given up.
        max_retries: how often a failed call is tried again.
        extra_body: further fields of every request. An object is merged into the one that is sent anyway.
    """

    error: ClassVar[type[InvalidInputError]] = ProviderOptionsError

    provider: ClassVar[str]
    """The provider's name, for errors, answers and the usage ledger."""

    own_fields: ClassVar[frozenset[str]] = frozenset({"messages", "model", "stream"})
    """Fields of the request that `extra_body` must not set."""

    model: str = Field(min_length=1, max_length=500)
    base_url: str
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    max_retries: int = Field(default=2, ge=0, le=10)
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = split_url(url)
        if parts.query or parts.fragment:
            raise ValueError("must end with the path, without '?' and '#'")
        return url.rstrip("/")

    @field_validator("extra_body")
    @classmethod
    def _foreign_fields(cls, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if own := sorted(cls.own_fields & body.keys()):
            raise ValueError(f"must not set {', '.join(own)}")
        return body

    @property
    def needs_key(self) -> bool:
        """Whether a call without a key cannot work: so it is with the vendor's own server, not with any other."""
        own: str = type(self).model_fields["base_url"].default
        return urlsplit(self.base_url).hostname == urlsplit(own).hostname


class ApiConnection:
    """A client for one server and one key."""

    def __init__(self, options: ApiOptions, context: ProviderContext) -> None:
        self._options = options
        self._key = context.credentials.get("api_key", "")
        self.client = HttpClient(
            provider=options.provider,
            base_url=options.base_url,
            timeout=options.timeout,
            max_retries=options.max_retries,
            secrets=list(context.credentials.values()),
            policy=context.url_policy,
        )

    def headers(self, name: str = "Authorization", *, prefix: str = "Bearer ") -> dict[str, str]:
        """Return the header that carries the key, or none for a server that needs no key when none was given.

        Raises:
            ProviderAuthenticationError: no key for the vendor's own server, or one that cannot be a key.
        """
        provider = self._options.provider
        if not self._key:
            if self._options.needs_key:
                message = f"{provider}: no API key was given; pass credentials={{'api_key': '...'}}"
                raise ProviderAuthenticationError(message, provider=provider)
            return {}
        # The HTTP library would name the whole header in its error.
        if not all("!" <= character <= "~" for character in self._key):
            problem = "holds white space or characters outside ASCII; pass the key alone"
            message = f"{provider}: credentials['api_key'] {problem}"
            raise ProviderAuthenticationError(message, provider=provider)
        return {name: f"{prefix}{self._key}"}


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return `body` with the fields of `extra`; where both hold an object, its fields are put together."""
    result = dict(body)
    for name, value in extra.items():
        own = result.get(name)
        result[name] = {**own, **value} if isinstance(own, dict) and isinstance(value, dict) else value
    return result
