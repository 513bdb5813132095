"""`Directory`: the list of tenants and the workspace's settings."""

from __future__ import annotations

from minirag.errors import TenantExistsError, TenantNotFoundError
from minirag.interfaces.storage import Directory
from minirag.models.tenants import Tenant
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy.engine import Transaction

__all__ = ["SqlAlchemyDirectory"]


class SqlAlchemyDirectory(Directory):
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
            raise TenantNotFoundError(f"there is no tenant with the id {tenant.id!r}")

    def delete_tenant(self, tenant: Tenant) -> None:
        self._transaction.take_turn(tenant.id)
        self._transaction.run(s.DELETE_TENANT, tenant=tenant.id)

    def setting(self, name: str) -> str | None:
        value: str | None = self._transaction.value(s.SETTING, name=name)
        return value

    def put_setting(self, name: str, value: str) -> None:
        self._transaction.run(s.PUT_SETTING, name=name, value=value)

    def has_secrets(self) -> bool:
        return self._transaction.row(s.ANY_TENANT_KEY) is not None


def _taken(tenant: Tenant) -> TenantExistsError:
    return TenantExistsError(f"another tenant has the slug {tenant.slug!r}; choose another one")
