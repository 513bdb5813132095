"""The audit log: what was done, entered in the transaction that did it, so that neither is there without the other."""

from __future__ import annotations

from collections.abc import Sequence

from minirag.interfaces.storage import Directory, Writer
from minirag.models.audit import AuditAction, AuditEvent
from minirag.models.principals import APPLICATION, Principal
from minirag.models.tenants import Tenant
from minirag.types import new_id, utc_now

__all__ = ["actor_of", "record", "record_of_tenant"]


def record(writer: Writer, principal: Principal, action: AuditAction, *subject_ids: str) -> None:
    """Enter an action in the audit log, once for each subject, as a part of the caller's transaction.

    Args:
        principal: on whose behalf it was done.
        subject_ids: ids of what it was done to, or names where there is no id; never contents.
    """
    writer.put_audit_events(_events(principal, action, subject_ids))


def record_of_tenant(directory: Directory, tenant: Tenant, action: AuditAction, subject_id: str | None = None) -> None:
    """Enter in a tenant's own log what the application did, as a part of the directory's transaction.

    Args:
        subject_id: the id of what it was done to; None for the tenant itself.
    """
    directory.put_audit_events(tenant, _events(APPLICATION, action, (subject_id or tenant.id,)))


def actor_of(principal: Principal) -> str:
    """Return how the audit log names a principal; see `AuditEvent`."""
    if principal.user_id is None:
        return principal.kind
    person = f"user:{principal.user_id}"
    return person if principal.token_id is None else f"{person}/{principal.kind}:{principal.token_id}"


def _events(principal: Principal, action: AuditAction, subject_ids: Sequence[str]) -> list[AuditEvent]:
    now, actor = utc_now(), actor_of(principal)
    return [AuditEvent(id=new_id(), at=now, actor=actor, action=action, subject=subject) for subject in subject_ids]
