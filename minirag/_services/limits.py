"""Limits of tenants: what a call may spend is held before it is made, what a document takes before it is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from minirag._services.planning import Plan, Touch
from minirag.errors import BudgetExceededError, QuotaExceededError, ReadOnlyWorkspaceError
from minirag.interfaces.storage import Reader
from minirag.models.limits import WINDOWS, Limits, LimitsUse, LimitUse, shown, window_of
from minirag.models.usage import UsageEvent

__all__ = ["ALIVE", "check_budgets", "over_quota", "refuse_unwritten", "uses"]

ALIVE: Final = dt.timedelta(hours=1)
"""How long a call that was never closed keeps what it reserved: its process may have died."""

_HELD: Final = ("documents", "chunks", "characters")
_SPENT: Final = ("requests", "tokens", "cost")
_RAISE: Final = "workspace.tenants.update(slug, limits=...) changes it"


def check_budgets(reader: Reader, event: UsageEvent) -> None:
    """Raise if a call that is about to be entered may take the tenant over a budget.

    The transaction must be the one that enters it: then no other call can take the same money.

    Raises:
        BudgetExceededError: naming the budget.
    """
    limits = reader.limits()
    if limits is None:
        return
    for window in WINDOWS:
        budgets = {name: getattr(getattr(limits, name), window) for name in _SPENT}
        if all(value is None for value in budgets.values()):
            continue
        since, resets_at = window_of(window, event.started_at)
        spent = reader.spent(since=since and since.date(), alive_since=event.started_at - ALIVE)
        for name, asked in (("requests", 1), ("tokens", event.reserved_tokens or 0), ("cost", event.reserved_cost)):
            value = budgets[name]
            if value is not None:
                use = LimitUse(limit=name, window=window, value=value, used=getattr(spent, name), resets_at=resets_at)
                _check_budget(use, asked, event)


def _check_budget(use: LimitUse, asked: int | Decimal | None, event: UsageEvent) -> None:
    if asked is None:
        raise BudgetExceededError(
            f"what {event.provider}:{event.model} costs is not known, so the tenant's limit of {shown(use.value)} "
            f"({use.name}) could not be held; give its price to the workspace with prices=...",
            limit=use.name,
            value=use.value,
            used=use.used,
        )
    if use.used + asked <= use.value:
        return
    fits = asked <= use.value
    again = f"it begins anew at {use.resets_at:%Y-%m-%d %H:%M} UTC; " if use.resets_at is not None and fits else ""
    raise BudgetExceededError(
        f"the tenant's limit of {shown(use.value)} ({use.name}) leaves no room for this call: {shown(use.used)} are used "
        f"or reserved, and it may take {shown(asked)}; {again}{_RAISE}",
        limit=use.name,
        value=use.value,
        used=use.used,
        resets_at=use.resets_at,
        retryable=fits and use.resets_at is not None,
    )


def refuse_unwritten(reader: Reader) -> None:
    """Raise if the tenant has budgets, which calls that are not entered in the ledger would pass by.

    Raises:
        ReadOnlyWorkspaceError: naming a budget.
    """
    limits = reader.limits() or Limits()
    for name in _SPENT:
        if any(getattr(getattr(limits, name), window) is not None for window in WINDOWS):
            raise ReadOnlyWorkspaceError(
                f"the tenant has a limit of {name}, and a workspace opened with read_only=True cannot enter calls in the "
                "ledger; open it without"
            )


def over_quota(reader: Reader, ready: Iterable[Plan | Touch], planned: Iterable[Plan | Touch]) -> list[str | None]:
    """Return, for each of the planned, why there is no room for it, or None: each takes its room before the next one.

    Args:
        ready: what is to be written before them.
    """
    plans = list(planned)
    limits = reader.limits()
    if limits is None or all(getattr(limits, name) is None for name in _HELD):
        return [None] * len(plans)
    held = reader.held()
    room = {name: value - getattr(held, name) for name in _HELD if (value := getattr(limits, name)) is not None}
    for plan in ready:
        _take(room, _growth(reader, plan, room))
    reasons: list[str | None] = []
    for plan in plans:
        growth = _growth(reader, plan, room)
        # What does not grow is always taken, even where a limit was lowered below what is held.
        full = next((name for name, number in growth.items() if number > 0 and number > room[name]), None)
        if full is None:
            _take(room, growth)
            reasons.append(None)
        else:
            value = getattr(limits, full)
            reasons.append(str(_quota(full, value, value - room[full], growth[full])))
    return reasons


def _take(room: dict[str, int], growth: dict[str, int]) -> None:
    for name, number in growth.items():
        room[name] -= number


def _quota(name: str, value: int, used: int, asked: int) -> QuotaExceededError:
    return QuotaExceededError(
        f"the tenant's limit of {shown(value)} ({name}) leaves no room for this document: {shown(used)} are held, and it "
        f"would take {shown(asked)} more; remove some, or raise the limit: {_RAISE}",
        limit=name,
        value=value,
        used=used,
    )


def _growth(reader: Reader, plan: Plan | Touch, room: dict[str, int]) -> dict[str, int]:
    """Return by how much a document grows what the tenant holds, of what is limited."""
    if isinstance(plan, Touch):
        return dict.fromkeys(room, 0)
    before = plan.state
    growth = {"documents": int(before is None), "chunks": len(plan.chunks) - (0 if before is None else before.chunks)}
    if "characters" in room:
        version = None if before is None else reader.version(before.version_id)
        growth["characters"] = len(plan.parsed.text) - (0 if version is None else version.characters)
    return {name: growth[name] for name in room}


def uses(reader: Reader, now: dt.datetime) -> LimitsUse:
    """Return the tenant's limits, and how much of each is used now."""
    limits = reader.limits() or Limits()
    rows: list[LimitUse] = []
    quotas = {name: value for name in _HELD if (value := getattr(limits, name)) is not None}
    if quotas:
        held = reader.held()
        rows += [
            LimitUse(limit=name, window=None, value=value, used=getattr(held, name)) for name, value in quotas.items()
        ]
    for window in WINDOWS:
        budgets = {name: value for name in _SPENT if (value := getattr(getattr(limits, name), window)) is not None}
        if not budgets:
            continue
        since, resets_at = window_of(window, now)
        spent = reader.spent(since=since and since.date(), alive_since=now - ALIVE)
        rows += [
            LimitUse(limit=name, window=window, value=value, used=getattr(spent, name), resets_at=resets_at)
            for name, value in budgets.items()
        ]
    return LimitsUse(rows=tuple(rows))
