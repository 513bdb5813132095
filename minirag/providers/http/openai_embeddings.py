"""Embedding models behind the OpenAI protocol's `/embeddings`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from minirag.errors import ProviderOptionsError
from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.models.index import EmbeddingSpace
from minirag.providers.http.client import Call, Reply
from minirag.providers.http.openai_protocol import OpenAIConnection, OpenAIOptions

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose

__all__ = ["OpenAIEmbedder", "OpenAIEmbeddingOptions"]

_KNOWN_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
_KNOWN_MAX_TOKENS = 8191
# The API refuses an empty text, and some servers one of white space alone.
_BLANK = "."


class OpenAIEmbeddingOptions(OpenAIOptions):
    """Options of an embedding model behind the OpenAI protocol.

    Attributes:
        dimensions: numbers in a vector. Needed for every model but OpenAI's own; for `text-embedding-3-small` and
            `-large` it shortens the vectors.
        send_dimensions: whether the request names `dimensions`. By default only to OpenAI's `text-embedding-3`
            models: servers refuse it for models that cannot shorten their vectors.
        max_tokens: longer texts are cut, as far as `count_tokens` can tell; None leaves that to the server.
        batch_size: texts in one request.
        document_prefix, query_prefix: put before every text by models that were trained so, such as `"query: "`.
    """

    dimensions: int | None = Field(default=None, ge=1, le=65_536)
    send_dimensions: bool | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=1, le=2048)
    document_prefix: str = ""
    query_prefix: str = ""


class OpenAIEmbedder(Embedder):
    """An embedding model behind the OpenAI protocol.

    An empty or blank text is embedded as a full stop, because the API takes none.

    Raises:
        ProviderOptionsError: the model's dimension is not known and not given.
    """

    metered = True

    def __init__(self, options: OpenAIEmbeddingOptions, context: ProviderContext) -> None:
        self._options = options
        known = _KNOWN_DIMENSIONS.get(options.model)
        dimension = options.dimensions or known
        if dimension is None:
            message = f"openai: the dimension of model {options.model!r} is not known; give the option `dimensions`"
            raise ProviderOptionsError(message, provider="openai")
        shortens = known is not None and options.model.startswith("text-embedding-3")
        if known is not None and (dimension > known or (dimension != known and not shortens)):
            message = f"openai: model {options.model!r} has {known} dimensions, not {dimension}; leave `dimensions` out"
            raise ProviderOptionsError(message, provider="openai")
        self._sends_dimensions = shortens if options.send_dimensions is None else options.send_dimensions
        self._space = EmbeddingSpace(
            provider="openai",
            model=options.model,
            dimension=dimension,
            normalized=known is not None,
            document_prefix=options.document_prefix,
            query_prefix=options.query_prefix,
        )
        self.batch_size = options.batch_size
        self.max_tokens = options.max_tokens or (_KNOWN_MAX_TOKENS if known else None)
        self._connection = OpenAIConnection(options, context)
        self._client = self._connection.client

    @property
    def space(self) -> EmbeddingSpace:
        """What makes the vectors comparable. It does not name the server, which may move."""
        return self._space

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Return one vector a text: float32, shape `(len(texts), space.dimension)`."""
        if not texts:
            return self._nothing()
        return self._matrix(self._client.post(self._call(texts, purpose=purpose)), count=len(texts))

    async def aembed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Return what `embed` returns, without blocking the event loop."""
        if not texts:
            return self._nothing()
        return self._matrix(await self._client.apost(self._call(texts, purpose=purpose)), count=len(texts))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _nothing(self) -> Matrix:
        return np.empty((0, self._space.dimension), dtype=np.float32)

    def _call(self, texts: Sequence[str], *, purpose: Purpose) -> Call:
        prefix = self._options.query_prefix if purpose == "query" else self._options.document_prefix
        body: dict[str, Any] = {
            "model": self._options.model,
            "input": [prefix + self._cut(text) if text.strip() else prefix + _BLANK for text in texts],
            "encoding_format": "float",
        }
        if self._sends_dimensions:
            body["dimensions"] = self._space.dimension
        return Call(
            path="/embeddings",
            body={**body, **self._options.extra_body},
            headers=self._connection.headers(),
            contents=texts,
        )

    def _cut(self, text: str) -> str:
        """Return the longest beginning of `text` that the model reads."""
        limit = self.max_tokens
        if limit is None or self.count_tokens(text) <= limit:
            return text
        fits, too_long = 0, len(text)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if self.count_tokens(text[:middle]) <= limit:
                fits = middle
            else:
                too_long = middle
        return text[:fits]

    def _matrix(self, reply: Reply, *, count: int) -> Matrix:
        """Return the vectors of an answer in the order of the texts."""
        rows: list[list[float] | None] = [None] * count
        try:
            data = reply.payload["data"]
            for place, item in enumerate(data):
                index = item.get("index", place)
                if rows[index] is not None or index < 0:
                    raise ValueError("an index twice")
                rows[index] = item["embedding"]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
            raise self._unusable(f"no list of {count} embeddings", reply) from problem
        if len(data) != count:
            raise self._unusable(f"{len(data)} embeddings for {count} texts", reply)
        try:
            with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused below
                matrix = np.array(rows, dtype=np.float32)
        except (TypeError, ValueError, OverflowError) as problem:
            raise self._unusable("an embedding that is not a list of numbers", reply) from problem
        dimension = self._space.dimension
        if matrix.shape != (count, dimension):
            given = matrix.shape[1] if matrix.ndim == 2 else "no"
            raise self._unusable(f"vectors of {given} dimensions instead of {dimension} (`dimensions`)", reply)
        if not np.isfinite(matrix).all():
            raise self._unusable("an embedding with a number that is not finite", reply)
        return matrix

    def _unusable(self, what: str, reply: Reply) -> Exception:
        return self._client.failures.unusable(what, request_id=reply.request_id)
