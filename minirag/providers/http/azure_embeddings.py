"""OpenAI's embedding models at Azure."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

from pydantic import Field

from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_embeddings import KnownModel
from minirag.providers.http.openai_embeddings import OpenAIEmbedder, OpenAIEmbeddingOptions

__all__ = ["AzureEmbedder", "AzureEmbeddingOptions", "create_embedder"]


class AzureEmbeddingOptions(OpenAIEmbeddingOptions):
    """Options of an embedding model that is deployed at Azure.

    Attributes:
        model: the deployment's name.
        base_url: the resource's root, such as `https://my-resource.openai.azure.com`.
        deployed_model: which of OpenAI's models the deployment is of, such as `text-embedding-3-small`, if its name does
            not say so. It tells the dimension, and names the vectors.
        api_version: None for the path `/openai/v1`, which needs no version; a version, such as `2024-10-21`, for the
            older path `/openai/deployments/...`.
    """

    provider: ClassVar[str] = "azure"

    base_url: str = Field(description="the resource's root")
    deployed_model: str | None = Field(default=None, min_length=1, max_length=500)
    api_version: str | None = Field(default=None, pattern=r"^[0-9A-Za-z-]{1,40}$")

    @property
    def known(self) -> KnownModel | None:
        """What is known of the deployed model."""
        return self.known_models.get(self.deployed_model or self.model)

    @property
    def needs_key(self) -> bool:
        """There is no server at Azure that answers without a key."""
        return True


class AzureEmbedder(OpenAIEmbedder):
    """A deployment at Azure."""

    def __init__(self, options: AzureEmbeddingOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._version = options.api_version
        self._deployment = quote(options.model, safe="")
        self._space = self._space.model_copy(update={"model": options.deployed_model or options.model})

    def _path(self) -> str:
        if self._version is None:
            return "/openai/v1/embeddings"
        return f"/openai/deployments/{self._deployment}/embeddings?api-version={self._version}"

    def _headers(self) -> dict[str, str]:
        return self._connection.headers("api-key", prefix="")


def create_embedder(options: AzureEmbeddingOptions, context: ProviderContext) -> Embedder:
    """Return an embedder. Calls without a key raise `ProviderAuthenticationError`."""
    return AzureEmbedder(options, context)
