"""Conformance suites for providers. Subclass one in a test file, say how to make your provider, and run pytest.

Each test is named after the clause of the interface it holds. `WorkspaceMachine` drives a whole workspace, made of
whatever parts, with two tenants beside a dictionary. Importing this module needs pytest and hypothesis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minirag.testing.chunker import ChunkerConformance
    from minirag.testing.congruence import CongruenceError, check_congruence
    from minirag.testing.embedder import EmbedderConformance
    from minirag.testing.keyword_index import KeywordIndexConformance
    from minirag.testing.llm import LLMConformance
    from minirag.testing.machine import WorkspaceMachine, run_workspace_machine
    from minirag.testing.parser import ParserConformance
    from minirag.testing.reranker import RerankerConformance
    from minirag.testing.storage import StorageConformance
    from minirag.testing.vector_index import VectorIndexConformance

__all__ = [
    "ChunkerConformance",
    "CongruenceError",
    "EmbedderConformance",
    "KeywordIndexConformance",
    "LLMConformance",
    "ParserConformance",
    "RerankerConformance",
    "StorageConformance",
    "VectorIndexConformance",
    "WorkspaceMachine",
    "check_congruence",
    "run_workspace_machine",
]

_MODULES = {
    "ChunkerConformance": "chunker",
    "CongruenceError": "congruence",
    "EmbedderConformance": "embedder",
    "KeywordIndexConformance": "keyword_index",
    "LLMConformance": "llm",
    "ParserConformance": "parser",
    "RerankerConformance": "reranker",
    "StorageConformance": "storage",
    "VectorIndexConformance": "vector_index",
    "WorkspaceMachine": "machine",
    "check_congruence": "congruence",
    "run_workspace_machine": "machine",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module 'minirag.testing' has no attribute {name!r}")
    return getattr(import_module(f"minirag.testing.{_MODULES[name]}"), name)
