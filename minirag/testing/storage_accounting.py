"""The clauses of `Storage` about what was spent and what was done; part of `StorageConformance`."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from minirag.interfaces.accounting import Held, Spent
from minirag.models.audit import AuditEvent
from minirag.models.limits import Budget, CostBudget, Limits
from minirag.models.usage import UsageEvent
from minirag.testing.storage_probes import interrupted
from minirag.testing.storage_world import CHUNK, Customer, StorageWorld, new_bot
from minirag.types import new_id, utc_now

__all__ = ["StorageAccountingClauses"]


class StorageAccountingClauses:
    """The tests of S39 to S41."""

    def test_s39_the_log_is_the_tenants_own_newest_first(self, world: StorageWorld) -> None:
        """S39: what was written comes back newest first, page by page, and no other tenant's."""
        written = _events(
            ("user:a", "bot.created", "b1"), ("application", "bot.updated", "b1"), ("user:b", "x.y", "b2")
        )
        for customer in (world.acme, world.rival):
            own = written if customer is world.acme else _events(("user:a", "bot.created", "b1"))
            with world.storage.write(customer.scope) as writer:
                writer.put_audit_events(own)
                writer.put_audit_events([])
                assert writer.audit_events() == own[::-1], "S39: other events came back, or in another order"
        with world.storage.read(world.acme.scope) as reader:
            first = reader.audit_events(limit=2)
            rest = reader.audit_events(limit=2, before=first[-1].id)
        assert [*first, *rest] == written[::-1], "S39: pages leave something out, or give it twice"

    def test_s39_an_actor_has_its_tokens_with_it(self, world: StorageWorld) -> None:
        """S39: `actor` finds what was done by it and on its behalf, and nobody's whose name begins alike."""
        written = _events(
            ("user:a", "bot.created", "b1"), ("user:a/token:t", "bot.deleted", "b2"), ("user:a1", "bot.created", "b1"),
            ("user:a-", "bot.created", "b1"), ("user:", "bot.created", "b1"),
        )  # fmt: skip
        with world.storage.write(world.acme.scope) as writer:
            writer.put_audit_events(written)
            found = [
                writer.audit_events(**picked)  # type: ignore[arg-type]  # each of them is a name and a text
                for picked in (
                    {"actor": "user:a"}, {"actor": "user:a/token:t"}, {"action": "bot.deleted"}, {"subject": "b1"},
                    {"actor": "user:a", "subject": "b2"}, {"subject": "b"}, {"action": "bot"},
                )
            ]  # fmt: skip
        numbers = [[written.index(event) for event in events] for events in found]
        assert numbers == [[1, 0], [1], [1], [4, 3, 2, 0], [1], [], []], "S39: a condition picks other events"

    def test_s39_an_undone_action_is_not_in_the_log(self, world: StorageWorld) -> None:
        """S39: an event is a part of its transaction, in a tenant's own and in the directory's."""
        tenant = world.acme.tenant
        with interrupted(world.storage.write(world.acme.scope)) as writer:
            writer.put_audit_events(_events(("application", "bot.created", "b1")))
        with interrupted(world.storage.directory(write=True)) as directory:
            directory.put_audit_events(tenant, _events(("application", "tenant.updated", "t1")))
        with world.storage.read(world.acme.scope) as reader:
            assert reader.audit_events() == [], "S39: an event of a block that failed is there"
        written = _events(("application", "tenant.updated", "t1"))
        with world.storage.directory(write=True) as directory:
            directory.put_audit_events(tenant, written)
        with world.storage.read(world.acme.scope) as reader:
            assert reader.audit_events() == written, "S39: the directory wrote other events"
        with world.storage.read(world.rival.scope) as reader:
            assert reader.audit_events() == [], "S39: the directory wrote into another tenant's log"

    def test_s40_limits_are_the_last_ones_written(self, world: StorageWorld) -> None:
        """S40: limits come back as they were written last, exact, and are no other tenant's."""
        first = Limits(documents=5, cost=CostBudget(month=Decimal("0.1"), day=Decimal("1e-12")))
        second = Limits(requests=Budget(day=3, total=10**15), tokens=Budget(month=0))
        with world.storage.read(world.acme.scope) as reader:
            assert reader.limits() is None, "S40: a tenant has limits before any were written"
        for limits in (first, second, Limits()):
            with interrupted(world.storage.directory(write=True)) as directory:
                directory.put_limits(world.acme.tenant, limits)
            with world.storage.directory(write=True) as directory:
                directory.put_limits(world.acme.tenant, limits)
            with world.storage.read(world.acme.scope) as reader:
                assert reader.limits() == limits, "S40: other limits came back"
        with world.storage.read(world.rival.scope) as reader:
            assert reader.limits() is None, "S40: limits are another tenant's"

    def test_s40_what_is_held_is_that_of_all_bots(self, world: StorageWorld) -> None:
        """S40: `held` adds up the tenant's bots, with each change of them."""
        acme = world.acme
        note = "A canary of acme. " * 5
        world.write(acme, "other", "x" * (CHUNK + 1))
        with world.storage.write(acme.scope) as writer:
            writer.put_bot(new_bot("second"))
            held = writer.held()
            assert held == Held(2, len(range(0, len(note), CHUNK)) + 2, len(note) + CHUNK + 1), "S40: held() differs"
            writer.remove_documents(acme.bot.id, [world.document_id(acme, "note")])
            assert writer.held() == Held(1, 2, CHUNK + 1), "S40: what was removed is still held"
            writer.delete_bot(acme.bot.id)
            assert writer.held() == Held(0, 0, 0), "S40: what a deleted bot had is still held"

    def test_s41_what_was_spent_is_added_up(self, world: StorageWorld) -> None:
        """S41: calls count with what they used; one under way with what it reserved, unless it began too long ago."""
        acme, now = world.acme, utc_now().replace(hour=12)
        long_ago = now - dt.timedelta(days=1)
        with world.storage.write(acme.scope) as writer:
            before = writer.spent(since=None, alive_since=now)
            assert before == Spent(1, 3, Decimal(0)), "S41: a call without a price, or another tenant's, has a cost"
            for event in (
                _call(acme, "done", now, input_tokens=10, output_tokens=5, cost=Decimal("1.000000000001")),
                _call(acme, "open", now, reserved_tokens=100, reserved_cost=Decimal("0.5")),
                _call(acme, "open", long_ago, reserved_tokens=1_000, reserved_cost=Decimal(7)),
                _call(acme, "cancelled", long_ago, reserved_tokens=40, reserved_cost=Decimal("0.25")),
                _call(acme, "failed", long_ago, input_tokens=1),
            ):
                writer.put_usage(event)
        with world.storage.read(acme.scope) as reader:
            alive = now - dt.timedelta(hours=1)
            everything = reader.spent(since=None, alive_since=alive)
            lately = reader.spent(since=now.date(), alive_since=alive)
            patient = reader.spent(since=None, alive_since=long_ago)
            rows = reader.usage()
        with world.storage.read(world.rival.scope) as reader:
            assert reader.spent(since=None, alive_since=alive) == before, "S41: another tenant's calls are counted"
        assert everything == Spent(6, 159, Decimal("1.750000000001")), "S41: the sum differs"
        assert lately == Spent(3, 118, Decimal("1.500000000001")), "S41: `since` is not heeded"
        assert patient == Spent(6, 1_159, Decimal("8.750000000001")), "S41: `alive_since` is not heeded"
        assert [(row.cost, row.unpriced) for row in rows] == [(Decimal("1.000000000001"), 5)], "S41: usage() differs"

    def test_s41_a_call_counts_once(self, world: StorageWorld) -> None:
        """S41: a call that ends counts with what it used instead of its reservation; one written anew counts as it is now."""
        acme, now = world.acme, utc_now()
        event = _call(acme, "open", now, reserved_tokens=50, reserved_cost=Decimal(5))
        seen = []
        for changes in (
            {},
            {
                "status": "done",
                "reserved_tokens": None,
                "reserved_cost": None,
                "input_tokens": 7,
                "cost": Decimal("0.5"),
            },
            {"status": "done", "reserved_tokens": None, "reserved_cost": None, "input_tokens": 9, "cost": Decimal(1)},
        ):
            with world.storage.write(acme.scope) as writer:
                writer.put_usage(event.model_copy(update=changes))
                seen.append(writer.spent(since=now.date(), alive_since=now))
        assert seen == [Spent(2, 53, Decimal(5)), Spent(2, 10, Decimal("0.5")), Spent(2, 12, Decimal(1))], (
            "S41: a call counts twice, or not as it ended"
        )

    def test_s41_what_a_bot_spent_outlives_it(self, world: StorageWorld) -> None:
        """S41: the ledger of a deleted bot stays, exact, and a call of it may still be closed."""
        acme = world.acme
        event = _call(acme, "open", utc_now(), reserved_tokens=9)
        closed = event.model_copy(update={"status": "done", "reserved_tokens": None, "cost": Decimal("0.1")})
        with world.storage.write(acme.scope) as writer:
            writer.put_usage(event)
            writer.delete_bot(acme.bot.id)
        with world.storage.write(acme.scope) as writer:
            writer.put_usage(closed)
        with world.storage.read(acme.scope) as reader:
            assert reader.usage_events() == [closed, acme.event], "S41: a deleted bot took its ledger with it"


def _call(customer: Customer, status: Any, started_at: dt.datetime, **used: Any) -> UsageEvent:
    return UsageEvent(
        id=new_id(), bot_id=customer.bot.id, kind="llm", provider="p", model="m", status=status, started_at=started_at, **used
    )  # fmt: skip


def _events(*given: tuple[str, str, str]) -> list[AuditEvent]:
    return [
        AuditEvent(id=new_id(), at=utc_now(), actor=actor, action=action, subject=subject)
        for actor, action, subject in given
    ]
