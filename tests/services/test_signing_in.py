"""Who is asking: what a password or a token opens, for how long, and how little is told to whom it is not for."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.errors import (
    AuthenticationError,
    InvalidInputError,
    MiniRAGError,
    ReadOnlyWorkspaceError,
    SessionEndedError,
    StorageBusyError,
    TenantSuspendedError,
    WorkspaceClosedError,
)
from minirag.interfaces.scope import mint_scope
from minirag.security.passwords import Cost, Passwords
from minirag.security.tokens import new_token
from tests.services.signing import OWNER, PASSWORD, Clock, open_workspace, patient

WRONG = "a wrong password"


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def workspace(clock: Clock) -> Iterator[minirag.Workspace]:
    """A workspace with a tenant and its owner."""
    with open_workspace(":memory:", clock) as opened:
        opened.tenants.bootstrap("acme", "Acme", OWNER, PASSWORD)
        yield opened


@pytest.fixture
def token(workspace: minirag.Workspace) -> str:
    """A token of the owner."""
    made = workspace.tenant("acme").tokens.create(OWNER, scope="admin", expires_in=3_600).token
    assert made is not None
    return made


def refused(call: Callable[[], Any]) -> str:
    """Return the message of the error that a call must raise."""
    with pytest.raises(AuthenticationError) as problem:
        call()
    return str(problem.value)


def failures(workspace: minirag.Workspace) -> int:
    """Return how many wrong passwords the owner's row counts."""
    with workspace._core.storage.read(mint_scope(workspace.tenants.get("acme").id)) as reader:
        (user,) = reader.users()
    return user.failures


# ---------------------------------------------------------------- passwords
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


# ---------------------------------------------------------------- tokens
def test_a_token_opens_its_own_tenant(workspace: minirag.Workspace, token: str) -> None:
    """Without anybody naming the tenant, and on behalf of its person."""
    other = workspace.tenants.bootstrap("other", None, OWNER, PASSWORD)
    assert other.token is not None
    assert workspace.authenticate(token).tenant.slug == "acme"
    assert workspace.authenticate(other.token).tenant.slug == "other"
    assert [user.id for user in workspace.authenticate(other.token).users.list()] == [other.owner.id]


def test_what_is_no_token_is_refused_without_asking_the_database(workspace: minirag.Workspace, token: str) -> None:
    """Mistyped, cut off, or anything else that is a str; nothing of it is in the message."""
    told = set()
    for text in ("", "x", token[:-1], token + "x", token.swapcase(), "mrag_", "\0", "\ud800" * 71, "x" * 3_000_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(workspace._core.storage, "directory", lambda: pytest.fail("the database was asked"))
            told.add(refused(lambda text=text: workspace.authenticate(text)))
    assert len(told) == 1
    for value in (None, 5, token.encode(), [token]):
        with pytest.raises(InvalidInputError) as problem:
            workspace.authenticate(value)  # type: ignore[arg-type]  # on purpose
        assert token not in str(problem.value)


def test_an_unknown_and_a_revoked_token_are_the_same(workspace: minirag.Workspace, token: str) -> None:
    """Somebody who tries tokens does not learn which there once were."""
    unknown = refused(lambda: workspace.authenticate(new_token("0" * 16)))
    forged = refused(lambda: workspace.authenticate(new_token(token[5:21])))
    workspace.tenant("acme").tokens.revoke(token[5:21])
    assert refused(lambda: workspace.authenticate(token)) == unknown == forged


def test_a_token_ends_when_it_says(workspace: minirag.Workspace, token: str, clock: Clock) -> None:
    """To the moment; who has it is told when, and that it needs a new one."""
    clock.pass_by(3_599.9)
    workspace.authenticate(token)
    clock.pass_by(0.1)
    assert "2024-05-01T13:00:00" in refused(lambda: workspace.authenticate(token))


def test_a_session_token_stands_for_a_login(workspace: minirag.Workspace, clock: Clock) -> None:
    """It acts as its person does, until it ends, and is made by a login alone."""
    session = workspace.login("acme", OWNER, PASSWORD)
    issued = session.issue_token(name="browser", expires_in=60)
    assert issued.token is not None
    assert (issued.kind, issued.name, issued.user_id) == ("session", "browser", session.principal.user_id)
    again = workspace.authenticate(issued.token)
    assert (again.principal.kind, again.principal.role, again.principal.token_id) == ("session", "owner", issued.id)
    for other in (again, workspace.tenant("acme")):
        with pytest.raises(InvalidInputError, match="login"):
            other.issue_token()
    for wrong in (0, -1, None, "60", float("nan"), True):
        with pytest.raises(InvalidInputError, match="expires_in"):
            session.issue_token(expires_in=wrong)  # type: ignore[arg-type]  # on purpose
    assert session.issue_token().expires_at == clock.now.replace(day=2, hour=0)
    clock.pass_by(60)
    assert "expired" in refused(lambda: workspace.authenticate(issued.token or ""))
    with pytest.raises(SessionEndedError):
        again.users.list()


def test_ended_sessions_are_forgotten_after_a_week(workspace: minirag.Workspace, clock: Clock) -> None:
    """So that logins do not fill the database; tokens of programs stay listed."""
    tenant = workspace.tenant("acme")
    tenant.tokens.create(OWNER, name="program", expires_in=60)
    workspace.login("acme", OWNER, PASSWORD).issue_token(name="old", expires_in=60)
    clock.pass_by(6 * 86_400)
    workspace.login("acme", OWNER, PASSWORD).issue_token(name="young", expires_in=60)
    assert [each.name for each in tenant.tokens.list()] == ["young", "old", "program", "bootstrap"]
    clock.pass_by(2 * 86_400)
    workspace.login("acme", OWNER, PASSWORD).issue_token(name="new")
    assert [each.name for each in tenant.tokens.list()] == ["new", "young", "program", "bootstrap"]


def test_revocation_counts_at_once_in_every_process(tmp_path: Path) -> None:
    """A session made before, in another workspace over the same database, ends with its next call."""
    with open_workspace(tmp_path / "kb") as one, open_workspace(tmp_path / "kb") as two:
        made = one.tenants.bootstrap("acme", None, OWNER, PASSWORD)
        assert made.token is not None
        session = two.authenticate(made.token)
        signed_in = two.login("acme", OWNER, PASSWORD)
        signed_in.bot("support", create=True)
        assert len(session.bots.list()) == 1
        one.tenant("acme").tokens.revoke_all(OWNER)
        with pytest.raises(SessionEndedError):
            session.bots.list()
        refused(lambda: two.authenticate(made.token or ""))
        one.tenant("acme").users.create("bob@example.com", PASSWORD, "owner")
        one.tenant("acme").users.remove(OWNER)
        with pytest.raises(SessionEndedError):
            signed_in.bots.list()


def test_a_closed_tenant_opens_to_nobody(workspace: minirag.Workspace, token: str) -> None:
    """Who has the right password or token is told why; who has not learns nothing of it."""
    wrong = refused(lambda: workspace.login("acme", OWNER, WRONG))
    workspace.tenants.suspend("acme")
    assert refused(lambda: workspace.login("acme", OWNER, WRONG)) == wrong
    for call in (lambda: workspace.login("acme", OWNER, PASSWORD), lambda: workspace.authenticate(token)):
        with pytest.raises(TenantSuspendedError):
            call()
    workspace.tenants.resume("acme")
    workspace.authenticate(token)
    workspace.login("acme", OWNER, PASSWORD)


def test_a_closed_workspace_opens_nothing(workspace: minirag.Workspace, token: str) -> None:
    """Neither with a password nor with a token."""
    workspace.close()
    calls: list[Callable[[], Any]] = [
        lambda: workspace.authenticate(token),
        lambda: workspace.login("acme", OWNER, PASSWORD),
        lambda: workspace.tenants.bootstrap("new", None, OWNER, PASSWORD),
    ]
    for call in calls:
        with pytest.raises(WorkspaceClosedError):
            call()


# ---------------------------------------------------------------- last uses
def test_the_last_use_is_written_once_a_minute(workspace: minirag.Workspace, token: str, clock: Clock) -> None:
    """Beside the request, and again when a minute has passed."""
    tenant, written = workspace.tenant("acme"), []
    real = workspace._core.last_uses.write
    workspace._core.last_uses.write = lambda: (real(), written.append(clock.now))  # type: ignore[method-assign,assign,func-returns-value]

    def used() -> Any:
        deadline = time.monotonic() + 10
        while workspace._core.last_uses._waiting and time.monotonic() < deadline:
            time.sleep(0.005)
        with workspace._core.storage.write(tenant._context.scope):  # after what was written before
            pass
        return next(each.last_used_at for each in tenant.tokens.list() if each.id == token[5:21])

    assert used() is None
    start = clock.now
    for _ in range(5):
        workspace.authenticate(token)
    assert used() == start
    clock.pass_by(59)
    workspace.authenticate(token)
    assert used() == start
    clock.pass_by(1)
    workspace.authenticate(token)
    assert used() == clock.now
    assert written == [start, clock.now]


def test_what_was_noted_is_written_before_closing(tmp_path: Path, clock: Clock) -> None:
    """`close` waits for the last uses."""
    with open_workspace(tmp_path / "kb", clock) as workspace:
        token = workspace.tenants.bootstrap("acme", None, OWNER, PASSWORD).token
        assert token is not None
        real = workspace._core.last_uses.write
        workspace._core.last_uses.write = lambda: (time.sleep(0.2), real())  # type: ignore[method-assign,assign,func-returns-value]
        workspace.authenticate(token)
    with open_workspace(tmp_path / "kb") as workspace:
        (listed,) = workspace.tenant("acme").tokens.list()
    assert listed.last_used_at == clock.now


def test_a_use_that_cannot_be_written_fails_nobody(workspace: minirag.Workspace, token: str) -> None:
    """The request has been answered by then."""
    storage, tried = workspace._core.storage, threading.Event()

    def busy(scope: Any) -> Any:
        tried.set()
        raise StorageBusyError("somebody else writes")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "write", busy)
        assert workspace.authenticate(token).tenant.slug == "acme"
        assert tried.wait(10)
        assert workspace.authenticate(token).tenant.slug == "acme"


def test_uses_that_cannot_be_written_keep_no_others_from_being_written(
    workspace: minirag.Workspace, token: str
) -> None:
    """A tenant that is busy is left out; the time is lost, and nothing is raised."""
    other = workspace.tenants.bootstrap("other", None, OWNER, PASSWORD)
    scopes = [mint_scope(workspace.tenants.get(slug).id) for slug in ("acme", "other")]
    last_uses, storage = workspace._core.last_uses, workspace._core.storage
    real, now = storage.write, workspace._core.clock()
    ids = [token[5:21], next(each.id for each in workspace.tenant("other").tokens.list())]
    last_uses._waiting = {scope: {token_id: now} for scope, token_id in zip(scopes, ids, strict=True)}

    def write(scope: Any) -> Any:
        if scope == scopes[0]:
            raise StorageBusyError("somebody else writes")
        return real(scope)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "write", write)
        last_uses.write()
    assert other.token is not None
    assert [each.last_used_at for each in workspace.tenant("other").tokens.list()] == [now]
    assert {each.last_used_at for each in workspace.tenant("acme").tokens.list()} == {None}


def test_a_request_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    """While another writes, whatever it takes, tokens are still taken, for the first time too."""
    with open_workspace(tmp_path / "kb") as workspace:
        made = workspace.tenants.bootstrap("acme", None, OWNER, PASSWORD)
        assert made.token is not None
        with workspace._core.storage.write(mint_scope(made.tenant.id)), ThreadPoolExecutor(1) as pool:
            assert pool.submit(workspace.authenticate, made.token).result(10).tenant.slug == "acme"


def test_a_token_takes_less_than_a_millisecond(tmp_path: Path) -> None:
    """Of processor time, in a folder with a hundred tenants: more than 1,000 a second and core."""
    with open_workspace(tmp_path / "kb") as workspace:
        tokens = [workspace.tenants.bootstrap(f"tenant-{n}", None, OWNER, PASSWORD).token for n in range(100)]

        def cost() -> float:
            begin = time.thread_time()
            for token in tokens:
                assert token is not None
                workspace.authenticate(token)
            return (time.thread_time() - begin) / len(tokens)

        seconds = min(cost() for _ in range(5))
    print(f"{1 / seconds:,.0f} a second and core")
    assert seconds < 0.001


# ---------------------------------------------------------------- the other face, the other database
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


def test_a_stored_hash_that_was_exchanged_opens_nothing(workspace: minirag.Workspace, token: str) -> None:
    """What the database says of a token is compared once more: a storage that finds too much lets nobody in."""
    storage = workspace._core.storage
    real = storage.directory

    class Generous:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __enter__(self) -> Any:
            directory = self.inner.__enter__()
            right = directory.token_grant
            directory.token_grant = lambda token_hash: (
                right(token_hash) or dataclasses.replace(grant, token=dataclasses.replace(grant.token))
            )
            return directory

        def __exit__(self, *problem: object) -> Any:
            return self.inner.__exit__(*problem)

    with real() as directory:
        from minirag.security.tokens import hash_token

        grant: Any = directory.token_grant(hash_token(token))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "directory", lambda: Generous(real()))
        workspace.authenticate(token)
        refused(lambda: workspace.authenticate(new_token(token[5:21])))
