"""The clauses of `Storage` about closed tenants, whose a chat is, and what tenants hold; part of `StorageConformance`."""

from __future__ import annotations

import pytest

from minirag.errors import TenantNotFoundError
from minirag.models.chats import ChatRecord
from minirag.models.tenants import TenantCounts
from minirag.testing.storage_probes import interrupted
from minirag.testing.storage_world import StorageWorld
from minirag.types import new_id, utc_now

__all__ = ["StorageAccessClauses"]


class StorageAccessClauses:
    """The tests of S42 to S44."""

    def test_s42_a_closed_tenant_is_known_everywhere(self, world: StorageWorld) -> None:
        """S42: directory, reader and `search_state` say that a tenant is closed, of it alone, and until it is opened."""
        acme, rival, now = world.acme, world.rival, utc_now()
        with interrupted(world.storage.directory(write=True)) as directory:
            directory.suspend_tenant(acme.tenant, now)
        for at in (None, now, None):
            with world.storage.directory(write=True) as directory:
                directory.suspend_tenant(acme.tenant, at)
            with world.storage.directory() as directory:
                listed = {tenant.id: tenant.suspended_at for tenant in directory.tenants()}
                found = directory.tenant(acme.tenant.slug)
            assert listed == {acme.tenant.id: at, rival.tenant.id: None}, "S42: tenants() say otherwise"
            assert found == acme.tenant.model_copy(
                update={"suspended_at": at, "updated_at": found and found.updated_at}
            ), "S42: tenant() says otherwise"
            for customer, closed in ((acme, at is not None), (rival, False)):
                with world.storage.read(customer.scope) as reader:
                    state = reader.search_state(customer.bot.id)
                    assert reader.suspended() is closed, "S42: suspended() says otherwise"
                    assert (state and state.suspended) is closed, "S42: search_state() says otherwise"

    def test_s42_a_tenant_that_is_gone(self, world: StorageWorld) -> None:
        """S42: a tenant that was deleted is not closed, and cannot be."""
        with world.storage.directory(write=True) as directory:
            directory.delete_tenant(world.acme.tenant)
        with world.storage.read(world.acme.scope) as reader:
            assert not reader.suspended(), "S42: a tenant that is gone is closed"
        with pytest.raises(TenantNotFoundError), world.storage.directory(write=True) as directory:
            directory.suspend_tenant(world.acme.tenant, utc_now())

    def test_s43_chats_of_one_person(self, world: StorageWorld) -> None:
        """S43: `chats` of a person are that person's, newest first and page by page; a chat keeps whose it is."""
        acme, now = world.acme, utc_now()
        written: dict[str | None, list[str]] = {"ann": [], "bob": [], None: [acme.chat.id]}
        with world.storage.write(acme.scope) as writer:
            for number in range(9):
                owner = ("ann", "bob", None)[number % 3]
                chat = ChatRecord(
                    id=new_id(), bot_id=acme.bot.id, user_id=owner, title="", created_at=now, updated_at=now
                )
                writer.put_chat(chat)
                written[owner].append(chat.id)
            writer.put_chat(chat.model_copy(update={"user_id": "ann", "title": "Hello"}))
        with world.storage.read(acme.scope) as reader:
            for owner in ("ann", "bob"):
                first = reader.chats(acme.bot.id, user_id=owner, limit=2)
                rest = reader.chats(acme.bot.id, user_id=owner, before=first[-1].id, limit=2)
                assert [each.id for each in (*first, *rest)] == written[owner][::-1], "S43: other chats came back"
                assert {each.user_id for each in first} == {owner}, "S43: a chat has changed hands"
            everybody = {each.id for each in reader.chats(acme.bot.id)}
            assert everybody == {chat for chats in written.values() for chat in chats}, "S43: a chat is missing"
            assert reader.chats(acme.bot.id, user_id="nobody") == [], "S43: nobody's chats came back"

    def test_s44_what_tenants_hold(self, world: StorageWorld) -> None:
        """S44: `tenant_counts` gives each tenant's own numbers, as they are after each change."""
        world.write(world.acme, "second", "Another document. " * 10)
        with world.storage.directory() as directory:
            held = directory.tenant_counts()
        for customer in (world.acme, world.rival):
            with world.storage.read(customer.scope) as reader:
                stats = [reader.stats(bot.id) for bot in reader.bots()]
                users = len(reader.users())
            expected = TenantCounts(
                bots=len(stats),
                documents=sum(each.documents for each in stats),
                chunks=sum(each.chunks for each in stats),
                users=users,
            )
            assert held.get(customer.tenant.id, TenantCounts()) == expected, "S44: a tenant holds something else"
        with world.storage.write(world.acme.scope) as writer:
            writer.delete_bot(world.acme.bot.id)
        with world.storage.directory() as directory:
            after = directory.tenant_counts().get(world.acme.tenant.id, TenantCounts())
        assert (after.bots, after.documents, after.chunks) == (0, 0, 0), "S44: what was deleted is counted"
