"""The hooks of this plugin. They name the factories; MiniRAG imports one when it is first used."""

from __future__ import annotations

from minirag.interfaces import ProviderSpec, hookimpl

__all__ = ["minirag_embedders", "minirag_llms"]


@hookimpl
def minirag_embedders() -> list[ProviderSpec]:
    """Return the embedder `ngrams`."""
    return [
        ProviderSpec(
            name="ngrams",
            factory="minirag_sample.embedder:create",
            options="minirag_sample.embedder:NgramOptions",
            summary="counts of character n-grams: no model, any language",
            requires=("numpy",),
        )
    ]


@hookimpl
def minirag_llms() -> list[ProviderSpec]:
    """Return the language model `quote`."""
    return [
        ProviderSpec(
            name="quote",
            factory="minirag_sample.llm:create",
            summary="answers with the first sentence of the best passage",
        )
    ]
