"""`VectorIndex`: the nearest vectors of a bot, fed from its change log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from minirag.interfaces.erasing import Purge
from minirag.interfaces.snapshots import LogFedPartition, SnapshotReader
from minirag.models.index import EmbeddingSpace

if TYPE_CHECKING:
    from minirag.interfaces.scope import TenantScope
    from minirag.types import Keys, Matrix, Scores, Vector

__all__ = ["VectorIndex", "VectorPartition"]


class VectorPartition(LogFedPartition):
    """The vectors of one bot in one embedding space. Vectors have length one, so a dot product is a cosine.

    Clauses, each held by `minirag.testing.VectorIndexConformance`:

    V1. After `apply(removed, added, vectors)` the partition holds what it held, less `removed`, plus `added`.
    V2. `apply` is idempotent: removing what is absent does nothing, adding what is present replaces it.
    V3. `search(query, k)` returns the keys of exactly min(k, len) vectors, no key twice.
    V4. Scores are cosines, computed by float64 sums over the stored float32 vectors, in descending order.
    V5. With `allowed`, exactly min(k, allowed and present) keys, all of them allowed.
    V6. `exact=True` returns the true nearest; ties with the last returned score may follow beyond k (see V7).
    V7. Keys whose score, rounded to six decimals, equals that of the k-th are all returned, so that the caller can
        break ties by its own rule: the result may be longer than k.
    V8. `scores(query, keys)` returns the score of each key, NaN for an absent one.
    V9. A removed key is never returned again unless it is added again.
    V10. One writer and many readers may work at once; a reader sees the state before or after an `apply`, nothing between.
    V11. `clear()` empties the partition. Where it is kept outside this process, other handles on it notice (see `kept`).
    V12. A partition that was loaded from a snapshot answers as the one that wrote it did, and goes on from there.
    V13. `optimize` changes no answer of an `exact` search, and loses no `apply` that came meanwhile.
    """

    remote: bool = False
    """Whether a server keeps it, so that each vector that is looked at is sent first."""

    @abstractmethod
    def __len__(self) -> int:
        """How many vectors it holds."""

    @abstractmethod
    def apply(self, removed: Keys, added: Keys, vectors: Matrix) -> None:
        """Remove, then add: keys int64 `(n,)`, vectors float32 `(n, dimension)`."""

    @abstractmethod
    def search(self, query: Vector, k: int, *, allowed: Keys | None = None, exact: bool = False) -> tuple[Keys, Scores]:
        """Return the keys of the nearest vectors and their cosines, best first.

        Args:
            query: float32, shape `(dimension,)`, length one.
            allowed: consider only these keys.
            exact: score every allowed vector.
        """

    @abstractmethod
    def scores(self, query: Vector, keys: Keys) -> Scores:
        """Return the cosine of each key's vector, NaN where the partition does not hold it."""

    @abstractmethod
    def clear(self) -> None:
        """Forget every vector."""

    @property
    @abstractmethod
    def engine(self) -> str:
        """What kind of search is in use now, for `stats()`."""


class VectorIndex(ABC):
    """Makes partitions. What it holds can be thrown away at any moment and fed again."""

    remote: bool = False
    """Whether its partitions are kept by a server: searches then wait for it, and more of them go on at once."""

    @abstractmethod
    def partition(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace) -> VectorPartition:
        """Return a new, empty partition; its caller feeds it from the log."""

    @property
    def snapshot_format(self) -> str:
        """Name and version of what its partitions write; another one's snapshots are not given to it. "" if it keeps none."""
        return ""

    def load(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace, snapshot: SnapshotReader) -> VectorPartition:
        """Return a partition in the state that a snapshot of the same format holds. Called only with `snapshot_format`.

        Raises:
            SnapshotDamagedError: if the snapshot cannot be used.
        """
        del scope, bot_id, space, snapshot
        raise NotImplementedError(f"{type(self).__name__} declares no snapshot_format")

    def drop(self, scope: TenantScope, bot_id: str | None = None, *, keep: str | None = None) -> None:
        """Delete what is kept outside this process of a bot, or of a whole tenant, but for the space of the fingerprint `keep`."""
        return

    def purge(self) -> Purge:
        """Make vectors that were removed before unreadable where they are kept outside this process.

        Raises:
            VectorIndexError: if that could not be done.
        """
        return Purge(None)

    def close(self) -> None:
        """Free what the index holds."""
        return
