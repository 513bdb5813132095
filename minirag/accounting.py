"""`tenant.usage` and `tenant.audit`: what a tenant's provider calls cost, and what was done in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minirag._services.core import TenantContext
from minirag._services.limits import uses
from minirag.bot import Bot
from minirag.errors import BotNotFoundError, InvalidInputError
from minirag.models.audit import AuditEvent
from minirag.models.checks import check_text, clipped
from minirag.models.limits import LimitsUse
from minirag.models.usage import UsageEvent, UsageTotal

__all__ = ["AuditLog", "UsageLedger"]

_PAGE = 1_000


class UsageLedger:
    """A tenant's provider calls."""

    def __init__(self, context: TenantContext) -> None:
        self._context = context

    def total(self, *, bot: Bot | None = None) -> UsageTotal:
        """Return the calls summed up by kind and model, of all bots or of one."""
        bot_id = _bot_id(bot)
        allowed = self._allowed(bot_id)
        with self._context.core.storage.read(self._context.scope) as reader:
            return UsageTotal(rows=tuple(reader.usage(allowed)))

    def events(self, *, bot: Bot | None = None) -> Iterator[UsageEvent]:
        """Yield single calls, newest first, reading them as they are asked for."""
        bot_id = _bot_id(bot)
        page = self._page(bot_id, None)

        def pages(page: Sequence[UsageEvent]) -> Iterator[UsageEvent]:
            while page:
                yield from page
                page = self._page(bot_id, page[-1].id)

        return pages(page)

    def limits(self) -> LimitsUse:
        """Return the tenant's limits and how much of each is used now; `workspace.tenants.update` sets them."""
        self._context.allow("usage.limits")
        with self._context.core.storage.read(self._context.scope) as reader:
            return uses(reader, self._context.core.clock())

    def _page(self, bot_id: str | None, before: str | None) -> Sequence[UsageEvent]:
        allowed = self._allowed(bot_id)
        with self._context.core.storage.read(self._context.scope) as reader:
            return reader.usage_events(allowed, before=before, limit=_PAGE)

    def _allowed(self, bot_id: str | None) -> str | None:
        """Return the bot whose calls may be seen, or None for all: a token that was made for one bot sees that one's."""
        only = self._context.allow("usage.read").bot_id
        if only is not None and bot_id not in (None, only):
            raise BotNotFoundError("the bot does not exist (any more); tenant.bots.list() shows those there are")
        return bot_id if only is None else only

    def _repr_html_(self) -> str:
        return self.total()._repr_html_()

    def __repr__(self) -> str:
        return f"<usage of tenant {self._context.tenant.slug!r}>"


class AuditLog:
    """What was done in a tenant, by whom and when. The library writes it; nothing changes or removes what is in it."""

    def __init__(self, context: TenantContext) -> None:
        self._context = context

    def events(
        self, *, action: str | None = None, subject: str | None = None, actor: str | None = None
    ) -> Iterator[AuditEvent]:
        """Yield what was done, newest first, reading it as it is asked for.

        Args:
            action: only this, such as `"bot.created"`; see `minirag.models.audit.AuditAction`.
            subject: only what was done to this id.
            actor: only what this one did, such as `"application"`, or `"user:<id>"` with all that acts on the person's
                behalf.
        """
        names = {"action": action, "subject": subject, "actor": actor}
        picked = {name: check_text(name, value, maximum=1_000) for name, value in names.items() if value is not None}
        page = self._page(picked, None)

        def pages(page: Sequence[AuditEvent]) -> Iterator[AuditEvent]:
            while page:
                yield from page
                page = self._page(picked, page[-1].id)

        return pages(page)

    def _page(self, picked: dict[str, str], before: str | None) -> Sequence[AuditEvent]:
        self._context.allow("audit.read")
        with self._context.core.storage.read(self._context.scope) as reader:
            return reader.audit_events(**picked, before=before, limit=_PAGE)

    def __repr__(self) -> str:
        return f"<audit log of tenant {self._context.tenant.slug!r}>"


def _bot_id(bot: object) -> str | None:
    if bot is None:
        return None
    if not isinstance(bot, Bot):
        raise InvalidInputError(
            f"bot must be a Bot such as tenant.bot(name) gives, not {type(bot).__name__}: {clipped(bot)}"
        )
    return bot.id
