"""The tokens of a tenant's people: making, listing and ending them."""

from __future__ import annotations

import datetime as dt
import math
from typing import Final, Literal

from minirag._services.audit import record
from minirag._services.core import TenantContext
from minirag._services.people import find_user
from minirag.errors import (
    AccessDeniedError,
    BotNotFoundError,
    InvalidInputError,
    TokenNotFoundError,
    UserNotFoundError,
)
from minirag.interfaces.identity import TokenRecord, UserRecord
from minirag.interfaces.storage import Reader
from minirag.models.checks import check_choice, check_text, clipped
from minirag.models.people import ApiToken
from minirag.models.principals import Principal, Role, TokenScope
from minirag.security.access import check_grant, check_person
from minirag.security.tokens import hash_token, new_token, shown_prefix
from minirag.types import new_id

__all__ = ["create_token", "draft_token", "issue_token", "list_tokens", "revoke_token", "revoke_tokens", "shown_token"]

_SCOPES: Final[tuple[TokenScope, ...]] = ("read", "write", "admin")
_MOST_SECONDS: Final = 100 * 366 * 86_400
_LONGEST_ID: Final = 20
_KEPT: Final = dt.timedelta(days=7)
"""How long a session that has ended is still listed."""


def shown_token(token: TokenRecord, secret: str | None = None) -> ApiToken:
    """Return what of a token is shown, and with a new one the token itself."""
    shown = ApiToken(**{name: getattr(token, name) for name in ApiToken.model_fields})
    shown._token = secret
    return shown


def draft_token(
    user_id: str,
    *,
    kind: Literal["api", "session"],
    scope: TokenScope,
    name: str,
    now: dt.datetime,
    expires_at: dt.datetime | None = None,
    bot_id: str | None = None,
) -> tuple[TokenRecord, str]:
    """Return a new token's record, not stored yet, and the token itself."""
    token_id = new_id()
    secret = new_token(token_id)
    made = TokenRecord(
        id=token_id,
        user_id=user_id,
        bot_id=bot_id,
        kind=kind,
        scope=scope,
        token_hash=hash_token(secret),
        prefix=shown_prefix(token_id),
        name=name,
        created_at=now,
        expires_at=expires_at,
        last_used_at=None,
        revoked_at=None,
    )
    return made, secret


def create_token(
    context: TenantContext,
    user: object,
    *,
    name: object,
    scope: object,
    bot: object,
    expires_in: object,
    expires_at: object,
) -> ApiToken:
    """Make a token for a program that acts on behalf of a person."""
    given_name = check_text("name", name, maximum=200, blank=True)
    given_scope = check_choice("scope", scope, _SCOPES)
    bot_name = None if bot is None else check_text("bot", bot, maximum=200)
    core = context.core
    now = core.clock()
    end = _check_end(now, expires_in, expires_at)
    caller = context.allow("tokens.write")
    check_grant(caller, "tokens.write", given_scope)
    with core.storage.write(context.scope) as writer:
        owner = find_user(writer, user)
        check_person(caller, "tokens.write", owner.role)
        bot_id = None if bot_name is None else _bot_id(writer, bot_name)
        token, secret = draft_token(
            owner.id, kind="api", scope=given_scope, name=given_name, now=now, expires_at=end, bot_id=bot_id
        )
        writer.put_token(token)
        record(writer, context.principal, "token.created", token.id)
    return shown_token(token, secret)


def issue_token(context: TenantContext, *, name: object, expires_in: object) -> ApiToken:
    """Make a session token for the person who signed in, and forget those of the tenant that ended a week ago.

    It is a row as every token is, rather than a signed text: it must be possible to revoke it, and to see that takes a row
    anyway; it needs no key; and whoever reads the database cannot make one.
    """
    given_name = check_text("name", name, maximum=200, blank=True)
    duration = _check_duration(expires_in)
    context.core.check()
    user_id = context.principal.user_id
    if context.principal.kind != "user" or user_id is None:
        raise InvalidInputError(
            "issue_token() is for a session that workspace.login(...) gave; for a program, use tenant.tokens.create(...)"
        )
    core = context.core
    now = core.clock()
    context.allow("tokens.own")
    with core.storage.write(context.scope) as writer:
        owner = find_user(writer, user_id)
        writer.delete_ended_sessions(now - _KEPT)
        token, secret = draft_token(
            owner.id, kind="session", scope="admin", name=given_name, now=now, expires_at=now + duration
        )
        writer.put_token(token)
        record(writer, context.principal, "token.created", token.id)
    return shown_token(token, secret)


def list_tokens(context: TenantContext, user: object = None) -> list[ApiToken]:
    """Return tokens, newest first, of everybody or of one person, those that have ended too."""
    if user is not None:
        owner = _owner(context, user)
        with context.core.storage.read(context.scope) as reader:
            return [shown_token(token) for token in reader.tokens(owner.id)]
    caller = context.allow("tokens.write")
    with context.core.storage.read(context.scope) as reader:
        roles = {each.id: each.role for each in reader.users()}
        return [shown_token(token) for token in reader.tokens() if _reaches(caller, roles[token.user_id])]


def revoke_token(context: TenantContext, token: object) -> None:
    """End a token at once, everywhere."""
    token_id = token.id if isinstance(token, ApiToken) else _check_id(token)
    core = context.core
    core.check()
    with core.storage.read(context.scope) as reader:
        found = reader.token(token_id)
        owner = None if found is None else reader.user(found.user_id)
    _allow_tokens_of(context, owner)
    if found is None:
        # What was given may be a token itself, which no message may hold.
        raise TokenNotFoundError("the tenant has no token of this id; tenant.tokens.list() shows those there are")
    with core.storage.write(context.scope) as writer:
        present = writer.token(found.id)
        if present is not None and present.revoked_at is None:
            writer.revoke_tokens([found.id], core.clock())
            record(writer, context.principal, "token.revoked", found.id)


def revoke_tokens(context: TenantContext, user: object) -> int:
    """End every token of a person at once, everywhere, and return how many these were."""
    core, owner = context.core, _owner(context, user)
    with core.storage.write(context.scope) as writer:
        ids = [token.id for token in writer.tokens(owner.id) if token.revoked_at is None]
        writer.revoke_tokens(ids, core.clock())
        record(writer, context.principal, "token.revoked", *ids)
    return len(ids)


def _owner(context: TenantContext, user: object) -> UserRecord:
    """Return a person whose tokens the caller may see and end. Who may not learns nothing of who there is."""
    context.core.check()
    with context.core.storage.read(context.scope) as reader:
        try:
            found = find_user(reader, user)
        except UserNotFoundError:
            _allow_tokens_of(context, None)
            raise
    _allow_tokens_of(context, found)
    return found


def _allow_tokens_of(context: TenantContext, owner: UserRecord | None) -> None:
    if owner is not None and owner.id == context.principal.user_id:
        context.allow("tokens.own")
        return
    caller = context.allow("tokens.write")
    if owner is not None:
        check_person(caller, "tokens.write", owner.role)


def _reaches(caller: Principal, role: Role) -> bool:
    try:
        check_person(caller, "tokens.write", role)
    except AccessDeniedError:
        return False
    return True


def _check_id(token: object) -> str:
    if not isinstance(token, str):
        raise InvalidInputError(f"token must be an ApiToken or its id, not {type(token).__name__}")
    # A token given by mistake for its id is not looked for, so that it is in no log of the database either.
    return token if len(token) <= _LONGEST_ID and token.isascii() and token.isalnum() else ""


def _bot_id(reader: Reader, name: str) -> str:
    bot = reader.bot(name)
    if bot is None:
        raise BotNotFoundError(f"no bot {clipped(name)}; tenant.bots.list() shows those there are")
    return bot.id


def _check_end(now: dt.datetime, expires_in: object, expires_at: object) -> dt.datetime | None:
    """Return when a token ends, or None for never."""
    if expires_in is not None and expires_at is not None:
        raise InvalidInputError("give either expires_in or expires_at, not both")
    if expires_in is not None:
        return now + _check_duration(expires_in)
    if expires_at is None:
        return None
    if not isinstance(expires_at, dt.datetime) or expires_at.tzinfo is None:
        raise InvalidInputError(f"expires_at must be an aware datetime, not {clipped(expires_at)}")
    if not now < expires_at <= now + dt.timedelta(seconds=_MOST_SECONDS):
        raise InvalidInputError(f"expires_at={expires_at.isoformat()} must be in the future, and in this century")
    return expires_at.astimezone(dt.UTC)


def _check_duration(value: object) -> dt.timedelta:
    seconds = value.total_seconds() if isinstance(value, dt.timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(_float(seconds)):
        raise InvalidInputError(f"expires_in must be a timedelta, or a number of seconds, not {clipped(value)}")
    if not 0 < seconds <= _MOST_SECONDS:
        raise InvalidInputError(f"expires_in={clipped(value)} must be more than 0 seconds and at most 100 years")
    return dt.timedelta(seconds=seconds)


def _float(number: float) -> float:
    """Return a number as a float; an int that is too large for one is infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf
