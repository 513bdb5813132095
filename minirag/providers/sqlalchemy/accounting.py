"""The ledger of provider calls, tenants' limits, and the audit log: their statements and what is read and written with them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, case, func
from sqlalchemy.dialects.postgresql import insert

from minirag.interfaces.accounting import AccountingDirectory, AccountingReader, AccountingWriter, Held, Spent
from minirag.models.audit import AuditEvent
from minirag.models.limits import Limits
from minirag.models.money import exact_dollars, picodollars
from minirag.models.tenants import Tenant
from minirag.models.usage import UsageEvent, UsageRow
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.identity_tables import audit_events
from minirag.providers.sqlalchemy.scoping import add, equals, scoped, upsert, values
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["SqlAccountingDirectory", "SqlAccountingReader", "SqlAccountingWriter"]

_ABOVE_EVERY_ID: Final = "~"

# ---------------------------------------------------------------- the ledger
_calls: Final = t.usage_events.c
_USAGE_EVENTS: Final = (
    scoped(t.usage_events).where(_calls.id < bindparam("before")).order_by(_calls.id.desc()).limit(bindparam("limit"))
)
_USAGE_GROUP: Final = (_calls.kind, _calls.provider, _calls.model)


def _sum(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(value), 0)


_USAGE: Final = (
    scoped(
        *_USAGE_GROUP,
        func.count().label("calls"),
        _sum(case((_calls.status == "failed", 1), else_=0)).label("failed"),
        _sum(_calls.input_tokens).label("input_tokens"),
        _sum(_calls.output_tokens).label("output_tokens"),
        func.sum(_calls.cost).label("cost"),
        _sum(case((_calls.cost.is_(None), 1), else_=0)).label("unpriced"),
        of=(t.usage_events,),
    )
    .group_by(*_USAGE_GROUP)
    .order_by(*_USAGE_GROUP)
)
_USAGE_OF_BOT: Final = _USAGE.where(equals(_calls.bot_id))
_USAGE_EVENTS_OF_BOT: Final = _USAGE_EVENTS.where(equals(_calls.bot_id))
_PUT_USAGE: Final = upsert(t.usage_events, fixed=("bot_id", "started_at"))

# ---------------------------------------------------------------- limits
_used: Final = _calls.input_tokens + _calls.output_tokens
_reserved: Final = func.coalesce(_calls.reserved_tokens, _used)
_reserved_cost: Final = func.coalesce(_calls.reserved_cost, _calls.cost, 0)
_dead: Final = _calls.started_at < bindparam("alive_since")
_UNDER_WAY: Final = scoped(
    func.count(),
    _sum(case((_dead, _used), else_=_reserved)),
    _sum(case((_dead, func.coalesce(_calls.cost, 0)), else_=_reserved_cost)),
    of=(t.usage_events,),
).where(t.OPEN, _calls.started_at >= bindparam("since"))
_days: Final = t.usage_days.c
_ENDED: Final = scoped(_sum(_days.requests), _sum(_days.tokens), _sum(_days.cost), of=(t.usage_days,)).where(
    _days.day >= bindparam("since")
)
_CALL: Final = scoped(
    _calls.started_at, _calls.status, _reserved.label("tokens"), _reserved_cost.label("cost"), of=(t.usage_events,)
).where(equals(_calls.id))
_new_day: Final = insert(t.usage_days).values(values(t.usage_days))
_COUNT: Final = _new_day.on_conflict_do_update(
    index_elements=[_days.tenant_id, _days.day],
    set_={name: _days[name] + _new_day.excluded[name] for name in ("requests", "tokens", "cost")},
)
_HELD: Final = scoped(
    _sum(t.bot_logs.c.documents), _sum(t.bot_logs.c.chunks), _sum(t.bot_logs.c.characters), of=(t.bot_logs,)
)
_LIMITS: Final = scoped(t.tenant_limits.c.limits, of=(t.tenant_limits,))
_PUT_LIMITS: Final = upsert(t.tenant_limits)

# ---------------------------------------------------------------- the audit log
_done: Final = audit_events.c
_AUDIT_EVENTS: Final = (
    scoped(audit_events).where(_done.id < bindparam("before")).order_by(_done.id.desc()).limit(bindparam("limit"))
)
_BY_ACTOR: Final = equals(_done.actor) | (
    (_done.actor >= bindparam("actor_from")) & (_done.actor < bindparam("actor_to"))
)
"""An actor's tokens are named with a slash behind the actor: between the actor with a slash and with what follows that."""
_ADD_AUDIT_EVENT: Final = add(audit_events)


@lru_cache
def _audit_events(by: tuple[str, ...]) -> Select[Any]:
    """Return the query of a page of events, of those that have what `by` names."""
    found = _AUDIT_EVENTS
    for name in by:
        found = found.where(_BY_ACTOR if name == "actor" else equals(_done[name]))
    return found


class SqlAccountingReader(AccountingReader):
    """What was spent and done, and what may be."""

    _transaction: Transaction

    def usage(self, bot_id: str | None = None) -> list[UsageRow]:
        if bot_id is None:
            rows = self._transaction.rows(_USAGE)
        else:
            rows = self._transaction.rows(_USAGE_OF_BOT, bot_id=bot_id)
        return [UsageRow(**{**row._asdict(), "cost": _dollars(row.cost)}) for row in rows]

    def usage_events(
        self, bot_id: str | None = None, *, before: str | None = None, limit: int = 100
    ) -> list[UsageEvent]:
        page = {"before": before or _ABOVE_EVERY_ID, "limit": limit}
        if bot_id is None:
            rows = self._transaction.rows(_USAGE_EVENTS, **page)
        else:
            rows = self._transaction.rows(_USAGE_EVENTS_OF_BOT, bot_id=bot_id, **page)
        return [_to_usage_event(row) for row in rows]

    def limits(self) -> Limits | None:
        text = self._transaction.value(_LIMITS)
        return None if text is None else Limits.model_validate_json(text)

    def held(self) -> Held:
        ((documents, chunks, characters),) = self._transaction.tuples(_HELD)
        return Held(int(documents), int(chunks), int(characters))

    def spent(self, *, since: dt.date | None, alive_since: dt.datetime) -> Spent:
        first, alive = "" if since is None else since.isoformat(), m.stamp(alive_since)
        ((requests, tokens, cost),) = self._transaction.tuples(_ENDED, since=first)
        ((more, reserved, kept),) = self._transaction.tuples(_UNDER_WAY, since=first, alive_since=alive)
        return Spent(int(requests) + more, int(tokens) + int(reserved), exact_dollars(int(cost) + int(kept)))

    def audit_events(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[AuditEvent]:
        given = {
            "before": before or _ABOVE_EVERY_ID,
            "limit": limit,
            "action": action,
            "subject": subject,
            "actor": actor,
        }
        if actor is not None:
            given |= {"actor_from": f"{actor}/", "actor_to": f"{actor}{chr(ord('/') + 1)}"}
        by = tuple(name for name in ("actor", "action", "subject") if given[name] is not None)
        return [_to_audit_event(row) for row in self._transaction.rows(_audit_events(by), **given)]


class SqlAccountingWriter(AccountingWriter):
    """Writes what was spent and done."""

    _transaction: Transaction

    def put_usage(self, event: UsageEvent) -> None:
        before = self._transaction.row(_CALL, id=event.id)
        self._transaction.run(_PUT_USAGE, **_usage_row(event))
        after = self._transaction.row(_CALL, id=event.id)
        # What a call counts as is entered in its day when it ends, and taken back if its row is ever written anew.
        for call, sign in ((before, -1), (after, 1)):
            if call is not None and call.status != "open":
                day = {"day": call.started_at[:10], "requests": sign, "tokens": sign * call.tokens}
                self._transaction.run(_COUNT, **day, cost=sign * call.cost)

    def put_audit_events(self, events: Sequence[AuditEvent]) -> None:
        self._transaction.many(_ADD_AUDIT_EVENT, [_audit_row(event) for event in events])


class SqlAccountingDirectory(AccountingDirectory):
    """Writes what may be spent, and what was done to a tenant itself."""

    _transaction: Transaction

    def put_audit_events(self, tenant: Tenant, events: Sequence[AuditEvent]) -> None:
        # A transaction of the directory has no scope; the tenant is named by the caller.
        self._transaction.many(_ADD_AUDIT_EVENT, [{**_audit_row(event), "scope": tenant.id} for event in events])

    def put_limits(self, tenant: Tenant, limits: Limits) -> None:
        text = limits.model_dump_json(exclude_none=True, exclude_defaults=True)
        self._transaction.run(_PUT_LIMITS, scope=tenant.id, limits=text)


def _to_usage_event(row: Any) -> UsageEvent:
    values = {name: getattr(row, name) for name in UsageEvent.model_fields}
    finished_at = None if row.finished_at is None else dt.datetime.fromisoformat(row.finished_at)
    times = {"started_at": dt.datetime.fromisoformat(row.started_at), "finished_at": finished_at}
    costs = {"cost": _dollars(row.cost), "reserved_cost": _dollars(row.reserved_cost)}
    return UsageEvent(**{**values, **times, **costs})


def _usage_row(event: UsageEvent) -> Mapping[str, Any]:
    return {
        **event.model_dump(),
        "started_at": m.stamp(event.started_at),
        "finished_at": None if event.finished_at is None else m.stamp(event.finished_at),
        "cost": _stored(event.cost),
        "reserved_cost": _stored(event.reserved_cost),
    }


def _to_audit_event(row: Any) -> AuditEvent:
    at = dt.datetime.fromisoformat(row.at)
    return AuditEvent(id=row.id, at=at, actor=row.actor, action=row.action, subject=row.subject)


def _audit_row(event: AuditEvent) -> Mapping[str, Any]:
    return {**event.model_dump(), "at": m.stamp(event.at)}


def _dollars(stored: Any) -> Decimal | None:
    return None if stored is None else exact_dollars(int(stored))


def _stored(amount: Decimal | None) -> int | None:
    return None if amount is None else picodollars(amount)
