"""`Reranker`: a closer look at the best candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from minirag.interfaces.embedder import estimate_tokens

__all__ = ["Reranker"]


class Reranker(ABC):
    """Scores texts against a query, more closely than an index can.

    Clauses, each held by `minirag.testing.RerankerConformance`:

    R1. `scores` returns one finite float a text, in the order of the texts; higher is better.
    R2. No texts give an empty list.
    R3. A text's score depends on query and text alone, not on the order of the texts or on those beside it.
    R4. The same call gives the same scores again, and from another instance made alike.
    R5. `ascores` returns what `scores` returns.
    R6. Any string is taken, as query and as text: empty, blank, very long, any script.
    R7. Calls from several threads at once return what single calls return.
    R8. `name` is not blank, and the same at every call.

    Two scores are the same if they differ by at most a thousandth of the larger, or by 0.001.
    """

    batch_size: int | None = None
    """The most texts that a call should have, such as go in one request; None for no limit. More are taken as well."""

    metered: bool = False
    """Whether its calls are entered in the usage ledger, as those that cost something should be."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Provider and model, with a colon between them, for traces and the usage ledger."""

    @abstractmethod
    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query."""

    async def ascores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return what `scores` returns, without blocking the event loop; by default in a thread."""
        import asyncio  # not for those who never await: it takes as long as a tenth of opening a workspace

        return await asyncio.to_thread(self.scores, query, texts)

    def count_tokens(self, query: str, texts: Sequence[str]) -> int:
        """Return how many tokens a call counts as; by default an estimate.

        The query counts once with each text, as those vendors count it that bill tokens.
        """
        return len(texts) * estimate_tokens(query) + sum(map(estimate_tokens, texts))

    def close(self) -> None:
        """Free what the reranker holds."""
        return
