"""People who signed in change their own password: what it takes, what it ends, and how little wrong guesses tell."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.errors import (
    AuthenticationError,
    InvalidInputError,
    ReadOnlyWorkspaceError,
    SessionEndedError,
    TenantSuspendedError,
    WorkspaceClosedError,
)
from minirag.interfaces.scope import mint_scope
from minirag.security.passwords import Cost, Passwords
from tests.services.signing import OWNER, PASSWORD, WRONG, Clock, open_workspace, patient, refused

EMAIL = "bob@example.com"
NEW = "another long password"


@pytest.fixture
def workspace(clock: Clock) -> Iterator[minirag.Workspace]:
    """A workspace with a tenant, its owner, and a member."""
    with open_workspace(":memory:", clock) as opened:
        opened.tenants.bootstrap("acme", "Acme", OWNER, PASSWORD)
        opened.tenant("acme").users.create(EMAIL, PASSWORD)
        yield opened


def signed_in(workspace: minirag.Workspace) -> minirag.TenantSession:
    """Return a session that stands for a login of the member, as a browser's next request opens it."""
    issued = workspace.login("acme", EMAIL, PASSWORD).issue_token()
    assert issued.token is not None
    return workspace.authenticate(issued.token)


def stored(workspace: minirag.Workspace) -> tuple[str, int]:
    """Return the member's hash, and how many wrong passwords their row counts."""
    with workspace._core.storage.read(mint_scope(workspace.tenants.get("acme").id)) as reader:
        user = reader.user_of_email(EMAIL)
    assert user is not None
    return user.password_hash, user.failures


def test_a_member_changes_their_own_password(workspace: minirag.Workspace) -> None:
    """With a session that a login gave, and with one that a token stands for; from then on only the new one opens."""
    workspace.login("acme", EMAIL, PASSWORD).change_password(PASSWORD, NEW)
    refused(lambda: workspace.login("acme", EMAIL, PASSWORD))
    again = workspace.login("acme", EMAIL, NEW).issue_token().token
    assert again is not None
    workspace.authenticate(again).change_password(NEW, PASSWORD)
    workspace.login("acme", EMAIL, PASSWORD)


def test_other_sessions_end_and_this_one_goes_on(workspace: minirag.Workspace) -> None:
    """Those of the person; tokens of programs and the sessions of others stay."""
    tenant = workspace.tenant("acme")
    program = workspace.authenticate(tenant.tokens.create(EMAIL, name="program").token or "")
    owner = workspace.authenticate(workspace.login("acme", OWNER, PASSWORD).issue_token().token or "")
    mine, elsewhere = signed_in(workspace), signed_in(workspace)
    mine.change_password(PASSWORD, NEW)
    for session in (mine, program, owner):
        session.bots.list()
    with pytest.raises(SessionEndedError):
        elsewhere.bots.list()
    workspace.login("acme", EMAIL, NEW).change_password(NEW, PASSWORD)
    with pytest.raises(SessionEndedError):
        mine.bots.list()


def test_only_a_person_who_signed_in_may(workspace: minirag.Workspace) -> None:
    """Neither the application, which has nobody's password, nor a token of a program, whatever its scope."""
    tenant = workspace.tenant("acme")
    token = tenant.tokens.create(EMAIL, scope="admin").token
    assert token is not None
    for session in (tenant, workspace.authenticate(token)):
        with pytest.raises(InvalidInputError, match=r"users\.update"):
            session.change_password(PASSWORD, NEW)
    workspace.login("acme", EMAIL, PASSWORD)


def test_what_may_not_be_set_is_refused(workspace: minirag.Workspace) -> None:
    """By the rules of a person's first password, and without a word of either password."""
    session, before = signed_in(workspace), stored(workspace)
    for new in ("short", "x" * 1_025, " " * 20, None, NEW.encode()):
        with pytest.raises(InvalidInputError, match="password") as problem:
            session.change_password(PASSWORD, new)  # type: ignore[arg-type]  # on purpose
        assert PASSWORD not in str(problem.value)
    with pytest.raises(InvalidInputError, match="old must be a str"):
        session.change_password(None, NEW)  # type: ignore[arg-type]  # on purpose
    assert stored(workspace) == before


def test_wrong_old_passwords_count_with_those_of_logins(workspace: minirag.Workspace, clock: Clock) -> None:
    """Together they make one wait, at both doors; and while one waits also the right one changes nothing."""
    session, before = signed_in(workspace), stored(workspace)
    told = set()
    for old in (WRONG, "", "x" * 5_000, "\ud800"):
        told.add(refused(lambda old=old: session.change_password(old, NEW)))
    assert stored(workspace) == (before[0], 4)
    refused(lambda: workspace.login("acme", EMAIL, WRONG))
    told.add(refused(lambda: session.change_password(PASSWORD, NEW)))
    refused(lambda: workspace.login("acme", EMAIL, PASSWORD))
    assert len(told) == 1, "being kept waiting is told"
    assert stored(workspace) == (before[0], 5)
    clock.pass_by(1)
    session.change_password(PASSWORD, NEW)
    assert stored(workspace)[1] == 0


def test_guesses_at_one_time_count_as_if_they_came_one_by_one(workspace: minirag.Workspace) -> None:
    """If the right one is not among the first five, it changes nothing."""
    session, before = signed_in(workspace), stored(workspace)
    slow, compared = workspace._core.passwords.passwords.matches, threading.Barrier(4)

    def matches(hashed: str | None, password: str) -> bool:
        compared.wait(10)  # so that all of a batch were compared before the first of them is judged
        return slow(hashed, password)

    workspace._core.passwords.passwords.matches = matches  # type: ignore[method-assign]
    workspace._core.passwords._pool = ThreadPoolExecutor(4)

    def guess(password: str) -> None:
        with contextlib.suppress(AuthenticationError):
            session.change_password(password, NEW)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(guess, [WRONG] * 8 + [PASSWORD] * 4))
    assert stored(workspace) == (before[0], 5)


def test_an_old_password_that_was_replaced_meanwhile_does_not_count(workspace: minirag.Workspace) -> None:
    """What somebody else set while it was compared stays."""
    session, passwords = signed_in(workspace), workspace._core.passwords.passwords
    real, changes = passwords.matches, ["what an admin set"]

    def matches(hashed: str | None, password: str) -> bool:
        found = real(hashed, password)
        if changes:
            workspace.tenant("acme").users.update(EMAIL, password=changes.pop())
        return found

    # The update hashes in the same pool, which must have a thread free for it.
    workspace._core.passwords._pool = ThreadPoolExecutor(2)
    passwords.matches = matches  # type: ignore[method-assign]
    refused(lambda: session.change_password(PASSWORD, NEW))
    workspace.login("acme", EMAIL, "what an admin set")


@pytest.mark.parametrize("door", ["change_password", "login"])
def test_the_work_does_not_tell_who_is_kept_waiting_that_a_password_is_right(
    door: str, workspace: minirag.Workspace
) -> None:
    """Right or wrong, as many hashes are made and compared, also where the stored one is due to be made anew."""
    session = signed_in(workspace)
    for _ in range(5):
        refused(lambda: workspace.login("acme", EMAIL, WRONG))
    passwords = Passwords(Cost(passes=2, kibibytes=64, lanes=1))
    workspace._core.passwords.passwords = passwords
    work: list[str] = []
    matches, made = passwords.matches, passwords.hash
    passwords.matches = lambda hashed, password: work.append("compared") or matches(hashed, password)  # type: ignore[method-assign,func-returns-value]
    passwords.hash = lambda password: work.append("hashed") or made(password)  # type: ignore[method-assign,func-returns-value]
    did = []
    for guess in (WRONG, PASSWORD):
        if door == "login":
            refused(lambda guess=guess: workspace.login("acme", EMAIL, guess))
        else:
            refused(lambda guess=guess: session.change_password(guess, NEW))
        did.append(sorted(work))
        work.clear()
    assert did[0] == did[1]


def test_changes_and_wrong_guesses_are_in_the_audit_log(workspace: minirag.Workspace) -> None:
    """With the session that made them; a password that somebody else sets is there with who that was."""
    tenant, session = workspace.tenant("acme"), signed_in(workspace)
    person, actor = session.principal.user_id, f"user:{session.principal.user_id}/session:{session.principal.token_id}"
    for _ in range(5):
        refused(lambda: session.change_password(WRONG, NEW))
    tenant.users.update(EMAIL, password=PASSWORD)
    tenant.users.update(EMAIL, role="admin")
    renewed = signed_in(workspace)
    renewed.change_password(PASSWORD, NEW)
    assert [(event.action, event.subject) for event in tenant.audit.events(actor=actor)] == [
        ("user.locked", person),
        *[("login.failed", person)] * 5,
    ]
    assert [event.actor for event in tenant.audit.events(action="password.changed")] == [
        f"user:{person}/session:{renewed.principal.token_id}",
        "application",
    ]
    assert not [event for event in tenant.audit.events() if "password" in event.subject]


def test_where_nobody_may_sign_in_no_password_is_changed(tmp_path: Path) -> None:
    """Not in a read-only workspace, a closed one, a tenant that is suspended, or with a session that has ended."""
    with open_workspace(tmp_path / "kb") as workspace:
        workspace.tenants.bootstrap("acme", None, OWNER, PASSWORD)
        issued = workspace.login("acme", OWNER, PASSWORD).issue_token()
        assert issued.token is not None
        with open_workspace(tmp_path / "kb", read_only=True) as reading:
            session = reading.authenticate(issued.token)
            with pytest.raises(ReadOnlyWorkspaceError, match="count wrong passwords"):
                session.change_password(PASSWORD, NEW)
        session = workspace.authenticate(issued.token)
        workspace.tenants.suspend("acme")
        with pytest.raises(TenantSuspendedError):
            session.change_password(PASSWORD, NEW)
        workspace.tenants.resume("acme")
        workspace.tenant("acme").tokens.revoke(issued)
        with pytest.raises(SessionEndedError):
            session.change_password(PASSWORD, NEW)
        signed = workspace.login("acme", OWNER, PASSWORD)
    with pytest.raises(WorkspaceClosedError):
        signed.change_password(PASSWORD, NEW)


def test_a_tenant_that_is_closed_meanwhile_keeps_its_passwords(workspace: minirag.Workspace) -> None:
    """What was compared before counts for nothing afterwards."""
    session, before = signed_in(workspace), stored(workspace)
    passwords = workspace._core.passwords.passwords
    real = passwords.matches

    def matches(hashed: str | None, password: str) -> bool:
        workspace.tenants.suspend("acme")
        return real(hashed, password)

    passwords.matches = matches  # type: ignore[method-assign]
    with pytest.raises(TenantSuspendedError):
        session.change_password(PASSWORD, NEW)
    assert stored(workspace) == before


def test_the_event_loop_never_waits_for_a_hash(tmp_path: Path) -> None:
    """Both hashes are worked on in the threads that are kept for it."""

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(tmp_path / "kb", embedder="hashing") as ws:
            patient(ws._ready())
            await ws.tenants.bootstrap("acme", None, OWNER, PASSWORD)
            session = await ws.login("acme", OWNER, PASSWORD)
            passwords, threads = ws._ready()._core.passwords.passwords, []
            matches, made = passwords.matches, passwords.hash

            def note() -> None:
                threads.append(threading.current_thread().name)

            passwords.matches = lambda hashed, password: note() or matches(hashed, password)  # type: ignore[method-assign,func-returns-value]
            passwords.hash = lambda password: note() or made(password)  # type: ignore[method-assign,func-returns-value]
            await session.change_password(PASSWORD, NEW)
            assert len(threads) == 2
            assert all(name.startswith("minirag-passwords") for name in threads)
            with pytest.raises(AuthenticationError):
                await session.change_password(PASSWORD, NEW)
            assert (await ws.login("acme", OWNER, NEW)).principal.role == "owner"

    asyncio.run(main())


def test_a_password_is_changed_on_postgres(postgres: Any) -> None:
    """Of one tenant's person; a person of the same address elsewhere keeps theirs."""
    with open_workspace(postgres.new_database()) as workspace:
        for slug in ("acme", "other"):
            workspace.tenants.bootstrap(slug, None, OWNER, PASSWORD)
        session, old = workspace.login("acme", OWNER, PASSWORD), workspace.login("acme", OWNER, PASSWORD).issue_token()
        session.change_password(PASSWORD, NEW)
        workspace.login("acme", OWNER, NEW)
        workspace.login("other", OWNER, PASSWORD)
        refused(lambda: workspace.login("acme", OWNER, PASSWORD))
        refused(lambda: workspace.authenticate(old.token or ""))
