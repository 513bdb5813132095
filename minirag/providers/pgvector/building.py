"""Building and dropping HNSW indexes beside searches and writes, one process at a time, and giving a build up."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from minirag.providers.pgvector.connections import Connections

__all__ = ["build_index", "drop_index"]

_GLANCE: Final = 0.2
"""Seconds between two looks at whether a build is to be given up."""


def build_index(connections: Connections, name: str, statement: str, *, memory: int, stop: Callable[[], bool]) -> bool:
    """Return whether the index is there now: False if the build was given up, or another process is at it.

    Args:
        memory: megabytes it may take.
    """
    from psycopg import errors

    with connections.alone() as connection:
        # It ends with the connection, however that ends.
        if connection.execute("SELECT pg_try_advisory_lock(%s)", (_number(name),)).fetchone() != (True,):
            return False
        connection.execute("SELECT set_config('maintenance_work_mem', %s, false)", (f"{memory}MB",))
        _drop_invalid(connection, name)
        try:
            with _cancelled(connection, stop):
                try:
                    connection.execute(statement)
                except (errors.DiskFull, errors.OutOfMemory):
                    # Workers share memory, of which a container has little; without them the build has its own.
                    _drop_invalid(connection, name)
                    connection.execute("SET max_parallel_maintenance_workers = 0")
                    connection.execute(statement)
        except errors.QueryCanceled:
            _drop_invalid(connection, name)
            if not stop():
                raise
            return False
    return True


def drop_index(connections: Connections, name: str) -> None:
    """Drop an index, if it is there, beside searches."""
    with connections.alone() as connection:
        connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def _drop_invalid(connection: Any, name: str) -> None:
    """Drop what a build that failed has left: an index that costs every write and is used by no search."""
    found = connection.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (name,)).fetchone()
    if found == (False,):
        connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


@contextmanager
def _cancelled(connection: Any, stop: Callable[[], bool]) -> Iterator[None]:
    """Have the statement in the block cancelled soon after `stop()` has become true."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_GLANCE):
            if stop():
                connection.cancel_safe()

    watcher = threading.Thread(target=watch, name="minirag-pgvector-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _number(name: str) -> int:
    """Return the number of an advisory lock, which PostgreSQL takes instead of a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
