"""Every backend, what each says it can do, and places in it that several workspaces can have open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minirag
from minirag._services.locations import default_index
from minirag.interfaces import ProviderContext, Storage, VectorIndex
from minirag.models.tenants import ProviderRef
from minirag.plugins.registry import Registry
from tests.servers.postgres_server import PostgresServer

__all__ = ["BACKENDS", "Backend", "Place", "place"]


@dataclass(frozen=True, slots=True)
class Backend:
    """What a workspace stands on.

    Attributes:
        name: of the test.
        location: returns the location in a folder of the test's own, or on the server.
        index: what index is named; with `{folder}` where it has a folder of its own.
        engine_from: the option, if any, of how many vectors the index builds an engine for.
        lasting: whether a workspace opened there again, or by another process, holds the same.
        shared_index: whether the index itself lasts no longer than its object, so that all workspaces share one.
        proposes: whether there is an engine that only proposes what is scored; None scores everything anyway.
    """

    name: str
    location: Callable[[Path, PostgresServer], str]
    index: str | None = None
    index_options: tuple[tuple[str, Any], ...] = ()
    engine_from: str | None = None
    lasting: bool = True
    shared_index: bool = False
    proposes: bool = True


BACKENDS = (
    Backend("sqlite+faiss", lambda folder, _: str(folder / "kb")),
    Backend("memory", lambda _, __: ":memory:", lasting=False),
    Backend(
        "sqlite+qdrant",
        lambda folder, _: str(folder / "kb"),
        "qdrant",
        index_options=(("path", ":memory:"),),
        shared_index=True,
        proposes=False,
    ),
    Backend("postgres+faiss", lambda _, server: server.new_database(), "faiss"),
    Backend("postgres+pgvector", lambda _, server: server.new_database(), engine_from="index_from"),
)


class Place:
    """A place of a backend: whatever workspaces are opened here have the same data.

    Args:
        engine_from: how many vectors the index is to build an engine for, if it can be told.
    """

    def __init__(
        self, backend: Backend, folder: Path, server: PostgresServer, *, engine_from: int | None = None
    ) -> None:
        self.backend = backend
        self._location = backend.location(folder, server)
        self._cache = folder / "cache"
        self._registry = Registry.discover(())
        self._context = ProviderContext(location=self._location)
        options = dict(backend.index_options)
        if engine_from is not None and backend.engine_from is not None:
            options[backend.engine_from] = engine_from
        name = backend.index or (default_index(self._location, read_only=False) if options else None)
        self._index: Any = {"provider": name, "options": options} if options else name
        self._key = None if backend.lasting else minirag.generate_secret_key()
        self._parts: list[Storage | VectorIndex] = []
        self._storage: Storage | None = None
        if not backend.lasting:
            self._storage = self._made("storage", "sqlalchemy", {})
        if backend.shared_index:
            self._index = self._made("vector_index", name, options)

    def open(self, *, embedder: Any = "hashing", **settings: Any) -> minirag.Workspace:
        """Return another workspace here, which whoever asked for it closes."""
        return minirag.Workspace.open(
            self._location,
            storage=self._storage,
            index=self._index,
            embedder=embedder,
            secret_key=self._key,
            plugins=(),
            cache_dir=self._cache if self.backend.lasting else None,
            **settings,
        )

    def close(self) -> None:
        """Close what its workspaces shared."""
        for part in self._parts:
            part.close()

    def _made(self, kind: Any, name: Any, options: dict[str, Any]) -> Any:
        part: Any = self._registry.create(kind, ProviderRef(provider=name, options=options), self._context)
        self._parts.append(part)
        return part


@contextmanager
def place(backend: Backend, folder: Path, server: PostgresServer, *, engine_from: int | None = None) -> Iterator[Place]:
    """Yield a new place, closed afterwards."""
    with ExitStack() as stack:
        made = Place(backend, folder, server, engine_from=engine_from)
        stack.callback(made.close)
        yield made
