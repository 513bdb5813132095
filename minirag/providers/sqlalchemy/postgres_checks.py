"""Checks of a PostgreSQL database as a whole: its schema. Its pages and foreign keys are the server's own care."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.schema import CreateIndex

from minirag.interfaces.upkeep import StoredFault
from minirag.providers.sqlalchemy import check_statements as c
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.postgres_schema import HEAD, OF_TENANTS
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["faults_of_schema", "make_indexes"]

_CREATED: Final = text(
    "SELECT relname AS name, relrowsecurity AS held FROM pg_class "
    "WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i')"
)
_FROM_BACKUP: Final = "restore a backup"


def faults_of_schema(transaction: Transaction) -> list[StoredFault]:
    """Return what the schema lacks: its revision, tables, indexes, or a table's row-level security."""
    faults = []
    revision = transaction.value(c.REVISION)
    if revision != HEAD:
        what = f"the database has schema {revision!r}, this release needs {HEAD!r}"
        faults.append(
            StoredFault("schema", what, "open the workspace once for writing to migrate it", repairable=False)
        )
    created = {row.name: row.held for row in transaction.rows(_CREATED)}
    tables = sorted(name for name in t.metadata.tables if name not in created)
    if tables:
        what = f"the database lacks tables: {', '.join(tables)}"
        faults.append(StoredFault("schema", what, _FROM_BACKUP, repairable=False, ids=tuple(tables), count=len(tables)))
    indexes = _missing_indexes(created)
    if indexes:
        what, names = f"the database lacks indexes: {', '.join(indexes)}", tuple(indexes)
        faults.append(StoredFault("schema", what, "they are built anew", repairable=True, ids=names, count=len(names)))
    open_tables = [name for name in OF_TENANTS if name in created and not created[name]]
    if open_tables:
        what, names = f"tables lack row-level security: {', '.join(open_tables)}", tuple(open_tables)
        remedy = "run ALTER TABLE ... ENABLE ROW LEVEL SECURITY for each"
        faults.append(StoredFault("schema", what, remedy, repairable=False, ids=names, count=len(names)))
    return faults


def make_indexes(transaction: Transaction) -> None:
    """Make the indexes that are missing."""
    wanted = set(_missing_indexes({row.name: True for row in transaction.rows(_CREATED)}))
    for index in (index for table in t.metadata.tables.values() for index in table.indexes):
        if index.name in wanted:
            transaction.run(CreateIndex(index))


def _missing_indexes(created: dict[str, bool]) -> list[str]:
    return sorted(
        str(index.name) for table in t.metadata.tables.values() for index in table.indexes if index.name not in created
    )
