"""Embedding models behind the OpenAI protocol's `/embeddings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_embeddings import ApiEmbedder, ApiEmbeddingOptions, KnownModel, indexed

__all__ = ["OPENAI_MODELS", "OpenAIEmbedder", "OpenAIEmbeddingOptions"]

# Source: OpenAI's guide "Vector embeddings"; the tokens, its reference "Create embeddings".
OPENAI_MODELS: Mapping[str, KnownModel] = {
    "text-embedding-3-small": KnownModel(1536, 8192, dimensions=None),
    "text-embedding-3-large": KnownModel(3072, 8192, dimensions=None),
    "text-embedding-ada-002": KnownModel(1536, 8192),
}


class OpenAIEmbeddingOptions(ApiEmbeddingOptions):
    """Options of an embedding model behind the OpenAI protocol.

    Attributes:
        base_url: the API's root, up to and with its version.
    """

    provider: ClassVar[str] = "openai"
    own_fields: ClassVar[frozenset[str]] = frozenset({"dimensions", "encoding_format", "input", "model"})
    known_models: ClassVar[Mapping[str, KnownModel]] = OPENAI_MODELS

    base_url: str = "https://api.openai.com/v1"


class OpenAIEmbedder(ApiEmbedder):
    """An embedding model behind the OpenAI protocol."""

    def __init__(self, options: OpenAIEmbeddingOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _path(self) -> str:
        return "/embeddings"

    def _body(self, texts: list[str], named: dict[str, Any]) -> dict[str, Any]:
        return {"model": self._options.model, "input": texts, "encoding_format": "float", **named}

    def _rows(self, payload: Any) -> list[Any]:
        return indexed(payload["data"], "embedding")
