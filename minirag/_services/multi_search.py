"""Several searches at once: many queries on one bot, one query on many bots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minirag._services.core import BotContext
from minirag._services.fusion import RANK_CONSTANT
from minirag._services.retrieval import SearchRequest, check_request, search, search_together
from minirag._services.steps import Steps
from minirag.errors import BotNotFoundError, InvalidInputError
from minirag.models.checks import clipped
from minirag.models.search import SearchResults, SearchTrace

__all__ = ["search_bots", "search_many"]


def search_many(
    bot: BotContext, queries: object, *, k: object, where: Mapping[str, Any] | None, mode: object, exact: object
) -> Steps[list[SearchResults]]:
    """Return one result a query; the queries are embedded together."""
    if isinstance(queries, str) or not isinstance(queries, Sequence):
        raise InvalidInputError(f"queries must be a list of str, not {clipped(queries)}")
    # An empty list has its other arguments checked too.
    check_request("any", k=k, where=where, mode=mode, exact=exact)
    requests = [check_request(query, k=k, where=where, mode=mode, exact=exact) for query in queries]
    return (yield from search_together(bot, requests))


def search_bots(bots: Sequence[BotContext], request: SearchRequest) -> Steps[SearchResults]:
    """Return the best hits of several bots, fused by rank: a hit scores by its place in its own bot's list alone."""
    ranked = []
    for bot in bots:
        try:
            results = yield from search(bot, request)
        except BotNotFoundError:
            continue  # deleted since the bots were listed
        ranked += [(rank, bot.name, hit) for rank, hit in enumerate(results, start=1)]
    ranked.sort(key=lambda entry: entry[:2])
    hits = [
        hit.model_copy(update={"score": (RANK_CONSTANT + 1) / (RANK_CONSTANT + rank)})
        for rank, _, hit in ranked[: request.k]
    ]
    trace = SearchTrace(
        query=request.query,
        mode=request.mode,
        k=request.k,
        fusion="rank",
        where=dict(request.given_where) if request.given_where is not None else None,
        notes=(f"{len(bots)} bots",),
    )
    return SearchResults(hits, trace)
