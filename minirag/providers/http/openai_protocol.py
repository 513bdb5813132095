"""What chat and embeddings of the OpenAI protocol share: where the server is."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit

from minirag.providers.http.api_connection import ApiOptions

__all__ = ["OpenAIOptions"]


class OpenAIOptions(ApiOptions):
    """Where an OpenAI-compatible server is and how patiently it is called.

    Attributes:
        model: the model's name, as the server knows it.
        base_url: the API's root, up to and with its version.
        timeout: seconds of silence after which a call is given up.
        max_retries: how often a failed call is tried again.
        extra_body: further fields of every request, such as `{"reasoning_effort": "low"}`.
    """

    provider: ClassVar[str] = "openai"
    own_fields: ClassVar[frozenset[str]] = frozenset({"input", "messages", "model", "stream"})

    base_url: str = "https://api.openai.com/v1"

    @property
    def is_openai(self) -> bool:
        """Whether the server is OpenAI's own."""
        return urlsplit(self.base_url).hostname == "api.openai.com"
