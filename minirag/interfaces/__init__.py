"""The interfaces that engines implement. Import from here to write a provider of your own."""

from __future__ import annotations

from minirag.interfaces.chunker import Chunker, ChunkSpan, TextMeasure
from minirag.interfaces.embedder import Embedder, Familiarity
from minirag.interfaces.fetcher import Fetched, Fetcher
from minirag.interfaces.keyword_index import IndexText, KeywordIndex, KeywordPartition
from minirag.interfaces.llm import LLM, LLMChunk, LLMRequest, LLMResponse, Passage, PromptMessage, TokenUsage
from minirag.interfaces.parser import ParsedDocument, Parser, ParserInput, Span
from minirag.interfaces.reranker import Reranker
from minirag.interfaces.scope import TenantScope
from minirag.interfaces.snapshots import (
    LazyArray,
    LogFedPartition,
    PartitionLostError,
    SnapshotDamagedError,
    SnapshotReader,
    SnapshotWriter,
)
from minirag.interfaces.specs import INTERFACE_VERSION, ProviderContext, ProviderKind, ProviderSpec, hookimpl
from minirag.interfaces.storage import Directory, Reader, Storage, Writer
from minirag.interfaces.tools import Tool, ToolCall
from minirag.interfaces.vector_index import VectorIndex, VectorPartition
from minirag.models.index import EmbeddingSpace

__all__ = [
    "INTERFACE_VERSION",
    "LLM",
    "ChunkSpan",
    "Chunker",
    "Directory",
    "Embedder",
    "EmbeddingSpace",
    "Familiarity",
    "Fetched",
    "Fetcher",
    "IndexText",
    "KeywordIndex",
    "KeywordPartition",
    "LLMChunk",
    "LLMRequest",
    "LLMResponse",
    "LazyArray",
    "LogFedPartition",
    "ParsedDocument",
    "Parser",
    "ParserInput",
    "PartitionLostError",
    "Passage",
    "PromptMessage",
    "ProviderContext",
    "ProviderKind",
    "ProviderSpec",
    "Reader",
    "Reranker",
    "SnapshotDamagedError",
    "SnapshotReader",
    "SnapshotWriter",
    "Span",
    "Storage",
    "TenantScope",
    "TextMeasure",
    "TokenUsage",
    "Tool",
    "ToolCall",
    "VectorIndex",
    "VectorPartition",
    "Writer",
    "hookimpl",
]
