"""Who is asking with a token: what it opens, for how long, how little is told of it, and when its use is written down."""

from __future__ import annotations

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
    InvalidInputError,
    SessionEndedError,
    StorageBusyError,
    TenantSuspendedError,
    WorkspaceClosedError,
)
from minirag.interfaces.scope import mint_scope
from minirag.security.tokens import hash_token, new_token
from tests.services.signing import OWNER, PASSWORD, WRONG, Clock, open_workspace, refused


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
        grant: Any = directory.token_grant(hash_token(token))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "directory", lambda: Generous(real()))
        workspace.authenticate(token)
        refused(lambda: workspace.authenticate(new_token(token[5:21])))
