"""What a storage keeps of what was spent, what may be, and what was done: parts of `Reader`, `Writer` and `Directory`."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from minirag.models.audit import AuditEvent
from minirag.models.limits import Limits
from minirag.models.tenants import Tenant
from minirag.models.usage import UsageEvent, UsageRow

__all__ = ["AccountingDirectory", "AccountingReader", "AccountingWriter", "Held", "Spent"]


@dataclass(frozen=True, slots=True)
class Held:
    """What a tenant holds now, in all its bots. `characters` is the length of the present texts in code points."""

    documents: int
    chunks: int
    characters: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What the calls of a time count as: what they used, and of calls under way what they have reserved.

    Attributes:
        cost: US dollars, of calls whose price is known.
    """

    requests: int
    tokens: int
    cost: Decimal


class AccountingDirectory(ABC):
    """Writes what may be spent, and what was done to a tenant itself; part of `Directory`."""

    @abstractmethod
    def put_audit_events(self, tenant: Tenant, events: Sequence[AuditEvent]) -> None:
        """Add to a tenant's audit log what was done to the tenant itself."""

    @abstractmethod
    def put_limits(self, tenant: Tenant, limits: Limits) -> None:
        """Write what a tenant may hold and spend at most, in place of what was written before."""


class AccountingReader(ABC):
    """Reads the ledger of provider calls and the audit log; part of `Reader`."""

    @abstractmethod
    def usage(self, bot_id: str | None = None) -> list[UsageRow]:
        """Return the ledger summed by kind, provider and model, sorted by these."""

    @abstractmethod
    def usage_events(
        self, bot_id: str | None = None, *, before: str | None = None, limit: int = 100
    ) -> list[UsageEvent]:
        """Return events, newest first, those with an id below `before`."""

    @abstractmethod
    def limits(self) -> Limits | None:
        """Return what the tenant may hold and spend at most, as it was last written; None if it never was."""

    @abstractmethod
    def held(self) -> Held:
        """Return what the tenant holds now."""

    @abstractmethod
    def spent(self, *, since: dt.date | None, alive_since: dt.datetime) -> Spent:
        """Return what the calls count as that began on the day `since` (UTC) or later; None for all calls.

        A call counts with its reservation where it has one, else with what it used. A call that is open and began before
        `alive_since` is taken for one whose process has died: it counts as a request, and with what it used.
        """

    @abstractmethod
    def audit_events(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[AuditEvent]:
        """Return what was done, newest first, those with an id below `before`.

        Args:
            actor: only what this one did, or another on behalf of it: `"user:u1"` finds `"user:u1/token:t1"` too.
            action, subject: only those of this action, or done to this.
        """


class AccountingWriter(ABC):
    """Writes the ledger and the audit log; part of `Writer`."""

    @abstractmethod
    def put_usage(self, event: UsageEvent) -> None:
        """Insert or update a ledger row."""

    @abstractmethod
    def put_audit_events(self, events: Sequence[AuditEvent]) -> None:
        """Add to the audit log, none of which is there yet. What is in it is never changed, and goes with its tenant alone."""
