"""A vector index whose entries live in a server that several workspaces share, as those of a remote database do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minirag.interfaces import EmbeddingSpace, PartitionLostError, TenantScope, VectorIndex, VectorPartition
from minirag.interfaces.records import LogPosition

NOWHERE = LogPosition(0, 0)


@dataclass
class Kept:
    """What the server keeps of one partition."""

    generation: int = 0
    position: LogPosition = NOWHERE
    vectors: dict[int, Any] = field(default_factory=dict)


class Server(dict[tuple[str, str, str], Kept]):
    """The partitions of a server, by tenant, bot and space; it can be emptied or set back like any database."""

    def kept(self, name: tuple[str, str, str]) -> Kept:
        """Return a partition, made when it is first asked for."""
        return self.setdefault(name, Kept())


class RemoteIndex(VectorIndex):
    """Makes handles on a server's partitions."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.fed = 0

    def partition(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace) -> RemotePartition:
        return RemotePartition(self, (scope.tenant_id, bot_id, space.fingerprint))

    def drop(self, scope: TenantScope, bot_id: str | None = None, *, keep: str | None = None) -> None:
        for name in list(self.server):
            if name[0] == scope.tenant_id and bot_id in (None, name[1]) and name[2] != keep:
                del self.server[name]


class RemotePartition(VectorPartition):
    """A handle on one partition."""

    engine = "remote"

    def __init__(self, index: RemoteIndex, name: tuple[str, str, str]) -> None:
        self._index = index
        self._name = name
        self._seen = NOWHERE
        self._generation = index.server.kept(name).generation

    def _look(self) -> Kept:
        kept = self._index.server.kept(self._name)
        if kept.generation != self._generation or kept.position.sequence < self._seen.sequence:
            raise PartitionLostError("the server has lost it")
        return kept

    def kept(self) -> LogPosition:
        self._seen = self._index.server.kept(self._name).position
        return self._seen

    def keep(self, position: LogPosition) -> None:
        self._look().position = self._seen = position

    def __len__(self) -> int:
        return len(self._index.server.kept(self._name).vectors)

    def apply(self, removed: Any, added: Any, vectors: Any) -> None:
        kept = self._look()
        for key in removed.tolist():
            kept.vectors.pop(key, None)
        kept.vectors.update(zip(added.tolist(), vectors.copy(), strict=True))
        self._index.fed += len(added)

    def search(self, query: Any, k: int, *, allowed: Any = None, exact: bool = False) -> tuple[Any, Any]:
        kept = self._look().vectors
        keys = np.array([key for key in kept if allowed is None or key in allowed.tolist()], np.int64)
        scores = self.scores(query, keys)
        order = np.lexsort((keys, -scores))[:k]
        return keys[order], scores[order]

    def scores(self, query: Any, keys: Any) -> Any:
        kept = self._look().vectors
        wide = query.astype(np.float64)
        return np.array([kept[key].astype(np.float64) @ wide if key in kept else np.nan for key in keys.tolist()])

    def clear(self) -> None:
        kept = Kept(generation=self._index.server.kept(self._name).generation + 1)
        self._index.server[self._name] = kept
        self._generation, self._seen = kept.generation, NOWHERE
