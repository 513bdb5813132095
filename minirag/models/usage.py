"""What provider calls cost."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final, Literal

from pydantic import Field

from minirag.models.base import Model, html_table
from minirag.models.money import dollars

__all__ = ["Usage", "UsageEvent", "UsageTotal"]


_MOST: Final = 1_000_000
"""US dollars of one call; a database keeps sums of some millions exactly."""


class Usage(Model):
    """Tokens of one or more provider calls, as the providers counted them.

    Attributes:
        input_tokens: tokens read; 0 where a provider counts none.
        output_tokens: tokens written.
        calls: provider calls.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            calls=self.calls + other.calls,
        )


class UsageEvent(Model):
    """One provider call in the ledger: written before the call, completed in every case. It outlives its bot.

    Attributes:
        kind: `llm`, `embedding` or `rerank`.
        status: `open` while it runs, then `done`, `failed` or `cancelled`.
        cost: US dollars, exact, at the price that was known when the call ended; None if none was known.
        reserved_tokens: tokens that it may use at most, while it is open. After it, what it counts as where it was left
            early and the provider never told what it used; else None.
        reserved_cost: what `reserved_tokens` cost; None if no price is known.
    """

    id: str
    bot_id: str
    kind: Literal["llm", "embedding", "rerank"]
    provider: str
    model: str
    status: Literal["open", "done", "failed", "cancelled"]
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = Field(default=None, ge=0, le=_MOST)
    reserved_tokens: int | None = None
    reserved_cost: Decimal | None = Field(default=None, ge=0, le=_MOST)
    started_at: dt.datetime
    finished_at: dt.datetime | None = None


class UsageTotal(Model):
    """The ledger summed up by kind and model."""

    rows: tuple[UsageRow, ...]

    @property
    def cost(self) -> Decimal | None:
        """US dollars of all calls whose price was known; None if it was of none."""
        known = [row.cost for row in self.rows if row.cost is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def unpriced(self) -> int:
        """How many calls are not in `cost`, as no price was known."""
        return sum(row.unpriced for row in self.rows)

    def __str__(self) -> str:
        lines = [
            f"{row.kind} {row.provider}:{row.model}: {row.calls} calls, {row.failed} failed, "
            f"{row.input_tokens:,} tokens in, {row.output_tokens:,} out, {_cost(row)}"
            for row in self.rows
        ]
        return "\n".join(lines) or "no calls"

    def _repr_html_(self) -> str:
        return html_table(
            ["kind", "provider", "model", "calls", "failed", "input tokens", "output tokens", "cost"],
            [
                [r.kind, r.provider, r.model, r.calls, r.failed, r.input_tokens, r.output_tokens, _cost(r)]
                for r in self.rows
            ],
        )


class UsageRow(Model):
    """The calls of one kind to one model.

    Attributes:
        cost: US dollars of those calls whose price was known; None if it was of none.
        unpriced: how many calls are not in `cost`.
    """

    kind: str
    provider: str
    model: str
    calls: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None = None
    unpriced: int = 0


def _cost(row: UsageRow) -> str:
    if row.cost is None:
        return "cost unknown"
    return dollars(row.cost) + (f" and {row.unpriced} calls of unknown cost" if row.unpriced else "")
