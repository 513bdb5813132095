"""Errors of a call itself: who makes it, what it names, and the state it meets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

__all__ = [
    "AccessDeniedError",
    "AmbiguousKeyError",
    "ArchiveError",
    "AuthenticationError",
    "BotNotFoundError",
    "BudgetExceededError",
    "ChatNotFoundError",
    "ConfigurationError",
    "ConflictError",
    "DocumentNotFoundError",
    "FilterError",
    "ForkedWorkspaceError",
    "InvalidDocumentError",
    "InvalidInputError",
    "InvalidMetadataError",
    "LimitExceededError",
    "MiniRAGError",
    "NotFoundError",
    "QuotaExceededError",
    "ReadOnlyWorkspaceError",
    "SessionEndedError",
    "SourceNotFoundError",
    "TenantExistsError",
    "TenantNotFoundError",
    "TenantSuspendedError",
    "TokenNotFoundError",
    "UserNotFoundError",
    "WorkspaceClosedError",
    "WorkspaceStateError",
]


class MiniRAGError(Exception):
    """The root of everything MiniRAG raises on purpose."""


class InvalidInputError(MiniRAGError, ValueError):
    """An argument has the wrong type or value. Nothing was changed."""


class ArchiveError(InvalidInputError):
    """An archive of a tenant is damaged, of a form that is not known, or none at all. Nothing was imported."""


class ConfigurationError(InvalidInputError):
    """A setting, a configuration file or an environment variable is wrong."""


class FilterError(InvalidInputError):
    """A `where=` filter cannot be understood."""


class InvalidDocumentError(InvalidInputError):
    """A document's text, key or title cannot be stored."""


class InvalidMetadataError(InvalidInputError):
    """Metadata is not a flat mapping of the supported types."""


class NotFoundError(MiniRAGError, LookupError):
    """Something asked for by id, name, key or path does not exist here.

    Another tenant's id gives the same error, with the same words, as an id that never existed.
    """


class TenantNotFoundError(NotFoundError):
    """No tenant has this slug."""


class BotNotFoundError(NotFoundError):
    """The tenant has no bot of this name."""


class SourceNotFoundError(NotFoundError):
    """A path does not exist, or the bot has no such source."""


class DocumentNotFoundError(NotFoundError):
    """The bot has no document, or no document version, of this key."""


class ChatNotFoundError(NotFoundError):
    """The bot has no chat of this id."""


class UserNotFoundError(NotFoundError):
    """The tenant has no user of this id or e-mail address."""


class TokenNotFoundError(NotFoundError):
    """The tenant has no token of this id."""


class ConflictError(MiniRAGError):
    """What exists already contradicts the call."""


class TenantExistsError(ConflictError):
    """The slug belongs to another tenant."""


class AmbiguousKeyError(ConflictError):
    """Several sources of the bot hold a document of this key; name the source."""


class AuthenticationError(MiniRAGError):
    """A password or a token opens nothing. The message does not say more than whoever has it may know."""


class AccessDeniedError(MiniRAGError):
    """Whoever the session acts for may not do this. Nothing was changed.

    Attributes:
        action: what was tried, such as `"documents.add"`.
        role: the least role that may do it, or None if the role was not what was missing.
        scope: the least scope of a token that may do it, or None if the scope was not what was missing.
        retryable: False; the same call fails until somebody grants more.
    """

    retryable = False

    def __init__(self, message: str, *, action: str, role: str | None = None, scope: str | None = None) -> None:
        super().__init__(message)
        self.action = action
        self.role = role
        self.scope = scope


class SessionEndedError(AccessDeniedError):
    """The session's token has expired or was revoked, or the person it acts for is gone; sign in again."""


class LimitExceededError(MiniRAGError):
    """A limit of the tenant leaves no room. Nothing was called or written.

    Attributes:
        limit: which, such as `"cost a month"`.
        value, used: the limit, and how much of it is used or reserved.
        resets_at: when its day or month ends, or None.
        retryable: whether the same call may succeed after `resets_at`.
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        limit: str,
        value: int | Decimal,
        used: int | Decimal,
        resets_at: datetime | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.value = value
        self.used = used
        self.resets_at = resets_at
        self.retryable = retryable


class BudgetExceededError(LimitExceededError):
    """A call of a provider may take the tenant over what it may spend."""


class QuotaExceededError(LimitExceededError):
    """A document would take the tenant over what it may hold."""


class TenantSuspendedError(MiniRAGError):
    """The tenant was closed with `workspace.tenants.suspend`; nothing of it is lost.

    Attributes:
        retryable: False; the same call fails until the tenant is opened again.
    """

    retryable = False


class WorkspaceStateError(MiniRAGError):
    """The workspace cannot serve this call in its present state."""


class WorkspaceClosedError(WorkspaceStateError):
    """The workspace was closed before this call."""


class ForkedWorkspaceError(WorkspaceStateError):
    """The workspace was opened in another process; open it again in this one."""


class ReadOnlyWorkspaceError(WorkspaceStateError):
    """The workspace was opened with `read_only=True`."""
