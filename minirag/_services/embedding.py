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
    from minirag.types import Matrix, Purpose

__all__ = ["checked", "embed"]


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
        effect = Effect(
            partial(embedder.embed, batch, purpose=purpose), partial(embedder.aembed, batch, purpose=purpose)
        )
        if embedder.metered:
            sent = TokenUsage(input_tokens=sum(map(embedder.count_tokens, batch)))
            with ledger.call(
                "embedding", provider=space.provider, model=space.model, metered=True, at_most=sent
            ) as call:
                raw = yield effect
                call.usage = sent
        else:
            raw = yield effect
        parts.append(checked(raw, rows=len(batch), dimension=dimension, embedder=embedder))
    if not parts:
        return np.empty((0, dimension), dtype=np.float32)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def checked(raw: Any, *, rows: int, dimension: int, embedder: Embedder) -> Matrix:
    """Return what an embedder gave as unit vectors, or say what is wrong with it."""
    if not isinstance(raw, np.ndarray):
        raise _wrong(embedder, f"returned {type(raw).__name__}; it must return a numpy array")
    if raw.dtype != np.float32:
        raise _wrong(embedder, f"returned {raw.dtype} numbers; it must return float32")
    if raw.shape != (rows, dimension):
        texts = f"{rows} text{'s' * (rows != 1)}"
        raise _wrong(embedder, f"returned shape {raw.shape} for {texts}; it must be {(rows, dimension)}")
    # A float64 sum of squares of float32 numbers is finite if all of them are.
    lengths = np.sqrt(np.vecdot(raw, raw, dtype=np.float64))
    # A vector of zeros has no direction: it stays zero and scores 0 against everything.
    if all(abs(length - 1.0) <= 1e-6 or length == 0.0 for length in lengths.tolist()):
        return np.ascontiguousarray(raw)
    finite = np.isfinite(lengths)
    if not finite.all():
        row = int(np.argmin(finite))
        raise _wrong(embedder, f"returned NaN or infinity in row {row} of {rows}; nothing was stored")
    lengths[lengths == 0.0] = 1.0
    unit: Matrix = (raw / lengths[:, None]).astype(np.float32)
    return unit


def _wrong(embedder: Embedder, what: str) -> InvalidEmbeddingError:
    return InvalidEmbeddingError(f"embedder {embedder.space} {what}")
