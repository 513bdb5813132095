"""`FaissIndex`: partitions of vectors, fed from the change log or loaded from snapshots."""

from __future__ import annotations

from minirag.interfaces.scope import TenantScope
from minirag.interfaces.snapshots import SnapshotReader
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.vector_index import VectorIndex, VectorPartition
from minirag.models.index import EmbeddingSpace
from minirag.providers.faiss.partition import FaissPartition
from minirag.providers.faiss.plan import Plan
from minirag.providers.faiss.stored import FORMAT, read_state

__all__ = ["FaissIndex", "create"]


class FaissIndex(VectorIndex):
    """Makes a partition a bot; none knows of another."""

    def __init__(self, *, plan: Plan | None = None) -> None:
        self._plan = Plan() if plan is None else plan

    def partition(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace) -> VectorPartition:
        """Return a new, empty partition for vectors of the space's dimension."""
        del scope, bot_id  # a partition belongs to whoever asked for it; nothing is shared that they could tell apart
        return FaissPartition(space.dimension, plan=self._plan)

    @property
    def snapshot_format(self) -> str:
        """Return the name of what its partitions write."""
        return FORMAT

    def load(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace, snapshot: SnapshotReader) -> VectorPartition:
        """Return a partition whose rows stay in the snapshot's file."""
        del scope, bot_id
        state, refused = read_state(snapshot, space.dimension)
        return FaissPartition(space.dimension, plan=self._plan, state=state, refused=refused)


def create(options: object, context: ProviderContext) -> FaissIndex:
    """Return the embedded index. It takes no options."""
    del options, context
    return FaissIndex()
