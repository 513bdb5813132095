"""The hooks of this plugin. They name the factories; MiniRAG imports one when it is first used."""

from __future__ import annotations

from minirag.interfaces import ProviderSpec, hookimpl


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


@hookimpl
def minirag_rerankers() -> list[ProviderSpec]:
    """Return the reranker `shared-words`."""
    return [
        ProviderSpec(
            name="shared-words",
            factory="minirag_sample.reranker:create",
            summary="how many words of the query a text has",
        )
    ]


@hookimpl
def minirag_parsers() -> list[ProviderSpec]:
    """Return the parser `subtitles`, which goes before the built-in one that reads `.srt` as plain text."""
    return [
        ProviderSpec(
            name="subtitles",
            factory="minirag_sample.parser:create",
            summary="what is said in a film, by captions",
            extensions=(".srt",),
            media_types=("application/x-subrip",),
        )
    ]
