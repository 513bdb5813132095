"""Tables of vectors written anew, so that nothing is left in them of vectors that were removed."""

from __future__ import annotations

import time
from typing import Any, Final

from minirag.interfaces.erasing import Purge
from minirag.providers.pgvector.connections import Connections

__all__ = ["rewrite_tables"]

_PATIENCE: Final = 2.0
_GLANCE: Final = 0.05
_LOCK_SECONDS: Final = 10
_TABLES: Final = (
    "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' "
    "AND relname ~ '^minirag_vectors_[0-9a-f]{16}$' ORDER BY relname"
)
_HOLDERS: Final = (
    "SELECT 'process ' || pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_xmin IS NOT NULL "
    "AND age(backend_xmin) >= age(%s::xid) AND (datname = current_database() OR datname IS NULL)"
)


def rewrite_tables(connections: Connections) -> Purge:
    """Write every table of vectors anew with `VACUUM FULL`: a plain one leaves the bytes of removed rows in free space."""
    from psycopg import errors

    with connections.alone() as connection:
        holders = _holders(connection)
        if holders:
            return Purge(
                f"{', '.join(holders[:5])} may still see vectors as they were before; end what holds them open, then call "
                "workspace.erasures.resume()"
            )
        connection.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
        for (name,) in connection.execute(_TABLES).fetchall():
            try:
                connection.execute(f"VACUUM (FULL, ANALYZE) {name}")
            except errors.LockNotAvailable:
                return Purge(
                    "another transaction holds a table of vectors for long; call workspace.erasures.resume() when it has "
                    "ended"
                )
    return Purge(None)


def _holders(connection: Any) -> list[str]:
    """Return what may still see rows that were deleted before now, once it has had a little time to end."""
    (now,) = connection.execute("SELECT pg_current_xact_id()::xid::text").fetchone()
    deadline = time.monotonic() + _PATIENCE
    while True:
        holders = [name for (name,) in connection.execute(_HOLDERS, (now,)).fetchall()]
        if not holders or time.monotonic() > deadline:
            return holders
        time.sleep(_GLANCE)
