"""Whether a call may go on: who calls as it stands at this moment, and the table of `minirag.security.access`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from minirag.errors import SessionEndedError, TenantSuspendedError
from minirag.interfaces import TenantScope
from minirag.interfaces.storage import Reader
from minirag.models.principals import Principal
from minirag.security.access import SCOPES, allow

if TYPE_CHECKING:
    from minirag._services.core import Core

__all__ = ["admit", "suspended"]

_GONE: Final = "the session has ended, since its token or the person it acted for is gone"
_AGAIN: Final = "; sign in again, or use another token"


def admit(core: Core, scope: TenantScope, principal: Principal, action: str) -> Principal:
    """Return a principal as it stands now, if it may do something.

    What a session was made with is never trusted: each call reads the person's present role and the token again, so that a
    revocation or a demotion counts at once, in every process.

    Raises:
        TenantSuspendedError: if the tenant is closed.
        SessionEndedError: if the token has expired or was revoked, or the person is gone.
        AccessDeniedError: if role or scope are not enough.
    """
    core.check()
    with core.storage.read(scope) as reader:
        present = _present(core, reader, principal, action)
    allow(present, action)
    return present


def suspended() -> TenantSuspendedError:
    """Return the error of every call on a closed tenant."""
    return TenantSuspendedError(
        "the tenant is suspended; workspace.tenants.resume(slug) opens it again, and nothing of it is lost meanwhile"
    )


def _present(core: Core, reader: Reader, principal: Principal, action: str) -> Principal:
    if reader.suspended():
        raise suspended()
    if principal.kind == "application":
        return principal
    standing = None if principal.user_id is None else reader.standing(principal.user_id, principal.token_id)
    if standing is None:
        raise SessionEndedError(_GONE + _AGAIN, action=action)
    if standing.revoked_at is not None:
        raise SessionEndedError(f"the session has ended, since its token was revoked{_AGAIN}", action=action)
    ends = [moment for moment in (principal.expires_at, standing.expires_at) if moment is not None]
    if ends and min(ends) <= core.clock():
        raise SessionEndedError(
            f"the session has ended: it expired at {min(ends):%Y-%m-%d %H:%M:%S} UTC{_AGAIN}", action=action
        )
    scopes = [scope for scope in (principal.scope, standing.scope) if scope is not None]
    return principal.model_copy(
        update={
            "role": standing.role,
            "scope": min(scopes, key=SCOPES.index) if scopes else None,
            "bot_id": principal.bot_id if standing.bot_id is None else standing.bot_id,
        }
    )
