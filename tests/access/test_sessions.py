"""What a session sees and for how long: tokens of one bot, whose a chat is, demotion, revocation, expiry, suspension."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag import errors
from minirag.models.principals import Principal
from minirag.providers.sqlalchemy.sqlite_transaction import SqliteTransaction
from minirag.session import TenantSession
from minirag.types import utc_now
from tests.access.world import World
from tests.services.conftest import CountingEmbedder


@pytest.fixture
def workspace() -> Iterator[minirag.Workspace]:
    """A workspace in memory."""
    with minirag.Workspace.open(":memory:", embedder="hashing") as opened:
        yield opened


@pytest.fixture
def world(workspace: minirag.Workspace) -> World:
    """A tenant with people and tokens."""
    return World(workspace)


def error_of(call: Callable[[], object]) -> Exception:
    """Return what a call raises."""
    with pytest.raises(errors.MiniRAGError) as caught:
        call()
    return caught.value


# ---------------------------------------------------------------- who a session acts for
def test_a_login_gives_the_person(workspace: minirag.Workspace) -> None:
    """`login` gives the principal that the other tests make by hand; the application's own sessions have another."""
    made = workspace.tenants.bootstrap("acme", None, "owner@example.com", "a long enough password")
    session = workspace.login("acme", "owner@example.com", "a long enough password")
    assert session.principal == Principal(kind="user", user_id=made.owner.id, role="owner")
    assert workspace.tenant("acme").principal.kind == "application"
    assert session.bot("support", create=True)._context.principal == session.principal


def test_a_denial_says_what_is_missing(world: World) -> None:
    """It names the action, and the roles or scopes that would do."""
    member = error_of(lambda: world.session_of("member").bot("support").documents.remove("note"))
    assert isinstance(member, errors.AccessDeniedError)
    assert (member.action, member.role, member.scope) == ("documents.remove", "admin", None)
    assert "'admin' or 'owner'" in str(member)
    token = error_of(lambda: world.session_of("read").bot("support").documents.remove("note"))
    assert isinstance(token, errors.AccessDeniedError)
    assert (token.action, token.role, token.scope) == ("documents.remove", None, "write")
    assert "'write' or 'admin'" in str(token)


# ---------------------------------------------------------------- a token for one bot
def test_a_token_of_one_bot_sees_one(world: World) -> None:
    """Other bots are neither listed nor searched, and asked for they are as missing as a bot that never was."""
    session = world.session_of("one_bot")
    assert [profile.name for profile in session.bots.list()] == ["support"]
    assert {hit.bot for hit in session.search("laptop")} == {"support"}
    assert {hit.bot for hit in world.session_of("full").search("laptop")} == {"support", "sales"}
    missing, other = (error_of(lambda name=name: session.bot(name)) for name in ("never", "sales"))  # type: ignore[misc]  # a default binds it
    assert type(missing) is type(other) is errors.BotNotFoundError
    assert str(missing).replace("never", "sales") == str(other)


def test_a_bot_of_another_session_stays_closed(world: World) -> None:
    """A token of one bot gains nothing by the handle of another bot that was made for it by mistake."""
    principal = world.principals["one_bot"]
    strayed = minirag.Bot(world.core, world.context.scope, world.other_bot._record, principal)
    for call in (lambda: strayed.search("laptop"), strayed.stats, lambda: strayed.documents.get("note")):
        with pytest.raises(errors.BotNotFoundError):
            call()


# ---------------------------------------------------------------- whose a chat is
def test_a_member_lists_own_chats(world: World) -> None:
    """Members and lesser tokens list their own chats, over any number of pages; admins and the application all of them."""
    bots = {name: world.session_of(name).bot("support") for name in ("application", "owner", "admin", "member", "read")}
    begun = {name: [bot.chat().id for _ in range(3)] for name, bot in bots.items()}
    everything = {chat for chats in begun.values() for chat in chats}
    assert {record.id for record in bots["member"].chats.list()} == set(begun["member"])
    # The token acts for the owner, whose chats these are too.
    assert {record.id for record in bots["read"].chats.list()} == {*begun["owner"], *begun["read"]}
    for name in ("application", "owner", "admin"):
        assert {record.id for record in bots[name].chats.list()} == everything
    assert {record.user_id for record in bots["member"].chats.list()} == {world.people["member"].id}
    assert bots["application"].chats.get(begun["application"][0])._record.user_id is None


def test_chats_of_one_person_are_paged(world: World) -> None:
    """More chats than a page holds are all listed, though others' lie between them."""
    member, admin = (world.session_of(name).bot("support") for name in ("member", "admin"))
    own = []
    for _ in range(105):
        own.append(member.chat().id)
        admin.chat()
    assert [record.id for record in member.chats.list()] == own[::-1]


def test_another_persons_chat_is_missing(world: World) -> None:
    """It gives the words that a chat that never was gives, also where it is continued."""
    bot = world.session_of("member").bot("support")
    theirs = world.session_of("admin").bot("support").chat()
    theirs.send("May a laptop be returned?")
    known, unknown = (error_of(lambda name=name: bot.chat(name)) for name in (theirs.id, "0" * 16))  # type: ignore[misc]  # a default binds it
    assert type(known) is type(unknown) is errors.ChatNotFoundError
    assert str(known).replace(theirs.id, "0" * 16) == str(unknown)
    held = minirag.Chat(bot._context, theirs._record)
    for call in (lambda: held.send("And a phone?"), lambda: list(held.stream("And a phone?")), held.delete):
        assert isinstance(_raised(call), errors.ChatNotFoundError)
    assert len(theirs.messages) == 2


def _raised(call: Callable[[], Any]) -> BaseException | None:
    """Return what a call raises, or the error that its stream ends in."""
    try:
        events = call()
    except errors.MiniRAGError as problem:
        return problem
    return None if events is None else events[-1].error  # type: ignore[no-any-return]  # an AnswerEvent's


# ---------------------------------------------------------------- how long a session lasts
@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[minirag.Workspace, minirag.Workspace]]:
    """One folder opened twice, as two processes would."""
    with (
        minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as one,
        minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as other,
    ):
        yield one, other


def elsewhere(world: World, workspace: minirag.Workspace, caller: str) -> TenantSession:
    """Return a caller's session in another workspace on the same folder."""
    session = workspace.tenant(world.slug)
    context = dataclasses.replace(session._context, principal=world.principals[caller])
    return TenantSession(context, session._defaults)


def test_a_demotion_counts_at_once(places: tuple[minirag.Workspace, minirag.Workspace]) -> None:
    """An owner who becomes a member writes nothing more, nor do their tokens; a promotion counts as soon."""
    world = World(places[0])
    person, token = (elsewhere(world, places[1], name).bot("support") for name in ("admin", "full"))
    document = minirag.DocumentInput(text="A watch may not be returned.", key="watch")
    assert person.add(document).counts["added"] == token.add(document).counts["unchanged"] == 1
    world.session.users.update("admin@example.com", role="member")
    world.session.users.update("owner@example.com", role="member")
    for bot in (person, token):
        assert len(bot.search("watch")) == 2
        with pytest.raises(errors.AccessDeniedError):
            bot.add(document)
    world.session.users.update("admin@example.com", role="admin")
    assert person.add(document).counts["unchanged"] == 1


def test_a_revocation_counts_at_once(places: tuple[minirag.Workspace, minirag.Workspace]) -> None:
    """A revoked token, and one whose person was removed, open nothing more, also a warm search."""
    world = World(places[0])
    read, members = (elsewhere(world, places[1], name) for name in ("read", "members"))
    bots = read.bot("support"), members.bot("support")
    for bot in bots:
        assert bot.search("laptop")
    world.session.tokens.revoke(world.tokens["read"])
    world.session.users.remove("member@example.com")
    assert "revoked" in str(error_of(lambda: bots[0].search("laptop")))
    assert "gone" in str(error_of(lambda: bots[1].search("laptop")))


def test_a_session_expires_by_the_workspaces_clock(workspace: minirag.Workspace, world: World) -> None:
    """A token ends when the clock reaches its time, and not before."""
    token = world.session.tokens.create("owner@example.com", scope="read", expires_in=60).token
    assert token is not None
    bot = workspace.authenticate(token).bot("support")
    now = utc_now()
    world.core.clock = lambda: now + dt.timedelta(seconds=58)
    assert bot.search("laptop")
    world.core.clock = lambda: now + dt.timedelta(seconds=61)
    problem = error_of(lambda: bot.search("laptop"))
    assert isinstance(problem, errors.SessionEndedError)
    assert "expired" in str(problem)


def test_a_long_add_stops(world: World) -> None:
    """What came before a revocation is committed, and no batch after it."""
    bot = world.session_of("write").bot("support")

    def documents() -> Iterator[minirag.DocumentInput]:
        for number in range(5_000):
            if number == 2_000:
                world.session.tokens.revoke(world.tokens["write"])
            yield minirag.DocumentInput(text=f"Note {number}.", key=f"n{number}")

    with pytest.raises(errors.SessionEndedError):
        bot.add(documents())
    assert world.bot.documents.count() < 2_500


# ---------------------------------------------------------------- suspension
def test_a_suspension_counts_at_once(places: tuple[minirag.Workspace, minirag.Workspace]) -> None:
    """Every session is refused in every workspace, also a search that is warm; resuming brings all back."""
    world = World(places[0])
    bots = [elsewhere(world, places[1], name).bot("support") for name in ("application", "owner", "read")]
    found = [bot.search("laptop")[0].text for bot in bots]
    suspended = places[0].tenants.suspend(world.slug)
    assert suspended.suspended_at is not None
    assert places[0].tenants.suspend(world.slug) == suspended
    for bot in bots:
        for call in (
            lambda bot=bot: bot.search("laptop"),
            lambda bot=bot: bot.ask("May a laptop be returned?"),
            lambda bot=bot: list(bot.stream("May a laptop be returned?")),
            lambda bot=bot: bot.documents.get("note"),
            lambda bot=bot: bot.add(minirag.DocumentInput(text="A watch.", key="watch")),
        ):
            assert type(error_of(call)) is errors.TenantSuspendedError
    session = places[1].tenant(world.slug)
    for call in (lambda: session.bot("support"), lambda: session.search("laptop"), session.users.list):
        assert type(error_of(call)) is errors.TenantSuspendedError
    assert places[1].tenants.resume(world.slug).suspended_at is None
    assert [bot.search("laptop")[0].text for bot in bots] == found


def test_a_tenant_without_bots_is_suspended_too(workspace: minirag.Workspace) -> None:
    """A search over no bots says so as well, and another tenant does not notice."""
    acme, globex = (workspace.tenant(slug, create=True) for slug in ("acme", "globex"))
    workspace.tenants.suspend("acme")
    assert type(error_of(lambda: acme.search("laptop"))) is errors.TenantSuspendedError
    assert len(globex.search("laptop")) == 0
    with pytest.raises(errors.TenantNotFoundError):
        workspace.tenants.suspend("initech")


def test_upkeep_goes_on(places: tuple[minirag.Workspace, minirag.Workspace], tmp_path: Path) -> None:
    """A suspended tenant is verified, repaired, backed up, exported, renamed and deleted as any other."""
    workspace, world = places[0], World(places[0])
    workspace.tenants.suspend(world.slug)
    with engine_connection(workspace) as execute:
        execute("DELETE FROM embeddings")
    assert not workspace.verify().ok
    assert workspace.repair().ok
    workspace.backup(tmp_path / "backup")
    workspace.tenants.export(world.slug, tmp_path / "archive")
    assert workspace.tenants.update(world.slug, name="Acme").suspended_at is not None
    workspace.tenants.import_(tmp_path / "archive", slug="copy")
    # An archive is of what the tenant holds; whether it is closed is the workspace's business.
    assert workspace.tenant("copy").bot("support").search("laptop")
    workspace.tenants.delete(world.slug)


def engine_connection(workspace: minirag.Workspace) -> Any:
    """Return a block that executes SQL on the workspace's file."""

    @contextlib.contextmanager
    def opened() -> Iterator[Callable[[str], object]]:
        with contextlib.closing(sqlite3.connect(Path(workspace.location) / "minirag.sqlite3")) as connection:
            yield connection.execute
            connection.commit()

    return opened()


def test_a_search_that_was_refused_embeds_no_more() -> None:
    """After the first refusal a suspended tenant's queries are not embedded, which may cost something."""
    embedder = CountingEmbedder()
    with minirag.Workspace.open(":memory:", embedder=embedder) as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        bot.add(minirag.DocumentInput(text="A laptop may be returned.", key="note"))
        bot.search("laptop")
        workspace.tenants.suspend("acme")
        for query in ("first", "second", "third"):
            with pytest.raises(errors.TenantSuspendedError):
                bot.search(query)
        assert embedder.queries == ["laptop", "first"]


def test_the_list_of_tenants_counts(workspace: minirag.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """`counts=True` gives what each tenant holds, in as many statements for three tenants as for one."""
    statements = 0

    def counting(method: Any) -> Any:
        def counted(*arguments: Any, **keywords: Any) -> Any:
            nonlocal statements
            statements += 1
            return method(*arguments, **keywords)

        return counted

    asked = []
    for make in (lambda: World(workspace), lambda: World(workspace), lambda: workspace.tenants.create("empty")):
        make()
        assert workspace.tenants.list()[0].counts is None
        statements = 0
        with monkeypatch.context() as patched:
            for name in ("tuples", "rows"):
                patched.setattr(SqliteTransaction, name, counting(getattr(SqliteTransaction, name)))
            listed = workspace.tenants.list(counts=True)
        asked.append(statements)
    assert asked == [3, 3, 3]
    held = [tenant.counts for tenant in listed]
    assert [(c.bots, c.documents, c.users) for c in held if c is not None] == [
        (0, 0, 2),
        (0, 0, 0),
        (2, 2, 4),
        (2, 2, 4),
    ]
