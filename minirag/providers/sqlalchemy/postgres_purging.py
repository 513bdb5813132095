"""What is left of deleted rows in PostgreSQL's files, made to go and looked for.

A deleted row stays in its page until a vacuum, and a plain one leaves its bytes in the page's free space. `VACUUM FULL` writes a
table anew without it, as long as no transaction is open that could still see it; the old file goes with the commit. Statistics of
columns hold values too, so they are gathered anew.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from minirag.interfaces.erasing import Purge
from minirag.interfaces.traces import Traces
from minirag.providers.sqlalchemy.postgres_schema import OF_TENANTS

if TYPE_CHECKING:
    from minirag.models.erasures import ErasureKind

__all__ = ["old_reads", "purge_tables"]

_OF_DOCUMENTS: Final = (
    "chats", "chunk_fields", "chunks", "document_versions", "documents", "embeddings", "messages", "sources", "text_blocks",
)  # fmt: skip
_PATIENCE: Final = 2.0
_GLANCE: Final = 0.05
_BLOCK: Final = 1 << 20
_SEGMENT: Final = 1 << 30

_HOLDERS: Final = """
SELECT 'process ' || pid FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND backend_xmin IS NOT NULL AND age(backend_xmin) >= age(%(now)s::xid)
    AND (datname = current_database() OR datname IS NULL)
UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts
    WHERE database = current_database() AND age(transaction) >= age(%(now)s::xid)
UNION ALL SELECT 'replication slot ' || slot_name FROM pg_replication_slots
    WHERE xmin IS NOT NULL AND age(xmin) >= age(%(now)s::xid)
"""
_STATISTICS_FILE: Final = "SELECT pg_relation_filenode('pg_statistic'::regclass)"
_DESCRIBED: Final = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod) || coalesce(' COLLATE ' || quote_ident(c.collname), '')
    FROM pg_attribute a JOIN pg_stats s ON s.schemaname = current_schema() AND s.tablename = %s AND s.attname = a.attname
    LEFT JOIN pg_collation c ON c.oid = a.attcollation AND a.atttypid <> 'name'::regtype
    WHERE a.attrelid = to_regclass(%s) AND a.attname !~ '(^|_)id$'
    AND NOT a.attisdropped
"""
_FILES: Final = """
SELECT pg_relation_filepath(c.oid) FROM pg_class c LEFT JOIN pg_class o ON o.reltoastrelid = c.oid
    WHERE coalesce(o.relnamespace, c.relnamespace) = current_schema()::regnamespace AND c.relkind IN ('r', 'i', 't')
    OR c.oid IN (SELECT indexrelid FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid
        JOIN pg_class o ON o.reltoastrelid = r.oid WHERE o.relnamespace = current_schema()::regnamespace)
    OR c.oid = 'pg_statistic'::regclass OR c.oid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'pg_statistic'::regclass)
"""


def old_reads(driver: Any) -> str | None:
    """Return what may still see rows that were deleted before now, and what ends that; None if nothing may.

    Args:
        driver: a connection in no transaction.
    """
    holders = _holders(driver)
    if not holders:
        return None
    return (
        f"{', '.join(holders[:5])} may still see the rows as they were before; end what holds them open, then call "
        "workspace.erasures.resume()"
    )


def purge_tables(driver: Any, traces: Traces, kind: ErasureKind, *, busy_timeout: float) -> tuple[Purge, Any]:
    """Write the tables anew; return what became of it, and a mask of the traces that their files hold.

    Args:
        driver: a connection of the owner's, in no transaction.
    """
    from psycopg import errors

    found = traces.nothing()
    if (cause := old_reads(driver)) is not None:
        return Purge(cause), found
    tables = (
        _OF_DOCUMENTS if kind in {"document", "source"} else tuple(name for name in OF_TENANTS if name != "erasures")
    )
    tables += ("tenants",) if kind == "tenant" else ()
    driver.execute(f"SET lock_timeout = {max(1, round(min(busy_timeout, 10.0) * 1_000))}")
    try:
        for table in tables:
            driver.execute(f"VACUUM (FULL, ANALYZE) {table}")
            _forget_statistics(driver, table)
    except errors.LockNotAvailable:
        return Purge(
            "another transaction holds a table for long; call workspace.erasures.resume() when it has ended"
        ), found
    finally:
        driver.execute("RESET lock_timeout")
    out_of_reach = ["the server's write-ahead log and its archive, until they are recycled"]
    if not _rewrite_statistics(driver):
        out_of_reach.append("values in old rows of the server's statistics, until it vacuums them")
    try:
        files, size = _mark_files(driver, traces, found)
    except errors.InsufficientPrivilege:
        return Purge(None, out_of_reach=(*out_of_reach, _UNREAD)), found
    return Purge(None, files=files, size=size, out_of_reach=tuple(out_of_reach)), found


_UNREAD: Final = "the server's files, which this user may not read: they were written anew, but not looked through"


def _forget_statistics(driver: Any, table: str) -> None:
    """Drop the statistics of a table's texts if it is empty: `ANALYZE` leaves those of an empty table as they were.

    A change of a column's type, be it to the same one, drops them.
    """
    if driver.execute(f"TABLE {table} LIMIT 1").fetchone() is not None:
        return
    for column, kind in driver.execute(_DESCRIBED, (table, table)).fetchall():
        driver.execute(f'ALTER TABLE {table} ALTER COLUMN "{column}" TYPE {kind}')


def _rewrite_statistics(driver: Any) -> bool:
    """Write the server's statistics anew, so that old ones go; return whether this user might. Else PostgreSQL only warns."""
    before = driver.execute(_STATISTICS_FILE).fetchone()
    driver.execute("VACUUM (FULL) pg_statistic")
    return bool(driver.execute(_STATISTICS_FILE).fetchone() != before)


def _holders(driver: Any) -> list[str]:
    """Return what may still see rows that were deleted before now, once it has had a little time to end."""
    (now,) = driver.execute("SELECT pg_current_xact_id()::xid::text").fetchone()
    deadline = time.monotonic() + _PATIENCE
    while True:
        holders = [name for (name,) in driver.execute(_HOLDERS, {"now": now})]
        if not holders or time.monotonic() > deadline:
            return holders
        time.sleep(_GLANCE)


def _mark_files(driver: Any, traces: Traces, found: Any) -> tuple[int, int]:
    """Mark the traces in the files of the schema's tables and indexes, and of statistics; return how many, and their bytes."""
    from psycopg import errors

    with contextlib.suppress(errors.InsufficientPrivilege):
        driver.execute("CHECKPOINT")  # else their last pages may be in memory alone
    files = size = 0
    for (path,) in driver.execute(_FILES).fetchall():
        segment = 0
        while path is not None:
            name = path if segment == 0 else f"{path}.{segment}"
            read = _mark_file(driver, name, traces, found)
            files += read > 0
            size += read
            if read < _SEGMENT:
                break
            segment += 1
    return files, size


def _mark_file(driver: Any, name: str, traces: Traces, found: Any) -> int:
    def blocks() -> Iterator[bytes]:
        place = 0
        while True:
            (block,) = driver.execute("SELECT pg_read_binary_file(%s, %s, %s, true)", (name, place, _BLOCK)).fetchone()
            if not block:
                return
            place += len(block)
            yield bytes(block)

    return traces.mark_blocks(blocks(), found)
