"""A reranker that counts words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from minirag.interfaces import ProviderContext, Reranker

__all__ = ["SharedWords", "create"]


class SharedWords(Reranker):
    """Scores a text by the share of the query's words that it has."""

    @property
    def name(self) -> str:
        """Provider and model, which are one here."""
        return "shared-words"

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return a number from 0 to 1 for each text, which depends on no other text."""
        wanted = _words(query)
        return [len(wanted & _words(text)) / max(1, len(wanted)) for text in texts]


def create(options: None, context: ProviderContext) -> SharedWords:
    """Return the reranker; it takes no options and needs nothing from the context."""
    return SharedWords()


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
