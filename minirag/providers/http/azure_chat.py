"""OpenAI's models at Azure."""

from __future__ import annotations

from typing import ClassVar, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, field_validator

from minirag.interfaces.llm import LLM
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.openai_chat import OpenAIChat, OpenAIChatOptions

__all__ = ["AzureChat", "AzureChatOptions", "create_llm"]


class AzureChatOptions(OpenAIChatOptions):
    """Options of a deployment at Azure.

    Attributes:
        model: the deployment's name.
        base_url: the resource's root, such as `https://my-resource.openai.azure.com`.
        api_version: None for the path `/openai/v1`, which needs no version; a version, such as `2024-10-21`, for the
            older path `/openai/deployments/...`.
    """

    provider: ClassVar[str] = "azure"

    base_url: str = Field(description="the resource's root")
    api_version: str | None = Field(default=None, pattern=r"^[0-9A-Za-z-]{1,40}$")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = "max_completion_tokens"

    @field_validator("base_url")
    @classmethod
    def _root_alone(cls, url: str) -> str:
        if "/openai" in urlsplit(url).path:
            raise ValueError("must be the resource's root, without '/openai' and what comes after it")
        return url

    @property
    def needs_key(self) -> bool:
        """There is no server at Azure that answers without a key."""
        return True


class AzureChat(OpenAIChat):
    """A deployment at Azure."""

    def __init__(self, options: AzureChatOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._version = options.api_version
        self._deployment = quote(options.model, safe="")

    def _path(self) -> str:
        if self._version is None:
            return "/openai/v1/chat/completions"
        return f"/openai/deployments/{self._deployment}/chat/completions?api-version={self._version}"

    def _headers(self) -> dict[str, str]:
        return self._connection.headers("api-key", prefix="")


def create_llm(options: AzureChatOptions, context: ProviderContext) -> LLM:
    """Return a chat model. Calls without a key raise `ProviderAuthenticationError`."""
    return AzureChat(options, context)
