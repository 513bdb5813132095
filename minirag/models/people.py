"""People of a tenant, their tokens, and what `bootstrap` makes."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from pydantic import PrivateAttr

from minirag.models.base import Model
from minirag.models.principals import Role, TokenScope
from minirag.models.tenants import Tenant

__all__ = ["ApiToken", "Bootstrap", "User"]


class User(Model):
    """A person who may sign in to a tenant.

    Attributes:
        email: unique in the tenant; normalised, in lower case.
        role: `owner`, `admin` or `member`.
    """

    id: str
    email: str
    role: Role
    created_at: dt.datetime
    updated_at: dt.datetime


class _ShownOnce(Model):
    """A record that comes with a token once. No dump, repr, comparison, iteration or pickle holds it."""

    _token: str | None = PrivateAttr(default=None)

    @property
    def token(self) -> str | None:
        """The token itself in what made it, and None everywhere else. Keep it like a password."""
        return self._token

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "__pydantic_private__": {"_token": None}}


class ApiToken(_ShownOnce):
    """A token's record. The token itself is shown once and never stored.

    Attributes:
        user_id: on whose behalf it acts; it may never do more than this person's role.
        kind: `api` if it was made for a program, `session` if `issue_token` made it after a login.
        scope: what it may do at most.
        bot_id: the only bot that it opens; None for all of the tenant's.
        prefix: the beginning of the token, which tells it from others and holds nothing of its secret.
        last_used_at: about when it was used last, to the minute; None if never.
        revoked_at: since when it opens nothing.
    """

    id: str
    user_id: str
    kind: Literal["api", "session"]
    scope: TokenScope
    bot_id: str | None = None
    prefix: str
    name: str
    created_at: dt.datetime
    expires_at: dt.datetime | None = None
    last_used_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None

    def __eq__(self, other: object) -> bool:
        # pydantic would compare what is private too: the new record would not be the one that is listed.
        return isinstance(other, ApiToken) and dict(self) == dict(other)

    def __hash__(self) -> int:
        return hash(self.id)


class Bootstrap(_ShownOnce):
    """What `ws.tenants.bootstrap` made.

    Attributes:
        owner: who may do everything in the tenant; `token` is one of theirs that may do everything too.
    """

    tenant: Tenant
    owner: User
