"""The clauses of `Storage` about itself as a whole: check, repair, backup; part of `StorageConformance`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from minirag.interfaces.storage import Storage
from minirag.interfaces.upkeep import StoredFault
from minirag.models.verification import FAULT_KINDS
from minirag.testing.storage_probes import view
from minirag.testing.storage_world import Customer, StorageWorld

__all__ = ["StorageUpkeepClauses"]

_TEXT = "A text of some chunks, each of forty code points. " * 5


class StorageUpkeepClauses:
    """The tests of S17 to S19."""

    upkeep: bool = True
    """Whether the storage can check, repair and copy itself; one that cannot leaves the methods as they are."""

    concurrent: bool
    make_storage: Callable[..., Storage]

    def test_s17_nothing_is_wrong_with_what_was_written(self, world: StorageWorld) -> None:
        """S17: after every kind of write no fault is found, deep or not, and what was checked is told."""
        self._need_upkeep()
        acme = world.acme
        for number in range(3):
            world.write(acme, f"b{number}", f"{_TEXT}{number}", metadata={"year": number})
        world.write(acme, "b0", "Another text.")
        with world.storage.write(acme.scope) as writer:
            writer.remove_documents(acme.bot.id, [world.document_id(acme, "b1")])
            writer.mark_stale(acme.bot.id)
            writer.update_document(world.document_id(acme, "b2"), title="New", metadata={"year": 9}, raw_hash=None)
        told: dict[str, int] = {}
        for scope in (None, acme.scope, world.rival.scope):
            for deep in (False, True):
                found = list(
                    world.storage.verify(
                        scope, deep=deep, tell=lambda what, n: told.update({what: told.get(what, 0) + n})
                    )
                )
                assert found == [], f"S17: a fault was found where there is none: {found}"
        assert told.get("bots") == 4, "S17: not every bot of a scope was checked, or one of another"
        assert told.get("documents") == 8, "S17: other documents than the scope's were counted"

    def test_s18_a_fault_that_is_not_there_is_not_mended(self, world: StorageWorld) -> None:
        """S18: whatever kind of fault is named, a right database is read as before, and nothing is wrong with it."""
        self._need_upkeep()
        acme = world.acme
        world.write(acme, "b", _TEXT)

        def seen(customer: Customer) -> object:
            with world.storage.read(customer.scope) as reader:
                keys = [keys.tolist() for keys, _ in reader.vectors(customer.bot.id)]
                return view(reader, customer), keys, reader.familiarity(customer.bot.id)

        before = [seen(acme)[1:], seen(world.rival)]  # type: ignore[index]  # a tuple
        for kind in FAULT_KINDS:
            if kind.startswith("log"):
                continue  # a log that is written anew is another one
            named = StoredFault(kind, "said so", "mended", repairable=True, bot_id=acme.bot.id)
            for scope in (None, acme.scope, world.rival.scope):
                world.storage.repair(scope, named)
            assert [seen(acme)[1:], seen(world.rival)] == before, f"S18: a repair of {kind!r} changed what is read"  # type: ignore[index]  # a tuple
        assert [*world.storage.verify(None), *world.storage.verify(acme.scope)] == [], "S18: a repair made a fault"

    def test_s19_a_backup_is_one_state(self, world: StorageWorld, tmp_path: Path) -> None:
        """S19: a copy made while others write holds a beginning of what they wrote, and verifies."""
        self._need_upkeep()
        acme, stop = world.acme, threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set() and number < 500:
                world.write(acme, f"d{number:03}", f"{_TEXT}{number}")
                number += 1

        thread = threading.Thread(target=write)
        if self.concurrent:
            thread.start()
        try:
            folder = tmp_path / "copy"
            folder.mkdir()
            world.storage.backup(folder)
        finally:
            stop.set()
            if self.concurrent:
                thread.join()
        copy = self.make_storage(folder)
        try:
            assert copy.workspace_id == world.storage.workspace_id, "S19: the copy is of another workspace"
            with copy.read(acme.scope) as reader:
                keys = [document.key for document in reader.documents(acme.bot.id, limit=1_000)]
            wanted = ["note", *(f"d{number:03}" for number in range(len(keys) - 1))]
            assert sorted(keys) == sorted(wanted), "S19: the copy is not a beginning of what was written"
            found = [*copy.verify(None), *copy.verify(acme.scope)]
            assert found == [], f"S19: the copy has faults: {found}"
        finally:
            copy.close()

    def _need_upkeep(self) -> None:
        if not self.upkeep:
            pytest.skip("the storage cannot check, repair and copy itself")
