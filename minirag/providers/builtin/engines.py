"""The databases, vector indexes and chunkers that MiniRAG brings along."""

from __future__ import annotations

from minirag.interfaces import ProviderSpec, hookimpl

__all__ = ["minirag_chunkers", "minirag_storages", "minirag_vector_indexes"]


@hookimpl
def minirag_storages() -> list[ProviderSpec]:
    """Return the databases."""
    return [
        ProviderSpec(
            name="sqlalchemy",
            factory="minirag.providers.sqlalchemy.storage:create",
            options="minirag.providers.sqlalchemy.storage:SqlAlchemyOptions",
            summary="SQLite in a folder or in memory, or PostgreSQL by its SQLAlchemy URL",
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
        ),
        ProviderSpec(
            name="pgvector",
            factory="minirag.providers.pgvector.index:create",
            options="minirag.providers.pgvector.options:PgVectorOptions",
            summary="PostgreSQL with the extension pgvector",
            requires=("psycopg",),
            extra="postgres",
        ),
        ProviderSpec(
            name="qdrant",
            factory="minirag.providers.qdrant.index:create",
            options="minirag.providers.qdrant.options:QdrantOptions",
            summary="Qdrant, by its address",
            requires=("qdrant_client",),
            extra="qdrant",
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
