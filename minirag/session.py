"""`TenantSession`: one tenant's side of a workspace; every data call starts here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from minirag._services.core import TenantContext
from minirag._services.multi_search import search_bots
from minirag._services.profiles import Defaults, create_bot, find_bot
from minirag._services.retrieval import check_request
from minirag._services.signing_in import change_password
from minirag._services.steps import Steps, run
from minirag._services.tokens import issue_token
from minirag.accounting import AuditLog, UsageLedger
from minirag.bot import Bot
from minirag.errors import InvalidInputError
from minirag.models.checks import check_flag, clipped
from minirag.models.erasures import ErasureReceipt
from minirag.models.people import ApiToken
from minirag.models.principals import Principal
from minirag.models.search import SearchResults
from minirag.models.tenants import BotProfile, Tenant
from minirag.tokens import Tokens
from minirag.types import SearchMode
from minirag.users import Users

__all__ = ["Bots", "TenantSession"]


class TenantSession:
    """One tenant's side of a workspace. Nothing in it can reach another tenant. Threads may share it.

    Attributes:
        tenant: whose session it is.
        principal: on whose behalf it acts, as that stood when the session was made; each call looks again.
        bots: the tenant's knowledge bases.
        users: the people who may sign in to it.
        tokens: what programs send to act on behalf of these people.
        usage: what its provider calls cost.
        audit: what was done in it, by whom and when.
    """

    def __init__(self, context: TenantContext, defaults: Defaults) -> None:
        self._context = context
        self._defaults = defaults
        self.tenant: Tenant = context.tenant
        self.principal: Principal = context.principal
        self.bots = Bots(context, defaults)
        self.users = Users(context)
        self.tokens = Tokens(context)
        self.usage = UsageLedger(context)
        self.audit = AuditLog(context)

    def bot(self, name: str, create: bool = False, **profile: Any) -> Bot:  # noqa: FBT001, FBT002 - the public contract
        """Return the bot of this name.

        Args:
            name: unique in the tenant.
            create: make it if there is none. On an existing bot equal settings do nothing, different ones update it.
            **profile: with `create=True`, fields of `BotProfile`, and `credentials`.

        Raises:
            BotNotFoundError: if there is none and `create` is False.
            InvalidInputError: naming an unknown field or a wrong value.
        """
        check_flag("create", create)
        if create:
            return self.bots.create(name, **profile)
        if profile:
            raise InvalidInputError(
                f"bot({clipped(name)}) was given {min(profile)!r} without create=True; to change a bot, use bot.update(...)"
            )
        return self.bots.get(name)

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        mode: SearchMode = "hybrid",
        exact: bool = False,
    ) -> SearchResults:
        """Return the best hits of all the tenant's bots. Their lists are fused by rank: scores of two bots never meet."""
        return run(self._search_steps(query, k=k, where=where, mode=mode, exact=exact))

    def _search_steps(
        self, query: str, *, k: int, where: Mapping[str, Any] | None, mode: SearchMode, exact: bool
    ) -> Steps[SearchResults]:
        """Return the steps of `search`, for either face."""
        request = check_request(query, k=k, where=where, mode=mode, exact=exact)
        context = self._context
        context.allow("search")
        with context.core.storage.read(context.scope) as reader:
            records = reader.bots()
        return search_bots([context.bot(record) for record in records if context.sees(record.id)], request)

    def issue_token(self, *, name: str = "", expires_in: float | dt.timedelta = 43_200) -> ApiToken:
        """Make a session token for the person who signed in, to be shown again in place of the password; see `authenticate`.

        It may do what the person's role allows at each moment. It ends by itself, with `tokens.revoke`, and with a new password,
        except one that it sets itself.

        Args:
            name: what it is for, such as the name of a browser.
            expires_in: seconds, or a timedelta, from now on; half a day.

        Returns:
            its record, whose `token` is shown this once.

        Raises:
            InvalidInputError: if this is not a session that `workspace.login` gave.
        """
        return issue_token(self._context, name=name, expires_in=expires_in)

    def change_password(self, old: str, new: str) -> None:
        """Give the person who signed in another password. Their other session tokens end.

        This session goes on, and so do tokens of programs and objects that `login` returned, in the processes that hold them.

        Args:
            old: the password of now. Wrong ones are counted with those of `workspace.login`, and make one wait as there.
            new: 8 to 1,024 characters.

        Raises:
            AuthenticationError: if the old password is wrong, or too many wrong ones came before; nothing is changed then.
            InvalidInputError: if the new one may not be set, or if this is not a session of a person who signed in.
        """
        run(self._change_password_steps(old, new))

    def _change_password_steps(self, old: str, new: str) -> Steps[None]:
        """Return the steps of `change_password`, for either face."""
        return change_password(self._context, old, new)

    def __repr__(self) -> str:
        return f"<TenantSession {self.tenant.slug!r}>"

    def __reduce__(self) -> Any:
        raise InvalidInputError(
            "a TenantSession cannot be pickled: it holds database connections; open the workspace again there"
        )


class Bots:
    """The bots of a tenant."""

    def __init__(self, context: TenantContext, defaults: Defaults) -> None:
        self._context = context
        self._defaults = defaults

    def create(self, name: str, **profile: Any) -> Bot:
        """Return the bot of this name, made if there is none; see `TenantSession.bot`."""
        record = create_bot(self._context, name, profile, self._defaults)
        return Bot(self._context.core, self._context.scope, record, self._context.principal)

    def get(self, name: str) -> Bot:
        """Return the bot of this name.

        Raises:
            BotNotFoundError: if there is none.
        """
        record = find_bot(self._context, name)
        return Bot(self._context.core, self._context.scope, record, self._context.principal)

    def list(self) -> Sequence[BotProfile]:
        """Return the settings of every bot, sorted by name."""
        context = self._context
        context.allow("bots.read")
        with context.core.storage.read(context.scope) as reader:
            return [record.profile for record in reader.bots() if context.sees(record.id)]

    def update(self, name: str, **profile: Any) -> BotProfile:
        """Change a bot's settings and return its profile; see `Bot.update`."""
        return self.get(name).update(**profile)

    @overload
    def delete(self, name: str, erase: Literal[False] = False) -> None: ...  # noqa: FBT002 - as below
    @overload
    def delete(self, name: str, erase: Literal[True]) -> ErasureReceipt: ...
    def delete(self, name: str, erase: bool = False) -> ErasureReceipt | None:  # noqa: FBT001, FBT002 - the public contract
        """Delete a bot with its sources, documents, chats and credentials.

        Args:
            erase: destroy all of it beyond recovery, and return the receipt.

        Raises:
            BotNotFoundError: if there is none.
        """
        check_flag("erase", erase)
        bot = self.get(name)
        return bot.delete(erase=True) if erase else bot.delete()

    def __repr__(self) -> str:
        return f"<bots of tenant {self._context.tenant.slug!r}>"
