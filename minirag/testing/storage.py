"""`StorageConformance`: at least one test for each clause of `Storage`."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import numpy as np
import pytest

from minirag.errors import MiniRAGError, TenantExistsError
from minirag.interfaces.storage import Writer
from minirag.models.chats import Message
from minirag.testing.storage_access import StorageAccessClauses
from minirag.testing.storage_accounting import StorageAccountingClauses
from minirag.testing.storage_erasing import StorageErasingClauses
from minirag.testing.storage_identity import StorageIdentityClauses
from minirag.testing.storage_moving import StorageMovingClauses
from minirag.testing.storage_probes import (
    foreign_reads,
    foreign_writes,
    in_thread,
    interrupted,
    outcome,
    view,
    write_draft,
)
from minirag.testing.storage_search import StorageSearchClauses
from minirag.testing.storage_spaces import StorageSpaceClauses
from minirag.testing.storage_upkeep import StorageUpkeepClauses
from minirag.testing.storage_world import StorageWorld, citation_of, draft, new_bot
from minirag.types import new_id, utc_now

__all__ = ["StorageConformance"]

_TEXTS: Final = (
    "plain",
    "combining e\u0301 and \u00e9, \U0001f468\u200d\U0001f469\u200d\U0001f467 and \U00020000",
    "line\r\nends\nare\rkept\t\u2028\ufeff",
    "\u6f22\u5b57" * 9_000,
    "".join(chr(code) for code in range(1, 0x3000)) + "\U0010ffff" * 5_000,
)


class StorageConformance(
    StorageErasingClauses,
    StorageSpaceClauses,
    StorageMovingClauses,
    StorageUpkeepClauses,
    StorageAccountingClauses,
    StorageIdentityClauses,
    StorageAccessClauses,
    StorageSearchClauses,
):
    """The contract of `minirag.interfaces.Storage` as tests. Subclass it in a test module, and pytest does the rest.

    ```python
    class TestMine(StorageConformance):
        def make_storage(self, location, *, read_only=False):
            return MyStorage(location, read_only=read_only)
    ```

    A test names the clause it holds; its message begins with it.
    """

    # ---------------------------------------------------------------- transactions
    def test_s01_a_read_sees_one_state(self, world: StorageWorld) -> None:
        """S1: what others write during a `read` block is not seen in it."""
        if not self.concurrent:
            pytest.skip("the storage holds one transaction at a time")
        acme = world.acme
        with world.storage.read(acme.scope) as reader:
            before = view(reader, acme)
            in_thread(lambda: world.write(acme, "later", "Written meanwhile."))
            assert view(reader, acme) == before, "S1: a read block saw what was written after it began"
        with world.storage.read(acme.scope) as reader:
            assert view(reader, acme) != before, "S1: the next read block does not see the write"

    def test_s02_an_exception_changes_nothing(self, world: StorageWorld) -> None:
        """S2: a `write` block that ends in an exception has changed nothing."""
        acme = world.acme
        with world.storage.read(acme.scope) as reader:
            before = view(reader, acme)
        changes: tuple[Callable[[Writer], object], ...] = (
            lambda writer: write_draft(writer, acme, "new", "A new document."),
            lambda writer: write_draft(writer, acme, "note", "Another text."),
            lambda writer: writer.remove_documents(acme.bot.id, [document_id]),
            lambda writer: writer.update_document(document_id, title="Other", metadata={}, raw_hash=b"r"),
            lambda writer: writer.put_bot(new_bot("second")),
            lambda writer: writer.delete_bot(acme.bot.id),
            lambda writer: writer.put_secrets(acme.bot.id, {"other": "x"}),
            lambda writer: writer.mark_stale(acme.bot.id),
        )
        document_id = world.document_id(acme, "note")
        for number, change in enumerate(changes):
            with interrupted(world.storage.write(acme.scope)) as writer:
                change(writer)
            with world.storage.read(acme.scope) as reader:
                assert view(reader, acme) == before, f"S2: change {number} survived the exception of its block"

    def test_s02_the_directory_too(self, world: StorageWorld) -> None:
        """S2: a `directory` block that ends in an exception has changed nothing."""
        with interrupted(world.storage.directory(write=True)) as directory:
            directory.put_setting("name", "value")
            directory.delete_tenant(world.acme.tenant)
        with world.storage.directory() as directory:
            assert directory.setting("name") is None, "S2: a setting survived the exception"
            assert directory.tenant("acme") == world.acme.tenant, "S2: a deletion survived the exception"

    def test_s03_a_write_lasts(self, world: StorageWorld) -> None:
        """S3: when a `write` block has ended, a storage opened anew holds its changes, without the first one's `close`."""
        if not self.lasting:
            pytest.skip("the storage keeps nothing")
        keys = world.keys(world.acme)
        again = world.open()
        assert again.workspace_id == world.storage.workspace_id, "S3: the workspace's id changed"
        assert np.array_equal(world.keys(world.acme, again), keys), "S3: chunks are missing after opening anew"
        with again.read(world.acme.scope) as fresh, world.storage.read(world.acme.scope) as reader:
            assert view(fresh, world.acme) == view(reader, world.acme), "S3: the reopened storage differs"

    # ---------------------------------------------------------------- tenants
    def test_s04_listings_hold_the_own_tenant_only(self, world: StorageWorld) -> None:
        """S4: every listing holds the scope's own rows and no others."""
        for mine in (world.acme, world.rival):
            with world.storage.read(mine.scope) as reader:
                assert reader.bots() == [mine.bot], "S4: bots() left its tenant"
                assert reader.bot("support") == mine.bot, "S4: bot() left its tenant"
                assert reader.tenant_keys() == [mine.key], "S4: tenant_keys() left its tenant"
                assert [event.id for event in reader.usage_events()] == [mine.event.id], "S4: usage_events() left"
                assert [row.calls for row in reader.usage()] == [1], "S4: usage() counts another tenant's calls"
                assert [source.id for source in reader.sources(mine.bot.id)] == [mine.source.id], "S4: sources()"
                assert reader.messages(mine.chat.id) == [mine.message], "S4: messages() left its tenant"

    def test_s04_vectors_are_not_shared(self, world: StorageWorld) -> None:
        """S4: a vector another tenant embedded is not found by its content hash."""
        mine, theirs = world.acme, world.rival
        planned = draft(theirs, "note", f"A canary of {theirs.tenant.slug}. " * 5)
        hashes = [chunk.content_hash for chunk in planned.chunks]
        space = mine.bot.space.fingerprint
        with world.storage.read(mine.scope) as reader:
            assert reader.vectors_by_hash(space, hashes[:1]) == {}, "S4: another tenant's vector was found by its hash"
        with world.storage.read(theirs.scope) as reader:
            found = reader.vectors_by_hash(space, hashes)
        assert found.keys() == set(hashes), "S4: the tenant's own vectors were not found"
        assert all(np.array_equal(found[each], row) for each, row in zip(hashes, planned.vectors, strict=True))

    def test_s04_writes_do_not_reach_another_tenant(self, world: StorageWorld) -> None:
        """S4: no write with another tenant's ids changes anything of that tenant's."""
        mine, theirs = world.acme, world.rival
        document_id = world.document_id(theirs, "note")
        with world.storage.read(theirs.scope) as reader:
            before = view(reader, theirs)
        for name, change in foreign_writes(mine, theirs, document_id, world.keys(theirs)).items():
            try:
                with world.storage.write(mine.scope) as writer:
                    change(writer)
            except MiniRAGError:
                pass
            with world.storage.read(theirs.scope) as reader:
                assert view(reader, theirs) == before, f"S4: {name} changed another tenant's rows"

    def test_s05_another_tenants_id_is_a_missing_id(self, world: StorageWorld) -> None:
        """S5: every read with another tenant's ids gives what ids that never existed give."""
        theirs = world.rival
        keys = world.keys(theirs)
        ids = {
            "bot": theirs.bot.id,
            "source": theirs.source.id,
            "chat": theirs.chat.id,
            "document": world.document_id(theirs, "note"),
            "version": theirs.versions["note"],
        }
        missing = {name: new_id() for name in ids}
        with world.storage.read(world.acme.scope) as reader:
            for name, call in foreign_reads(keys).items():
                found, expected = outcome(call, reader, ids), outcome(call, reader, missing)
                assert found == expected, f"S5: {name} tells another tenant's id from a missing one"

    def test_s05_slugs_are_unique(self, world: StorageWorld) -> None:
        """S5: a slug belongs to one tenant, and a deleted tenant's rows are gone."""
        with pytest.raises(TenantExistsError), world.storage.directory(write=True) as directory:
            directory.insert_tenant(world.rival.tenant.model_copy(update={"id": new_id(), "slug": "acme"}))
        with pytest.raises(TenantExistsError), world.storage.directory(write=True) as directory:
            directory.update_tenant(world.rival.tenant.model_copy(update={"slug": "acme"}))
        with world.storage.directory(write=True) as directory:
            assert directory.tenants() == [world.acme.tenant, world.rival.tenant], "S5: tenants() is not sorted"
            assert directory.has_secrets(), "S5: has_secrets() overlooks the tenants' keys"
            directory.delete_tenant(world.acme.tenant)
            assert directory.tenants() == [world.rival.tenant], "S5: the tenant is still there"
        with world.storage.read(world.acme.scope) as reader:
            assert reader.bots() == [], "S5: a deleted tenant still has bots"
            assert reader.text(world.acme.versions["note"]) is None, "S5: a deleted tenant still has texts"

    # ---------------------------------------------------------------- the log and the keys
    def test_s06_sequences_have_no_gaps(self, world: StorageWorld) -> None:
        """S6: sequences start at 1 and have no gaps, though a transaction between was rolled back; nonces are not 0."""
        acme = world.acme
        world.write(acme, "note", "Another text.")
        with interrupted(world.storage.write(acme.scope)) as writer:
            write_draft(writer, acme, "lost", "Never committed.")
        document_id = world.document_id(acme, "note")
        with world.storage.write(acme.scope) as writer:
            writer.update_document(document_id, title="Title", metadata={"a": 1}, raw_hash=None)
            writer.update_document(document_id, title="Changed", metadata={"a": 1}, raw_hash=None)
            writer.remove_documents(acme.bot.id, [document_id])
        with world.storage.read(acme.scope) as reader:
            log = reader.log(acme.bot.id, after=0)
            position = reader.position(acme.bot.id)
            nonces = [reader.nonce_at(acme.bot.id, number) for number in range(6)]
            tail = reader.log(acme.bot.id, after=3)
        assert [row.sequence for row in log] == [1, 2, 3, 4], "S6: sequences are not gapless from 1"
        assert 0 not in {row.nonce for row in log}, "S6: a nonce is 0"
        assert len({row.nonce for row in log}) == 4, "S6: nonces repeat"
        assert (position.sequence, position.nonce) == (4, log[-1].nonce), "S6: position() is not the last row"
        assert nonces == [0, *(row.nonce for row in log), None], "S6: nonce_at() differs from the log"
        assert [row.sequence for row in tail] == [4], "S6: log(after=) returned other rows"
        added, replaced, retitled, removed = ((set(row.removed.tolist()), set(row.added.tolist())) for row in log)
        assert (added[0], replaced[0]) == (set(), added[1]), "S6: a new version does not remove its predecessor's keys"
        assert retitled == (replaced[1], replaced[1]), "S6: a changed title does not log the chunks in both"
        assert removed == (replaced[1], set()), "S6: a removal does not log the chunks"

    def test_s07_keys_are_never_used_twice(self, world: StorageWorld) -> None:
        """S7: chunk keys are positive 63-bit integers, and none comes back after its chunk went."""
        seen: set[int] = set()
        for number in range(6):
            world.write(world.acme, "note", f"Text number {number}. " * 20)
            keys = set(world.keys(world.acme).tolist())
            assert all(0 < key < 2**63 for key in keys), "S7: a key is not a positive 63-bit integer"
            assert not keys & seen, "S7: a key was used twice"
            seen |= keys

    # ---------------------------------------------------------------- texts and versions
    @pytest.mark.parametrize("number", range(len(_TEXTS)))
    def test_s08_any_slice_of_a_text(self, world: StorageWorld, number: int) -> None:
        """S8: `text(version, a, b)` equals `text(version)[a:b]` for any Unicode."""
        text = _TEXTS[number]
        version = world.write(world.acme, "unicode", text)
        choice = random.Random(number)
        with world.storage.read(world.acme.scope) as reader:
            assert reader.text(version) == text, "S8: the text came back changed"
            for _ in range(40):
                start, end = sorted(choice.choices(range(len(text) + 50), k=2))
                assert reader.text(version, start, end) == text[start:end], f"S8: characters {start} to {end} differ"
            assert reader.text(version, 3) == text[3:], "S8: an open end differs"

    def test_s09_only_the_planned_version_is_replaced(self, world: StorageWorld) -> None:
        """S9: a version planned against another one than the current writes nothing."""
        acme, space = world.acme, world.acme.bot.space.fingerprint
        stale = draft(acme, "note", "Planned too early.")
        world.write(acme, "note", "Somebody was faster.")
        unaware = draft(acme, "note", "Planned as new.", replaces=None)
        phantom = draft(acme, "absent", "Planned against nothing.", replaces=new_id())
        good = draft(acme, "good", "A good one.")
        with world.storage.read(acme.scope) as reader:
            before = view(reader, acme)
        with world.storage.write(acme.scope) as writer:
            for planned in (stale, unaware, phantom):
                assert writer.write_version(acme.bot.id, planned, space=space, keep_versions=None) is None, (
                    "S9: a version was written that was planned against another one"
                )
        with world.storage.read(acme.scope) as reader:
            assert view(reader, acme) == before, "S9: a refused version left something behind"
        with world.storage.write(acme.scope) as writer:
            written = writer.write_versions(acme.bot.id, [stale, good, unaware], space=space, keep_versions=None)
        assert [version is None for version in written] == [True, False, True], "S9: a batch was not judged one by one"

    def test_s10_old_texts_stay(self, world: StorageWorld) -> None:
        """S10: a version keeps its text after its document was updated and removed."""
        acme = world.acme
        texts = {world.write(acme, "page", f"Version {number} of the page."): number for number in range(3)}
        document_id = world.document_id(acme, "page")
        with world.storage.read(acme.scope) as reader:
            assert [row.current for row in reader.versions(document_id)] == [True, False, False], "S10: newest first"
        with world.storage.write(acme.scope) as writer:
            assert writer.remove_documents(acme.bot.id, [document_id, new_id()]) == 1, "S10: wrong count of removed"
        with world.storage.read(acme.scope) as reader:
            for version, number in texts.items():
                row = reader.version(version)
                assert reader.text(version) == f"Version {number} of the page.", "S10: an old text is gone or changed"
                assert row is not None, "S10: an old version's facts are gone"
                assert (row.current, row.key) == (False, "page"), "S10: an old version's facts changed"
            assert len(reader.versions(document_id)) == 3, "S10: versions() lost some after the removal"

    def test_s10_keep_versions(self, world: StorageWorld) -> None:
        """S10: with `keep_versions`, only so many old texts stay."""
        for number in range(4):
            world.write(world.acme, "page", f"Version {number}.", keep_versions=1)
        with world.storage.read(world.acme.scope) as reader:
            versions = reader.versions(world.document_id(world.acme, "page"))
            texts = [reader.text(row.id) for row in versions]
        assert texts == ["Version 3.", "Version 2."], "S10: keep_versions=1 kept other versions"

    def test_s10_citations_come_back(self, world: StorageWorld) -> None:
        """S10: a message's citations come back as they were, and messages in the order they were put."""
        acme = world.acme
        answer = Message(
            id=new_id(), role="assistant", text="A [1]", citations=(citation_of(acme, acme.versions["note"]),),
            created_at=utc_now(), status="partial",
        )  # fmt: skip
        done = answer.model_copy(update={"status": "complete"})
        third = acme.message.model_copy(update={"id": "0"})
        with world.storage.write(acme.scope) as writer:
            for message in (answer, third, done):
                writer.put_message(acme.chat.id, message)
        with world.storage.read(acme.scope) as reader:
            assert reader.messages(acme.chat.id) == [acme.message, done, third], "S10: messages changed or moved"
            assert reader.messages(acme.chat.id, last=1) == [third], "S10: last=1 is not the newest message"
