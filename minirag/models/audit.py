"""What was done in a tenant, by whom and when."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from minirag.models.base import Model

__all__ = ["AuditAction", "AuditEvent"]

AuditAction = Literal[
    "bot.created",
    "bot.updated",
    "bot.reembedded",
    "bot.deleted",
    "bot.erased",
    "credential.set",
    "credential.removed",
    "documents.added",
    "document.removed",
    "document.erased",
    "source.added",
    "source.updated",
    "source.removed",
    "source.erased",
    "tenant.created",
    "tenant.updated",
    "tenant.suspended",
    "tenant.resumed",
    "tenant.exported",
    "tenant.imported",
    "user.created",
    "user.updated",
    "user.deleted",
    "user.exported",
    "user.locked",
    "password.changed",
    "token.created",
    "token.revoked",
    "login.succeeded",
    "login.failed",
    "keys.rotated",
]
"""What the library itself writes down."""


class AuditEvent(Model):
    """Something that was done. It says to what, by id or name, and never what was in it.

    Attributes:
        actor: `application`, `user:<id>`, or `user:<id>/token:<id>` and `user:<id>/session:<id>` for what acts on behalf
            of a person.
        action: such as `bot.created`; see `minirag.models.audit.AuditAction`.
        subject: the id of what it was done to. Of a credential its bot's id and its name, as `<id>/api_key`; of an `add`
            its bot's.
    """

    id: str
    at: dt.datetime
    actor: str
    action: str
    subject: str
