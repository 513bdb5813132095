"""`TenantSession`: one tenant's side of a workspace; every data call starts here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minirag._services.core import BotContext, TenantContext
from minirag._services.multi_search import search_bots
from minirag._services.profiles import Defaults, create_bot, find_bot
from minirag._services.retrieval import check_request
from minirag._services.steps import Steps, run
from minirag.bot import Bot
from minirag.errors import InvalidInputError
from minirag.models.checks import check_flag, check_integer, clipped
from minirag.models.search import SearchResults
from minirag.models.tenants import BotProfile, Tenant
from minirag.models.usage import UsageEvent, UsageTotal
from minirag.types import SearchMode

__all__ = ["Bots", "TenantSession", "UsageLedger"]


class TenantSession:
    """One tenant's side of a workspace. Nothing in it can reach another tenant. Threads may share it.

    Attributes:
        tenant: whose session it is.
        bots: the tenant's knowledge bases.
        usage: what its provider calls cost.
    """

    def __init__(self, context: TenantContext, defaults: Defaults) -> None:
        self._context = context
        self._defaults = defaults
        self.tenant: Tenant = context.tenant
        self.bots = Bots(context, defaults)
        self.usage = UsageLedger(context)

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
        context.core.check()
        with context.core.storage.read(context.scope) as reader:
            records = reader.bots()
        bots = [BotContext(context.core, context.scope, record.id, record.profile.name) for record in records]
        return search_bots(bots, request)

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
        return Bot(self._context.core, self._context.scope, record)

    def get(self, name: str) -> Bot:
        """Return the bot of this name.

        Raises:
            BotNotFoundError: if there is none.
        """
        return Bot(self._context.core, self._context.scope, find_bot(self._context, name))

    def list(self) -> Sequence[BotProfile]:
        """Return the settings of every bot, sorted by name."""
        self._context.core.check()
        with self._context.core.storage.read(self._context.scope) as reader:
            return [record.profile for record in reader.bots()]

    def update(self, name: str, **profile: Any) -> BotProfile:
        """Change a bot's settings and return its profile; see `Bot.update`."""
        return self.get(name).update(**profile)

    def delete(self, name: str) -> None:
        """Delete a bot with its sources, documents, chats and credentials.

        Raises:
            BotNotFoundError: if there is none.
        """
        self.get(name).delete()

    def __repr__(self) -> str:
        return f"<bots of tenant {self._context.tenant.slug!r}>"


class UsageLedger:
    """A tenant's provider calls."""

    def __init__(self, context: TenantContext) -> None:
        self._context = context

    def total(self, *, bot: Bot | None = None) -> UsageTotal:
        """Return the calls summed up by kind and model, of all bots or of one."""
        self._context.core.check()
        with self._context.core.storage.read(self._context.scope) as reader:
            return UsageTotal(rows=tuple(reader.usage(_bot_id(bot))))

    def events(self, *, bot: Bot | None = None) -> Iterator[UsageEvent]:
        """Yield single calls, newest first, reading them as they are asked for."""
        bot_id = _bot_id(bot)
        page = self._page(bot_id, None, 1_000)

        def pages(page: Sequence[UsageEvent]) -> Iterator[UsageEvent]:
            while page:
                yield from page
                page = self._page(bot_id, page[-1].id, 1_000)

        return pages(page)

    def _page(self, bot_id: str | None, before: str | None, limit: int) -> Sequence[UsageEvent]:
        self._context.core.check()
        with self._context.core.storage.read(self._context.scope) as reader:
            return reader.usage_events(bot_id, before=before, limit=check_integer("limit", limit, minimum=1))

    def _repr_html_(self) -> str:
        return self.total()._repr_html_()

    def __repr__(self) -> str:
        return f"<usage of tenant {self._context.tenant.slug!r}>"


def _bot_id(bot: object) -> str | None:
    if bot is None:
        return None
    if not isinstance(bot, Bot):
        raise InvalidInputError(
            f"bot must be a Bot such as tenant.bot(name) gives, not {type(bot).__name__}: {clipped(bot)}"
        )
    return bot.id
