"""People and tokens: their statements, and the parts of reader, writer and directory that use them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import and_, bindparam, or_, select

from minirag.errors import ConflictError
from minirag.interfaces.identity import (
    IdentityDirectory,
    IdentityReader,
    IdentityWriter,
    Standing,
    TokenGrant,
    TokenRecord,
    UserRecord,
)
from minirag.models.tenants import Tenant
from minirag.providers.sqlalchemy import identity_tables as t
from minirag.providers.sqlalchemy.mapping import stamp
from minirag.providers.sqlalchemy.scoping import (
    add,
    as_list,
    at,
    equals,
    erase,
    listed,
    rewrite,
    scoped,
    upsert,
)
from minirag.providers.sqlalchemy.tables import tenants
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["SqlIdentityDirectory", "SqlIdentityReader", "SqlIdentityWriter"]

_USER_COLUMNS: Final = tuple(t.users.c[name] for name in UserRecord.__dataclass_fields__)
_TOKEN_COLUMNS: Final = tuple(
    t.api_tokens.c["token_scope" if name == "scope" else name] for name in TokenRecord.__dataclass_fields__
)

_USERS: Final = scoped(*_USER_COLUMNS, of=(t.users,)).order_by(t.users.c.email)
_USER: Final = scoped(*_USER_COLUMNS, of=(t.users,)).where(equals(t.users.c.id))
_USER_OF_EMAIL: Final = scoped(*_USER_COLUMNS, of=(t.users,)).where(equals(t.users.c.email))
_ADD_USER: Final = add(t.users)
_PUT_USER: Final = upsert(t.users, fixed=("created_at",))
_DELETE_USER: Final = erase(t.users).where(equals(t.users.c.id))

_TOKENS: Final = scoped(*_TOKEN_COLUMNS, of=(t.api_tokens,)).order_by(t.api_tokens.c.id.desc())
_TOKENS_OF_USER: Final = _TOKENS.where(equals(t.api_tokens.c.user_id))
_TOKEN: Final = scoped(*_TOKEN_COLUMNS, of=(t.api_tokens,)).where(equals(t.api_tokens.c.id))
_ADD_TOKEN: Final = add(t.api_tokens)
_PUT_TOKEN: Final = upsert(t.api_tokens, fixed=("created_at",))
_REVOKE_TOKENS: Final = rewrite(t.api_tokens, "revoked_at").where(
    t.api_tokens.c.id.in_(listed("ids")), t.api_tokens.c.revoked_at.is_(None)
)
_USE_TOKEN: Final = rewrite(t.api_tokens, "last_used_at").where(
    at(t.api_tokens.c.id),
    or_(t.api_tokens.c.last_used_at.is_(None), t.api_tokens.c.last_used_at < bindparam("new_last_used_at")),
)
_DELETE_ENDED_SESSIONS: Final = erase(t.api_tokens).where(
    t.api_tokens.c.kind == "session",
    or_(t.api_tokens.c.expires_at < bindparam("before"), t.api_tokens.c.revoked_at < bindparam("before")),
)

_STANDING: Final = scoped(t.users.c.role, of=(t.users,)).where(equals(t.users.c.id, "user_id"))
_STANDING_OF_TOKEN: Final = scoped(
    t.users.c.role,
    t.api_tokens.c.token_scope,
    t.api_tokens.c.bot_id,
    t.api_tokens.c.expires_at,
    t.api_tokens.c.revoked_at,
    of=(t.users, t.api_tokens),
).where(equals(t.users.c.id, "user_id"), t.api_tokens.c.user_id == t.users.c.id, equals(t.api_tokens.c.id, "token_id"))
_GRANT: Final = (
    select(
        tenants.c.id,
        tenants.c.slug,
        tenants.c.name,
        tenants.c.created_at,
        tenants.c.updated_at,
        tenants.c.suspended_at,
        t.users.c.role,
        *_TOKEN_COLUMNS,
    )
    .join_from(t.api_tokens, tenants, tenants.c.id == t.api_tokens.c.tenant_id)
    .join(t.users, and_(t.users.c.tenant_id == t.api_tokens.c.tenant_id, t.users.c.id == t.api_tokens.c.user_id))
    .where(equals(t.api_tokens.c.token_hash))
)
"""The one statement that finds a tenant by something else than its slug: a token's hash is unique in the database."""


class SqlIdentityReader(IdentityReader):
    """The part of the reader that is about people and tokens."""

    _transaction: Transaction

    def user(self, user_id: str) -> UserRecord | None:
        return _user_or_none(self._transaction.tuples(_USER, id=user_id))

    def user_of_email(self, email: str) -> UserRecord | None:
        return _user_or_none(self._transaction.tuples(_USER_OF_EMAIL, email=email))

    def users(self) -> list[UserRecord]:
        return [_to_user(row) for row in self._transaction.tuples(_USERS)]

    def token(self, token_id: str) -> TokenRecord | None:
        rows = self._transaction.tuples(_TOKEN, id=token_id)
        return _to_token(rows[0]) if rows else None

    def tokens(self, user_id: str | None = None) -> list[TokenRecord]:
        if user_id is None:
            rows = self._transaction.tuples(_TOKENS)
        else:
            rows = self._transaction.tuples(_TOKENS_OF_USER, user_id=user_id)
        return [_to_token(row) for row in rows]

    def standing(self, user_id: str, token_id: str | None = None) -> Standing | None:
        if token_id is None:
            rows = self._transaction.tuples(_STANDING, user_id=user_id)
            return Standing(rows[0][0]) if rows else None
        rows = self._transaction.tuples(_STANDING_OF_TOKEN, user_id=user_id, token_id=token_id)
        if not rows:
            return None
        role, scope, bot_id, expires_at, revoked_at = rows[0]
        return Standing(role, scope, bot_id, _moment(expires_at), _moment(revoked_at))


class SqlIdentityWriter(IdentityWriter):
    """The part of the writer that is about people and tokens."""

    _transaction: Transaction

    def put_user(self, user: UserRecord) -> None:
        self._transaction.run(_PUT_USER, duplicate=_taken(user), **_user_row(user))

    def delete_user(self, user_id: str) -> bool:
        return self._transaction.run(_DELETE_USER, id=user_id) > 0

    def put_token(self, token: TokenRecord) -> None:
        self._transaction.run(_PUT_TOKEN, duplicate=_DUPLICATE_TOKEN, **_token_row(token))

    def revoke_tokens(self, token_ids: Collection[str], at: dt.datetime) -> None:
        self._transaction.run(_REVOKE_TOKENS, ids=as_list(sorted(token_ids)), new_revoked_at=stamp(at))

    def use_tokens(self, last_used_at: Mapping[str, dt.datetime]) -> None:
        rows = [{"at_id": token_id, "new_last_used_at": stamp(last_used_at[token_id])} for token_id in last_used_at]
        self._transaction.many(_USE_TOKEN, rows)

    def delete_ended_sessions(self, before: dt.datetime) -> int:
        return self._transaction.run(_DELETE_ENDED_SESSIONS, before=stamp(before))


class SqlIdentityDirectory(IdentityDirectory):
    """The part of the directory that is about people and tokens."""

    _transaction: Transaction

    def token_grant(self, token_hash: bytes) -> TokenGrant | None:
        rows = self._transaction.tuples(_GRANT, token_hash=token_hash)
        if not rows:
            return None
        tenant_id, slug, name, created_at, updated_at, suspended_at, role, *token = rows[0]
        tenant = Tenant(
            id=tenant_id,
            slug=slug,
            name=name,
            created_at=_moment(created_at),
            updated_at=_moment(updated_at),
            suspended_at=_moment(suspended_at),
        )
        return TokenGrant(tenant, role, _to_token(token))

    def insert_first_user(self, tenant: Tenant, user: UserRecord, token: TokenRecord) -> None:
        self._transaction.run(_ADD_USER, duplicate=_taken(user), scope=tenant.id, **_user_row(user))
        self._transaction.run(_ADD_TOKEN, duplicate=_DUPLICATE_TOKEN, scope=tenant.id, **_token_row(token))


_DUPLICATE_TOKEN: Final = ConflictError("there is a token of this hash already; make a new one")


def _taken(user: UserRecord) -> ConflictError:
    return ConflictError(f"the tenant has another user with the e-mail address {user.email!r}")


def _moment(text: str | None) -> Any:
    return None if text is None else dt.datetime.fromisoformat(text)


def _stamp(moment: dt.datetime | None) -> str | None:
    return None if moment is None else stamp(moment)


def _user_or_none(rows: Sequence[Sequence[Any]]) -> UserRecord | None:
    return _to_user(rows[0]) if rows else None


def _to_user(row: Sequence[Any]) -> UserRecord:
    user_id, email, role, password_hash, failures, *moments = row
    return UserRecord(user_id, email, role, password_hash, failures, *map(_moment, moments))


def _user_row(user: UserRecord) -> dict[str, Any]:
    return {
        **{name: getattr(user, name) for name in ("id", "email", "role", "password_hash", "failures")},
        "locked_until": _stamp(user.locked_until),
        "created_at": stamp(user.created_at),
        "updated_at": stamp(user.updated_at),
    }


def _to_token(row: Sequence[Any]) -> TokenRecord:
    token_id, user_id, bot_id, kind, scope, token_hash, prefix, name, *moments = row
    return TokenRecord(token_id, user_id, bot_id, kind, scope, bytes(token_hash), prefix, name, *map(_moment, moments))


def _token_row(token: TokenRecord) -> dict[str, Any]:
    names = ("id", "user_id", "bot_id", "kind", "token_hash", "prefix", "name")
    moments = ("created_at", "expires_at", "last_used_at", "revoked_at")
    return {
        **{name: getattr(token, name) for name in names},
        "token_scope": token.scope,
        **{name: _stamp(getattr(token, name)) for name in moments},
    }
