"""`Connections`: a few connections to PostgreSQL, and the one place where its errors are told in our own words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minirag.errors import VectorIndexError
from minirag.interfaces.snapshots import PartitionLostError
from minirag.providers.pgvector.encoding import QueryVector, key_array

__all__ = ["Connections"]

T = TypeVar("T")

_KEPT = 8
"""Idle connections that stay open."""


class Connections:
    """Opens connections as threads need them, and keeps some of them open.

    Args:
        dsn: where the database is; it may hold a password, so it is in no message and no repr.
        settings: of each session, such as `{"hnsw.ef_search": "200"}`.
    """

    def __init__(self, dsn: str, *, connect_timeout: int, settings: dict[str, str]) -> None:
        self._dsn = dsn
        self._timeout = connect_timeout
        self._settings = settings
        self._idle: list[Any] = []
        self._lock = threading.Lock()
        self._closed = False

    def run(self, work: Callable[[Any], T]) -> T:
        """Return what `work` does with a connection in a transaction of its own, which must be safe to do twice.

        It is done again on a new connection if a kept one was cut, as all are when the server is restarted.

        Raises:
            PartitionLostError: if a table is gone.
            VectorIndexError: for every other failure.
        """

        def in_transaction(connection: Any) -> T:
            with connection.transaction():
                return work(connection)

        return self.ask(in_transaction)

    def ask(self, work: Callable[[Any], T]) -> T:
        """Return what `work` does as `run` does, but in no transaction: for one statement, which takes one round trip then, not three."""
        with _translated():
            connection = self._take()
            if connection is not None:
                try:
                    return self._use(connection, work)
                except Exception:
                    if not connection.closed:
                        raise
                    self._close_idle()
            return self._use(self._open(), work)

    @contextmanager
    def alone(self) -> Iterator[Any]:
        """Yield a connection outside any transaction, which is closed afterwards; errors are told as by `run`."""
        with _translated():
            connection = self._open()
            try:
                connection.autocommit = True
                yield connection
            finally:
                connection.close()

    def close(self) -> None:
        """Close what is idle, and from now on each connection after its use."""
        self._closed = True
        self._close_idle()

    def _use(self, connection: Any, work: Callable[[Any], T]) -> T:
        try:
            return work(connection)
        finally:
            self._give_back(connection)

    def _take(self) -> Any:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: Any) -> None:
        with self._lock:
            if not connection.closed and not self._closed and len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _open(self) -> Any:
        import psycopg

        # Statements are planned with their values: the index of a bot is found by its tenant and bot.
        connection = psycopg.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=self._timeout,
            prepare_threshold=None,
            application_name="minirag",
        )
        connection.adapters.register_dumper(np.ndarray, _array_dumper(1016, key_array))
        connection.adapters.register_dumper(QueryVector, _array_dumper(1021, QueryVector.encoded))
        try:
            # The extension's settings are known only once its library is loaded, which a session does when first used.
            if connection.execute("SELECT to_regtype('vector') IS NOT NULL").fetchone() == (True,):
                connection.execute("SELECT '[1]'::vector")
            for name, value in self._settings.items():
                connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        except BaseException:
            connection.close()
            raise
        return connection


def _array_dumper(type_number: int, encoded: Callable[[Any], bytes]) -> Any:
    """Return a class by which a driver sends a value as an array of PostgreSQL, in binary."""
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class ArrayDumper(Dumper):  # type: ignore[misc]  # the library need not be installed where types are checked
        format = Format.BINARY
        oid = type_number

        def dump(self, obj: Any) -> bytes:
            return encoded(obj)

    return ArrayDumper


@contextmanager
def _translated() -> Iterator[None]:
    import psycopg
    from psycopg import errors

    try:
        yield
    except errors.UndefinedTable as problem:
        raise PartitionLostError("a table of vectors is not in the database any more") from problem
    except psycopg.Error as problem:
        raise _translate(problem) from problem


def _translate(problem: Any) -> VectorIndexError:
    """Return the error to raise. What the server says is in it only as the name of a condition: it may quote values."""
    from psycopg import errors

    reason = type(problem).__name__
    if isinstance(problem, errors.UndefinedFile | errors.FeatureNotSupported):
        return VectorIndexError("PostgreSQL has no extension 'vector'; install pgvector 0.8 or later on the server")
    if isinstance(problem, errors.InsufficientPrivilege):
        return VectorIndexError(
            "PostgreSQL refused for want of a privilege; have an administrator run CREATE EXTENSION vector, "
            "and give the user the right to create tables"
        )
    if isinstance(problem, errors.InvalidPassword | errors.InvalidAuthorizationSpecification):
        return VectorIndexError("PostgreSQL refused the user or the password of the dsn")
    again = isinstance(
        problem,
        errors.OperationalError | errors.InterfaceError | errors.DeadlockDetected | errors.SerializationFailure,
    )
    if again:
        return VectorIndexError(
            f"PostgreSQL could not be asked ({reason}); try again, or check the dsn and the server", retryable=True
        )
    return VectorIndexError(f"PostgreSQL refused a statement ({reason})")
