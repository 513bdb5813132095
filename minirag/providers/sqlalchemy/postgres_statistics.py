"""`Statistics`: has PostgreSQL look anew at tables that grow fast, before it does so of its own accord."""

from __future__ import annotations

import threading
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

__all__ = ["Statistics"]

_FIRST: Final = 500
_KNOWN: Final = "SELECT reltuples FROM pg_class WHERE oid = to_regclass('chunks')"
_LOOK: Final = (
    "ANALYZE (SKIP_LOCKED) documents, document_versions, text_blocks, chunks, embeddings, chunk_fields, change_log"
)


class Statistics:
    """Counts the rows that this process writes, and has the tables looked at when they have more than doubled.

    The server's own look comes once a minute, and a first large import is over by then: until it comes the planner takes a bot for
    a few rows, and each foreign key's check read through the whole bot. A thousand documents took eight seconds
    instead of one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._written = 0
        self._enough = _FIRST

    def note(self, rows: int) -> None:
        """Count rows that a transaction has written and committed."""
        with self._lock:
            self._written += rows
            if self._written < self._enough:
                return
            written = self._written
            self._enough = 2 * written
        try:
            with self._engine.connect() as connection:
                known = connection.exec_driver_sql(_KNOWN).scalar_one()
                if known < written:
                    connection.exec_driver_sql(_LOOK)
        except DBAPIError:
            # What was written is written; the server will look by itself.
            return
        with self._lock:
            self._enough = max(self._enough, int(known))
