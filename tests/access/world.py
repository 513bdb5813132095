"""A tenant with two bots and people of each role, and a session of each kind of caller."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import minirag
from minirag import AsyncBot, AsyncTenantSession
from minirag._services.core import TenantContext
from minirag._services.evidence import Evidence
from minirag.aio.answers import Binder
from minirag.aio.bot import AsyncChat
from minirag.aio.runner import Runner
from minirag.chat import Chat
from minirag.interfaces.identity import UserRecord
from minirag.models.answers import Citation
from minirag.models.chats import ChatRecord
from minirag.models.people import ApiToken
from minirag.models.principals import APPLICATION, Principal, Role
from minirag.security.passwords import Cost, Passwords
from minirag.session import TenantSession
from minirag.types import new_id, utc_now

__all__ = ["CALLERS", "Handles", "World"]

CALLERS: Final = (
    "application",
    "owner",
    "admin",
    "member",
    "read",
    "write",
    "full",
    "members",
    "one_bot",
    "expired",
    "revoked",
    "gone",
    "stranger",
)
"""Who calls: the application; people by role; an owner's tokens by scope (`full`: admin); a member's token of the scope
admin; an owner's token of the scope admin for one bot; an owner's tokens that have ended; somebody who was removed; and
another tenant's owner."""

_NUMBERS: Final = itertools.count()
_ROLES: Final[tuple[Role, ...]] = ("owner", "admin", "member")


@dataclass
class Handles:
    """What a caller holds, of the asynchronous face if there is a runner; made when it is used, without asking whether they may."""

    world: World
    caller: str
    runner: Runner | None

    @cached_property
    def session(self) -> Any:
        """A session."""
        session = self.world.session_of(self.caller)
        return session if self.runner is None else AsyncTenantSession(session, self.runner)

    @cached_property
    def bot(self) -> Any:
        """The bot that a token for one bot is for."""
        world, principal = self.world, self.world.principals[self.caller]
        bot = minirag.Bot(world.core, world.context.scope, world.bot._record, principal)
        return bot if self.runner is None else AsyncBot(bot, self.runner)

    @cached_property
    def sales(self) -> Any:
        """The other bot, as another session may have handed it over."""
        bot = self.world.other_bot
        return bot if self.runner is None else AsyncBot(bot, self.runner)

    @cached_property
    def chat(self) -> Any:
        """A chat of the caller's own."""
        return self._handle(self.world.make_chat(self.world.principals[self.caller].user_id))

    @cached_property
    def others(self) -> Any:
        """A chat of another person's."""
        return self._handle(self.world.make_chat(self.world.people["second"].id))

    def _handle(self, record: ChatRecord) -> Any:
        chat = Chat(self.bot._context, record)
        return chat if self.runner is None else AsyncChat(chat, self.runner)

    @cached_property
    def citation(self) -> Any:
        """A citation of the bot's text."""
        world, principal = self.world, self.world.principals[self.caller]
        bound = world.citation(world.version_id)._bind(Evidence(world.core, world.context.scope, principal))
        return bound if self.runner is None else Binder(self.runner).citation(bound)

    @cached_property
    def own_token(self) -> ApiToken:
        """A token of the caller's own, or of an owner's where the caller is nobody's."""
        if self.caller in ("gone", "stranger"):
            return self.world.seconds
        person = self.world.principals[self.caller].user_id or self.world.people["owner"].id
        return self.world.session.tokens.create(person, name="own")

    @cached_property
    def password(self) -> str:
        """The password of a person who signed in, set now; others have none."""
        world, principal = self.world, self.world.principals[self.caller]
        secret = "a long password"
        with world.core.storage.write(world.context.scope) as writer:
            person = writer.user(principal.user_id or "") if principal.kind == "user" else None
            if person is not None:
                cheap = Passwords(Cost(passes=1, kibibytes=64, lanes=1)).hash(secret)
                writer.put_user(dataclasses.replace(person, password_hash=cheap))
        return secret


@dataclass
class World:
    """A tenant of its own in a workspace that may hold many.

    Attributes:
        callers: those that it is made for; it takes longer for all.
    """

    workspace: minirag.Workspace
    callers: tuple[str, ...] = CALLERS
    people: dict[str, UserRecord] = field(default_factory=dict)
    tokens: dict[str, ApiToken] = field(default_factory=dict)
    principals: dict[str, Principal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.slug = f"tenant-{next(_NUMBERS)}"
        self.session = self.workspace.tenant(self.slug, create=True)
        self.context: TenantContext = self.session._context
        self.core = self.context.core
        self.bot = self.session.bot("support", create=True)
        self.other_bot = self.session.bot("sales", create=True)
        for bot in (self.bot, self.other_bot):
            bot.add(
                minirag.DocumentInput(text=f"A laptop of {bot.name} may be returned within thirty days.", key="note")
            )
        now = utc_now()
        with self.core.storage.write(self.context.scope) as writer:
            for name in (*_ROLES, "second", "gone"):
                role: Role = "owner" if name in ("second", "gone") else name  # type: ignore[assignment]  # the others are roles
                # No password fits this hash.
                person = UserRecord(new_id(), f"{name}@example.com", role, "none", 0, None, now, now)
                writer.put_user(person)
                self.people[name] = person
        self._make_callers(now)
        hit = self.bot.search("laptop", k=1)[0]
        self.version_id, self.text = hit.version_id, hit.text
        self.other_version_id = self.other_bot.search("laptop", k=1)[0].version_id
        self.state = self.contents()

    def _make_callers(self, now: dt.datetime) -> None:
        self.principals["application"] = APPLICATION
        for name in (*_ROLES, "gone"):
            person = self.people[name]
            self.principals[name] = Principal(kind="user", user_id=person.id, role=person.role)
        wanted: dict[str, dict[str, Any]] = {
            "read": {"user": "owner", "scope": "read"},
            "write": {"user": "owner", "scope": "write"},
            "full": {"user": "owner", "scope": "admin"},
            "members": {"user": "member", "scope": "admin"},
            "one_bot": {"user": "owner", "scope": "admin", "bot": "support"},
            "expired": {"user": "owner", "scope": "admin", "expires_in": 3_600},
            "revoked": {"user": "owner", "scope": "admin"},
        }
        for name, settings in wanted.items():
            if name not in (*self.callers, "members"):
                continue
            person = self.people[settings.pop("user")]
            made = self.session.tokens.create(person.id, name=name, **settings)
            assert made.token is not None
            self.tokens[name] = made
            self.principals[name] = self.workspace.authenticate(made.token).principal
        self.seconds = self.session.tokens.create(self.people["second"].id, name="of another owner")
        if set(self.callers) != set(CALLERS):
            return
        elsewhere = self.workspace.tenant("elsewhere", create=True)._context
        stranger = UserRecord(new_id(), f"owner@{self.slug}.example.com", "owner", "none", 0, None, now, now)
        with self.core.storage.write(elsewhere.scope) as writer:
            writer.put_user(stranger)
        self.principals["stranger"] = Principal(kind="user", user_id=stranger.id, role="owner")
        self.session.tokens.revoke(self.tokens["revoked"])
        self.session.users.remove(self.people["gone"].id)
        with self.core.storage.write(self.context.scope) as writer:
            token = writer.token(self.tokens["expired"].id)
            assert token is not None
            writer.put_token(dataclasses.replace(token, expires_at=now - dt.timedelta(seconds=1)))

    def session_of(self, caller: str) -> TenantSession:
        """Return a session of this caller."""
        context = TenantContext(self.core, self.context.scope, self.context.tenant, self.principals[caller])
        return TenantSession(context, self.session._defaults)

    def make_chat(self, user_id: str | None) -> ChatRecord:
        """Return a new chat of a person, or of nobody."""
        now = utc_now()
        chat = ChatRecord(id=new_id(), bot_id=self.bot.id, user_id=user_id, title="", created_at=now, updated_at=now)
        with self.core.storage.write(self.context.scope) as writer:
            writer.put_chat(chat)
        return chat

    def citation(self, version_id: str) -> Citation:
        """Return a citation of the beginning of a version."""
        return Citation(
            marker="[1]",
            quote=self.text,
            key="note",
            bot="support",
            document_id="d",
            version_id=version_id,
            source_id="s",
            source_name="inline",
            title=None,
            start=0,
            end=len(self.text),
            page=None,
        )

    def contents(self) -> object:
        """Return what a refused call must not change: bots, documents, sources, people and tokens."""
        with self.core.storage.read(self.context.scope) as reader:
            bots = reader.bots()
            return (
                bots,
                [reader.documents(bot.id) for bot in bots],
                [reader.sources(bot.id) for bot in bots],
                reader.users(),
                [token for token in reader.tokens() if token.name != "own"],
            )
