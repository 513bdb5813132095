"""The people of a tenant: making, changing and removing them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import unicodedata
from typing import Final, NoReturn

from minirag._services.audit import record
from minirag._services.core import TenantContext
from minirag._services.steps import Steps
from minirag.errors import ConflictError, InvalidInputError, UserNotFoundError
from minirag.interfaces.identity import UserRecord
from minirag.interfaces.storage import Reader, Writer
from minirag.models.checks import check_choice, check_text, clipped
from minirag.models.people import User
from minirag.models.principals import Role
from minirag.security.access import check_person
from minirag.security.passwords import check_password
from minirag.types import new_id

__all__ = [
    "check_email",
    "create_user",
    "find_user",
    "get_user",
    "list_users",
    "normal_email",
    "remove_user",
    "set_password",
    "shown_user",
    "update_user",
]

_ROLES: Final[tuple[Role, ...]] = ("owner", "admin", "member")
_LONGEST_EMAIL: Final = 254
_LONGEST_LOCAL_PART: Final = 64
"""What SMTP carries (RFC 5321)."""


def normal_email(text: str) -> str:
    """Return an e-mail address as it is compared: NFKC, without spaces around it, in lower case."""
    return unicodedata.normalize("NFKC", text).strip().lower()


def check_email(value: object) -> str:
    """Return an address as it is stored, else raise `InvalidInputError`. Whether it exists, only a message to it can tell."""
    given = check_text("email", value, maximum=1_000)
    email = normal_email(given)
    local, at, domain = email.rpartition("@")
    sound = (
        at
        and 0 < len(local) <= _LONGEST_LOCAL_PART
        and len(email) <= _LONGEST_EMAIL
        and "@" not in local
        and all(domain.split("."))
        and email.isprintable()
        and not any(character.isspace() or character in '"(),:;<>[\\]' for character in email)
    )
    if not sound:
        raise InvalidInputError(f"email {clipped(given)} is no e-mail address; it looks like 'name@example.com'")
    return email


def shown_user(user: UserRecord) -> User:
    """Return what of a person is shown."""
    return User(id=user.id, email=user.email, role=user.role, created_at=user.created_at, updated_at=user.updated_at)


def find_user(reader: Reader, user: object) -> UserRecord:
    """Return the person of an id, of an e-mail address, or of a `User`.

    Raises:
        UserNotFoundError: if the tenant has none.
    """
    if isinstance(user, User):
        return reader.user(user.id) or _missing(user.id)
    text = check_text("user", user, maximum=1_000)
    found = reader.user_of_email(normal_email(text)) if "@" in text else reader.user(text)
    return found or _missing(text)


def _missing(user: str) -> NoReturn:
    raise UserNotFoundError(f"the tenant has no user {clipped(user)}; tenant.users.list() shows those there are")


def list_users(context: TenantContext) -> list[User]:
    """Return everybody, sorted by e-mail address."""
    context.allow("users.read")
    with context.core.storage.read(context.scope) as reader:
        return [shown_user(user) for user in reader.users()]


def get_user(context: TenantContext, user: object) -> User:
    """Return a person."""
    context.allow("users.read")
    with context.core.storage.read(context.scope) as reader:
        return shown_user(find_user(reader, user))


def create_user(context: TenantContext, email: object, password: object, role: object) -> Steps[User]:
    """Add a person."""
    address, secret, given_role = check_email(email), check_password(password), check_choice("role", role, _ROLES)
    core = context.core
    check_person(context.allow("users.write"), "users.write", given_role)
    with core.storage.read(context.scope) as reader:
        if reader.user_of_email(address) is not None:
            raise ConflictError(f"the tenant has another user with the e-mail address {address!r}")
    encoded = yield core.passwords.hash(secret)
    now = core.clock()
    user = UserRecord(new_id(), address, given_role, encoded, 0, None, now, now)
    with core.storage.write(context.scope) as writer:
        writer.put_user(user)
        record(writer, context.principal, "user.created", user.id)
    return shown_user(user)


def update_user(context: TenantContext, user: object, *, role: object, email: object, password: object) -> Steps[User]:
    """Change what is not None of a person. A new password ends their sessions and any waiting for wrong ones."""
    address = None if email is None else check_email(email)
    secret = None if password is None else check_password(password)
    given_role = None if role is None else check_choice("role", role, _ROLES)
    core = context.core
    caller = context.allow("users.write")
    with core.storage.read(context.scope) as reader:
        found = find_user(reader, user)
    check_person(caller, "users.write", found.role)
    encoded = None if secret is None else (yield core.passwords.hash(secret))
    with core.storage.write(context.scope) as writer:
        before = writer.user(found.id) or _missing(found.id)
        for one in (before.role, given_role or before.role):
            check_person(caller, "users.write", one)
        if given_role not in (None, "owner"):
            _keep_an_owner(writer, before)
        now = core.clock()
        changed = dataclasses.replace(
            before, email=address or before.email, role=given_role or before.role, updated_at=now
        )
        writer.put_user(changed)
        record(writer, context.principal, "user.updated", before.id)
        if encoded is not None:
            set_password(writer, changed, encoded, now)
            record(writer, context.principal, "password.changed", before.id)
    return shown_user(changed)


def set_password(writer: Writer, user: UserRecord, encoded: str, now: dt.datetime, *, keep: str | None = None) -> None:
    """Give a person another password, and end their sessions and any waiting for wrong ones.

    Args:
        keep: the id of the one session that goes on.
    """
    writer.put_user(dataclasses.replace(user, password_hash=encoded, failures=0, locked_until=None, updated_at=now))
    sessions = [token.id for token in writer.tokens(user.id) if token.kind == "session" and token.id != keep]
    writer.revoke_tokens(sessions, now)


def remove_user(context: TenantContext, user: object) -> None:
    """Delete a person and their tokens."""
    core = context.core
    caller = context.allow("users.write")
    with core.storage.write(context.scope) as writer:
        found = find_user(writer, user)
        check_person(caller, "users.write", found.role)
        _keep_an_owner(writer, found)
        writer.delete_user(found.id)
        record(writer, context.principal, "user.deleted", found.id)


def _keep_an_owner(writer: Writer, user: UserRecord) -> None:
    """Refuse to take the last owner away. Writes of a tenant take turns, so two cannot do it at one time."""
    if user.role == "owner" and not any(other.role == "owner" and other.id != user.id for other in writer.users()):
        raise ConflictError(f"{user.email!r} is the last owner of the tenant; make somebody else an owner first")
