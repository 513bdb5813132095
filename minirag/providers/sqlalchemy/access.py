"""Closed tenants, and how large tenants are: their statements."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Final

from sqlalchemy import ScalarSelect, Select, bindparam, func, select, update

from minirag.models.tenants import TenantCounts
from minirag.providers.sqlalchemy import identity_tables as i
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.scoping import equals
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["SUSPENDED_AT", "suspend_tenant", "suspended", "tenant_counts"]

_OWN: Final[Select[tuple[str | None]]] = select(t.tenants.c.suspended_at).where(t.tenants.c.id == bindparam("scope"))
SUSPENDED_AT: Final[ScalarSelect[str | None]] = _OWN.scalar_subquery()
"""Since when the scope's tenant is closed, as a column of another query."""

_SUSPEND: Final = (
    update(t.tenants)
    .where(equals(t.tenants.c.id, "tenant"))
    .values({name: bindparam(f"new_{name}") for name in ("suspended_at", "updated_at")})
)
_BOTS: Final = select(
    t.bot_logs.c.tenant_id, func.count(), func.sum(t.bot_logs.c.documents), func.sum(t.bot_logs.c.chunks)
).group_by(t.bot_logs.c.tenant_id)
_USERS: Final = select(i.users.c.tenant_id, func.count()).group_by(i.users.c.tenant_id)


def suspended(transaction: Transaction) -> bool:
    """Return whether the scope's tenant is closed; see `AccessReader`."""
    rows = transaction.tuples(_OWN)
    return bool(rows) and rows[0][0] is not None


def suspend_tenant(transaction: Transaction, tenant_id: str, at: dt.datetime | None, now: dt.datetime) -> bool:
    """Write since when a tenant is closed; False if it is gone. See `AccessDirectory`."""
    stamp = None if at is None else m.stamp(at)
    return transaction.run(_SUSPEND, tenant=tenant_id, new_suspended_at=stamp, new_updated_at=m.stamp(now)) > 0


def tenant_counts(transaction: Transaction) -> dict[str, TenantCounts]:
    """Return what each tenant holds, by its id; see `AccessDirectory`."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for tenant_id, bots, documents, chunks in transaction.tuples(_BOTS):
        found[tenant_id] |= {"bots": bots, "documents": int(documents), "chunks": int(chunks)}
    for tenant_id, users in transaction.tuples(_USERS):
        found[tenant_id] |= {"users": users}
    return {tenant_id: TenantCounts(**counts) for tenant_id, counts in found.items()}
