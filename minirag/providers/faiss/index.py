"""`FaissIndex`: partitions in memory, fed from the change log."""

from __future__ import annotations

from minirag.interfaces.scope import TenantScope
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.vector_index import VectorIndex, VectorPartition
from minirag.models.index import EmbeddingSpace
from minirag.providers.faiss.partition import FaissPartition

__all__ = ["FaissIndex", "create"]


class FaissIndex(VectorIndex):
    """Makes a partition a bot; none knows of another."""

    def partition(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace) -> VectorPartition:
        """Return a new, empty partition for vectors of the space's dimension."""
        del scope, bot_id  # a partition belongs to whoever asked for it; nothing is shared that they could tell apart
        return FaissPartition(space.dimension)


def create(options: object, context: ProviderContext) -> FaissIndex:
    """Return the embedded index. It takes no options."""
    del options, context
    return FaissIndex()
