"""Checks of the database file itself: its pages, foreign keys, schema and statistics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sqlalchemy import ForeignKeyConstraint, text

from minirag.errors import StorageBusyError, StorageError
from minirag.interfaces.upkeep import SHOWN_IDS, StoredFault
from minirag.providers.sqlalchemy import check_statements as c
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.engine import PAGE_SIZE
from minirag.providers.sqlalchemy.fields import chunk_fields
from minirag.providers.sqlalchemy.planner import STATISTICS
from minirag.providers.sqlalchemy.schema import HEAD
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["check_file", "missing_indexes"]

_MOST_PROBLEMS: Final = 100
_OF_AN_INDEX: Final = re.compile(r"row \d+ missing from index |wrong # of entries in index |non-unique entry in index ")
_FOUND_WITH_BOTS: Final = {("embeddings", "chunks"), (chunk_fields.name, "chunks")}
_FROM_BACKUP: Final = "restore a backup"


def check_file(transaction: Transaction, *, deep: bool) -> Iterator[StoredFault]:
    """Yield what is wrong with the file as a whole. With `deep`, indexes are compared with their tables."""
    try:
        yield from _page_faults(transaction, deep=deep)
        yield from _schema_faults(transaction)
        yield from _foreign_key_faults(transaction)
    except StorageBusyError:
        raise
    except StorageError as problem:
        yield StoredFault("pages", f"the database cannot be read: {problem}", _FROM_BACKUP, repairable=False)


def _page_faults(transaction: Transaction, *, deep: bool) -> Iterator[StoredFault]:
    pragma = "integrity_check" if deep else "quick_check"
    problems = [str(row[0]) for row in transaction.rows(text(f"PRAGMA {pragma}({_MOST_PROBLEMS})"))]
    if problems == ["ok"]:
        return
    only_indexes = all(_OF_AN_INDEX.match(problem) for problem in problems)
    yield StoredFault(
        "pages",
        f"the database file is damaged: {problems[0].splitlines()[-1][:200]}",
        "indexes are built anew from their tables" if only_indexes else _FROM_BACKUP,
        repairable=only_indexes,
        count=len(problems),
    )


def _schema_faults(transaction: Transaction) -> Iterator[StoredFault]:
    revision = transaction.value(c.REVISION)
    if revision != HEAD:
        what = f"the database has schema {revision!r}, this release needs {HEAD!r}"
        yield StoredFault("schema", what, "open the workspace once for writing to migrate it", repairable=False)
    created: set[str] = {row.name for row in transaction.rows(c.CREATED)}
    tables = sorted(name for name in t.metadata.tables if name not in created)
    if tables:
        what = f"the database lacks tables: {', '.join(tables)}"
        yield StoredFault("schema", what, _FROM_BACKUP, repairable=False, ids=tuple(tables), count=len(tables))
    indexes = missing_indexes(transaction)
    if indexes:
        what = f"the database lacks indexes: {', '.join(indexes)}"
        remedy = "they are built anew"
        yield StoredFault("schema", what, remedy, repairable=True, ids=tuple(indexes), count=len(indexes))
    size = transaction.value(text("PRAGMA page_size"))
    if size != PAGE_SIZE:
        what = f"pages of {size} bytes are slower than pages of {PAGE_SIZE}"
        yield StoredFault("page_size", what, "use a backup instead: it has the right pages", repairable=False)
    present = (
        {(row.tbl, row.idx, row.stat) for row in transaction.rows(c.STATISTICS_ROWS)}
        if "sqlite_stat1" in created
        else set()
    )
    lacking = [f"{table}.{index}" for table, index, numbers in STATISTICS if (table, index, numbers) not in present]
    if lacking:
        what = "statistics that SQLite plans its queries with are missing or changed"
        yield StoredFault(
            "statistics", what, "they are written anew", repairable=True, ids=tuple(lacking[:SHOWN_IDS]), count=len(lacking)
        )  # fmt: skip


def missing_indexes(transaction: Transaction) -> list[str]:
    """Return the names of indexes that the database should have and has not. Those of constraints go with their table."""
    created: set[str] = {row.name for row in transaction.rows(c.CREATED)}
    return sorted(
        str(index.name)
        for table in t.metadata.tables.values()
        if table.name in created
        for index in table.indexes
        if index.name not in created
    )


def _foreign_key_faults(transaction: Transaction) -> Iterator[StoredFault]:
    """Yield a fault for each tenant and each foreign key that leads nowhere.

    What is derived from a chunk that is gone is found with its bot, unless the bot is gone as well.
    """
    broken = {(row.child, row.parent) for row in transaction.rows(c.FOREIGN_KEY_CHECK)}
    for child, parent in sorted(broken):
        table = t.metadata.tables.get(child)
        keys = (
            [] if table is None else [key for key in table.foreign_key_constraints if key.referred_table.name == parent]
        )
        for key in keys:
            assert isinstance(key, ForeignKeyConstraint)
            derived = (child, parent) in _FOUND_WITH_BOTS
            statement = c.orphans_of_no_bot(key.table) if derived else c.orphans(key.table, key)
            for row in transaction.rows(statement):
                tenant_id, count = row.tenant_id, row.orphans
                what = f"{count:,} rows of {child} belong to rows of {parent} that are gone"
                yield StoredFault(
                    "foreign_key", what, _FROM_BACKUP, repairable=False, tenant_id=tenant_id, ids=(child,), count=count
                )
