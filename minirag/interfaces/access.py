"""What a storage knows of closed tenants, and of how large tenants are: parts of `Reader` and `Directory`."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Mapping

from minirag.models.tenants import Tenant, TenantCounts

__all__ = ["AccessDirectory", "AccessReader"]


class AccessReader(ABC):
    """Knows whether the tenant is closed; part of `Reader`."""

    @abstractmethod
    def suspended(self) -> bool:
        """Return whether the tenant is closed; of a tenant that is gone, False. Most calls begin with it: one short query."""


class AccessDirectory(ABC):
    """Closes and opens tenants, and counts what they hold; part of `Directory`."""

    @abstractmethod
    def suspend_tenant(self, tenant: Tenant, at: dt.datetime | None) -> None:
        """Write since when a tenant is closed; None opens it. Raises `TenantNotFoundError` if it is gone."""

    @abstractmethod
    def tenant_counts(self) -> Mapping[str, TenantCounts]:
        """Return what each tenant holds, by its id, in a few queries whatever their number; those that hold nothing may be left out."""
