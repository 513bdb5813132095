"""The factories of OpenAI-compatible chat models and embedders."""

from __future__ import annotations

from minirag.interfaces.embedder import Embedder
from minirag.interfaces.llm import LLM
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.openai_chat import OpenAIChat, OpenAIChatOptions
from minirag.providers.http.openai_embeddings import OpenAIEmbedder, OpenAIEmbeddingOptions

__all__ = ["OpenAIChatOptions", "OpenAIEmbeddingOptions", "create_embedder", "create_llm"]


def create_llm(options: OpenAIChatOptions, context: ProviderContext) -> LLM:
    """Return a chat model. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return OpenAIChat(options, context)


def create_embedder(options: OpenAIEmbeddingOptions, context: ProviderContext) -> Embedder:
    """Return an embedder. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return OpenAIEmbedder(options, context)
