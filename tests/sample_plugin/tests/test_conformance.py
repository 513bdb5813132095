"""Both providers keep the promises of their interfaces."""

from __future__ import annotations

from minirag_sample.embedder import NgramEmbedder, NgramOptions, create
from minirag_sample.llm import QuoteLLM

from minirag.interfaces import ProviderContext
from minirag.testing import EmbedderConformance, LLMConformance


class TestNgramEmbedder(EmbedderConformance):
    """The clauses E1 to E10."""

    def make_embedder(self) -> NgramEmbedder:
        return create(NgramOptions(dimension=64), ProviderContext())


class TestQuoteLLM(LLMConformance):
    """The clauses L1 to L8."""

    counts_tokens = False

    def make_llm(self) -> QuoteLLM:
        return QuoteLLM()
