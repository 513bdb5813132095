"""What chat and embeddings of the OpenAI protocol share: options, the key, and reading answers."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator

from minirag.errors import InvalidInputError, ProviderAuthenticationError, ProviderOptionsError
from minirag.interfaces.specs import ProviderContext
from minirag.models.base import InputModel
from minirag.models.urls import split_url
from minirag.providers.http.client import HttpClient

__all__ = ["OpenAIConnection", "OpenAIOptions"]

_OWN_FIELDS = frozenset({"input", "messages", "model", "stream"})


class OpenAIOptions(InputModel):
    """Where an OpenAI-compatible server is and how patiently it is called.

    Attributes:
        model: the model's name, as the server knows it.
        base_url: the API's root, up to and with its version.
        timeout: seconds of silence after which a call is given up.
        max_retries: how often a failed call is tried again.
        extra_body: further fields of every request, such as `{"reasoning_effort": "low"}`.
    """

    error: ClassVar[type[InvalidInputError]] = ProviderOptionsError

    model: str = Field(min_length=1, max_length=500)
    base_url: str = "https://api.openai.com/v1"
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
        if own := sorted(_OWN_FIELDS & body.keys()):
            raise ValueError(f"must not set {', '.join(own)}")
        return body

    @property
    def is_openai(self) -> bool:
        """Whether the server is OpenAI's own."""
        return urlsplit(self.base_url).hostname == "api.openai.com"


class OpenAIConnection:
    """A client for one server and one key."""

    def __init__(self, options: OpenAIOptions, context: ProviderContext) -> None:
        self._options = options
        self._key = context.credentials.get("api_key", "")
        self.client = HttpClient(
            provider="openai",
            base_url=options.base_url,
            timeout=options.timeout,
            max_retries=options.max_retries,
            secrets=list(context.credentials.values()),
        )

    def headers(self) -> dict[str, str]:
        """Return the authorization, or none for another server when no key was given.

        Raises:
            ProviderAuthenticationError: no key for OpenAI's own server, or one that cannot be a key.
        """
        if not self._key:
            if self._options.is_openai:
                message = "openai: no API key was given; pass credentials={'api_key': '...'}"
                raise ProviderAuthenticationError(message, provider="openai")
            return {}
        # The HTTP library would name the whole header in its error.
        if not all("!" <= character <= "~" for character in self._key):
            message = "openai: credentials['api_key'] holds white space or characters outside ASCII; pass the key alone"
            raise ProviderAuthenticationError(message, provider="openai")
        return {"Authorization": f"Bearer {self._key}"}
