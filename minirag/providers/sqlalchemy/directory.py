"""`Directory`: the list of tenants and the workspace's settings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from minirag.errors import TenantExistsError, TenantNotFoundError
from minirag.interfaces.storage import Directory
from minirag.models.tenants import Tenant, TenantCounts
from minirag.providers.sqlalchemy import access
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy.accounting import SqlAccountingDirectory
from minirag.providers.sqlalchemy.erasing import SqlErasingDirectory
from minirag.providers.sqlalchemy.identity import SqlIdentityDirectory
from minirag.providers.sqlalchemy.transaction import Transaction
from minirag.types import utc_now

__all__ = ["SqlAlchemyDirectory"]


class SqlAlchemyDirectory(SqlAccountingDirectory, SqlIdentityDirectory, SqlErasingDirectory, Directory):
    """Which tenants there are, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def insert_tenant(self, tenant: Tenant) -> None:
        self._transaction.run(
            s.ADD_TENANT,
            duplicate=_taken(tenant),
            id=tenant.id,
            slug=tenant.slug,
            name=tenant.name,
            created_at=m.stamp(tenant.created_at),
            updated_at=m.stamp(tenant.updated_at),
            suspended_at=None,
        )

    def tenant(self, slug: str) -> Tenant | None:
        row = self._transaction.row(s.TENANT_BY_SLUG, slug=slug)
        return None if row is None else m.to_tenant(row)

    def tenants(self) -> list[Tenant]:
        return [m.to_tenant(row) for row in self._transaction.rows(s.TENANTS)]

    def update_tenant(self, tenant: Tenant) -> None:
        changed = self._transaction.run(
            s.UPDATE_TENANT,
            duplicate=_taken(tenant),
            tenant=tenant.id,
            new_slug=tenant.slug,
            new_name=tenant.name,
            new_updated_at=m.stamp(tenant.updated_at),
        )
        if not changed:
            raise _gone(tenant)

    def delete_tenant(self, tenant: Tenant) -> None:
        self._transaction.take_turn(tenant.id)
        self._transaction.run(s.DELETE_TENANT, tenant=tenant.id)

    def suspend_tenant(self, tenant: Tenant, at: dt.datetime | None) -> None:
        if not access.suspend_tenant(self._transaction, tenant.id, at, utc_now()):
            raise _gone(tenant)

    def tenant_counts(self) -> Mapping[str, TenantCounts]:
        return access.tenant_counts(self._transaction)

    def setting(self, name: str) -> str | None:
        value: str | None = self._transaction.value(s.SETTING, name=name)
        return value

    def put_setting(self, name: str, value: str) -> None:
        self._transaction.run(s.PUT_SETTING, name=name, value=value)

    def has_secrets(self) -> bool:
        return self._transaction.row(s.ANY_TENANT_KEY) is not None


def _gone(tenant: Tenant) -> TenantNotFoundError:
    return TenantNotFoundError(f"there is no tenant with the id {tenant.id!r}")


def _taken(tenant: Tenant) -> TenantExistsError:
    return TenantExistsError(f"another tenant has the slug {tenant.slug!r}; choose another one")
