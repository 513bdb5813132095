"""`AsyncUsageLedger` and `AsyncAuditLog`: what was spent and what was done, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator

from minirag.aio.bot import AsyncBot, each
from minirag.aio.runner import Runner
from minirag.bot import Bot
from minirag.models.audit import AuditEvent
from minirag.models.limits import LimitsUse
from minirag.models.usage import UsageEvent, UsageTotal
from minirag.session import TenantSession

__all__ = ["AsyncAuditLog", "AsyncUsageLedger"]


class AsyncUsageLedger:
    """A tenant's provider calls; see `UsageLedger`."""

    def __init__(self, session: TenantSession, runner: Runner) -> None:
        self._usage = session.usage
        self._runner = runner

    async def total(self, *, bot: AsyncBot | None = None) -> UsageTotal:
        """Return the calls summed up by kind and model."""
        return await self._runner.call(self._usage.total, bot=_plain(bot))

    def events(self, *, bot: AsyncBot | None = None) -> AsyncIterator[UsageEvent]:
        """Yield single calls, newest first."""
        return each(self._runner, lambda: self._usage.events(bot=_plain(bot)))

    async def limits(self) -> LimitsUse:
        """Return the tenant's limits and how much of each is used now; see `UsageLedger.limits`."""
        return await self._runner.call(self._usage.limits)

    def __repr__(self) -> str:
        return repr(self._usage)


class AsyncAuditLog:
    """What was done in a tenant; see `AuditLog`."""

    def __init__(self, session: TenantSession, runner: Runner) -> None:
        self._audit = session.audit
        self._runner = runner

    def events(
        self, *, action: str | None = None, subject: str | None = None, actor: str | None = None
    ) -> AsyncIterator[AuditEvent]:
        """Yield what was done, newest first; see `AuditLog.events`."""
        return each(self._runner, lambda: self._audit.events(action=action, subject=subject, actor=actor))

    def __repr__(self) -> str:
        return repr(self._audit)


def _plain(bot: AsyncBot | None) -> Bot | None:
    return bot._bot if isinstance(bot, AsyncBot) else bot
