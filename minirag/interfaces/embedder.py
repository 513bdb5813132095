"""`Embedder`: texts to vectors."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minirag.models.index import EmbeddingSpace

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose

__all__ = ["Embedder", "Familiarity"]


@dataclass(frozen=True, slots=True)
class Familiarity:
    """How much of a text an embedder's vocabulary knows.

    Attributes:
        words: words in the text.
        known: of these, how many the vocabulary holds whole or nearly so, from 0 to `words`.
    """

    words: int
    known: float


class Embedder(ABC):
    """Turns texts into vectors of one embedding space.

    Clauses, each held by `minirag.testing.EmbedderConformance`:

    E1. `embed` returns a float32 array of shape `(len(texts), space.dimension)`.
    E2. Row i belongs to text i: the order is kept, whatever the batching.
    E3. Every number is finite.
    E4. A text's vector does not depend on the texts beside it (cosine ≥ 0.999).
    E5. The same text gives the same vector again (cosine ≥ 0.999).
    E6. No texts give an array of shape `(0, dimension)`.
    E7. `space` is the same at every call and equal for two instances made alike.
    E8. `aembed` returns what `embed` returns.
    E9. Any string is taken: empty, blank, very long, any script. A long text is cut at the model's limit.
    E10. Calls from several threads at once return what single calls return.

    Only `space` and `embed` must be written. Failures of the engine are raised as
    `minirag.errors.ProviderError`; anything else is passed on as it is.
    """

    batch_size: int = 64
    """How many texts `embed` likes at once; callers never send more."""

    max_tokens: int | None = None
    """The longest text the model reads, in its own tokens, or None if unknown."""

    metered: bool = False
    """Whether its calls are entered in the usage ledger, as those that cost something should be."""

    @property
    @abstractmethod
    def space(self) -> EmbeddingSpace:
        """What makes this embedder's vectors comparable."""

    @abstractmethod
    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Return one vector a text: float32, shape `(len(texts), space.dimension)`.

        Args:
            texts: at most `batch_size` of them.
            purpose: `"document"` for what is stored, `"query"` for what is looked for.
        """

    async def aembed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Return what `embed` returns, without blocking the event loop; by default in a thread."""
        import asyncio  # not for those who never await: it takes as long as a tenth of opening a workspace

        return await asyncio.to_thread(self.embed, texts, purpose=purpose)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the model makes of `text`; by default an estimate.

        The estimate counts a token for each run of four Latin characters begun, and for every character of a
        script without spaces. It is meant for sizing chunks, not for billing.
        """
        return estimate_tokens(text)

    def familiarity(self, text: str) -> Familiarity | None:
        """Return how much of `text` the model's vocabulary knows, or None if that is unknown."""
        return None

    def close(self) -> None:
        """Free what the embedder holds. Called once by the workspace that made it; never for an instance it was given."""
        return


_WIDE = re.compile("[\u2e80-\U0010ffff]")
_RUN = re.compile(r"\S{1,4}")


def estimate_tokens(text: str) -> int:
    """Return a rough count of the tokens a language model makes of `text`; see `Embedder.count_tokens`."""
    if text.isascii():
        return len(_RUN.findall(text))
    narrow, wide = _WIDE.subn(" ", text)
    return wide + len(_RUN.findall(narrow))
