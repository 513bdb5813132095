"""Rerankers behind HTTP APIs: Cohere, Voyage and Jina, which differ in a few names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from minirag.errors import ProviderError
from minirag.interfaces.embedder import estimate_tokens
from minirag.interfaces.reranker import Reranker
from minirag.interfaces.specs import ProviderContext
from minirag.providers.http.api_connection import ApiConnection, ApiOptions
from minirag.providers.http.api_embeddings import BLANK, cut_to, indexed
from minirag.providers.http.client import Call, Reply

__all__ = [
    "ApiReranker",
    "ApiRerankerOptions",
    "CohereRerankerOptions",
    "JinaRerankerOptions",
    "VoyageRerankerOptions",
    "create_reranker",
]


class ApiRerankerOptions(ApiOptions):
    """Options of a reranker behind an API.

    Attributes:
        model: the model's name.
        base_url: the API's root, up to and with its version.
        max_tokens: longer texts are cut, as far as an estimate can tell.
        batch_size: texts in one request.
    """

    own_fields: ClassVar[frozenset[str]] = frozenset({"documents", "model", "query", "top_k", "top_n"})

    sent: ClassVar[Mapping[str, Any]] = {}
    """What is in every request besides model, query and documents."""

    results: ClassVar[str] = "results"
    """The field of the answer that holds the scores."""

    max_tokens: int = Field(default=4096, ge=1)
    batch_size: int = Field(default=200, ge=1, le=1000)


class CohereRerankerOptions(ApiRerankerOptions):
    """Options of a reranker at Cohere, such as `rerank-v3.5`."""

    provider: ClassVar[str] = "cohere"

    base_url: str = "https://api.cohere.com/v2"


class VoyageRerankerOptions(ApiRerankerOptions):
    """Options of a reranker at Voyage, such as `rerank-2.5`."""

    provider: ClassVar[str] = "voyage"
    sent: ClassVar[Mapping[str, Any]] = {"return_documents": False, "truncation": True}
    results: ClassVar[str] = "data"

    base_url: str = "https://api.voyageai.com/v1"


class JinaRerankerOptions(ApiRerankerOptions):
    """Options of a reranker at Jina, such as `jina-reranker-v2-base-multilingual`."""

    provider: ClassVar[str] = "jina"
    sent: ClassVar[Mapping[str, Any]] = {"return_documents": False}

    base_url: str = "https://api.jina.ai/v1"


class ApiReranker(Reranker):
    """A reranker behind an API's `/rerank`.

    A blank text is sent as a full stop, because the APIs take none. A blank query says nothing about any text: all
    scores are 0, and nothing is called.
    """

    metered = True

    def __init__(self, options: ApiRerankerOptions, context: ProviderContext) -> None:
        self._options = options
        self.batch_size = options.batch_size
        self._connection = ApiConnection(options, context)
        self._client = self._connection.client

    @property
    def name(self) -> str:
        """Provider and model."""
        return f"{self._options.provider}:{self._options.model}"

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query."""
        if not query.strip():
            return [0.0] * len(texts)
        return [score for call in self._calls(query, texts) for score in self._scores(self._client.post(call), call)]

    async def ascores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return what `scores` returns, without blocking the event loop."""
        if not query.strip():
            return [0.0] * len(texts)
        scores: list[float] = []
        for call in self._calls(query, texts):
            scores += self._scores(await self._client.apost(call), call)
        return scores

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _calls(self, query: str, texts: Sequence[str]) -> list[Call]:
        options, limit = self._options, self._options.max_tokens
        query = cut_to(query, limit, estimate_tokens)
        sent = [cut_to(text, limit, estimate_tokens) if text.strip() else BLANK for text in texts]
        batches = [sent[begin : begin + options.batch_size] for begin in range(0, len(sent), options.batch_size)]
        shared = {"model": options.model, "query": query, **options.sent}
        return [
            Call(
                path="/rerank",
                body={**shared, "documents": batch, **options.extra_body},
                headers=self._connection.headers(),
                contents=[query, *batch],
            )
            for batch in batches
        ]

    def _scores(self, reply: Reply, call: Call) -> list[float]:
        """Return the scores of an answer in the order of the texts."""
        count = len(call.body["documents"])
        try:
            scores = indexed(reply.payload[self._options.results], "relevance_score")
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
            raise self._unusable(f"no list of {count} scores", reply) from problem
        if len(scores) != count:
            raise self._unusable(f"{len(scores)} scores for {count} texts", reply)
        if not all(isinstance(score, int | float) and math.isfinite(score) for score in scores):
            raise self._unusable("a score that is not a finite number", reply)
        return [float(score) for score in scores]

    def _unusable(self, what: str, reply: Reply) -> ProviderError:
        return self._client.failures.unusable(what, request_id=reply.request_id)


def create_reranker(options: ApiRerankerOptions, context: ProviderContext) -> Reranker:
    """Return a reranker. Calls without a key that is needed raise `ProviderAuthenticationError`."""
    return ApiReranker(options, context)
