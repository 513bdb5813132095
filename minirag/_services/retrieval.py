"""Search: candidates of each retriever, fusion, optional reranking, hydration through the tenant's own repository."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minirag._services import fusion
from minirag._services.core import BotContext
from minirag._services.embedding import embed
from minirag._services.filtering import AllowedChunks, best_worded, nearest
from minirag._services.indexing import StaleViewError
from minirag._services.ledger import Ledger
from minirag._services.reranking import rerank
from minirag._services.steps import Steps
from minirag.errors import StorageBusyError, VectorIndexError
from minirag.interfaces.records import HitRow, SearchState
from minirag.interfaces.snapshots import SnapshotDamagedError
from minirag.interfaces.storage import Reader
from minirag.models.checks import check_choice, check_flag, check_integer, check_text
from minirag.models.filters import Filter, parse_filter
from minirag.models.search import Hit, RetrieverRank, SearchResults, SearchTrace
from minirag.models.tenants import BotRecord
from minirag.types import SearchMode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.types import Keys, Scores, Vector

__all__ = ["MAXIMUM_K", "MODES", "SearchRequest", "check_request", "search", "search_together"]

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
class _Query:
    """A search with all that comes from the embedder: the query's vector, and the known share of its words."""

    request: SearchRequest
    vector: Vector | None = None
    known: float | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search found in one view.

    Attributes:
        facts: what the trace will tell, by its fields' names.
        seconds: by step.
    """

    hits: list[Hit]
    facts: dict[str, Any]
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Candidates in one consistent view: keys, their final scores, each retriever's score of them, and facts for the trace."""

    keys: Keys
    scores: Scores
    parts: dict[str, Scores]
    facts: dict[str, Any]


class _MovedError(Exception):
    """The bot's vectors are of another space than those of the queries, since `reembed` has moved it meanwhile."""


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


def search(bot: BotContext, request: SearchRequest) -> Steps[SearchResults]:
    """Return the best hits. Exactly min(k, allowed) of them; for `keyword`, of the allowed that hold a query term."""
    return (yield from search_together(bot, [request]))[0]


def search_together(bot: BotContext, requests: Sequence[SearchRequest]) -> Steps[list[SearchResults]]:
    """Return a result for each request, as `search` does, all of one view. They are of one mode and embedded together."""
    began = time.perf_counter()
    bot.allow_search()
    for _ in range(_PATIENCE):
        queries, space = yield from _embedded(bot, requests)
        embedded = time.perf_counter()
        try:
            record, found = _search_until_consistent(bot, queries, space)
            break
        except _MovedError:
            continue
    else:
        raise StorageBusyError(f"bot {bot.name!r} was moved to another embedder again and again; try once more")
    results = []
    for request, each in zip(requests, found, strict=True):
        hits = each.hits
        if record.profile.reranker is not None and hits:
            hits = yield from _reranked(bot, record, request, each)
        seconds = {**each.seconds, "total": time.perf_counter() - began}
        if space is not None:
            seconds["embed"] = embedded - began
        results.append(SearchResults(hits[: request.k], _trace(request, each.facts, seconds)))
    return results


def _trace(request: SearchRequest, facts: Mapping[str, Any], seconds: dict[str, float]) -> SearchTrace:
    return SearchTrace._of(
        {
            "query": request.query,
            "mode": request.mode,
            "k": request.k,
            "where": dict(request.given_where) if request.given_where is not None else None,
            "fusion": None,
            "weight": None,
            "allowed": None,
            "candidates": {},
            "analyzers": (),
            "sequence": 0,
            "seconds": seconds,
            "reranker": None,
            "notes": (),
            **facts,
        }
    )


def _embedded(bot: BotContext, requests: Sequence[SearchRequest]) -> Steps[tuple[list[_Query], str | None]]:
    """Return the searches with what they need of the bot's embedder, and the fingerprint of its space, if they need it.

    The embedder is that of the bot as the last search saw it, without a look into the storage: if the bot has changed
    since, that is noticed in the view in which the search is made, or by the embedder's failure.
    """
    if not requests or requests[0].mode == "keyword":
        return [_Query(request) for request in requests], None
    bot.core.check()
    seen = bot.seen
    # With credentials, what the bot has now may be other than what the record that was seen asks for.
    if seen is not None and not seen.profile.credential_fields:
        try:
            return (yield from _embedded_by(seen, bot, requests))
        except Exception:  # whatever an embedder raises, it may not be the bot's any more
            if _record(bot) == seen:
                raise
    return (yield from _embedded_by(_record(bot), bot, requests))


def _record(bot: BotContext) -> BotRecord:
    with bot.core.storage.read(bot.scope) as reader:
        return bot.state(reader).record


def _embedded_by(
    record: BotRecord, bot: BotContext, requests: Sequence[SearchRequest]
) -> Steps[tuple[list[_Query], str]]:
    embedder = bot.core.engines.embedder(bot, record)
    texts = [request.query for request in requests]
    vectors = yield from embed(embedder, texts, purpose="query", ledger=Ledger(bot))
    queries = []
    for request, vector in zip(requests, vectors, strict=True):
        familiarity = embedder.familiarity(request.query) if request.mode == "hybrid" else None
        known = familiarity.known / familiarity.words if familiarity and familiarity.words else None
        queries.append(_Query(request, vector, known))
    return queries, record.space.fingerprint


def _search_until_consistent(
    bot: BotContext, queries: Sequence[_Query], space: str | None
) -> tuple[BotRecord, list[_Found]]:
    """Rank and hydrate in one view of the storage; take a new view if an index was ahead of it, or was damaged.

    Raises:
        _MovedError: if the bot's space is not the queries' any more.
    """
    damage: SnapshotDamagedError | None = None
    strays: Keys | None = None
    for attempt in range(_PATIENCE + 1):
        bot.core.check()
        with bot.core.turns, bot.core.storage.read(bot.scope) as reader:
            state = bot.state(reader)
            bot.seen = state.record
            if space is not None and state.record.space.fingerprint != space:
                raise _MovedError
            try:
                if strays is not None:
                    bot.core.partitions.purge(reader, bot.scope, state.record, strays)
                return state.record, [
                    _look(bot, reader, state, query, rebuild=attempt == _PATIENCE) for query in queries
                ]
            except StaleViewError as problem:
                strays = problem.keys
                continue
            except SnapshotDamagedError as problem:
                strays = None
                damage = problem
        bot.core.partitions.damaged(bot.scope, bot.bot_id)
    raise VectorIndexError(
        f"the index files of bot {bot.name!r} are damaged as often as they are made anew; check the disk"
    ) from damage


def _look(bot: BotContext, reader: Reader, state: SearchState, query: _Query, *, rebuild: bool) -> _Found:
    """Rank and hydrate in the reader's view.

    Raises:
        StaleViewError: if an index knows later writes; not with `rebuild`.
        SnapshotDamagedError: if an index met a damaged part of its snapshot.
    """
    record = state.record
    k = query.request.k if record.profile.reranker is None else max(query.request.k, _RERANK_DEPTH)
    started = time.perf_counter()
    ranked = _rank(bot, reader, state, query, k=k, rebuild=rebuild)
    ranking = time.perf_counter()
    best = _best(reader, record, ranked, k)
    rows = reader.hydrate(record.id, ranked.keys[best])
    if len(rows) < len(best):
        if not rebuild:
            found = ranked.keys[best]
            raise StaleViewError(found[[key not in rows for key in found.tolist()]])
        best = best[[key in rows for key in ranked.keys[best].tolist()]]
    hits = _hits(record, rows, ranked, best)
    seconds = {"rank": ranking - started, "hydrate": time.perf_counter() - ranking}
    return _Found(hits, ranked.facts, seconds)


def _rank(bot: BotContext, reader: Reader, state: SearchState, query: _Query, *, k: int, rebuild: bool) -> _Ranked:
    """Return at least the best k candidates, with their scores."""
    request, vector, record, position = query.request, query.vector, state.record, state.position
    partitions = bot.core.partitions
    allowed = None if request.where is None else AllowedChunks(reader, record.id, request.where, rebuild=rebuild)
    dense = keyword = None
    if request.mode != "keyword":
        dense = partitions.dense(reader, bot.scope, record, position=position, rebuild=rebuild)
    if request.mode != "dense":
        keyword = partitions.keyword(reader, bot.scope, record, position=position, rebuild=rebuild)
    facts: dict[str, Any] = {"sequence": position.sequence}
    if keyword is not None:
        facts["analyzers"] = keyword.analyzers
    if keyword is None:
        assert dense is not None
        assert vector is not None
        keys, scores = nearest(dense, vector, k, exact=request.exact, allowed=allowed)
        facts |= {"candidates": {"dense": len(keys)}, "allowed": allowed and allowed.count}
        return _Ranked(keys, _cosines(scores), {"dense": scores}, facts)
    if dense is None:
        keys, scores = best_worded(keyword, request.query, k, allowed=allowed)
        facts |= {"candidates": {"keyword": len(keys)}, "allowed": allowed and allowed.count}
        return _Ranked(keys, scores, {"keyword": scores}, facts)
    assert vector is not None
    depth = max(_DEPTH, 10 * k)
    near = nearest(dense, vector, depth, exact=request.exact, allowed=allowed)
    worded = best_worded(keyword, request.query, depth, allowed=allowed)
    keys, dense_scores, keyword_scores = fusion.united(
        near, worded, partial(dense.scores, vector), partial(keyword.scores, request.query)
    )
    absent = np.isnan(dense_scores) | np.isnan(keyword_scores)
    if absent.any():
        if not rebuild:
            # Another thread moved one partition on while this one looked; in a newer view both stand at one position.
            raise StaleViewError(keys[absent])
        keys, dense_scores, keyword_scores = keys[~absent], dense_scores[~absent], keyword_scores[~absent]
    dense_scores = _cosines(dense_scores)
    weight = fusion.dense_weight(query.known, state.known_words / state.words if state.words else None)
    if record.profile.fusion == "rank":
        scores = fusion.rank_fusion(dense_scores, keyword_scores)
    else:
        scores = fusion.convex(dense_scores, keyword_scores, weight)
    facts |= {"candidates": {"dense": len(near[0]), "keyword": len(worded[0])}, "allowed": allowed and allowed.count}
    facts["fusion"] = record.profile.fusion
    facts["weight"] = weight if record.profile.fusion == "convex" else None
    return _Ranked(keys, scores, {"dense": dense_scores, "keyword": keyword_scores}, facts)


def _cosines(scores: Scores) -> Scores:
    # Stored vectors have length one to float32's precision only.
    return np.minimum(np.maximum(scores, -1.0), 1.0)


def _best(reader: Reader, record: BotRecord, ranked: _Ranked, k: int) -> NDArray[np.int64]:
    """Return the places of the best k: by score to six decimals, then by source name, key and start, never by keys."""
    descending = -ranked.scores.round(6)
    order = descending.argsort(kind="stable")
    values = descending[order]
    if len(order) > k:
        end = k if values[k] != values[k - 1] else int(values.searchsorted(values[k - 1], side="right"))
        order, values = order[:end], values[:end]
    if not (values[1:] == values[:-1]).any():
        return order
    places = reader.order(record.id, ranked.keys[order])
    last = ("\U0010ffff", "", 0)
    ties = zip(values.tolist(), ranked.keys[order].tolist(), order.tolist(), strict=True)
    decided = sorted((value, *places.get(key, last), at) for value, key, at in ties)
    return np.array([at for *_, at in decided[:k]], dtype=np.int64)


def _hits(record: BotRecord, rows: Mapping[int, HitRow], ranked: _Ranked, best: NDArray[np.int64]) -> list[Hit]:
    """Return the hits at these places of the candidates, in this order. All of them are in `rows`."""
    bot = record.profile.name
    parts = [
        (name, scores[best].tolist(), fusion.ranks_of(scores)[best].tolist()) for name, scores in ranked.parts.items()
    ]
    hits = []
    for number, (chunk, score) in enumerate(zip(ranked.keys[best].tolist(), ranked.scores[best].tolist(), strict=True)):
        row = rows[chunk]
        ranks = {}
        for name, scores, places in parts:
            found = name == "dense" or scores[number] > 0.0
            ranks[name] = RetrieverRank._of({"rank": int(places[number]) if found else None, "score": scores[number]})
        hits.append(
            Hit._of(
                {
                    "text": row.text,
                    "score": score,
                    "key": row.key,
                    "bot": bot,
                    "chunk_id": f"{chunk:016x}",
                    "document_id": row.document_id,
                    "version_id": row.version_id,
                    "source_id": row.source_id,
                    "source_name": row.source_name,
                    "title": row.title,
                    "start": row.start,
                    "end": row.end,
                    "page": row.page,
                    "metadata": {**row.chunk_metadata, **row.metadata},
                    "ranks": ranks,
                }
            )
        )
    return hits


def _reranked(bot: BotContext, record: BotRecord, request: SearchRequest, found: _Found) -> Steps[list[Hit]]:
    """Order the best candidates by a closer look; those beyond it keep their order behind them."""
    reranker = bot.core.engines.reranker(bot, record)
    assert reranker is not None
    head = found.hits[: max(request.k, _RERANK_DEPTH)]
    texts = [hit.text for hit in head]
    scores = yield from rerank(reranker, request.query, texts, ledger=Ledger(bot))
    order = sorted(range(len(head)), key=lambda index: -scores[index])
    found.facts["reranker"] = reranker.name
    return [
        head[index].model_copy(
            update={
                "score": float(scores[index]),
                "ranks": {**head[index].ranks, "rerank": RetrieverRank(rank=rank, score=float(scores[index]))},
            }
        )
        for rank, index in enumerate(order, start=1)
    ]
