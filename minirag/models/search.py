"""What a search returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from minirag.models.base import Model, html_table
from minirag.types import SearchMode

__all__ = ["Hit", "RetrieverRank", "SearchResults", "SearchTrace"]


class RetrieverRank(Model):
    """Where one retriever put a hit: its rank (from 1), or None if beyond its candidates, and its score."""

    rank: int | None
    score: float


class Hit(Model):
    """A chunk that was found.

    Attributes:
        text: the chunk, equal to its document version's text from `start` to `end` (code points).
        score: cosine (dense), BM25 (keyword) or the fused score; comparable within one result only.
        key: the document's key in its source.
        page: the page on which the chunk begins, where the format has pages.
        ranks: rank and score by retriever: `dense`, `keyword`, `rerank`.
    """

    text: str
    score: float
    key: str
    bot: str
    chunk_id: str
    document_id: str
    version_id: str
    source_id: str
    source_name: str
    title: str | None
    start: int
    end: int
    page: int | None
    metadata: dict[str, Any]
    ranks: dict[str, RetrieverRank] = {}

    def __str__(self) -> str:
        page = f", page {self.page}" if self.page is not None else ""
        return f"{self.score:.3f}  {self.key}{page}: {' '.join(self.text.split())[:100]}"

    def _repr_html_(self) -> str:
        return SearchResults([self])._repr_html_()


class SearchTrace(Model):
    """How a result came about.

    Attributes:
        weight: the dense part's share in a hybrid score, where there was one.
        allowed: how many chunks the filter allowed; None without a filter, or if the search found its hits without counting them.
        candidates: how many chunks each retriever proposed.
        seconds: by step.
    """

    query: str
    mode: SearchMode
    k: int
    where: dict[str, Any] | None = None
    fusion: str | None = None
    weight: float | None = None
    allowed: int | None = None
    candidates: dict[str, int] = {}
    analyzers: tuple[str, ...] = ()
    sequence: int = 0
    seconds: dict[str, float] = {}
    reranker: str | None = None
    notes: tuple[str, ...] = ()


class SearchResults(Sequence[Hit]):
    """Hits, best first, and the trace of the search."""

    __slots__ = ("_hits", "trace")

    def __init__(self, hits: Sequence[Hit], trace: SearchTrace | None = None) -> None:
        self._hits = tuple(hits)
        self.trace = trace

    def __len__(self) -> int:
        return len(self._hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> SearchResults: ...
    def __getitem__(self, index: int | slice) -> Hit | SearchResults:
        if isinstance(index, slice):
            return SearchResults(self._hits[index], self.trace)
        return self._hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchResults) and self._hits == other._hits

    def __hash__(self) -> int:
        return hash(tuple(hit.chunk_id for hit in self._hits))

    def __repr__(self) -> str:
        lines = "\n".join(f"  {hit}" for hit in self._hits)
        return f"SearchResults({len(self._hits)} hit{'s' * (len(self._hits) != 1)})" + (f"\n{lines}" if lines else "")

    def _repr_html_(self) -> str:
        rows: list[list[object]] = [
            [number, f"{hit.score:.4f}", hit.key, "" if hit.page is None else hit.page, hit.text[:300]]
            for number, hit in enumerate(self._hits, start=1)
        ]
        return html_table(["#", "score", "key", "page", "text"], rows)
