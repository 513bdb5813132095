"""Local embedding models behind Ollama's `/api/embed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_embeddings import ApiEmbedder, ApiEmbeddingOptions, KnownModel

__all__ = ["OllamaEmbedder", "OllamaEmbeddingOptions", "create_embedder"]


class OllamaEmbeddingOptions(ApiEmbeddingOptions):
    """Options of an embedding model that Ollama runs.

    Attributes:
        model: the model's name, such as `nomic-embed-text`. A tag, as in `bge-m3:567m`, may make another model of it.
        base_url: the server's root, without `/api`.
        timeout: seconds of silence after which a call is given up; loading a model for the first call counts too.
        document_prefix, query_prefix: put before every text by models that were trained so, such as
            `"search_document: "` and `"search_query: "` for `nomic-embed-text`.
    """

    provider: ClassVar[str] = "ollama"
    own_fields: ClassVar[frozenset[str]] = frozenset({"dimensions", "input", "model"})
    # Source: the models' pages in Ollama's library. What a model reads depends on how the server was started.
    known_models: ClassVar[Mapping[str, KnownModel]] = {
        "all-minilm": KnownModel(384, None),
        "bge-m3": KnownModel(1024, None),
        "embeddinggemma": KnownModel(768, None),
        "mxbai-embed-large": KnownModel(1024, None),
        "nomic-embed-text": KnownModel(768, None),
        "snowflake-arctic-embed2": KnownModel(1024, None),
    }

    base_url: str = "http://127.0.0.1:11434"
    timeout: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    concurrency: int = Field(default=1, ge=1, le=32)

    @property
    def known(self) -> KnownModel | None:
        """What is known of the model; `:latest` is the same as no tag."""
        return self.known_models.get(self.model.removesuffix(":latest"))

    @property
    def needs_key(self) -> bool:
        """A server of one's own needs no key; one that is given is sent, for a server behind a gate."""
        return False


class OllamaEmbedder(ApiEmbedder):
    """An embedding model behind Ollama."""

    def __init__(self, options: OllamaEmbeddingOptions, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._options = options

    def _path(self) -> str:
        return "/api/embed"

    def _body(self, texts: list[str], named: dict[str, Any]) -> dict[str, Any]:
        return {"model": self._options.model, "input": texts, "truncate": True, **named}

    def _rows(self, payload: Any) -> list[Any]:
        rows: list[Any] = payload["embeddings"]
        return rows


def create_embedder(options: OllamaEmbeddingOptions, context: ProviderContext) -> Embedder:
    """Return an embedder."""
    return OllamaEmbedder(options, context)
