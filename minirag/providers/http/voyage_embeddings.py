"""Voyage's embedding models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field

from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_embeddings import ApiEmbedder, ApiEmbeddingOptions, KnownModel, indexed

if TYPE_CHECKING:
    from minirag.types import Purpose

__all__ = ["VoyageEmbedder", "VoyageEmbeddingOptions", "create_embedder"]

_SHORTER: Final = (256, 512, 1024, 2048)


class VoyageEmbeddingOptions(ApiEmbeddingOptions):
    """Options of an embedding model at Voyage.

    Attributes:
        model: the model's name, such as `voyage-3.5`.
        base_url: the API's root, up to and with its version.
    """

    provider: ClassVar[str] = "voyage"
    own_fields: ClassVar[frozenset[str]] = frozenset(
        {"encoding_format", "input", "input_type", "model", "output_dimension", "output_dtype"}
    )
    # Source: Voyage's guide "Text embeddings".
    known_models: ClassVar[Mapping[str, KnownModel]] = {
        "voyage-4-large": KnownModel(1024, 32_000, dimensions=_SHORTER),
        "voyage-4": KnownModel(1024, 32_000, dimensions=_SHORTER),
        "voyage-4-lite": KnownModel(1024, 32_000, dimensions=_SHORTER),
        "voyage-3-large": KnownModel(1024, 32_000, dimensions=_SHORTER),
        "voyage-3.5": KnownModel(1024, 32_000, dimensions=_SHORTER),
        "voyage-3.5-lite": KnownModel(1024, 32_000, dimensions=_SHORTER),
        "voyage-code-3": KnownModel(1024, 32_000, dimensions=_SHORTER),
        "voyage-finance-2": KnownModel(1024, 32_000),
        "voyage-law-2": KnownModel(1024, 16_000),
    }

    dimension_field: ClassVar[str] = "output_dimension"
    task_field: ClassVar[str] = "input_type"

    base_url: str = "https://api.voyageai.com/v1"
    batch_size: int = Field(default=64, ge=1, le=1000)

    @property
    def tasks(self) -> Mapping[Purpose, str | None]:
        """The `input_type` of each purpose."""
        return {"document": "document", "query": "query"}


class VoyageEmbedder(ApiEmbedder):
    """An embedding model at Voyage."""

    most_request_tokens: ClassVar[int] = 100_000

    def __init__(self, options: VoyageEmbeddingOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _path(self) -> str:
        return "/embeddings"

    def _body(self, texts: list[str], named: dict[str, Any]) -> dict[str, Any]:
        return {"model": self._options.model, "input": texts, "truncation": True, **named}

    def _rows(self, payload: Any) -> list[Any]:
        return indexed(payload["data"], "embedding")


def create_embedder(options: VoyageEmbeddingOptions, context: ProviderContext) -> Embedder:
    """Return an embedder. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return VoyageEmbedder(options, context)
