"""`Bm25Index`: the built-in keyword index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minirag.interfaces.keyword_index import KeywordIndex
from minirag.providers.bm25.analyzer import Analyzers, analysis_version
from minirag.providers.bm25.detection import detect_language
from minirag.providers.bm25.languages import LANGUAGES
from minirag.providers.bm25.partition import Bm25Partition

if TYPE_CHECKING:
    from minirag.interfaces.keyword_index import KeywordPartition
    from minirag.interfaces.scope import TenantScope
    from minirag.interfaces.snapshots import SnapshotReader
    from minirag.interfaces.specs import ProviderContext

__all__ = ["Bm25Index", "create"]


class Bm25Index(KeywordIndex):
    """Makes partitions that share analysers, whose caches of stemmed words serve all of them."""

    def __init__(self) -> None:
        self._analyzers = Analyzers()

    def partition(self, scope: TenantScope, bot_id: str) -> KeywordPartition:  # noqa: ARG002 - shares nothing to tell apart
        return Bm25Partition(self._analyzers)

    @property
    def snapshot_format(self) -> str:
        return f"bm25-1/{analysis_version()}"

    def load(self, scope: TenantScope, bot_id: str, snapshot: SnapshotReader) -> KeywordPartition:  # noqa: ARG002 - as above
        return Bm25Partition.load(self._analyzers, snapshot)

    def detect_language(self, text: str) -> str:
        return detect_language(text)

    def languages(self) -> tuple[str, ...]:
        return tuple(sorted(LANGUAGES))


def create(options: None = None, context: ProviderContext | None = None) -> Bm25Index:  # noqa: ARG001 - a factory is given both
    """Return the keyword index. It takes no options and needs nothing of its context."""
    return Bm25Index()
