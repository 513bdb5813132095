"""The usage ledger: one row for each provider call that costs something, opened before it and closed in every case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Final, Literal

from minirag._services.core import BotContext
from minirag._services.limits import check_budgets, refuse_unwritten
from minirag.errors import MiniRAGError
from minirag.interfaces import TokenUsage
from minirag.models.usage import UsageEvent
from minirag.types import new_id

__all__ = ["Ledger", "OpenCall"]

Kind = Literal["llm", "embedding", "rerank"]
Status = Literal["done", "failed", "cancelled"]

_NOTHING: Final = TokenUsage()


class OpenCall:
    """A call under way.

    Attributes:
        usage: what the provider counted, as far as is known.
        answered: whether the provider has begun to answer.
    """

    __slots__ = ("answered", "usage")

    def __init__(self) -> None:
        self.usage = TokenUsage()
        self.answered = False


class Ledger:
    """Writes the calls of one bot."""

    def __init__(self, bot: BotContext) -> None:
        self._bot = bot

    @contextmanager
    def call(
        self, kind: Kind, *, provider: str, model: str, metered: bool, at_most: TokenUsage = _NOTHING
    ) -> Iterator[OpenCall]:
        """Enter a call around a block. A block left early (a closed stream, a cancelled task) is `cancelled`.

        What it may use, `at_most`, is reserved in the transaction that opens it, and given back when it is closed. Nothing is
        written for an engine that costs nothing, or where the workspace may not write.

        Raises:
            BotNotFoundError: if the bot was deleted; then nothing was called.
            BudgetExceededError: if the tenant's budgets leave no room for it; then nothing was called.
            ReadOnlyWorkspaceError: if there are budgets, but the workspace may not write.
        """
        call, core = OpenCall(), self._bot.core
        if not metered:
            yield call
            return
        if core.storage.read_only:
            with core.storage.read(self._bot.scope) as reader:
                refuse_unwritten(reader)
            yield call
            return
        event = UsageEvent(
            id=new_id(),
            bot_id=self._bot.bot_id,
            kind=kind,
            provider=provider,
            model=model,
            status="open",
            reserved_tokens=at_most.input_tokens + at_most.output_tokens,
            reserved_cost=self._cost(provider, model, at_most),
            started_at=core.clock(),
        )
        core.check()
        with core.storage.write(self._bot.scope) as writer:
            self._bot.record(writer)
            check_budgets(writer, event)
            writer.put_usage(event)
        status: Status = "cancelled"
        try:
            yield call
            status = "done"
        except Exception:
            status = "failed"
            raise
        finally:
            try:
                core.check()
                with core.storage.write(self._bot.scope) as writer:
                    writer.put_usage(self._closed(event, call, status, at_most))
            except MiniRAGError:
                # The tenant or the workspace is gone; what the block raised matters more than its bill.
                if status == "done":
                    raise

    def _closed(self, event: UsageEvent, call: OpenCall, status: Status, at_most: TokenUsage) -> UsageEvent:
        """Return a call as it ended. Where the provider has not told what it used, it counts with what was sent."""
        told = call.usage != _NOTHING or (status == "failed" and not call.answered)
        sent = TokenUsage(input_tokens=at_most.input_tokens)
        return event.model_copy(
            update={
                "status": status,
                "finished_at": self._bot.core.clock(),
                "input_tokens": call.usage.input_tokens,
                "output_tokens": call.usage.output_tokens,
                "cost": self._cost(event.provider, event.model, call.usage) if told else None,
                "reserved_tokens": None if told else sent.input_tokens,
                "reserved_cost": None if told else self._cost(event.provider, event.model, sent),
            }
        )

    def _cost(self, provider: str, model: str, usage: TokenUsage) -> Decimal | None:
        price = self._bot.core.prices.of(provider, model)
        return None if price is None else price.cost(usage.input_tokens, usage.output_tokens)
