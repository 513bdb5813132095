"""`QdrantIndex`: the vectors of all bots in Qdrant, a collection for each embedding space."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from minirag.errors import ProviderOptionsError
from minirag.interfaces.erasing import Purge
from minirag.interfaces.scope import TenantScope
from minirag.interfaces.snapshots import PartitionLostError
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.vector_index import VectorIndex, VectorPartition
from minirag.models.index import EmbeddingSpace
from minirag.providers.qdrant.locking import SharedLock
from minirag.providers.qdrant.options import QdrantOptions
from minirag.providers.qdrant.partition import QdrantPartition
from minirag.providers.qdrant.points import INDEXED, Owner
from minirag.providers.qdrant.translation import translated

__all__ = ["QdrantIndex", "create"]


def create(options: QdrantOptions | None, context: ProviderContext) -> QdrantIndex:
    """Return the index at the address in the options. A key may also come with the credentials, as `api_key`."""
    if options is None:
        raise ProviderOptionsError("qdrant: give options={'url': 'http://localhost:6333'}", provider="qdrant")
    key = options.api_key.get_secret_value() if options.api_key is not None else context.credentials.get("api_key")
    with translated():
        return QdrantIndex(_connect(options, key), options)


class QdrantIndex(VectorIndex):
    """Makes handles on what the collections keep.

    Args:
        client: a `qdrant_client.QdrantClient`, which it closes.
    """

    remote = True

    def __init__(self, client: Any, options: QdrantOptions) -> None:
        self._client = client
        self._options = options
        self._local = options.path is not None
        # The local mode is no server: its calls must not meet.
        self._alone = SharedLock(exclusive=True) if self._local else None

    def partition(self, scope: TenantScope, bot_id: str, space: EmbeddingSpace) -> VectorPartition:
        """Return a handle on the bot's vectors; the space's collection is made when it is first needed.

        Raises:
            VectorIndexError: if the server cannot be asked.
        """
        name = self._options.prefix + space.fingerprint
        lock = self._alone or SharedLock()
        with translated(), lock.writing():
            self._make_collection(name, space.dimension)
        return QdrantPartition(
            self._client,
            name,
            Owner(scope.tenant_id, bot_id),
            dimension=space.dimension,
            lock=lock,
            hnsw_ef=None if self._local else self._options.hnsw_ef,
        )

    def drop(self, scope: TenantScope, bot_id: str | None = None, *, keep: str | None = None) -> None:
        """Delete the vectors of a bot, or of a whole tenant, but for the space of the fingerprint `keep`."""
        lock = self._alone or SharedLock()
        with translated(), lock.writing():
            names = [collection.name for collection in self._client.get_collections().collections]
            ours = re.compile(re.escape(self._options.prefix) + "[0-9a-f]{16}")
            for name in names:
                if ours.fullmatch(name) and name != self._options.prefix + (keep or ""):
                    self._delete(name, scope.tenant_id, bot_id)

    def purge(self) -> Purge:
        """Rewrite the files of the local mode; a server rewrites its segments when it finds that it pays."""
        if not self._local or self._options.path is None:
            return Purge(None, out_of_reach=("segments of the Qdrant server, until its optimizer has rewritten them",))
        assert self._alone is not None
        with translated(), self._alone.writing():
            for file in Path(self._options.path).rglob("*.sqlite"):  # none in memory
                with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                    connection.execute("VACUUM")
        return Purge(None)

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def _make_collection(self, name: str, dimension: int) -> None:
        """Make the collection, if there is none, as Qdrant advises for many tenants: a graph for each, and none over all."""
        from qdrant_client import models

        if self._client.collection_exists(name):
            return
        try:
            self._client.create_collection(
                name,
                # Vectors have length one; by Qdrant's own cosine their numbers would be normalised again, to others.
                vectors_config=models.VectorParams(size=dimension, distance=models.Distance.DOT),
                hnsw_config=models.HnswConfigDiff(
                    m=0, payload_m=self._options.m, ef_construct=self._options.ef_construct
                ),
            )
        except Exception:
            if not self._client.collection_exists(name):
                raise  # else another process was the first
        if self._local:
            return  # which has no indexes of payloads, and warns of it
        for field in INDEXED:
            schema = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=field == "bot" or None)
            self._client.create_payload_index(name, field_name=field, field_schema=schema, wait=True)

    def _delete(self, name: str, tenant: str, bot: str | None) -> None:
        from qdrant_client import models

        def equals(key: str, value: str) -> Any:
            return models.FieldCondition(key=key, match=models.MatchValue(value=value))

        for beginning in ("position_", ""):  # first the positions: handles notice before anything is missing
            must = [equals(beginning + "tenant", tenant)]
            if bot is not None:
                must.append(equals(beginning + "bot", bot))
            selector = models.FilterSelector(filter=models.Filter(must=must))
            try:
                with translated():
                    self._client.delete(name, points_selector=selector, wait=True)
            except PartitionLostError:
                return  # the collection has gone meanwhile, and all with it


def _connect(options: QdrantOptions, key: str | None) -> Any:
    from qdrant_client import QdrantClient

    if options.path is not None:
        place = {"location": options.path} if options.path == ":memory:" else {"path": options.path}
        return QdrantClient(**place, force_disable_check_same_thread=True)
    return QdrantClient(
        url=options.url,
        api_key=key,
        prefer_grpc=options.prefer_grpc,
        timeout=options.timeout,
        check_compatibility=False,  # it would ask the server now; an index connects when it is first used
    )
