"""What a tenant may hold and spend at most, and how near it is to that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictInt

from minirag.errors import InvalidInputError
from minirag.models.base import InputModel, Model, html_table
from minirag.models.checks import clipped
from minirag.models.money import dollars, exact_number

__all__ = [
    "WINDOWS",
    "Budget",
    "CostBudget",
    "LimitUse",
    "Limits",
    "LimitsUse",
    "Window",
    "check_limits",
    "shown",
    "window_of",
]

Window = Literal["day", "month", "total"]
WINDOWS: tuple[Window, ...] = ("day", "month", "total")

_MOST = 10**15


Count = Annotated[StrictInt, Field(ge=0, le=_MOST)]
Dollars = Annotated[
    Decimal, BeforeValidator(exact_number), Field(ge=0, le=1_000_000, decimal_places=12, allow_inf_nan=False)
]


class Budget(InputModel):
    """How many a day, a month and in all; None for no limit. Days and months are those of UTC."""

    day: Count | None = None
    month: Count | None = None
    total: Count | None = None


class CostBudget(InputModel):
    """How many US dollars a day, a month and in all; None for no limit. Days and months are those of UTC."""

    day: Dollars | None = None
    month: Dollars | None = None
    total: Dollars | None = None


class Limits(InputModel):
    """What a tenant may hold and spend at most; what is None has no limit.

    Attributes:
        documents: documents of all its bots.
        chunks: the pieces that they are cut into.
        characters: the length of their present texts, in code points.
        requests: calls of providers that are entered in the ledger.
        tokens: tokens read and written by these calls.
        cost: what these calls cost, in US dollars. A model whose price is unknown is not called then.
    """

    documents: Count | None = None
    chunks: Count | None = None
    characters: Count | None = None
    requests: Budget = Budget()
    tokens: Budget = Budget()
    cost: CostBudget = CostBudget()


class LimitUse(Model):
    """How near a tenant is to one of its limits.

    Attributes:
        limit: `documents`, `chunks`, `characters`, `requests`, `tokens` or `cost`.
        window: `day`, `month` or `total`; None for what is held, which has no window.
        value: the limit.
        used: how much of it is used, with what calls under way have reserved.
        resets_at: when the window ends, or None.
    """

    limit: str
    window: Window | None
    value: int | Decimal
    used: int | Decimal
    resets_at: dt.datetime | None = None

    @property
    def left(self) -> int | Decimal:
        """How much is left; 0 where more is used, as a limit may be lowered."""
        return max(self.value - self.used, type(self.value)(0))

    @property
    def name(self) -> str:
        """The limit with its window, such as `cost a month`."""
        return (
            self.limit
            if self.window is None
            else f"{self.limit} {'in all' if self.window == 'total' else f'a {self.window}'}"
        )


class LimitsUse(Model):
    """A tenant's limits and how much of each is used."""

    rows: tuple[LimitUse, ...]

    def __str__(self) -> str:
        return "\n".join(f"{row.name}: {shown(row.used)} of {shown(row.value)}" for row in self.rows) or "no limits"

    def _repr_html_(self) -> str:
        return html_table(
            ["limit", "used", "of", "resets at"],
            [
                [
                    row.name,
                    shown(row.used),
                    shown(row.value),
                    "" if row.resets_at is None else f"{row.resets_at:%Y-%m-%d %H:%M} UTC",
                ]
                for row in self.rows
            ],
        )


def shown(value: int | Decimal) -> str:
    """Return a number of things, or an amount of money, for a message."""
    return dollars(value) if isinstance(value, Decimal) else f"{value:,}"


def window_of(window: Window, now: dt.datetime) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Return when the window around `now` began and when it ends, in UTC; None and None for the one without end."""
    if window == "total":
        return None, None
    today = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "day":
        return today, today + dt.timedelta(days=1)
    first = today.replace(day=1)
    return first, (first + dt.timedelta(days=32)).replace(day=1)


def check_limits(limits: object) -> Limits:
    """Return limits given as a mapping; None stands for none.

    Raises:
        InvalidInputError: naming the limit that is unknown or wrong.
    """
    if isinstance(limits, Limits):
        return limits
    given = {} if limits is None else limits
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InvalidInputError(
            f"limits={clipped(limits)} must be a mapping such as {{'documents': 1000, 'cost': {{'month': 20}}}}, or None"
        )
    fields = {name: value for name, value in given.items() if value is not None}
    return Limits(**fields)
