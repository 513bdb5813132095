"""Many writers of one PostgreSQL database: nothing is lost, nothing comes twice, nobody waits for ever."""

from __future__ import annotations

import threading

import pytest

from minirag.errors import ConflictError, NotFoundError, StorageBusyError, StorageError
from minirag.interfaces.records import LogPosition
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage_world import Customer, StorageWorld, draft, new_bot, new_source
from minirag.types import new_id
from tests.servers.postgres_server import PostgresServer

WRITERS = 8
ROUNDS = 6


def write_at_once(world: StorageWorld, customers: list[Customer]) -> None:
    """Have each customer's bot written by a thread with a storage of its own, all at once; fail if one fails."""
    problems: list[BaseException] = []
    ready = threading.Barrier(len(customers))

    def work(number: int, customer: Customer) -> None:
        try:
            storage = world.open()
            ready.wait(30)
            for turn in range(ROUNDS):
                drafts = [draft(customer, f"{number}/{turn}/{part}", "A text. " * 20) for part in range(2)]
                with storage.write(customer.scope) as writer:
                    space = customer.bot.space.fingerprint
                    written = writer.write_versions(customer.bot.id, drafts, space=space, keep_versions=None)
                    assert None not in written
                if turn % 3 == 2:
                    with storage.write(customer.scope) as writer:
                        (found,) = writer.documents_with_key(customer.bot.id, f"{number}/{turn}/0")
                        assert writer.remove_documents(customer.bot.id, [found.id]) == 1
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=each) for each in enumerate(customers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert problems == []


def check_log(world: StorageWorld, customer: Customer, changes: int) -> None:
    """Fail unless the bot's log has so many rows, without gaps, and its chunks are what they add up to."""
    with world.storage.read(customer.scope) as reader:
        log = reader.log(customer.bot.id, after=0, limit=10_000)
        assert [row.sequence for row in log] == list(range(1, changes + 1))
        assert len({row.nonce for row in log}) == changes
        assert reader.position(customer.bot.id) == LogPosition(changes, log[-1].nonce)
    assert list(world.storage.verify(customer.scope)) == []


CHANGES = ROUNDS * 2 + ROUNDS // 3
"""Log rows that one writer makes."""


def test_eight_writers_of_one_bot(world: StorageWorld) -> None:
    """Eight writers of one bot lose no row of its log and write none twice."""
    write_at_once(world, [world.acme] * WRITERS)
    check_log(world, world.acme, 1 + WRITERS * CHANGES)


def test_eight_writers_of_eight_bots(world: StorageWorld) -> None:
    """Eight writers of eight bots, of two tenants, do not disturb each other."""
    customers = []
    for number in range(WRITERS):
        mine = (world.acme, world.rival)[number % 2]
        bot = new_bot(f"bot {number}")
        source = new_source(bot.id)
        with world.storage.write(mine.scope) as writer:
            writer.put_bot(bot)
            writer.put_source(source)
        customers.append(Customer(mine.tenant, mine.scope, bot, source, mine.chat, mine.message, mine.event, mine.key))
    write_at_once(world, customers)
    for customer in customers:
        check_log(world, customer, CHANGES)


def test_a_writer_waits_only_so_long(postgres: PostgresServer, schema: str, world: StorageWorld) -> None:
    """While another writes for the tenant for longer than the timeout, a write is `StorageBusyError`; a read is not held up."""
    impatient = SqlAlchemyStorage(postgres.url(schema), busy_timeout=0.05)
    with world.storage.write(world.acme.scope):
        with pytest.raises(StorageBusyError, match="try again"), impatient.write(world.acme.scope):
            pass
        with impatient.read(world.acme.scope) as reader:
            assert reader.bot("support") == world.acme.bot
        with impatient.write(world.rival.scope) as writer:
            writer.put_bot(new_bot("meanwhile"))
    with impatient.write(world.acme.scope) as writer:
        writer.put_bot(new_bot("second"))
    impatient.close()


def test_a_refused_row_leaves_the_rest(world: StorageWorld) -> None:
    """After a row was refused, the same transaction goes on, and what it wrote is there."""
    with world.storage.write(world.acme.scope) as writer:
        writer.put_bot(new_bot("second"))
        with pytest.raises(ConflictError):
            writer.put_bot(new_bot("second"))
        with pytest.raises(NotFoundError):
            writer.put_message(new_id(), world.acme.message)
        writer.put_bot(new_bot("third"))
    with world.storage.read(world.acme.scope) as reader:
        assert [bot.profile.name for bot in reader.bots()] == ["second", "support", "third"]


def test_a_text_with_nul_is_refused(world: StorageWorld) -> None:
    """A text that PostgreSQL cannot store is an error that says so and does not repeat it."""
    with pytest.raises(StorageError, match="NUL") as caught, world.storage.write(world.acme.scope) as writer:
        writer.put_secrets(world.acme.bot.id, {"field": "a secret text \x00"})
    assert "secret text" not in str(caught.value)


def test_a_lost_connection_is_replaced(postgres: PostgresServer, world: StorageWorld) -> None:
    """Connections that the server closed while they lay idle are made anew without an error."""
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )
    with world.storage.read(world.acme.scope) as reader:
        assert reader.bot("support") == world.acme.bot
