"""Texts to checked, normalised vectors, in batches, through either face."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minirag._services.ledger import Ledger
from minirag._services.steps import Effect, Steps
from minirag.errors import InvalidEmbeddingError
from minirag.interfaces import Embedder, TokenUsage

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose, Vector

__all__ = ["checked", "embed", "embed_query"]


def embed(embedder: Embedder, texts: Sequence[str], *, purpose: Purpose, ledger: Ledger) -> Steps[Matrix]:
    """Return one vector of length one for each text: float32, shape `(len(texts), dimension)`.

    Each call of a metered embedder is entered in the ledger, its tokens by the embedder's own count.

    Raises:
        InvalidEmbeddingError: if the embedder returns another shape, type or a number that is not finite.
    """
    space = embedder.space
    dimension = space.dimension
    size = max(1, embedder.batch_size)
    parts: list[Matrix] = []
    for begin in range(0, len(texts), size):
        batch = list(texts[begin : begin + size])
        with ledger.call("embedding", provider=space.provider, model=space.model, metered=embedder.metered) as call:
            raw = yield Effect(
                partial(embedder.embed, batch, purpose=purpose), partial(embedder.aembed, batch, purpose=purpose)
            )
            if embedder.metered:
                call.usage = TokenUsage(input_tokens=sum(map(embedder.count_tokens, batch)))
        parts.append(checked(raw, rows=len(batch), dimension=dimension, embedder=embedder))
    if not parts:
        return np.empty((0, dimension), dtype=np.float32)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def embed_query(embedder: Embedder, query: str, *, ledger: Ledger) -> Steps[Vector]:
    """Return the vector of a query: float32, shape `(dimension,)`, length one."""
    matrix = yield from embed(embedder, [query], purpose="query", ledger=ledger)
    vector: Vector = matrix[0]
    return vector


def checked(raw: Any, *, rows: int, dimension: int, embedder: Embedder) -> Matrix:
    """Return what an embedder gave as unit vectors, or say what is wrong with it."""
    who = f"embedder {embedder.space}"
    if not isinstance(raw, np.ndarray):
        raise InvalidEmbeddingError(f"{who} returned {type(raw).__name__}; it must return a numpy array")
    if raw.dtype != np.float32:
        raise InvalidEmbeddingError(f"{who} returned {raw.dtype} numbers; it must return float32")
    if raw.shape != (rows, dimension):
        raise InvalidEmbeddingError(
            f"{who} returned shape {raw.shape} for {rows} text{'s' * (rows != 1)}; it must be {(rows, dimension)}"
        )
    if not np.isfinite(raw).all():
        row = int(np.argwhere(~np.isfinite(raw).all(axis=1))[0, 0])
        raise InvalidEmbeddingError(f"{who} returned NaN or infinity in row {row} of {rows}; nothing was stored")
    lengths = np.sqrt(np.einsum("ij,ij->i", raw, raw, dtype=np.float64))
    # A vector of zeros has no direction: it stays zero and scores 0 against everything.
    lengths[lengths == 0.0] = 1.0
    if np.abs(lengths - 1.0).max(initial=0.0) <= 1e-6:
        return np.ascontiguousarray(raw)
    unit: Matrix = (raw / lengths[:, None]).astype(np.float32)
    return unit
