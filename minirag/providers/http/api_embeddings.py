"""What every embedding model behind an HTTP API shares: known models, cutting, requests, and checking the vectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import Field

from minirag.errors import ProviderOptionsError
from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.models.index import EmbeddingSpace
from minirag.providers.http.api_connection import ApiConnection, ApiOptions
from minirag.providers.http.client import Call, Reply
from minirag.providers.http.pace import Pace

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose

__all__ = ["BLANK", "ApiEmbedder", "ApiEmbeddingOptions", "KnownModel", "cut_to", "indexed"]

# Most APIs refuse an empty text, and some servers one of white space alone.
BLANK: Final = "."
"""What is sent in place of a blank text."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What is known of a model without asking its server.

    Attributes:
        dimension: numbers in a vector, unless fewer are asked for.
        max_tokens: where the model cuts a text.
        dimensions: the numbers that may be asked for; None if any up to `dimension` may, empty if none may.
        normalized: whether vectors are known to have length one.
    """

    dimension: int
    max_tokens: int | None
    dimensions: tuple[int, ...] | None = ()
    normalized: bool = True

    def takes(self, dimension: int) -> bool:
        """Return whether the model makes vectors of so many numbers."""
        if self.dimensions is None:
            return dimension <= self.dimension
        return dimension == self.dimension or dimension in self.dimensions


class ApiEmbeddingOptions(ApiOptions):
    """Options of an embedding model behind an API.

    Attributes:
        dimensions: numbers in a vector. Needed for a model that is not known; for models that can shorten their vectors,
            how many numbers are kept.
        send_dimensions: whether the request names `dimensions`. By default only to known models that can shorten their
            vectors, because others refuse it. If it is given, what is known of the model's dimensions is not checked.
        max_tokens: longer texts are cut, as far as `count_tokens` can tell; None for the limit of a known model.
        batch_size: texts in one request.
        document_prefix, query_prefix: put before every text by models that were trained so, such as `"query: "`.
        concurrency: requests that may be under way at once. The first one goes alone; each that is answered lets one
            more through, each refused with status 429 half as many.
    """

    known_models: ClassVar[Mapping[str, KnownModel]] = {}
    """The vendor's models, by name."""

    dimension_field: ClassVar[str] = "dimensions"
    """The field of a request that names the dimension."""

    task_field: ClassVar[str] = ""
    """The field of a request that names the purpose."""

    dimensions: int | None = Field(default=None, ge=1, le=65_536)
    send_dimensions: bool | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=1, le=2048)
    document_prefix: str = ""
    query_prefix: str = ""
    concurrency: int = Field(default=4, ge=1, le=32)

    @property
    def known(self) -> KnownModel | None:
        """What is known of the model."""
        return self.known_models.get(self.model)

    @property
    def tasks(self) -> Mapping[Purpose, str | None]:
        """What `task_field` says for each purpose; None for a request without it."""
        return {}

    def prefix(self, purpose: Purpose) -> str:
        """Return what is put before each text."""
        return self.query_prefix if purpose == "query" else self.document_prefix

    def space_prefix(self, purpose: Purpose) -> str:
        """Return what of a purpose shapes the vectors: the task that is named, in brackets, and the prefix."""
        task = self.tasks.get(purpose)
        return (f"[{self.task_field}={task}]" if task else "") + self.prefix(purpose)


class ApiEmbedder(Embedder):
    """An embedding model behind an API. A subclass says what is sent and where the vectors are in the answer.

    A blank text is embedded as a full stop, because most APIs take none. A call for documents is patient: it waits for
    a server that refuses with status 429 longer than for one that fails.

    Raises:
        ProviderOptionsError: the model's dimension is not known and not given, or the model has no such dimension.
    """

    metered = True

    most_request_tokens: ClassVar[int] = 120_000
    """Tokens in one request, as estimated; a request with more is divided."""

    def __init__(self, options: ApiEmbeddingOptions, context: ProviderContext) -> None:
        self._settings = options
        self._known = known = options.known
        dimension = _dimension(options)
        can_shorten = known is not None and known.dimensions != ()
        self._sends_dimensions = can_shorten if options.send_dimensions is None else options.send_dimensions
        self._space = EmbeddingSpace(
            provider=options.provider,
            model=options.model,
            dimension=dimension,
            normalized=known is not None and known.normalized,
            document_prefix=options.space_prefix("document"),
            query_prefix=options.space_prefix("query"),
        )
        self.max_tokens = options.max_tokens or (known.max_tokens if known else None)
        self.batch_size = options.batch_size * options.concurrency
        self._connection = ApiConnection(options, context)
        self._client = self._connection.client
        self._pace = Pace(most=options.concurrency)
        self._client.on_refusal = self._pace.refused

    @property
    def space(self) -> EmbeddingSpace:
        """What makes the vectors comparable. It does not name the server, which may move."""
        return self._space

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Return one vector a text: float32, shape `(len(texts), space.dimension)`."""
        return self._joined(self._pace.run(self._post, self._requests(texts, purpose=purpose)))

    async def aembed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Return what `embed` returns, without blocking the event loop."""
        return self._joined(await self._pace.arun(self._apost, self._requests(texts, purpose=purpose)))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @abstractmethod
    def _path(self) -> str:
        """Return the path of a request."""

    @abstractmethod
    def _body(self, texts: list[str], named: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a request, without `extra_body`; `named` are the fields for task and dimension, if any."""

    @abstractmethod
    def _rows(self, payload: Any) -> list[Any]:
        """Return the vectors of an answer in the order of the texts.

        Raises:
            AttributeError, IndexError, KeyError, TypeError, ValueError: they are not where they should be.
        """

    def _headers(self) -> dict[str, str]:
        return self._connection.headers()

    def _requests(self, texts: Sequence[str], *, purpose: Purpose) -> list[Call]:
        """Divide the texts into calls of at most `batch_size` texts and `most_request_tokens` tokens."""
        prefix = self._settings.prefix(purpose)
        calls: list[Call] = []
        batch: list[str] = []
        tokens = 0
        for text in texts:
            sent = prefix + (cut_to(text, self.max_tokens, self.count_tokens) if text.strip() else BLANK)
            size = self.count_tokens(sent)
            if batch and (len(batch) >= self._settings.batch_size or tokens + size > self.most_request_tokens):
                calls.append(self._request(batch, purpose=purpose))
                batch, tokens = [], 0
            batch.append(sent)
            tokens += size
        return [*calls, self._request(batch, purpose=purpose)] if batch else calls

    def _request(self, texts: list[str], *, purpose: Purpose) -> Call:
        settings = self._settings
        named: dict[str, Any] = {}
        if task := settings.tasks.get(purpose):
            named[settings.task_field] = task
        if self._sends_dimensions:
            named[settings.dimension_field] = self._space.dimension
        return Call(
            path=self._path(),
            body={**self._body(texts, named), **settings.extra_body},
            headers=self._headers(),
            contents=texts,
            patient=purpose == "document",
        )

    def _post(self, call: Call) -> Matrix:
        reply = self._client.post(call)
        self._pace.accepted()
        return self._matrix(reply, count=len(call.contents))

    async def _apost(self, call: Call) -> Matrix:
        reply = await self._client.apost(call)
        self._pace.accepted()
        return self._matrix(reply, count=len(call.contents))

    def _joined(self, parts: list[Matrix]) -> Matrix:
        if not parts:
            return np.empty((0, self._space.dimension), dtype=np.float32)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _matrix(self, reply: Reply, *, count: int) -> Matrix:
        """Return the vectors of an answer, or say what is wrong with it."""
        try:
            rows = self._rows(reply.payload)
            given = len(rows)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
            raise self._unusable(f"no list of {count} embeddings", reply) from problem
        if given != count:
            raise self._unusable(f"{given} embeddings for {count} texts", reply)
        try:
            with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused below
                matrix = np.array(rows, dtype=np.float32)
        except (TypeError, ValueError, OverflowError) as problem:
            raise self._unusable("an embedding that is not a list of numbers", reply) from problem
        dimension = self._space.dimension
        if matrix.shape != (count, dimension):
            width = matrix.shape[1] if matrix.ndim == 2 else "no"
            raise self._unusable(f"vectors of {width} dimensions instead of {dimension} (`dimensions`)", reply)
        if not np.isfinite(matrix).all():
            raise self._unusable("an embedding with a number that is not finite", reply)
        return matrix

    def _unusable(self, what: str, reply: Reply) -> Exception:
        return self._client.failures.unusable(what, request_id=reply.request_id)


def indexed(items: Any, field: str) -> list[Any]:
    """Return a field of each item, each at the place that the item's `index` names.

    Raises:
        AttributeError, IndexError, KeyError, TypeError, ValueError: if that is not possible.
    """
    rows: list[Any] = [None] * len(items)
    for place, item in enumerate(items):
        index = item.get("index", place)
        if rows[index] is not None or index < 0:
            raise ValueError("an index twice")
        rows[index] = item[field]
    return rows


def cut_to(text: str, limit: int | None, count_tokens: Callable[[str], int]) -> str:
    """Return the longest beginning of `text` of at most `limit` tokens."""
    if limit is None or count_tokens(text) <= limit:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if count_tokens(text[:middle]) <= limit:
            fits = middle
        else:
            too_long = middle
    return text[:fits]


def _dimension(options: ApiEmbeddingOptions) -> int:
    """Return the numbers in a vector."""
    provider, model, known = options.provider, options.model, options.known
    if options.dimensions is None:
        if known is None:
            message = f"{provider}: the dimension of model {model!r} is not known; give the option `dimensions`"
            raise ProviderOptionsError(message, provider=provider)
        return known.dimension
    if known is None or options.send_dimensions is not None or known.takes(options.dimensions):
        return options.dimensions
    hint = "leave `dimensions` out"
    if known.dimensions:
        hint = f"give one of {', '.join(map(str, sorted(known.dimensions)))}"
    message = f"{provider}: model {model!r} has {known.dimension} dimensions, not {options.dimensions}; {hint}"
    raise ProviderOptionsError(message, provider=provider)
