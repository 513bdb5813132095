"""Who is asking with a password: what it opens, how guessing is slowed down, and how little is told to whom it is not for."""

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
from minirag.errors import AuthenticationError, InvalidInputError, MiniRAGError, ReadOnlyWorkspaceError
from minirag.interfaces.scope import mint_scope
from minirag.security.passwords import Cost, Passwords
from tests.services.signing import OWNER, PASSWORD, WRONG, Clock, open_workspace, patient, refused


@pytest.fixture
def workspace(clock: Clock) -> Iterator[minirag.Workspace]:
    """A workspace with a tenant and its owner."""
    with open_workspace(":memory:", clock) as opened:
        opened.tenants.bootstrap("acme", "Acme", OWNER, PASSWORD)
        yield opened


def failures(workspace: minirag.Workspace) -> int:
    """Return how many wrong passwords the owner's row counts."""
    with workspace._core.storage.read(mint_scope(workspace.tenants.get("acme").id)) as reader:
        (user,) = reader.users()
    return user.failures


def test_a_password_opens_the_tenant_for_its_person(workspace: minirag.Workspace) -> None:
    """However the address is written; the session acts on behalf of the person, with their role."""
    for email in (OWNER, " Ann@EXAMPLE.com"):
        session = workspace.login("acme", email, PASSWORD)
        principal = session.principal
        assert (principal.kind, principal.role, principal.token_id) == ("user", "owner", None)
        assert principal.user_id == workspace.tenant("acme").users.get(OWNER).id
        assert session.tenant.slug == "acme"


def test_whatever_is_wrong_the_error_is_the_same(workspace: minirag.Workspace) -> None:
    """Tenant, address, password, or something that could be none of them: one error, in the same words."""
    workspace.tenant("other", create=True).users.create("bob@example.com", PASSWORD)
    attempts = [
        ("acme", OWNER, WRONG), ("acme", OWNER, ""), ("acme", OWNER, PASSWORD.upper()), ("acme", OWNER, PASSWORD * 1_000),
        ("acme", OWNER, "\ud800"), ("acme", "bob@example.com", PASSWORD), ("acme", "nobody@example.com", PASSWORD),
        ("acme", "", PASSWORD), ("acme", "a\0b\ud800@x", PASSWORD), ("other", OWNER, PASSWORD), ("nothing", OWNER, PASSWORD),
        ("", OWNER, PASSWORD), ("ACME", OWNER, PASSWORD), ("acme\0", OWNER, PASSWORD), ("\ud800", OWNER, PASSWORD),
        ("x" * 3_000, OWNER, PASSWORD),
    ]  # fmt: skip
    told = {refused(lambda attempt=attempt: workspace.login(*attempt)) for attempt in attempts}
    assert len(told) == 1
    (message,) = told
    assert not [word for word in ("acme", OWNER, PASSWORD, WRONG) if word in message]


def test_a_password_is_in_no_message(workspace: minirag.Workspace) -> None:
    """Not even one of the wrong type."""
    for arguments in (
        (5, OWNER, PASSWORD),
        ("acme", None, PASSWORD),
        ("acme", OWNER, PASSWORD.encode()),
        ("acme", OWNER, None),
    ):
        with pytest.raises(InvalidInputError) as problem:
            workspace.login(*arguments)  # type: ignore[arg-type]  # on purpose
        assert PASSWORD not in str(problem.value)


def test_wrong_passwords_make_one_wait_longer_and_longer(workspace: minirag.Workspace, clock: Clock) -> None:
    """Four are free; then 1, 2, 4 … seconds, at most 15 minutes, in which also the right password is refused."""
    message = ""
    for _ in range(4):
        message = refused(lambda: workspace.login("acme", OWNER, WRONG))
    workspace.login("acme", OWNER, PASSWORD)
    assert failures(workspace) == 0
    for _ in range(4):
        refused(lambda: workspace.login("acme", OWNER, WRONG))
    for delay in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900):
        refused(lambda: workspace.login("acme", OWNER, WRONG))
        clock.pass_by(delay - 0.001)
        assert refused(lambda: workspace.login("acme", OWNER, PASSWORD)) == message, "being locked out is told"
        clock.pass_by(0.001)
    workspace.login("acme", OWNER, PASSWORD)
    refused(lambda: workspace.login("acme", OWNER, WRONG))
    workspace.login("acme", OWNER, PASSWORD)


def test_attempts_while_waiting_do_not_count(workspace: minirag.Workspace, clock: Clock) -> None:
    """Who is attacked is not locked out for ever: an attempt that is not even looked at makes nothing longer."""
    for _ in range(5):
        refused(lambda: workspace.login("acme", OWNER, WRONG))
    for _ in range(20):
        refused(lambda: workspace.login("acme", OWNER, WRONG))
    assert failures(workspace) == 5
    clock.pass_by(1)
    workspace.login("acme", OWNER, PASSWORD)


def test_others_are_not_kept_waiting(workspace: minirag.Workspace) -> None:
    """One person's wrong passwords are nobody else's."""
    workspace.tenant("acme").users.create("bob@example.com", PASSWORD)
    for _ in range(6):
        refused(lambda: workspace.login("acme", "bob@example.com", WRONG))
    workspace.login("acme", OWNER, PASSWORD)


def test_a_new_password_ends_the_waiting(workspace: minirag.Workspace) -> None:
    """An admin can help somebody who is locked out."""
    for _ in range(6):
        refused(lambda: workspace.login("acme", OWNER, WRONG))
    workspace.tenant("acme").users.update(OWNER, password="another password")
    workspace.login("acme", OWNER, "another password")


def test_guesses_at_one_time_count_as_if_they_came_one_by_one(workspace: minirag.Workspace) -> None:
    """Of forty guesses at one time five count, and if the right one is not among the first five, it opens nothing."""
    slow, compared = workspace._core.passwords.passwords.matches, threading.Barrier(4)

    def matches(stored: str | None, password: str) -> bool:
        compared.wait(10)  # so that all of a batch were compared before the first of them is judged
        return slow(stored, password)

    workspace._core.passwords.passwords.matches = matches  # type: ignore[method-assign]
    workspace._core.passwords._pool = ThreadPoolExecutor(4)
    right: list[Any] = []

    def guess(password: str) -> None:
        with contextlib.suppress(AuthenticationError):
            right.append(workspace.login("acme", OWNER, password))

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(guess, [WRONG] * 36 + [PASSWORD] * 4):
            pass
    assert right == []
    assert failures(workspace) == 5


def test_a_comparison_with_a_password_that_was_changed_meanwhile_does_not_count(workspace: minirag.Workspace) -> None:
    """The old password, compared before a new one was set, opens nothing afterwards, and the new one does."""
    passwords = workspace._core.passwords.passwords
    real = passwords.matches
    changes = ["a second password", "a third password"]

    def matches(stored: str | None, password: str) -> bool:
        found = real(stored, password)
        if changes:
            workspace.tenant("acme").users.update(OWNER, password=changes.pop(0))
        return found

    # The update hashes in the same pool, which must have a thread free for it.
    workspace._core.passwords._pool = ThreadPoolExecutor(2)
    passwords.matches = matches  # type: ignore[method-assign]
    refused(lambda: workspace.login("acme", OWNER, PASSWORD))
    assert changes == []
    workspace.login("acme", OWNER, "a third password")


def test_hashes_of_another_cost_are_made_anew(workspace: minirag.Workspace) -> None:
    """At the next login, and with nothing else changed: the password stays, wrong ones renew nothing."""

    def stored() -> str:
        with workspace._core.storage.read(mint_scope(workspace.tenants.get("acme").id)) as reader:
            return reader.users()[0].password_hash

    before = stored()
    workspace.login("acme", OWNER, PASSWORD)
    assert stored() == before
    workspace._core.passwords.passwords = Passwords(Cost(passes=2, kibibytes=64, lanes=1))
    refused(lambda: workspace.login("acme", OWNER, WRONG))
    assert stored() == before
    workspace.login("acme", OWNER, PASSWORD)
    assert "t=2" in stored() != before
    workspace.login("acme", OWNER, PASSWORD)


def test_every_refusal_compares_one_password(workspace: minirag.Workspace) -> None:
    """Also where there is nobody to compare with, or nobody may be let in: the work, and so the time, is the same."""
    real, compared = workspace._core.passwords.passwords.matches, []
    workspace._core.passwords.passwords.matches = (  # type: ignore[method-assign]
        lambda stored, password: compared.append(stored) or real(stored, password)
    )
    attempts = [("acme", OWNER), ("acme", "nobody@example.com"), ("nothing", OWNER), ("acme", "\0"), ("", "")]
    for attempt in attempts * 2:  # the second time the owner is kept waiting
        refused(lambda attempt=attempt: workspace.login(*attempt, WRONG))
    assert [stored is not None for stored in compared] == [True, False, False, False, False] * 2


def test_attempts_are_in_the_audit_log(workspace: minirag.Workspace) -> None:
    """With the person, or the tenant where there is no such person, and never with what was typed."""
    tenant = workspace.tenant("acme")
    owner = tenant.users.get(OWNER)
    for _ in range(5):
        refused(lambda: workspace.login("acme", OWNER, WRONG))
    refused(lambda: workspace.login("acme", "typed-password", WRONG))
    events = list(tenant.audit.events())
    assert [event.subject for event in events if event.action == "login.failed"] == [tenant.tenant.id, *[owner.id] * 5]
    assert [event.subject for event in events if event.action == "user.locked"] == [owner.id]
    assert not [event for event in events if "typed" in str(event)]


def test_nobody_signs_in_where_failures_cannot_be_counted(tmp_path: Path) -> None:
    """A read-only workspace refuses passwords, the right one too, and takes tokens."""
    with open_workspace(tmp_path / "kb") as first:
        token = first.tenants.bootstrap("acme", None, OWNER, PASSWORD).token
    with open_workspace(tmp_path / "kb", read_only=True) as workspace:
        with pytest.raises(ReadOnlyWorkspaceError, match="count wrong passwords"):
            workspace.login("acme", OWNER, PASSWORD)
        assert token is not None
        assert workspace.authenticate(token).users.get(OWNER).role == "owner"


def test_hashing_leaves_the_event_loop_and_the_workspaces_threads_free(tmp_path: Path) -> None:
    """While twenty people sign in, the loop never waits, and other calls find a thread."""

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(tmp_path / "kb", embedder="hashing") as ws:
            patient(ws._ready())
            await ws.tenants.bootstrap("acme", None, OWNER, PASSWORD)
            gate = threading.Event()
            passwords = ws._ready()._core.passwords.passwords
            real = passwords.matches

            def matches(stored: str | None, password: str) -> bool:
                assert threading.current_thread().name.startswith("minirag-passwords"), "it is hashed somewhere else"
                return gate.wait(20) and real(stored, password)

            passwords.matches = matches  # type: ignore[method-assign]
            logins = [asyncio.create_task(ws.login("acme", OWNER, PASSWORD)) for _ in range(20)]
            await asyncio.sleep(0.1)
            assert (await asyncio.wait_for(ws.tenants.get("acme"), 10)).slug == "acme"
            gate.set()
            sessions = await asyncio.gather(*logins)
            assert {session.principal.kind for session in sessions} == {"user"}

    asyncio.run(main())


def test_both_faces_do_the_same(tmp_path: Path) -> None:
    """Every call on people and tokens, awaited."""

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(tmp_path / "kb", embedder="hashing") as ws:
            patient(ws._ready())
            made = await ws.tenants.bootstrap("acme", "Acme", OWNER, PASSWORD)
            assert made.token is not None
            session = await ws.authenticate(made.token)
            assert session.principal.role == "owner"
            bob = await session.users.create("bob@example.com", PASSWORD, "admin")
            assert await session.users.get(bob.email) == bob
            assert [user.email for user in await session.users.list()] == [OWNER, bob.email]
            assert (await session.users.update(bob, role="member", password="another password")).role == "member"
            bot = await session.bot("support", create=True)
            token = await session.tokens.create(bob, name="ci", scope="write", bot=bot, expires_in=60)
            assert [each.name for each in await session.tokens.list()] == ["ci", "bootstrap"]
            await session.tokens.revoke(token)
            assert await session.tokens.revoke_all(bob) == 0
            signed_in = await ws.login("acme", bob.email, "another password")
            issued = await signed_in.issue_token()
            assert issued.token is not None
            assert (await ws.authenticate(issued.token)).principal.kind == "session"
            await session.users.remove(bob)
            for call in (ws.authenticate(issued.token), ws.login("acme", bob.email, PASSWORD)):
                with pytest.raises(AuthenticationError):
                    await call

    asyncio.run(main())


def test_people_and_tokens_on_postgres(postgres: Any) -> None:
    """The whole way on a server: two workspaces over one database, throttling, revocation, removal."""
    url, clock = postgres.new_database(), Clock()
    with open_workspace(url, clock) as one, open_workspace(url, clock) as two:
        made = one.tenants.bootstrap("acme", None, OWNER, PASSWORD)
        one.tenants.bootstrap("other", None, OWNER, PASSWORD)
        assert made.token is not None
        session = two.authenticate(made.token)
        assert session.tenant.slug == "acme"
        bob = session.users.create("bob@example.com", PASSWORD)
        issued = two.login("acme", "bob@example.com", PASSWORD).issue_token()
        for _ in range(5):
            refused(lambda: two.login("acme", "bob@example.com", WRONG))
        refused(lambda: one.login("acme", "bob@example.com", PASSWORD))
        clock.pass_by(1)
        one.login("acme", "bob@example.com", PASSWORD)
        assert issued.token is not None
        assert one.authenticate(issued.token).principal.user_id == bob.id
        session.tokens.revoke(issued)
        refused(lambda: one.authenticate(issued.token or ""))
        session.users.remove(bob)
        assert [user.email for user in session.users.list()] == [OWNER]
        assert [user.email for user in one.tenant("other").users.list()] == [OWNER]
        with pytest.raises(MiniRAGError):
            one.tenants.bootstrap("acme", None, "eve@example.com", PASSWORD)
        assert [user.email for user in one.tenant("acme").users.list()] == [OWNER]
