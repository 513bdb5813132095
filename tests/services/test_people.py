"""People of a tenant and their tokens: made, listed, changed, ended; and no secret is ever shown twice."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.errors import (
    AccessDeniedError,
    AuthenticationError,
    BotNotFoundError,
    ConflictError,
    InvalidInputError,
    TenantExistsError,
    TenantNotFoundError,
    TokenNotFoundError,
    UserNotFoundError,
)
from tests.services.signing import OWNER, PASSWORD, Clock, open_workspace


@pytest.fixture
def workspace(clock: Clock) -> Iterator[minirag.Workspace]:
    """A workspace."""
    with open_workspace(":memory:", clock) as opened:
        yield opened


@pytest.fixture
def made(workspace: minirag.Workspace) -> minirag.Bootstrap:
    """A tenant with an owner."""
    return workspace.tenants.bootstrap("acme", "Acme", OWNER, PASSWORD)


@pytest.fixture
def tenant(workspace: minirag.Workspace, made: minirag.Bootstrap) -> minirag.TenantSession:
    """The application's session of that tenant."""
    return workspace.tenant("acme")


# ---------------------------------------------------------------- bootstrap
def test_bootstrap_makes_all_that_a_tenant_needs(workspace: minirag.Workspace) -> None:
    """Tenant, owner and token are there, and the token opens the tenant on behalf of the owner."""
    made = workspace.tenants.bootstrap("acme", "Acme Ltd", " Ann@Example.COM", PASSWORD)
    assert (made.tenant.slug, made.tenant.name) == ("acme", "Acme Ltd")
    assert (made.owner.email, made.owner.role) == (OWNER, "owner")
    assert made.token is not None
    session = workspace.authenticate(made.token)
    assert session.tenant == made.tenant == workspace.tenants.get("acme")
    assert (session.principal.user_id, session.principal.role, session.principal.scope) == (
        made.owner.id,
        "owner",
        "admin",
    )
    assert workspace.tenants.bootstrap("second", None, OWNER, PASSWORD).tenant.name == "second"


def test_a_taken_slug_makes_nothing(workspace: minirag.Workspace, made: minirag.Bootstrap) -> None:
    """The tenant that has the slug keeps its people, and nobody is added to it."""
    with pytest.raises(TenantExistsError):
        workspace.tenants.bootstrap("acme", "Other", "eve@example.com", PASSWORD)
    assert workspace.tenants.list() == [made.tenant]
    assert [user.email for user in workspace.tenant("acme").users.list()] == [OWNER]


@pytest.mark.parametrize(
    "arguments", [("Upper", None, OWNER, PASSWORD), ("acme", "", OWNER, PASSWORD), ("acme", None, "nobody", PASSWORD),
                  ("acme", None, OWNER, "short")]
)  # fmt: skip
def test_a_bad_argument_makes_nothing(workspace: minirag.Workspace, arguments: Any) -> None:
    """Whichever argument is wrong, there is no tenant afterwards."""
    with pytest.raises(InvalidInputError):
        workspace.tenants.bootstrap(*arguments)
    assert workspace.tenants.list() == []
    with pytest.raises(TenantNotFoundError):
        workspace.tenant("acme")


# ---------------------------------------------------------------- users
def test_people_are_found_by_all_their_names(tenant: minirag.TenantSession) -> None:
    """By id, by e-mail address however it is written, and by record; the listing is sorted by address."""
    bob = tenant.users.create("Bob.Smith@Example.com", PASSWORD)
    assert (bob.email, bob.role) == ("bob.smith@example.com", "member")
    for name in (bob, bob.id, bob.email, " BOB.smith@EXAMPLE.com "):
        assert tenant.users.get(name) == bob
    assert [user.email for user in tenant.users.list()] == [OWNER, bob.email]


def test_an_address_is_one_persons_in_a_tenant(workspace: minirag.Workspace, tenant: minirag.TenantSession) -> None:
    """A second person of the address is refused, by `create` and by `update`; another tenant may have one."""
    bob = tenant.users.create("bob@example.com", PASSWORD)
    with pytest.raises(ConflictError, match=OWNER):
        tenant.users.create(OWNER.upper(), PASSWORD)
    with pytest.raises(ConflictError, match=OWNER):
        tenant.users.update(bob, email=OWNER)
    assert tenant.users.get(bob.id) == bob
    assert workspace.tenant("other", create=True).users.create(OWNER, PASSWORD).email == OWNER


NO_ADDRESSES = [
    "",
    " ",
    "ann",
    "@example.com",
    "ann@",
    "a@b@c.com",
    "a b@example.com",
    "ann@exam ple.com",
    "a\n@example.com",
    "ann@.com",
    "ann@example..com",
    "x" * 65 + "@example.com",
    "ann@" + "x" * 254,
    "Ann <ann@example.com>",
    "a\0@b.com",
]
NO_TOKENS: list[dict[str, Any]] = [
    {"expires_in": 0},
    {"expires_in": -1},
    {"expires_in": float("nan")},
    {"expires_in": float("inf")},
    {"expires_in": True},
    {"expires_in": "60"},
    {"expires_in": 10**5_000},
    {"expires_in": 1e12},
    {"expires_in": dt.timedelta(0)},
    {"expires_in": dt.timedelta.max},
    {"expires_at": dt.datetime(2024, 5, 2, tzinfo=dt.UTC).replace(tzinfo=None)},
    {"expires_at": dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)},
    {"expires_at": dt.datetime.max.replace(tzinfo=dt.UTC)},
    {"expires_at": "2030-01-01"},
    {"expires_at": dt.date(2030, 1, 1)},
    {"expires_in": 60, "expires_at": dt.datetime(2024, 5, 2, tzinfo=dt.UTC)},
    {"scope": "all"},
    {"name": 5},
]


def test_what_is_no_address_is_refused(tenant: minirag.TenantSession) -> None:
    """Nothing without one @, a local part and a domain, and nothing that holds spaces or marks of a header."""
    for email in NO_ADDRESSES:
        with pytest.raises(InvalidInputError, match="email"):
            tenant.users.create(email, PASSWORD)
    assert [user.email for user in tenant.users.list()] == [OWNER]


def test_people_of_another_tenant_are_nobody(
    workspace: minirag.Workspace, tenant: minirag.TenantSession, made: minirag.Bootstrap
) -> None:
    """Their ids and addresses give the error that a missing one gives, in the same words."""
    stranger = workspace.tenant("other", create=True)
    for call in (stranger.users.get, stranger.users.remove, stranger.tokens.list, stranger.tokens.revoke_all):
        with pytest.raises(UserNotFoundError) as foreign:
            call(made.owner.id)
        with pytest.raises(UserNotFoundError) as missing:
            call("0" * 16)
        assert str(foreign.value).replace(made.owner.id, "0" * 16) == str(missing.value)
    token = tenant.tokens.create(OWNER)
    with pytest.raises(TokenNotFoundError) as foreign_token:
        stranger.tokens.revoke(token.id)
    with pytest.raises(TokenNotFoundError) as missing_token:
        stranger.tokens.revoke("0" * 16)
    assert str(foreign_token.value) == str(missing_token.value)
    assert token.token is not None
    workspace.authenticate(token.token)


def test_the_last_owner_stays(tenant: minirag.TenantSession, made: minirag.Bootstrap) -> None:
    """They can neither be removed nor demoted until there is another one."""
    for change in (lambda: tenant.users.remove(OWNER), lambda: tenant.users.update(OWNER, role="admin")):
        with pytest.raises(ConflictError, match="last owner"):
            change()
    tenant.users.update(OWNER, role="owner", email="anna@example.com")
    tenant.users.create("bob@example.com", PASSWORD, "owner")
    assert tenant.users.update(made.owner, role="member").role == "member"
    with pytest.raises(ConflictError, match=r"'bob@example.com' is the last owner"):
        tenant.users.remove("bob@example.com")
    tenant.users.remove(made.owner)
    assert [user.email for user in tenant.users.list()] == ["bob@example.com"]


def test_an_update_changes_what_is_given(
    workspace: minirag.Workspace, tenant: minirag.TenantSession, clock: Clock
) -> None:
    """Role, address and password each on its own; the rest stays."""
    bob = tenant.users.create("bob@example.com", PASSWORD)
    clock.pass_by(60)
    assert tenant.users.update(bob, role="admin") == bob.model_copy(update={"role": "admin", "updated_at": clock.now})
    assert tenant.users.update(bob, email="robert@example.com").role == "admin"
    assert workspace.login("acme", "robert@example.com", PASSWORD).principal.user_id == bob.id
    tenant.users.update(bob, password="another password")
    with pytest.raises(AuthenticationError):
        workspace.login("acme", "robert@example.com", PASSWORD)
    assert workspace.login("acme", "robert@example.com", "another password").principal.role == "admin"


def test_a_new_password_ends_sessions_but_not_tokens(
    workspace: minirag.Workspace, tenant: minirag.TenantSession
) -> None:
    """Whoever had the old password is out; programs go on."""
    token = tenant.tokens.create(OWNER)
    session = workspace.login("acme", OWNER, PASSWORD).issue_token()
    tenant.users.update(OWNER, password="another password")
    assert token.token is not None
    assert session.token is not None
    workspace.authenticate(token.token)
    with pytest.raises(AuthenticationError):
        workspace.authenticate(session.token)


def test_who_goes_takes_their_tokens_along(workspace: minirag.Workspace, tenant: minirag.TenantSession) -> None:
    """A removed person's tokens open nothing, and are listed no more."""
    bob = tenant.users.create("bob@example.com", PASSWORD)
    token = tenant.tokens.create(bob).token
    assert token is not None
    tenant.users.remove(bob)
    with pytest.raises(AuthenticationError):
        workspace.authenticate(token)
    assert [each.name for each in tenant.tokens.list()] == ["bootstrap"]


# ---------------------------------------------------------------- tokens
def test_a_token_is_shown_once(tenant: minirag.TenantSession) -> None:
    """It is in `token` of what made it, and in no repr, dump, listing or comparison."""
    token = tenant.tokens.create(OWNER, name="ci")
    assert token.token is not None
    assert token.token.startswith(token.prefix)
    secret = token.token.removeprefix(token.prefix + "_")
    shown = [
        repr(token),
        str(token),
        token.model_dump_json(),
        str(token.model_dump()),
        str(dict(token)),
        str(list(token)),
    ]
    assert not any(secret in text for text in shown)
    (listed, _) = tenant.tokens.list()
    assert listed.token is None
    assert listed == token
    assert hash(listed) == hash(token)
    assert listed != tenant.tokens.create(OWNER, name="ci")
    assert pickle.loads(pickle.dumps(listed)) == listed
    assert json.loads(token.model_dump_json())["prefix"] == token.prefix


def test_no_secret_is_stored(tmp_path: Path) -> None:
    """Neither a token nor a password is in any file, nor in what the database shows."""
    with open_workspace(tmp_path / "kb") as workspace:
        made = workspace.tenants.bootstrap("acme", None, OWNER, PASSWORD)
        session = workspace.login("acme", OWNER, PASSWORD)
        tokens = [made.token, session.issue_token().token, session.tokens.create(OWNER).token]
        secrets = [PASSWORD, *(token[22:] for token in tokens if token is not None)]
        assert len(secrets) == 4
        files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
        with closing(sqlite3.connect(tmp_path / "kb" / "minirag.sqlite3")) as connection:
            kept = "\n".join(connection.iterdump())
    assert not [secret for secret in secrets if secret in kept or any(secret.encode() in file for file in files)]


def test_a_bootstrap_is_shown_without_its_token(made: minirag.Bootstrap) -> None:
    """Nor the owner's password."""
    assert made.token is not None
    for text in (repr(made), str(made), made.model_dump_json(), str(dict(made))):
        assert made.token not in text
        assert PASSWORD not in text


def test_tokens_have_what_they_are_made_with(
    workspace: minirag.Workspace, tenant: minirag.TenantSession, clock: Clock
) -> None:
    """Name, scope, bot and end, however the end is given."""
    bot = tenant.bot("support", create=True)
    for chosen in (bot, "support"):
        token = tenant.tokens.create(OWNER, name="ci", scope="write", bot=chosen, expires_in=90)
        assert (token.name, token.scope, token.bot_id, token.kind) == ("ci", "write", bot.id, "api")
        assert token.expires_at == clock.now + dt.timedelta(seconds=90)
        assert token.token is not None
        principal = workspace.authenticate(token.token).principal
        assert (principal.kind, principal.bot_id, principal.scope) == ("token", bot.id, "write")
        assert principal.expires_at == token.expires_at
    week = dt.timedelta(weeks=1)
    assert tenant.tokens.create(OWNER, expires_in=week).expires_at == clock.now + week
    there = dt.timezone(dt.timedelta(hours=5))
    assert tenant.tokens.create(OWNER, expires_at=(clock.now + week).astimezone(there)).expires_at == clock.now + week
    assert tenant.tokens.create(OWNER).expires_at is None


def test_wrong_tokens_are_not_made(tenant: minirag.TenantSession) -> None:
    """An end that is past, unclear or beyond all reason, and a scope that there is not."""
    for wrong in NO_TOKENS:
        with pytest.raises(InvalidInputError, match=next(iter(wrong))):
            tenant.tokens.create(OWNER, **wrong)
    assert len(tenant.tokens.list()) == 1


def test_tokens_need_people_and_bots_that_are_there(tenant: minirag.TenantSession) -> None:
    """An unknown person or bot makes no token."""
    with pytest.raises(UserNotFoundError):
        tenant.tokens.create("nobody@example.com")
    with pytest.raises(BotNotFoundError):
        tenant.tokens.create(OWNER, bot="nothing")
    assert len(tenant.tokens.list()) == 1


def test_revoking_ends_one_or_all(workspace: minirag.Workspace, tenant: minirag.TenantSession, clock: Clock) -> None:
    """One by id or record, or every one of a person; a second time changes nothing; others go on."""
    bob = tenant.users.create("bob@example.com", PASSWORD)
    one, two, three = (tenant.tokens.create(bob, name=name) for name in ("1", "2", "3"))
    other = tenant.tokens.create(OWNER)
    tenant.tokens.revoke(one)
    tenant.tokens.revoke(two.id)
    moment = clock.now
    clock.pass_by(60)
    tenant.tokens.revoke(one)
    assert [each.revoked_at for each in tenant.tokens.list(bob)] == [None, moment, moment]
    workspace.login("acme", "bob@example.com", PASSWORD).issue_token()
    assert tenant.tokens.revoke_all(bob) == 2
    assert tenant.tokens.revoke_all(bob) == 0
    assert all(each.revoked_at is not None for each in tenant.tokens.list(bob))
    for token in (one, two, three):
        assert token.token is not None
        with pytest.raises(AuthenticationError):
            workspace.authenticate(token.token)
    assert other.token is not None
    workspace.authenticate(other.token)


def test_a_token_given_for_its_id_is_not_repeated(tenant: minirag.TenantSession) -> None:
    """A mistake that would write the secret into a log."""
    token = tenant.tokens.create(OWNER).token
    assert token is not None
    for mistaken in (token, token * 100, "a\ud800", ""):
        with pytest.raises(TokenNotFoundError) as problem:
            tenant.tokens.revoke(mistaken)
        assert token not in str(problem.value)


# ---------------------------------------------------------------- on behalf of whom
def test_nobody_reaches_above_their_own_role(workspace: minirag.Workspace, tenant: minirag.TenantSession) -> None:
    """An admin makes and changes admins and members, and touches no owner, nor what acts for one."""
    tenant.users.create("admin@example.com", PASSWORD, "admin")
    admin = workspace.login("acme", "admin@example.com", PASSWORD)
    eve = admin.users.create("eve@example.com", PASSWORD)
    owners = tenant.tokens.create(OWNER)
    for forbidden in (
        lambda: admin.users.create("x@example.com", PASSWORD, "owner"),
        lambda: admin.users.update(eve, role="owner"),
        lambda: admin.users.update("admin@example.com", role="owner"),
        lambda: admin.users.update(OWNER, password="taken over"),
        lambda: admin.users.remove(OWNER),
        lambda: admin.tokens.create(OWNER, scope="admin"),
        lambda: admin.tokens.list(OWNER),
        lambda: admin.tokens.revoke(owners),
        lambda: admin.tokens.revoke_all(OWNER),
    ):
        with pytest.raises(AccessDeniedError):
            forbidden()
    made = admin.tokens.create(eve)
    assert [token.id for token in admin.tokens.list()] == [made.id], "tokens of owners are listed"
    assert tenant.users.get(OWNER).role == "owner"


def test_a_token_makes_none_that_may_do_more(workspace: minirag.Workspace, tenant: minirag.TenantSession) -> None:
    """Tokens below the scope admin make none at all; a demoted owner's token makes none either."""
    for scope in ("read", "write"):
        token = tenant.tokens.create(OWNER, scope=scope).token  # type: ignore[arg-type]  # one of the scopes
        assert token is not None
        with pytest.raises(AccessDeniedError):
            workspace.authenticate(token).tokens.create(OWNER)


def test_a_member_sees_and_ends_their_own_tokens_only(
    workspace: minirag.Workspace, tenant: minirag.TenantSession
) -> None:
    """Of others they learn nothing, not even whether these exist."""
    bob = tenant.users.create("bob@example.com", PASSWORD)
    session = workspace.login("acme", "bob@example.com", PASSWORD)
    mine, theirs = session.issue_token(), tenant.tokens.create(OWNER)
    assert [token.id for token in session.tokens.list(bob)] == [mine.id]
    told = set()
    for forbidden in (
        lambda: session.tokens.list(),
        lambda: session.tokens.list(OWNER),
        lambda: session.tokens.list("nobody@example.com"),
        lambda: session.tokens.revoke(theirs.id),
        lambda: session.tokens.revoke("0" * 16),
        lambda: session.tokens.revoke_all(OWNER),
        lambda: session.tokens.create(bob),
    ):
        with pytest.raises(AccessDeniedError) as problem:
            forbidden()
        told.add(str(problem.value))
    assert len(told) == 1, "the error tells who or what there is"
    for forbidden in (session.users.list, lambda: session.users.get(OWNER), lambda: session.users.remove(OWNER)):
        with pytest.raises(AccessDeniedError):
            forbidden()
    assert session.tokens.revoke_all(bob) == 1


def test_what_is_done_to_people_is_in_the_audit_log(
    workspace: minirag.Workspace, tenant: minirag.TenantSession
) -> None:
    """Each change with who made it, and nothing of a password or an address."""
    owner = workspace.login("acme", OWNER, PASSWORD)
    bob = owner.users.create("bob@example.com", PASSWORD)
    owner.users.update(bob, role="admin")
    token = owner.tokens.create(bob)
    owner.tokens.revoke(token)
    owner.tokens.revoke(token)
    owner.users.remove(bob)
    actor = f"user:{owner.principal.user_id}"
    events = [(event.action, event.subject) for event in tenant.audit.events(actor=actor)]
    assert events == [
        ("user.deleted", bob.id), ("token.revoked", token.id), ("token.created", token.id), ("user.updated", bob.id),
        ("user.created", bob.id), ("login.succeeded", owner.principal.user_id),
    ]  # fmt: skip
    assert "@" not in str(list(tenant.audit.events()))
