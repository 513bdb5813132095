"""Texts to a reranker's scores, in calls that are entered in the ledger if they cost something."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from minirag._services.ledger import Ledger
from minirag._services.steps import Effect, Steps
from minirag.interfaces import Reranker, TokenUsage

__all__ = ["rerank"]


def rerank(reranker: Reranker, query: str, texts: Sequence[str], *, ledger: Ledger) -> Steps[list[float]]:
    """Return how well each text answers the query, in the order of the texts.

    Each call of a metered reranker is entered in the ledger, its tokens by the reranker's own count.
    """
    provider, _, model = reranker.name.partition(":")
    size = reranker.batch_size or len(texts)
    scores: list[float] = []
    for begin in range(0, len(texts), size):
        batch = list(texts[begin : begin + size])
        effect = Effect(partial(reranker.scores, query, batch), partial(reranker.ascores, query, batch))
        if reranker.metered:
            sent = TokenUsage(input_tokens=reranker.count_tokens(query, batch))
            with ledger.call("rerank", provider=provider, model=model, metered=True, at_most=sent) as call:
                scores += yield effect
                call.usage = sent
        else:
            scores += yield effect
    return scores
