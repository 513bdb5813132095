"""The built-in plugin: the providers that MiniRAG brings along, registered by the door that every plugin uses."""

from __future__ import annotations

from minirag.providers.builtin.engines import minirag_chunkers, minirag_storages, minirag_vector_indexes
from minirag.providers.builtin.models import minirag_embedders, minirag_llms, minirag_rerankers
from minirag.providers.builtin.parsers import minirag_parsers

__all__ = [
    "minirag_chunkers",
    "minirag_embedders",
    "minirag_llms",
    "minirag_parsers",
    "minirag_rerankers",
    "minirag_storages",
    "minirag_vector_indexes",
]
