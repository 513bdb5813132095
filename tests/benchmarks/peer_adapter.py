"""The library as one more adapter of a harness that runs several retrieval libraries on the same work.

Such a harness has a module `adapters` with a class `Adapter` and a mapping `ALL` from names to adapters, and hands each
adapter ids, texts, metadata and vectors. To add the library to it, put this folder and the repository's root on
`PYTHONPATH`, and at the end of the harness's `adapters.py`:

    from peer_adapter import ADAPTERS
    ALL.update(ADAPTERS)

Only the public interface is used, as an application would. `MiniRag` keeps everything in one bot, with the metadata
as declared fields. `MiniRagTenants` gives each `tenant_id` a tenant of its own, which is what the library is for; a search without
a `tenant_id` then has no meaning, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    from adapters import Adapter
except ModuleNotFoundError:  # outside a harness
    Adapter = object

__all__ = ["ADAPTERS", "MiniRag", "MiniRagTenants"]

_DIMENSION = 384
_FIELDS = ("tenant_id", "source_id", "tag")
Found = list[tuple[str, float, str, dict[str, Any]]]


def _make_embedder() -> Any:
    """Return an embedder that looks vectors up by text; `rows` is filled before a text is handed in."""
    import numpy as np

    from minirag.interfaces import Embedder, EmbeddingSpace

    class Lookup(Embedder):
        batch_size = 1_000

        def __init__(self) -> None:
            self.rows: dict[str, Any] = {}

        @property
        def space(self) -> EmbeddingSpace:
            return EmbeddingSpace(provider="lookup", model="given", dimension=_DIMENSION)

        def embed(self, texts: Sequence[str], *, purpose: str) -> Any:
            return np.stack([self.rows[text] if text in self.rows else _given_before(text) for text in texts])

    return Lookup()


def _given_before(text: str) -> Any:
    """Return the vector that the harness has for a text of an earlier process.

    Before its first write a process embeds three stored texts again, to see that the model is still the same one.
    """
    import mmap

    import numpy as np
    from common import D as folder  # the harness's own data

    with Path(folder, "texts.bin").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as texts:
        place = texts.find(text.encode())
    row = int(np.searchsorted(np.load(f"{folder}/offs.npy", mmap_mode="r"), place))
    return np.load(f"{folder}/vecs.npy", mmap_mode="r")[row]


class MiniRag(Adapter):
    """Everything in one bot. Each `add` is on disk when it returns; `finalize` finishes what searches would wait for."""

    name = "minirag"
    venv = "minirag"
    module = "minirag"
    max_n = 1_000_000
    durable = "each add"
    filters = True
    threads = True
    can_hybrid = True
    can_delete = True
    note = "declared fields: tenant_id, source_id, tag"

    def open(self, path: str) -> None:
        """Open the workspace, made if there is none."""
        import minirag

        self._minirag = minirag
        self._embedder = _make_embedder()
        self._workspace = minirag.Workspace.open(path, embedder=self._embedder)
        self._start()

    def _start(self) -> None:
        tenant = self._workspace.tenant("everything", create=True)
        self._bot = tenant.bot("chunks", create=True, chunker="whole", filterable=_FIELDS)

    def add(self, ids: Sequence[str], texts: Sequence[str], metas: Sequence[dict[str, Any]], vecs: Any) -> None:
        """Add documents of one chunk each; those whose id exists are replaced."""
        self._put(self._bot, ids, texts, metas, vecs)

    update = add

    def _put(self, bot: Any, ids: Sequence[str], texts: Sequence[str], metas: Sequence[Any], vecs: Any) -> None:
        self._embedder.rows.update(zip(texts, vecs, strict=True))
        documents = (
            self._minirag.DocumentInput(key=key, text=text, metadata=meta)
            for key, text, meta in zip(ids, texts, metas, strict=True)
        )
        bot.add(documents, progress=False).raise_for_failures()
        self._embedder.rows.clear()

    def finalize(self) -> None:
        """Wait until no search has anything left to prepare."""
        self._bot.optimize()

    def search(self, vec: Any, k: int, where: Mapping[str, Any] | None = None) -> Found:
        """Return the nearest chunks."""
        return self._found(self._bot, f"vector {vec[:4].tobytes().hex()}", vec, k, where, "dense")

    def hybrid(self, text: str, vec: Any, k: int, where: Mapping[str, Any] | None = None) -> Found:
        """Return the best chunks by vector and words together."""
        return self._found(self._bot, text, vec, k, where, "hybrid")

    def keyword(self, text: str, k: int) -> Found:
        """Return the best chunks by words alone."""
        return self._found(self._bot, text, None, k, None, "keyword")

    def _found(self, bot: Any, query: str, vec: Any, k: int, where: Any, mode: str) -> Found:
        if vec is not None:
            self._embedder.rows[query] = vec
        return [(hit.key, hit.score, hit.text, hit.metadata) for hit in bot.search(query, k=k, where=where, mode=mode)]

    def delete(self, where: Mapping[str, Any]) -> int:
        """Remove the documents that a filter allows, and return how many."""
        keys = [document.key for document in self._bot.documents.list(where=where)]
        return int(self._bot.documents.remove(*keys))

    def after_write(self) -> None:
        """Do nothing: what returned is on disk."""

    def count(self) -> int:
        """Return how many documents there are."""
        return int(self._bot.documents.count())

    def present(self, ids: Sequence[str]) -> set[str]:
        """Return those of the ids that exist."""
        return {document.key for document in self._bot.documents.list()} & set(ids)

    def compact(self) -> None:
        """Do nothing: there is no step of its own for it."""

    def close(self) -> None:
        """Close the workspace."""
        self._workspace.close()


class MiniRagTenants(MiniRag):
    """A tenant with one bot for each `tenant_id`. One call of `add` may hold rows of several tenants."""

    name = "minirag-tenants"
    can_hybrid = False
    can_delete = False
    note = "tenant_id is a tenant"

    def _start(self) -> None:
        self._bots: dict[str, Any] = {}

    def _of(self, tenant_id: str, *, create: bool = False) -> Any:
        bot = self._bots.get(tenant_id)
        if bot is None:
            tenant = self._workspace.tenant(tenant_id, create=create)
            profile = {"chunker": "whole"} if create else {}
            bot = self._bots[tenant_id] = tenant.bot("chunks", create=create, **profile)
        return bot

    def add(self, ids: Sequence[str], texts: Sequence[str], metas: Sequence[dict[str, Any]], vecs: Any) -> None:
        """Add documents, each to the bot of its tenant."""
        rows: dict[str, list[int]] = {}
        for row, meta in enumerate(metas):
            rows.setdefault(meta["tenant_id"], []).append(row)
        for tenant_id, those in rows.items():
            bot = self._of(tenant_id, create=True)
            self._put(
                bot,
                [ids[row] for row in those],
                [texts[row] for row in those],
                [metas[row] for row in those],
                vecs[those],
            )

    update = add

    def finalize(self) -> None:
        """Do nothing: a small bot needs no preparation."""

    def search(self, vec: Any, k: int, where: Mapping[str, Any] | None = None) -> Found:
        """Return the nearest chunks of one tenant."""
        if not where or "tenant_id" not in where:
            raise ValueError("a search belongs to one tenant: filter by tenant_id")
        rest = {field: value for field, value in where.items() if field != "tenant_id"}
        query = f"vector {vec[:4].tobytes().hex()}"
        return self._found(self._of(where["tenant_id"]), query, vec, k, rest or None, "dense")

    def _all(self) -> Iterator[Any]:
        for tenant in self._workspace.tenants.list():
            yield self._of(tenant.slug)

    def count(self) -> int:
        """Return how many documents all tenants have."""
        return sum(bot.documents.count() for bot in self._all())

    def present(self, ids: Sequence[str]) -> set[str]:
        """Return those of the ids that exist."""
        return {document.key for bot in self._all() for document in bot.documents.list()} & set(ids)


ADAPTERS = {adapter.name: adapter for adapter in (MiniRag, MiniRagTenants)}
