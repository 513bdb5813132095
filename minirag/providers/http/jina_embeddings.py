"""Jina's embedding models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_embeddings import ApiEmbedder, ApiEmbeddingOptions, KnownModel, indexed

if TYPE_CHECKING:
    from minirag.types import Purpose

__all__ = ["JinaEmbedder", "JinaEmbeddingOptions", "create_embedder"]

_TASK = r"^[a-z.-]{1,50}$"


class JinaEmbeddingOptions(ApiEmbeddingOptions):
    """Options of an embedding model at Jina.

    Attributes:
        model: the model's name, such as `jina-embeddings-v3`.
        base_url: the API's root, up to and with its version.
        document_task, query_task: the `task` of documents and of queries; None for models that take none.
    """

    provider: ClassVar[str] = "jina"
    own_fields: ClassVar[frozenset[str]] = frozenset(
        {"dimensions", "embedding_type", "input", "late_chunking", "model", "task"}
    )
    # Source: Jina's announcement of version 3, which is cut anywhere, and its page of version 4, which names the lengths.
    known_models: ClassVar[Mapping[str, KnownModel]] = {
        "jina-embeddings-v3": KnownModel(1024, 8192, dimensions=None),
        "jina-embeddings-v4": KnownModel(2048, 32_768, dimensions=(128, 256, 512, 1024, 2048)),
    }

    task_field: ClassVar[str] = "task"

    base_url: str = "https://api.jina.ai/v1"
    document_task: str | None = Field(default="retrieval.passage", pattern=_TASK)
    query_task: str | None = Field(default="retrieval.query", pattern=_TASK)

    @property
    def tasks(self) -> Mapping[Purpose, str | None]:
        """The `task` of each purpose."""
        return {"document": self.document_task, "query": self.query_task}


class JinaEmbedder(ApiEmbedder):
    """An embedding model at Jina."""

    def __init__(self, options: JinaEmbeddingOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _path(self) -> str:
        return "/embeddings"

    def _body(self, texts: list[str], named: dict[str, Any]) -> dict[str, Any]:
        return {"model": self._options.model, "input": texts, "embedding_type": "float", "truncate": True, **named}

    def _rows(self, payload: Any) -> list[Any]:
        return indexed(payload["data"], "embedding")


def create_embedder(options: JinaEmbeddingOptions, context: ProviderContext) -> Embedder:
    """Return an embedder. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return JinaEmbedder(options, context)
