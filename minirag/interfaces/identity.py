"""What a storage keeps of people and their tokens: parts of `Reader`, `Writer` and `Directory`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from minirag.models.principals import Role, TokenScope
from minirag.models.tenants import Tenant

__all__ = [
    "IdentityDirectory",
    "IdentityReader",
    "IdentityWriter",
    "Standing",
    "TokenGrant",
    "TokenRecord",
    "UserRecord",
]


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A person as stored.

    Attributes:
        email: as it is compared: normalised, in lower case.
        password_hash: encoded, with its salt and cost.
        failures: wrong passwords since the last right one.
        locked_until: until when no password is taken; None if it may be tried at once.
    """

    id: str
    email: str
    role: Role
    password_hash: str = dataclasses.field(repr=False)
    failures: int
    locked_until: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as stored, which is without its secret.

    Attributes:
        bot_id: the only bot that it opens; None for all of the tenant's.
        kind: `api` for a token that was made for a program, `session` for one that a login gave.
        token_hash: SHA-256 of the token; unique in the whole storage.
        prefix: what a listing shows of the token.
    """

    id: str
    user_id: str
    bot_id: str | None
    kind: Literal["api", "session"]
    scope: TokenScope
    token_hash: bytes = dataclasses.field(repr=False)
    prefix: str
    name: str
    created_at: dt.datetime
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What a token opens: its tenant, and the role of the person it belongs to."""

    tenant: Tenant
    role: Role
    token: TokenRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person, and the token that acts for them, may count on at this moment.

    Attributes:
        scope, bot_id, expires_at, revoked_at: the token's; None without one.
    """

    role: Role
    scope: TokenScope | None = None
    bot_id: str | None = None
    expires_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None


class IdentityReader(ABC):
    """Reads people and tokens; part of `Reader`."""

    @abstractmethod
    def user(self, user_id: str) -> UserRecord | None:
        """Return the person of this id."""

    @abstractmethod
    def user_of_email(self, email: str) -> UserRecord | None:
        """Return the person of this e-mail address."""

    @abstractmethod
    def users(self) -> list[UserRecord]:
        """Return everybody, sorted by e-mail address."""

    @abstractmethod
    def token(self, token_id: str) -> TokenRecord | None:
        """Return the token of this id."""

    @abstractmethod
    def tokens(self, user_id: str | None = None) -> list[TokenRecord]:
        """Return tokens, newest first: everybody's or one person's, those that have ended too."""

    @abstractmethod
    def standing(self, user_id: str, token_id: str | None = None) -> Standing | None:
        """Return what a person may do now, with the token that is named; None if either is gone, or the token is another's.

        Every call on behalf of somebody begins with it, so it should be one short query.
        """


class IdentityWriter(ABC):
    """Writes people and tokens; part of `Writer`."""

    @abstractmethod
    def put_user(self, user: UserRecord) -> None:
        """Insert or update a person. Another one of the same e-mail address is a `ConflictError`."""

    @abstractmethod
    def delete_user(self, user_id: str) -> bool:
        """Delete a person and their tokens; False if there is none."""

    @abstractmethod
    def put_token(self, token: TokenRecord) -> None:
        """Insert or update a token. Another one of the same hash is a `ConflictError`."""

    @abstractmethod
    def revoke_tokens(self, token_ids: Collection[str], at: dt.datetime) -> None:
        """End tokens that have not been revoked yet. Unknown ids are left out."""

    @abstractmethod
    def use_tokens(self, last_used_at: Mapping[str, dt.datetime]) -> None:
        """Write when tokens were used last, by id; an earlier time than what is stored changes nothing. Unknown ids are left out."""

    @abstractmethod
    def delete_ended_sessions(self, before: dt.datetime) -> int:
        """Delete tokens of the kind `session` that expired, or were revoked, before a time; return how many there were."""


class IdentityDirectory(ABC):
    """Knows whose a token is; part of `Directory`."""

    @abstractmethod
    def token_grant(self, token_hash: bytes) -> TokenGrant | None:
        """Return what the token of this hash opens, whichever tenant's it is. Whether it has ended is for the caller to see."""

    @abstractmethod
    def insert_first_user(self, tenant: Tenant, user: UserRecord, token: TokenRecord) -> None:
        """Give a tenant that was just inserted a person and a token."""
