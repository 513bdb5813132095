"""Who is asking: passwords and tokens become principals, people change passwords, a new tenant gets its first person."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Final, TypeVar

from minirag._services.admission import suspended
from minirag._services.audit import record, record_of_tenant
from minirag._services.core import Core, TenantContext
from minirag._services.people import check_email, normal_email, set_password, shown_user
from minirag._services.steps import Steps
from minirag._services.tokens import draft_token
from minirag.errors import AuthenticationError, InvalidInputError, ReadOnlyWorkspaceError
from minirag.interfaces import TenantScope
from minirag.interfaces.identity import TokenGrant, UserRecord
from minirag.interfaces.storage import Reader, Writer
from minirag.models.people import Bootstrap
from minirag.models.principals import APPLICATION, Principal
from minirag.models.tenants import Tenant
from minirag.security.passwords import check_password
from minirag.security.tokens import hash_token, parse_token, same_hash
from minirag.types import new_id

__all__ = ["authenticate", "bootstrap", "change_password", "sign_in"]

T = TypeVar("T")

_FREE_FAILURES: Final = 4
_LONGEST_LOCK: Final = 900
"""Seconds. From the fifth wrong password on one waits 1, 2, 4, … seconds: some hundred guesses a day and person."""
_TRIES: Final = 3
_LONGEST_ARGUMENT: Final = 4_000
_WRONG: Final = "tenant, e-mail address or password is wrong; after several wrong passwords also the right one is refused for a while"


def sign_in(
    core: Core, scope_of: Callable[[str], TenantScope], tenant: object, email: object, password: object
) -> Steps[TenantContext]:
    """Return the context of a person whose password this is.

    Whatever is wrong, one password is compared, which takes far longer than all the rest, and the error is the same: neither
    words nor time tell which tenants and people there are. The comparison comes first and counts only if the person was not
    locked out meanwhile: however many guesses are made at one time, no more of them count than if they had come one after
    the other.

    Raises:
        AuthenticationError: if tenant, e-mail address or password is wrong, or too many wrong ones came before.
        TenantSuspendedError: if they are right, but the tenant is closed.
        ReadOnlyWorkspaceError: if wrong passwords could not be counted.
    """
    slug, address, secret = _text("tenant", tenant), normal_email(_text("email", email)), _text("password", password)
    core.check()
    _check_counting(core)
    found = _find_tenant(core, slug)
    if found is None:
        yield core.passwords.compare(None, secret)
        raise AuthenticationError(_WRONG)
    scope = scope_of(found.id)

    def enter(writer: Writer, user: UserRecord) -> tuple[UserRecord, Principal, bool]:
        principal = Principal(kind="user", user_id=user.id, role=user.role)
        record(writer, principal, "login.succeeded", user.id)
        return user, principal, writer.suspended()

    def person(reader: Reader) -> UserRecord | None:
        return reader.user_of_email(address if address.isprintable() else "")

    entered = yield from _proven(core, scope, person, secret, by=APPLICATION, tenant=found, then=enter)
    if entered is None:
        raise AuthenticationError(_WRONG)
    user, principal, closed = entered
    if closed:
        raise suspended()
    # Not earlier: the time that it takes would tell who is kept waiting that a password is the right one.
    if core.passwords.passwords.is_outdated(user.password_hash):
        renewed = yield core.passwords.hash(secret)
        with core.storage.write(scope) as writer:
            present = writer.user(user.id)
            if present is not None and present.password_hash == user.password_hash:
                writer.put_user(dataclasses.replace(present, password_hash=renewed))
    return TenantContext(core, scope, found, principal)


def change_password(context: TenantContext, old: object, new: object) -> Steps[None]:
    """Give the person who signed in another password, and end all their sessions but this one.

    The old password is asked for, since a browser may have been left open, and taken as `sign_in` takes it: wrong ones are
    counted with those of logins, and whatever is wrong with it takes the same time. A program's token may not do it: nobody
    gives a program a password, and what it was made for must not lock its person out.

    Raises:
        InvalidInputError: if the new password may not be set, or this is no session of a person who signed in.
        AuthenticationError: if the old password is wrong, or too many wrong ones came before; then nothing is changed.
        ReadOnlyWorkspaceError: if wrong passwords could not be counted.
    """
    given, secret = _text("old", old), check_password(new)
    core, principal = context.core, context.principal
    core.check()
    user_id = principal.user_id
    if principal.kind not in ("user", "session") or user_id is None:
        raise InvalidInputError(
            "change_password() is for a session of a person who signed in; for others, use tenant.users.update(user, "
            "password=...)"
        )
    _check_counting(core)
    context.allow("passwords.own")
    # Before the old one is compared, so that the time tells nothing of it to who is kept waiting.
    encoded = yield core.passwords.hash(secret)

    def change(writer: Writer, user: UserRecord) -> bool:
        if writer.suspended():
            return False
        set_password(writer, user, encoded, core.clock(), keep=principal.token_id)
        record(writer, principal, "password.changed", user.id)
        return True

    changed = yield from _proven(
        core,
        context.scope,
        lambda reader: reader.user(user_id),
        given,
        by=principal,
        tenant=context.tenant,
        then=change,
    )
    if changed is None:
        raise AuthenticationError(
            "the old password is wrong; after several wrong passwords also the right one is refused for a while"
        )
    if not changed:
        raise suspended()


def _check_counting(core: Core) -> None:
    if core.storage.read_only:
        raise ReadOnlyWorkspaceError(
            "a workspace opened with read_only=True cannot count wrong passwords, so nobody signs in there; tokens work"
        )


def _proven(
    core: Core,
    scope: TenantScope,
    person: Callable[[Reader], UserRecord | None],
    password: str,
    *,
    by: Principal,
    tenant: Tenant,
    then: Callable[[Writer, UserRecord], T],
) -> Steps[T | None]:
    """Return what `then` does for a person whose password this is; None if it is not, or they are kept waiting.

    One password is compared, whatever is wrong, and how it went is written down in the transaction in which `then` works.

    Args:
        by: on whose behalf it is tried, as far as that is known.
    """
    for _ in range(_TRIES):
        with core.storage.read(scope) as reader:
            user = person(reader)
        right = yield core.passwords.compare(None if user is None else user.password_hash, password)
        with core.storage.write(scope) as writer:
            now = None if user is None else writer.user(user.id)
            if user is not None and now is not None and now.password_hash != user.password_hash:
                continue  # another one was set meanwhile, or the same one hashed anew
            judged = _judge(writer, core.clock(), now, right=right, by=by, tenant=tenant)
            return None if judged is None else then(writer, judged)
    return None


def _judge(
    writer: Writer, now: dt.datetime, user: UserRecord | None, *, right: bool, by: Principal, tenant: Tenant
) -> UserRecord | None:
    """Write down how an attempt went, and return the person as they stand then if it went well."""
    if user is None:
        record(writer, by, "login.failed", tenant.id)
        return None
    if user.locked_until is not None and user.locked_until > now:
        record(writer, by, "login.failed", user.id)
        return None
    if not right:
        failures = user.failures + 1
        lock = _lock_after(failures)
        writer.put_user(dataclasses.replace(user, failures=failures, locked_until=None if lock is None else now + lock))
        record(writer, by, "login.failed", user.id)
        if lock is not None:
            record(writer, by, "user.locked", user.id)
        return None
    if user.failures:
        user = dataclasses.replace(user, failures=0, locked_until=None)
        writer.put_user(user)
    return user


def _lock_after(failures: int) -> dt.timedelta | None:
    if failures <= _FREE_FAILURES:
        return None
    return dt.timedelta(seconds=min(_LONGEST_LOCK, 2 ** min(failures - _FREE_FAILURES - 1, 20)))


def _find_tenant(core: Core, slug: str) -> Tenant | None:
    with core.storage.directory() as directory:
        return directory.tenant(slug if slug.isascii() and slug.replace("-", "").isalnum() else "")


def _text(name: str, value: object) -> str:
    # Neither what was given for a password nor what was meant to be one may be in a message.
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a str, not {type(value).__name__}")
    if name not in ("password", "old") and len(value) > _LONGEST_ARGUMENT:
        raise InvalidInputError(f"{name} is {len(value):,} characters long; the limit is {_LONGEST_ARGUMENT:,}")
    return value


def authenticate(core: Core, scope_of: Callable[[str], TenantScope], token: object) -> TenantContext:
    """Return the context of the person that a token acts for, found with one query.

    Raises:
        AuthenticationError: if it is no token, is not known, was revoked, or has expired.
        TenantSuspendedError: if its tenant is closed.
    """
    if not isinstance(token, str):
        raise InvalidInputError(f"token must be a str, not {type(token).__name__}")
    core.check()
    token_id = parse_token(token)
    if token_id is None:
        raise AuthenticationError("this is no token: it is mistyped, cut off, or something else")
    digest = hash_token(token)
    with core.storage.directory() as directory:
        grant = directory.token_grant(digest)
    if grant is None or not same_hash(grant.token.token_hash, digest) or grant.token.revoked_at is not None:
        raise AuthenticationError("the token opens nothing; it was never made here, or it was revoked")
    now, end = core.clock(), grant.token.expires_at
    if end is not None and end <= now:
        raise AuthenticationError(f"the token expired at {end.isoformat(timespec='seconds')}; get a new one")
    if grant.tenant.suspended_at is not None:
        raise suspended()
    scope = scope_of(grant.tenant.id)
    core.last_uses.note(scope, grant.token.id, stored=grant.token.last_used_at, now=now)
    return TenantContext(core, scope, grant.tenant, _principal_of(grant))


def _principal_of(grant: TokenGrant) -> Principal:
    token = grant.token
    return Principal(
        kind="session" if token.kind == "session" else "token",
        user_id=token.user_id,
        token_id=token.id,
        role=grant.role,
        scope=token.scope,
        bot_id=token.bot_id,
        expires_at=token.expires_at,
    )


def bootstrap(core: Core, slug: str, name: str, email: object, password: object) -> Steps[Bootstrap]:
    """Make a tenant with an owner and a token of theirs, all in one transaction.

    Raises:
        TenantExistsError: if the slug is taken; nothing is made then.
    """
    address, secret = check_email(email), check_password(password)
    core.check()
    encoded = yield core.passwords.hash(secret)
    now = core.clock()
    tenant = Tenant(id=new_id(), slug=slug, name=name, created_at=now, updated_at=now)
    owner = UserRecord(new_id(), address, "owner", encoded, 0, None, now, now)
    token, shown = draft_token(owner.id, kind="api", scope="admin", name="bootstrap", now=now)
    with core.storage.directory(write=True) as directory:
        directory.insert_tenant(tenant)
        directory.insert_first_user(tenant, owner, token)
        record_of_tenant(directory, tenant, "tenant.created")
        record_of_tenant(directory, tenant, "user.created", owner.id)
        record_of_tenant(directory, tenant, "token.created", token.id)
    made = Bootstrap(tenant=tenant, owner=shown_user(owner))
    made._token = shown
    return made
