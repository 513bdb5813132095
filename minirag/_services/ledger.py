"""The usage ledger: one row for each provider call that costs something, opened before it and closed in every case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from minirag._services.core import BotContext
from minirag.errors import MiniRAGError
from minirag.interfaces import TokenUsage
from minirag.models.usage import UsageEvent
from minirag.types import new_id, utc_now

__all__ = ["Ledger", "OpenCall"]

Kind = Literal["llm", "embedding", "rerank"]


class OpenCall:
    """A call under way. `usage` is what the provider counted, as far as is known."""

    __slots__ = ("usage",)

    def __init__(self) -> None:
        self.usage = TokenUsage()


class Ledger:
    """Writes the calls of one bot."""

    def __init__(self, bot: BotContext) -> None:
        self._bot = bot

    @contextmanager
    def call(self, kind: Kind, *, provider: str, model: str, metered: bool) -> Iterator[OpenCall]:
        """Enter a call around a block. A block left early (a closed stream, a cancelled task) is `cancelled`.

        Nothing is written for an engine that costs nothing, or where the workspace may not write.
        """
        call = OpenCall()
        if not metered or self._bot.core.storage.read_only:
            yield call
            return
        event = UsageEvent(
            id=new_id(),
            bot_id=self._bot.bot_id,
            kind=kind,
            provider=provider,
            model=model,
            status="open",
            started_at=utc_now(),
        )
        self._put(event)
        status: Literal["done", "failed", "cancelled"] = "cancelled"
        try:
            yield call
            status = "done"
        except Exception:
            status = "failed"
            raise
        finally:
            done = event.model_copy(
                update={
                    "status": status,
                    "finished_at": utc_now(),
                    "input_tokens": call.usage.input_tokens,
                    "output_tokens": call.usage.output_tokens,
                }
            )
            try:
                self._put(done)
            except MiniRAGError:
                # The bot or the workspace is gone; what the block raised matters more than its bill.
                if status == "done":
                    raise

    def _put(self, event: UsageEvent) -> None:
        self._bot.core.check()
        with self._bot.core.storage.write(self._bot.scope) as writer:
            writer.put_usage(event)
