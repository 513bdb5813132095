"""What provider calls cost."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from minirag.models.base import Model, html_table

__all__ = ["Usage", "UsageEvent", "UsageTotal"]


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
    """One provider call in the ledger: written before the call, completed in every case.

    Attributes:
        kind: `llm`, `embedding` or `rerank`.
        status: `open` while it runs, then `done`, `failed` or `cancelled`.
    """

    id: str
    bot_id: str
    kind: Literal["llm", "embedding", "rerank"]
    provider: str
    model: str
    status: Literal["open", "done", "failed", "cancelled"]
    input_tokens: int = 0
    output_tokens: int = 0
    started_at: dt.datetime
    finished_at: dt.datetime | None = None


class UsageTotal(Model):
    """The ledger summed up by kind and model."""

    rows: tuple[UsageRow, ...]

    def __str__(self) -> str:
        lines = [
            f"{row.kind} {row.provider}:{row.model}: {row.calls} calls, {row.failed} failed, "
            f"{row.input_tokens:,} tokens in, {row.output_tokens:,} out"
            for row in self.rows
        ]
        return "\n".join(lines) or "no calls"

    def _repr_html_(self) -> str:
        return html_table(
            ["kind", "provider", "model", "calls", "failed", "input tokens", "output tokens"],
            [[r.kind, r.provider, r.model, r.calls, r.failed, r.input_tokens, r.output_tokens] for r in self.rows],
        )


class UsageRow(Model):
    """The calls of one kind to one model."""

    kind: str
    provider: str
    model: str
    calls: int
    failed: int
    input_tokens: int
    output_tokens: int
