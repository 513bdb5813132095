"""The BM25 index keeps the contract."""
from __future__ import annotations
from minirag.interfaces.keyword_index import KeywordIndex
from minirag.providers.bm25.index import create
from minirag.testing.keyword_index import KeywordIndexConformance


class TestBm25(KeywordIndexConformance):
    """Every clause, held by the built-in index."""

    def make_index(self) -> KeywordIndex:
        return create()
