"""`KeywordIndex`: BM25 over a bot's chunks, fed from its change log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minirag.interfaces.snapshots import LogFedPartition, SnapshotReader

if TYPE_CHECKING:
    from minirag.interfaces.scope import TenantScope
    from minirag.types import Keys, Scores

__all__ = ["IndexText", "KeywordIndex", "KeywordPartition"]


@dataclass(frozen=True, slots=True)
class IndexText:
    """A chunk for the keyword index.

    Attributes:
        title: its document's title, searched with it.
        language: ISO 639-1 code of the document's language, or `"none"` when unsure.
    """

    key: int
    text: str
    title: str | None
    language: str


class KeywordPartition(LogFedPartition):
    """The postings of one bot. Its statistics are its own: no score depends on another bot's text.

    K1. After `apply(removed, added)` the partition holds what it held, less `removed`, plus `added`; idempotent.
    K2. `search(query, k)` returns exactly min(k, chunks that hold a query term) keys, plus ties as V7 of the vector
        index says; with `allowed`, of the allowed ones.
    K3. Scores are BM25 (Lucene's form), at least 0, summed over the terms in sorted order in float64, and depend
        only on the chunks held now, not on the order or grouping in which they came.
    K4. `scores(query, keys)` returns each key's score, 0.0 without a query term, NaN for an absent key.
    K5. A query of stop words alone is searched with them.
    K6. One writer and many readers may work at once.
    K7. A partition that was loaded from a snapshot answers as the one that wrote it did, and goes on from there.
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many chunks it holds."""

    @abstractmethod
    def apply(self, removed: Keys, added: Sequence[IndexText]) -> None:
        """Remove, then add."""

    @abstractmethod
    def search(self, query: str, k: int, *, allowed: Keys | None = None) -> tuple[Keys, Scores]:
        """Return the keys of the best chunks and their scores, best first."""

    @abstractmethod
    def scores(self, query: str, keys: Keys) -> Scores:
        """Return the score of each key: 0.0 if it holds no query term, NaN if it is absent."""

    @property
    @abstractmethod
    def analyzers(self) -> tuple[str, ...]:
        """The languages whose analysers are in use, sorted."""

    @abstractmethod
    def clear(self) -> None:
        """Forget every chunk."""


class KeywordIndex(ABC):
    """Makes keyword partitions."""

    @abstractmethod
    def partition(self, scope: TenantScope, bot_id: str) -> KeywordPartition:
        """Return a new, empty partition; its caller feeds it from the log."""

    @property
    def snapshot_format(self) -> str:
        """Name and version of what its partitions write, the analysers' version included; "" if it keeps none."""
        return ""

    def load(self, scope: TenantScope, bot_id: str, snapshot: SnapshotReader) -> KeywordPartition:
        """Return a partition in the state that a snapshot of the same format holds. Called only with `snapshot_format`.

        Raises:
            SnapshotDamagedError: if the snapshot cannot be used.
        """
        del scope, bot_id, snapshot
        raise NotImplementedError(f"{type(self).__name__} declares no snapshot_format")

    @abstractmethod
    def detect_language(self, text: str) -> str:
        """Return the ISO 639-1 code of the text's language if an analyser for it exists and it is sure, else `"none"`."""

    @abstractmethod
    def languages(self) -> tuple[str, ...]:
        """The ISO 639-1 codes that have an analyser of their own, sorted."""

    def close(self) -> None:
        """Free what the index holds."""
        return
