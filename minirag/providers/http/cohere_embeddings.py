"""Cohere's embedding models behind version 2 of its `/embed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_embeddings import ApiEmbedder, ApiEmbeddingOptions, KnownModel

if TYPE_CHECKING:
    from minirag.types import Purpose

__all__ = ["CohereEmbedder", "CohereEmbeddingOptions", "create_embedder"]


class CohereEmbeddingOptions(ApiEmbeddingOptions):
    """Options of an embedding model at Cohere.

    Attributes:
        model: the model's name, such as `embed-v4.0`.
        base_url: the API's root, up to and with its version.
    """

    provider: ClassVar[str] = "cohere"
    own_fields: ClassVar[frozenset[str]] = frozenset(
        {"embedding_types", "images", "input_type", "inputs", "model", "output_dimension", "texts"}
    )
    # Source: Cohere's guide "Embed models". It says nothing of the vectors' length.
    known_models: ClassVar[Mapping[str, KnownModel]] = {
        "embed-v4.0": KnownModel(1536, 128_000, dimensions=(256, 512, 1024, 1536), normalized=False),
        "embed-english-v3.0": KnownModel(1024, 512),
        "embed-multilingual-v3.0": KnownModel(1024, 512),
        "embed-english-light-v3.0": KnownModel(384, 512),
        "embed-multilingual-light-v3.0": KnownModel(384, 512),
    }

    dimension_field: ClassVar[str] = "output_dimension"
    task_field: ClassVar[str] = "input_type"

    base_url: str = "https://api.cohere.com/v2"
    batch_size: int = Field(default=64, ge=1, le=96)

    @property
    def tasks(self) -> Mapping[Purpose, str | None]:
        """The `input_type` of each purpose."""
        return {"document": "search_document", "query": "search_query"}


class CohereEmbedder(ApiEmbedder):
    """An embedding model at Cohere."""

    def __init__(self, options: CohereEmbeddingOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _path(self) -> str:
        return "/embed"

    def _body(self, texts: list[str], named: dict[str, Any]) -> dict[str, Any]:
        return {
            "model": self._options.model,
            "texts": texts,
            "embedding_types": ["float"],
            "truncate": "END",
            **named,
        }

    def _rows(self, payload: Any) -> list[Any]:
        rows: list[Any] = payload["embeddings"]["float"]
        return rows


def create_embedder(options: CohereEmbeddingOptions, context: ProviderContext) -> Embedder:
    """Return an embedder. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return CohereEmbedder(options, context)
