"""Gemini's embedding models behind Google's `batchEmbedContents`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from pydantic import Field

from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_embeddings import ApiEmbedder, ApiEmbeddingOptions, KnownModel

if TYPE_CHECKING:
    from minirag.types import Purpose

__all__ = ["GeminiEmbedder", "GeminiEmbeddingOptions", "create_embedder"]


class GeminiEmbeddingOptions(ApiEmbeddingOptions):
    """Options of a Gemini embedding model.

    Attributes:
        model: the model's name, such as `gemini-embedding-001`.
        base_url: the API's root, up to and with its version.
        document_task, query_task: the `taskType` of documents and of queries; None for models that take none.
    """

    provider: ClassVar[str] = "gemini"
    own_fields: ClassVar[frozenset[str]] = frozenset({"requests"})
    # Source: Google's guide "Embeddings".
    known_models: ClassVar[Mapping[str, KnownModel]] = {
        "gemini-embedding-001": KnownModel(3072, 2048, dimensions=None),
    }

    dimension_field: ClassVar[str] = "outputDimensionality"
    task_field: ClassVar[str] = "taskType"

    base_url: str = "https://generativelanguage.googleapis.com/v1beta"
    batch_size: int = Field(default=64, ge=1, le=100)
    document_task: str | None = Field(default="RETRIEVAL_DOCUMENT", pattern=r"^[A-Z_]{1,50}$")
    query_task: str | None = Field(default="RETRIEVAL_QUERY", pattern=r"^[A-Z_]{1,50}$")

    @property
    def tasks(self) -> Mapping[Purpose, str | None]:
        """The `taskType` of each purpose."""
        return {"document": self.document_task, "query": self.query_task}


class GeminiEmbedder(ApiEmbedder):
    """A Gemini embedding model."""

    # What Google names as the limit of one request to these models at Vertex; for this API it names none.
    most_request_tokens: ClassVar[int] = 20_000

    def __init__(self, options: GeminiEmbeddingOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options
        self._model = options.model.removeprefix("models/")
        if self._known is not None and self._space.dimension < self._known.dimension:
            # Google normalises only vectors of the full length.
            self._space = self._space.model_copy(update={"normalized": False})

    def _path(self) -> str:
        return f"/models/{quote(self._model, safe='')}:batchEmbedContents"

    def _headers(self) -> dict[str, str]:
        return self._connection.headers("x-goog-api-key", prefix="")

    def _body(self, texts: list[str], named: dict[str, Any]) -> dict[str, Any]:
        shared = {"model": f"models/{self._model}", **named}
        return {"requests": [{**shared, "content": {"parts": [{"text": text}]}} for text in texts]}

    def _rows(self, payload: Any) -> list[Any]:
        return [item["values"] for item in payload["embeddings"]]


def create_embedder(options: GeminiEmbeddingOptions, context: ProviderContext) -> Embedder:
    """Return an embedder. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return GeminiEmbedder(options, context)
