"""`Reranker`: a closer look at the best candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

__all__ = ["Reranker"]


class Reranker(ABC):
    """Scores texts against a query, more closely than an index can.

    R1. `scores` returns one finite float a text, in the order of the texts; higher is better.
    R2. No texts give an empty list.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Provider and model, for traces and the usage ledger."""

    @abstractmethod
    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query."""

    async def ascores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return what `scores` returns, without blocking the event loop; by default in a thread."""
        import asyncio  # not for those who never await: it takes as long as a tenth of opening a workspace

        return await asyncio.to_thread(self.scores, query, texts)

    def close(self) -> None:
        """Free what the reranker holds."""
        return
