"""`AsyncUsers` and `AsyncTokens`: the people of a tenant and their tokens, awaited."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence

from minirag.aio.bot import AsyncBot
from minirag.aio.runner import Runner
from minirag.models.moving import PersonalDataReport
from minirag.models.people import ApiToken, User
from minirag.models.principals import Role, TokenScope
from minirag.session import TenantSession

__all__ = ["AsyncTokens", "AsyncUsers"]


class AsyncUsers:
    """The people of a tenant; see `Users`. Passwords are hashed beside the event loop."""

    def __init__(self, session: TenantSession, runner: Runner) -> None:
        self._users = session.users
        self._runner = runner

    async def create(self, email: str, password: str, role: Role = "member") -> User:
        """Add a person and return them; see `Users.create`."""
        return await self._runner.run(self._users._create_steps(email, password, role))

    async def get(self, user: User | str) -> User:
        """Return a person; see `Users.get`."""
        return await self._runner.call(self._users.get, user)

    async def list(self) -> Sequence[User]:
        """Return everybody, sorted by e-mail address."""
        return await self._runner.call(self._users.list)

    async def update(
        self, user: User | str, *, role: Role | None = None, email: str | None = None, password: str | None = None
    ) -> User:
        """Change a person and return them; see `Users.update`."""
        return await self._runner.run(self._users._update_steps(user, role=role, email=email, password=password))

    async def remove(self, user: User | str) -> None:
        """Delete a person and all their tokens; see `Users.remove`."""
        await self._runner.call(self._users.remove, user)

    async def export(self, user: User | str, path: str | os.PathLike[str]) -> PersonalDataReport:
        """Write what is stored of a person into a new file; see `Users.export`."""
        return await self._runner.call(self._users.export, user, path)

    def __repr__(self) -> str:
        return repr(self._users)


class AsyncTokens:
    """The tokens of a tenant's people; see `Tokens`."""

    def __init__(self, session: TenantSession, runner: Runner) -> None:
        self._tokens = session.tokens
        self._runner = runner

    async def create(
        self,
        user: User | str,
        *,
        name: str = "",
        scope: TokenScope = "read",
        bot: AsyncBot | str | None = None,
        expires_in: float | dt.timedelta | None = None,
        expires_at: dt.datetime | None = None,
    ) -> ApiToken:
        """Make a token and return its record, whose `token` is shown this once; see `Tokens.create`."""
        return await self._runner.call(
            self._tokens.create,
            user,
            name=name,
            scope=scope,
            bot=bot._bot if isinstance(bot, AsyncBot) else bot,
            expires_in=expires_in,
            expires_at=expires_at,
        )

    async def list(self, user: User | str | None = None) -> Sequence[ApiToken]:
        """Return tokens and sessions, newest first; see `Tokens.list`."""
        return await self._runner.call(self._tokens.list, user)

    async def revoke(self, token: ApiToken | str) -> None:
        """End a token at once and in every process; see `Tokens.revoke`."""
        await self._runner.call(self._tokens.revoke, token)

    async def revoke_all(self, user: User | str) -> int:
        """End all tokens and sessions of a person, and return how many there were."""
        return await self._runner.call(self._tokens.revoke_all, user)

    def __repr__(self) -> str:
        return repr(self._tokens)
