"""A process that is late: it has read rows, and feeds them to an index outside of it when others have erased them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from minirag.interfaces import VectorIndex
from minirag.interfaces.specs import ProviderContext
from tests.erasure.world import Seeded

__all__ = ["Gate", "PgVectors", "Place", "QdrantVectors", "hold", "late_thread"]

_PATIENCE = 60


class Gate:
    """Where the late one stands until it may go on; only the first who comes is stopped."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def stop(self) -> None:
        """Say that it is reached, and wait."""
        if not self.reached.is_set():
            self.reached.set()
            assert self.opened.wait(_PATIENCE)


def hold(index: VectorIndex, gate: Gate, *, at: str) -> None:
    """Have whoever feeds the index stand at the gate before a partition is made (`make`) or given vectors (`apply`).

    With `write` it is before a request to Qdrant that stores vectors, when all that is looked at before has been looked at.
    """
    make: Any = index.partition

    def partition(*given: Any) -> Any:
        if at == "make":
            gate.stop()
        made = make(*given)
        if at == "write":
            made._client = _HeldClient(made._client, gate)
        feed = made.apply

        def late(removed: Any, added: Any, vectors: Any) -> None:
            if at == "apply" and len(added):
                gate.stop()
            feed(removed, added, vectors)

        made.apply = late
        return made

    index.partition = partition  # type: ignore[method-assign]


class _HeldClient:
    def __init__(self, client: Any, gate: Gate) -> None:
        self._client = client
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_update_points(self, name: str, operations: Any, **settings: Any) -> Any:
        if hasattr(operations[0], "upsert"):
            self._gate.stop()
        return self._client.batch_update_points(name, operations, **settings)


def late_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Return a running thread, and where its error will be."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as problem:
            failed.append(problem)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, failed


class Place(ABC):
    """Where vectors are kept outside of processes."""

    @abstractmethod
    def index(self) -> VectorIndex:
        """Return an index as another process would have it."""

    @abstractmethod
    def close(self) -> None:
        """Close every index."""

    @abstractmethod
    def vectors(self) -> list[Any]:
        """Return every vector that is kept, whosever."""

    @abstractmethod
    def owners(self) -> set[str]:
        """Return the ids of the bots of which anything is kept."""

    def erased(self, embedder: Seeded) -> int:
        """Return how many vectors of the document are kept that is to go."""
        gone = [vector for text, vector in embedder.made.items() if "Wilhelmina" in text]
        assert gone
        held = [vector for vector in self.vectors() if len(vector) == len(gone[0])]
        return sum(any(np.allclose(each, vector, atol=1e-6) for vector in gone) for each in held)


class QdrantVectors(Place):
    """Qdrant's local mode in memory, of which several indexes share the client."""

    def __init__(self) -> None:
        from minirag.providers.qdrant.index import create
        from minirag.providers.qdrant.options import QdrantOptions

        self._first: Any = create(QdrantOptions(path=":memory:"), ProviderContext())

    def index(self) -> VectorIndex:
        from minirag.providers.qdrant.index import QdrantIndex

        # Each has a lock of its own, as each process that uses a server has.
        return QdrantIndex(self._first._client, self._first._options)

    def close(self) -> None:
        self._first.close()

    def _points(self) -> list[Any]:
        client = self._first._client
        names = [collection.name for collection in client.get_collections().collections]
        return [point for name in names for point in client.scroll(name, limit=10_000, with_vectors=True)[0]]

    def vectors(self) -> list[Any]:
        return [np.asarray(point.vector) for point in self._points() if "bot" in point.payload]

    def owners(self) -> set[str]:
        return {point.payload.get("bot") or point.payload["position_bot"] for point in self._points()}


class PgVectors(Place):
    """A database of PostgreSQL with pgvector."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._made: list[VectorIndex] = []

    def index(self) -> VectorIndex:
        from minirag.providers.pgvector.index import PgVectorIndex
        from minirag.providers.pgvector.options import plain_dsn

        self._made.append(PgVectorIndex(str(plain_dsn(self.url))))
        return self._made[-1]

    def close(self) -> None:
        for index in self._made:
            index.close()

    def _ask(self, column: str, tables: str) -> list[Any]:
        import psycopg

        from minirag.providers.pgvector.options import plain_dsn

        with psycopg.connect(str(plain_dsn(self.url)), autocommit=True) as connection:
            names = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ %s", (tables,))
            return [
                value for (name,) in names.fetchall() for (value,) in connection.execute(f"SELECT {column} FROM {name}")
            ]

    def vectors(self) -> list[Any]:
        return [np.asarray(value) for value in self._ask("embedding::real[]", "^minirag_vectors_[0-9a-f]{16}$")]

    def owners(self) -> set[str]:
        return {*self._ask("bot", "^minirag_vector(s_[0-9a-f]{16}|_positions)$")}
