"""`tenant.tokens`: what programs send to act on behalf of a tenant's people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from minirag._services.core import TenantContext
from minirag._services.tokens import create_token, list_tokens, revoke_token, revoke_tokens
from minirag.bot import Bot
from minirag.models.people import ApiToken, User
from minirag.models.principals import TokenScope

__all__ = ["Tokens"]


class Tokens:
    """The tokens of a tenant's people, and the sessions that `issue_token` made."""

    def __init__(self, context: TenantContext) -> None:
        self._context = context

    def create(
        self,
        user: User | str,
        *,
        name: str = "",
        scope: TokenScope = "read",
        bot: Bot | str | None = None,
        expires_in: float | dt.timedelta | None = None,
        expires_at: dt.datetime | None = None,
    ) -> ApiToken:
        """Make a token and return its record, whose `token` is shown this once.

        Args:
            user: on whose behalf it acts: an id, an e-mail address or a `User`. It may never do more than this person's role.
            name: what it is for, to tell it from others.
            scope: what it may do at most: `"read"`, `"write"` or `"admin"`.
            bot: the only bot that it opens, or its name; None for all of them.
            expires_in: seconds, or a timedelta, from now on.
            expires_at: an aware datetime, instead; with neither it never expires.

        Raises:
            UserNotFoundError, BotNotFoundError: if there is none.
        """
        return create_token(
            self._context,
            user,
            name=name,
            scope=scope,
            bot=bot.name if isinstance(bot, Bot) else bot,
            expires_in=expires_in,
            expires_at=expires_at,
        )

    def list(self, user: User | str | None = None) -> Sequence[ApiToken]:
        """Return tokens and sessions, newest first, of everybody or of one person, those that have ended too.

        Sessions that ended more than a week ago are forgotten when a new one is made.

        Raises:
            UserNotFoundError: if there is no such person.
        """
        return list_tokens(self._context, user)

    def revoke(self, token: ApiToken | str) -> None:
        """End a token, by its record or id, at once and in every process. Revoking it again changes nothing.

        Raises:
            TokenNotFoundError: if there is none of this id.
        """
        revoke_token(self._context, token)

    def revoke_all(self, user: User | str) -> int:
        """End all tokens and sessions of a person, at once and in every process, and return how many there were.

        Raises:
            UserNotFoundError: if there is no such person.
        """
        return revoke_tokens(self._context, user)

    def __repr__(self) -> str:
        return f"<tokens of tenant {self._context.tenant.slug!r}>"
