"""All providers keep the promises of their interfaces."""

from __future__ import annotations

from minirag_sample.embedder import NgramEmbedder, NgramOptions
from minirag_sample.embedder import create as create_embedder
from minirag_sample.llm import QuoteLLM
from minirag_sample.parser import SubtitleParser
from minirag_sample.reranker import SharedWords

from minirag.interfaces import ProviderContext
from minirag.testing import EmbedderConformance, LLMConformance, ParserConformance, RerankerConformance


class TestNgramEmbedder(EmbedderConformance):
    """The clauses E1 to E10."""

    def make_embedder(self) -> NgramEmbedder:
        return create_embedder(NgramOptions(dimension=64), ProviderContext())


class TestQuoteLLM(LLMConformance):
    """The clauses L1 to L12."""

    counts_tokens = False

    def make_llm(self) -> QuoteLLM:
        return QuoteLLM()


class TestSharedWords(RerankerConformance):
    """The clauses R1 to R8."""

    def make_reranker(self) -> SharedWords:
        return SharedWords()


class TestSubtitleParser(ParserConformance):
    """The clauses P1 to P5; P1 is for formats whose text is the file itself."""

    file_name = "film.srt"
    blank = b" \n"
    broken = (b"{canary}", b"\xff{canary}", b"1\n00:00:01,000 {canary}\nHello\n")
    seconds = 5.0

    def make_parser(self) -> SubtitleParser:
        return SubtitleParser()

    def sample(self) -> bytes:
        return (
            b"1\n00:00:01,000 --> 00:00:02,500\nWe open\nat nine.\n\n2\n00:00:03,000 --> 00:00:04,000\n<i>Always.</i>\n"
        )

    def large(self) -> bytes:
        return b"\n \t" * 300_000 + b"1\n00:00:01,000 --> 00:00:02,500\n" + b"<i>Always</i> " * 100_000
