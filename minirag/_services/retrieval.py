"""Search: candidates of each retriever, fusion, optional reranking, hydration through the tenant's own repository."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minirag._services import fusion
from minirag._services.core import BotContext
from minirag._services.embedding import embed_query
from minirag._services.indexing import StaleViewError
from minirag._services.ledger import Ledger
from minirag._services.steps import Effect, Steps
from minirag.interfaces import Reranker
from minirag.interfaces.records import HitRow
from minirag.interfaces.storage import Reader
from minirag.models.checks import check_choice, check_flag, check_integer, check_text
from minirag.models.filters import Filter, parse_filter
from minirag.models.search import Hit, RetrieverRank, SearchResults, SearchTrace
from minirag.models.tenants import BotRecord
from minirag.types import SearchMode

if TYPE_CHECKING:
    from minirag.types import Keys, Scores, Vector

__all__ = ["MAXIMUM_K", "MODES", "SearchRequest", "check_request", "search"]

MODES: Final[tuple[SearchMode, ...]] = ("hybrid", "dense", "keyword")
MAXIMUM_K: Final = 10_000
_DEPTH: Final = 100
_RERANK_DEPTH: Final = 50
_PATIENCE: Final = 4


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A checked search."""

    query: str
    k: int
    where: Filter | None
    given_where: Mapping[str, Any] | None
    mode: SearchMode
    exact: bool


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A search with all that comes from the embedder: the query's vector, and the known share of its words."""

    request: SearchRequest
    vector: Vector | None
    known: float | None
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Candidates in one consistent view: keys, their final scores, and each retriever's score of them.

    Attributes:
        facts: what the trace will tell, by its fields' names.
    """

    keys: Keys
    scores: Scores
    parts: dict[str, Scores]
    facts: dict[str, Any]


def check_request(
    query: object, *, k: object = 10, where: object = None, mode: object = "hybrid", exact: object = False
) -> SearchRequest:
    """Return a search with every argument checked.

    Raises:
        InvalidInputError: naming the argument, its value and what is allowed.
        FilterError: if `where` cannot be understood.
    """
    return SearchRequest(
        query=check_text("query", query),
        k=check_integer("k", k, minimum=1, maximum=MAXIMUM_K),
        where=parse_filter(where),
        given_where=where if isinstance(where, Mapping) else None,
        mode=check_choice("mode", mode, MODES),
        exact=check_flag("exact", exact),
    )


def search(bot: BotContext, request: SearchRequest, *, vector: Vector | None = None) -> Steps[SearchResults]:
    """Return the best hits. Exactly min(k, allowed) of them; for `keyword`, of the allowed that hold a query term."""
    began = time.perf_counter()
    record = bot.load()
    seconds: dict[str, float] = {}
    known: float | None = None
    if request.mode != "keyword":
        embedder = bot.core.engines.embedder(bot, record)
        if vector is None:
            vector = yield from embed_query(embedder, request.query, ledger=Ledger(bot))
            seconds["embed"] = time.perf_counter() - began
        if request.mode == "hybrid":
            familiarity = embedder.familiarity(request.query)
            known = familiarity.known / familiarity.words if familiarity and familiarity.words else None
    reranker = bot.core.engines.reranker(bot, record)
    depth = max(request.k, _RERANK_DEPTH) if reranker else request.k
    hits, facts = _search_until_consistent(bot, _Prepared(replace(request, k=depth), vector, known, seconds))
    if reranker is not None and hits:
        hits = yield from _rerank(reranker, request, hits)
        facts["reranker"] = reranker.name
    seconds["total"] = time.perf_counter() - began
    trace = SearchTrace(
        query=request.query,
        mode=request.mode,
        k=request.k,
        where=dict(request.given_where) if request.given_where is not None else None,
        seconds=seconds,
        **facts,
    )
    return SearchResults(hits[: request.k], trace)


def _search_until_consistent(bot: BotContext, prepared: _Prepared) -> tuple[list[Hit], dict[str, Any]]:
    """Rank and hydrate in one view of the storage; take a new view if an index was ahead of it.

    Returns the hits and what is to be told of them; the seconds are entered in `prepared`.
    """
    for attempt in range(_PATIENCE + 1):
        bot.core.check()
        with bot.core.storage.read(bot.scope) as reader:
            record = bot.record(reader)
            started = time.perf_counter()
            try:
                ranked = _rank(bot, reader, record, prepared, rebuild=attempt == _PATIENCE)
            except StaleViewError:
                continue
            ranking = time.perf_counter()
            best = _best(reader, record, ranked, prepared.request.k)
            rows = reader.hydrate(record.id, ranked.keys[best])
            if len(rows) < len(best) and attempt < _PATIENCE:
                continue
            places = {name: fusion.ranks_of(part) for name, part in ranked.parts.items()}
            hits = [
                _hit(record, rows[int(ranked.keys[at])], float(ranked.scores[at]), _ranks(ranked, places, at))
                for at in best
                if int(ranked.keys[at]) in rows
            ]
            prepared.seconds.update(rank=ranking - started, hydrate=time.perf_counter() - ranking)
            return hits, ranked.facts
    raise AssertionError("the last attempt rebuilds and cannot be stale")


def _rank(bot: BotContext, reader: Reader, record: BotRecord, prepared: _Prepared, *, rebuild: bool) -> _Ranked:
    request, vector = prepared.request, prepared.vector
    partitions = bot.core.partitions
    allowed = reader.allowed(record.id, request.where) if request.where is not None else None
    position = reader.position(record.id)
    dense = keyword = None
    if request.mode != "keyword":
        dense = partitions.dense(reader, bot.scope, record, position=position, rebuild=rebuild)
    if request.mode != "dense":
        keyword = partitions.keyword(reader, bot.scope, record, position=position, rebuild=rebuild)
    facts: dict[str, Any] = {"sequence": position.sequence}
    if allowed is not None:
        facts["allowed"] = len(allowed)
    if keyword is not None:
        facts["analyzers"] = keyword.analyzers
    if keyword is None:
        assert dense is not None
        assert vector is not None
        keys, scores = dense.search(vector, request.k, allowed=allowed, exact=request.exact)
        facts["candidates"] = {"dense": len(keys)}
        return _Ranked(keys, _cosines(scores), {"dense": scores}, facts)
    if dense is None:
        keys, scores = keyword.search(request.query, request.k, allowed=allowed)
        facts["candidates"] = {"keyword": len(keys)}
        return _Ranked(keys, scores, {"keyword": scores}, facts)
    assert vector is not None
    depth = max(_DEPTH, 10 * request.k)
    dense_keys, _ = dense.search(vector, depth, allowed=allowed, exact=request.exact)
    keyword_keys, _ = keyword.search(request.query, depth, allowed=allowed)
    keys = np.union1d(dense_keys, keyword_keys)
    dense_scores = dense.scores(vector, keys)
    keyword_scores = keyword.scores(request.query, keys)
    absent = np.isnan(dense_scores) | np.isnan(keyword_scores)
    if absent.any():
        if not rebuild:
            # Another thread moved one partition on while this one looked; in a newer view both stand at one position.
            raise StaleViewError
        keys, dense_scores, keyword_scores = keys[~absent], dense_scores[~absent], keyword_scores[~absent]
    dense_scores = _cosines(dense_scores)
    words, known_words = reader.familiarity(record.id)
    weight = fusion.dense_weight(prepared.known, known_words / words if words else None)
    if record.profile.fusion == "rank":
        scores = fusion.rank_fusion(dense_scores, keyword_scores)
    else:
        scores = fusion.convex(dense_scores, keyword_scores, weight)
    facts["candidates"] = {"dense": len(dense_keys), "keyword": len(keyword_keys)}
    facts["fusion"] = record.profile.fusion
    facts["weight"] = weight if record.profile.fusion == "convex" else None
    return _Ranked(keys, scores, {"dense": dense_scores, "keyword": keyword_scores}, facts)


def _cosines(scores: Scores) -> Scores:
    # Stored vectors have length one to float32's precision only.
    return np.clip(scores, -1.0, 1.0)


def _best(reader: Reader, record: BotRecord, ranked: _Ranked, k: int) -> list[int]:
    """Return the places of the best k: by score to six decimals, then by source name, key and start, never by keys."""
    rounded = np.round(ranked.scores, 6)
    order = np.argsort(-rounded, kind="stable")
    if len(order) > k:
        order = order[: int(np.searchsorted(-rounded[order], -rounded[order[k - 1]], side="right"))]
    best = rounded[order]
    if not (best[1:] == best[:-1]).any():
        return [int(at) for at in order[:k]]
    places = reader.order(record.id, ranked.keys[order])
    last = ("\U0010ffff", "", 0)
    return sorted((int(at) for at in order), key=lambda at: (-rounded[at], *places.get(int(ranked.keys[at]), last)))[:k]


def _ranks(ranked: _Ranked, places: dict[str, Scores], at: int) -> dict[str, RetrieverRank]:
    ranks = {}
    for name, scores in ranked.parts.items():
        found = name == "dense" or scores[at] > 0.0
        ranks[name] = RetrieverRank(rank=int(places[name][at]) if found else None, score=float(scores[at]))
    return ranks


def _hit(record: BotRecord, row: HitRow, score: float, ranks: dict[str, RetrieverRank]) -> Hit:
    return Hit(
        text=row.text,
        score=score,
        key=row.key,
        bot=record.profile.name,
        chunk_id=f"{row.chunk_key:016x}",
        document_id=row.document_id,
        version_id=row.version_id,
        source_id=row.source_id,
        source_name=row.source_name,
        title=row.title,
        start=row.start,
        end=row.end,
        page=row.page,
        metadata={**row.chunk_metadata, **row.metadata},
        ranks=ranks,
    )


def _rerank(reranker: Reranker, request: SearchRequest, hits: Sequence[Hit]) -> Steps[list[Hit]]:
    """Order the best candidates by a closer look; those beyond it keep their order behind them."""
    head = hits[: max(request.k, _RERANK_DEPTH)]
    texts = [hit.text for hit in head]
    scores = yield Effect(lambda: reranker.scores(request.query, texts), lambda: reranker.ascores(request.query, texts))
    order = sorted(range(len(head)), key=lambda index: -scores[index])
    return [
        head[index].model_copy(
            update={
                "score": float(scores[index]),
                "ranks": {**head[index].ranks, "rerank": RetrieverRank(rank=rank, score=float(scores[index]))},
            }
        )
        for rank, index in enumerate(order, start=1)
    ]
