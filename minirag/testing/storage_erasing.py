"""`StorageErasingClauses`: the clauses of `Storage` about what is destroyed beyond recovery, a part of `StorageConformance`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minirag.interfaces.erasing import ErasureRecord
from minirag.interfaces.traces import TraceCollector, Traces
from minirag.models.erasures import ErasureReceipt
from minirag.testing.storage_probes import interrupted
from minirag.testing.storage_world import Customer, StorageWorld, citation_of, draft
from minirag.types import new_id, utc_now

__all__ = ["StorageErasingClauses"]

_TEXT = "The pangolin of clause forty keeps its own counsel. "


class StorageErasingClauses:
    """S33 to S38, and S45."""

    lasting: bool

    def test_s33_erased_versions_are_gone(self, world: StorageWorld) -> None:
        """S33: versions of this bot go with their texts, others stay; the log gets a row without keys."""
        acme, rival = world.acme, world.rival
        first = world.write(acme, "note", _TEXT * 2)
        second = world.write(acme, "note", _TEXT * 3)
        document_id = world.document_id(acme, "note")
        with world.storage.write(acme.scope) as writer:
            held = writer.held_versions(acme.bot.id, keys=["note"])
            assert [each.id for each in held][-2:] == [first, second], "S33: held_versions() left out a version"
            assert {each.key for each in writer.held_versions(acme.bot.id)} == {"note"}, (
                "S33: another bot's version is held"
            )
            assert writer.held_versions(acme.bot.id, source_id=rival.source.id) == [], "S33: another source's is held"
            writer.remove_documents(acme.bot.id, [document_id])
            before = writer.position(acme.bot.id)
            foreign = rival.versions["note"]
            erased = writer.erase_versions(acme.bot.id, [first, second, foreign, new_id()])
            position = writer.position(acme.bot.id)
            (row,) = writer.log(acme.bot.id, after=before.sequence)
        assert erased == 2, "S33: erase_versions() counts what it did not erase"
        assert position.sequence == before.sequence + 1, "S33: the log did not move"
        assert (len(row.removed), len(row.added)) == (0, 0), "S33: the log's row names keys"
        with world.storage.read(acme.scope) as reader:
            assert reader.text(first) is None, "S33: an old version's text is still there"
            assert reader.text(second) is None, "S33: the last version's text is still there"
            assert len(reader.held_versions(acme.bot.id)) == 1, "S33: versions are still listed, or others went too"
        with world.storage.read(rival.scope) as reader:
            assert reader.text(foreign) is not None, "S33: another tenant's version was erased"

    def test_s34_vectors_and_messages_are_all_there(self, world: StorageWorld) -> None:
        """S34: vectors of every space and every message of the bot are yielded, of this tenant's alone."""
        acme, rival = world.acme, world.rival
        document_id, keys = world.document_id(acme, "note"), world.keys(acme)
        other = np.ones((len(keys), 3), np.float32)
        with world.storage.write(acme.scope) as writer:
            writer.put_embeddings(acme.bot.id, "f" * 16, keys.tolist(), [b"h" * 32] * len(keys), other)
        with world.storage.read(acme.scope) as reader:
            found = [row for rows in reader.vectors_of_documents(acme.bot.id, [document_id]) for row in rows]
            foreign = [*reader.vectors_of_documents(rival.bot.id, [world.document_id(rival, "note")])]
            messages = [pair for pairs in reader.messages_of_bot(acme.bot.id) for pair in pairs]
            theirs = [pair for pairs in reader.messages_of_bot(rival.bot.id) for pair in pairs]
        assert sorted(key for key, _, _ in found) == sorted([*keys.tolist()] * 2), "S34: vectors of a space are missing"
        assert {len(vector) for _, _, vector in found} == {12, 32}, "S34: vectors are not as stored"
        assert [row for rows in foreign for row in rows] == [], "S34: another tenant's vectors were yielded"
        assert messages == [(acme.chat.id, acme.message)], "S34: messages_of_bot() left out a message, or invented one"
        assert theirs == [], "S34: another tenant's messages were yielded"

    def test_s35_what_others_share(self, world: StorageWorld) -> None:
        """S35: documents of the tenant that share a chunk or a length are found, and another tenant's are not."""
        acme = world.acme
        world.write(acme, "one", "A" * 80)
        world.write(acme, "two", "A" * 80)
        ids = {world.document_id(acme, key) for key in ("one", "two")}
        hashes = [chunk.content_hash for chunk in draft(acme, "one", "A" * 80).chunks]
        world.write(world.rival, "one", "A" * 80)
        with world.storage.read(acme.scope) as reader:
            assert reader.documents_holding(hashes) == ids, "S35: documents_holding() does not find who shares a chunk"
            assert reader.documents_holding([]) == set(), "S35: no hash is shared by somebody"
            pairs = reader.versions_of_length([80])
            assert {document_id for document_id, _ in pairs} == ids, "S35: versions_of_length() finds others"
            assert {version_id for _, version_id in pairs} == {acme.versions["one"], acme.versions["two"]}, (
                "S35: versions"
            )
            assert reader.versions_of_length([81]) == [], "S35: a length that is not there is found"

    def test_s36_a_record_lasts(self, world: StorageWorld) -> None:
        """S36: an erasure is written with its transaction, outlives bot and tenant, and is replaced by one of the same id."""
        acme = world.acme
        record = _record(acme, acme.bot.id, sequence=7)
        with interrupted(world.storage.write(acme.scope)) as writer:
            writer.put_erasure(record)
        with world.storage.read(acme.scope) as reader:
            assert reader.erased_at(acme.bot.id) == 0, "S36: an erasure survived the exception of its transaction"
        with world.storage.write(acme.scope) as writer:
            writer.put_erasure(record)
            writer.put_erasure(_record(acme, acme.bot.id, sequence=5))
        with world.storage.read(acme.scope) as reader:
            assert reader.erased_at(acme.bot.id) == 7, "S36: erased_at() is not the highest sequence"
        with world.storage.read(world.rival.scope) as reader:
            assert reader.erased_at(acme.bot.id) == 0, "S36: erased_at() tells another tenant's"
        late = _record(acme, None, sequence=0)
        with world.storage.directory(write=True) as directory:
            directory.delete_tenant(acme.tenant)
            directory.put_erasure(late)
        with world.storage.directory(write=True) as directory:
            assert directory.erasures(erasure_id=record.receipt.id) == [record], (
                "S36: a record went with its bot, or changed"
            )
            done = ErasureRecord(
                record.receipt.model_copy(update={"status": "done", "finished_at": utc_now()}), None, 7
            )
            directory.put_erasure(done)
            listed = directory.erasures()
            assert [each.receipt.id for each in listed] == sorted(each.receipt.id for each in listed), "S36: order"
            assert len(listed) == 3, "S36: a record was put twice"
            waiting = directory.erasures(pending=True)
            assert record.receipt.id not in {each.receipt.id for each in waiting}, "S36: what is done is pending"
            assert late in waiting, "S36: what is pending is not"

    def test_s37_nothing_is_left_in_files(self, world: StorageWorld, tmp_path: Path) -> None:
        """S37: after `purge` no file below the storage's folder holds a text that went, and what is there is looked through."""
        acme = world.acme
        for number in range(40):
            world.write(acme, f"filler-{number:02}", f"Filler number {number} says little. " * (number + 1))
        world.write(acme, "note", _TEXT * 40)
        record = _record(acme, acme.bot.id, sequence=1, text=_TEXT)
        with world.storage.write(acme.scope) as writer:
            held = [each.id for each in writer.held_versions(acme.bot.id, keys=["note"])]
            writer.remove_documents(acme.bot.id, [world.document_id(acme, "note")])
            writer.erase_versions(acme.bot.id, held)
            writer.put_erasure(record)
        purge = world.storage.purge(Traces.from_bytes(record.traces), record)
        assert (purge.cause, purge.leftovers) == (None, 0), f"S37: purge() ended with {purge}"
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        left = [path.name for path in files if _TEXT.strip().encode() in path.read_bytes()]
        assert left == [], f"S37: an erased text is still in {left}"
        assert purge.size >= sum(path.stat().st_size for path in files if path.suffix == ".sqlite3"), (
            "S37: not all was read"
        )
        world.write(acme, "note-2", "Written after the purge.")

    def test_s38_what_rows_hold(self, world: StorageWorld) -> None:
        """S38: of traces those are held that rows of any tenant hold, as texts or as vectors."""
        planned = draft(world.rival, "shared", _TEXT * 4)
        world.write(world.rival, "shared", _TEXT * 4)
        with world.storage.write(world.acme.scope) as writer:
            message = world.acme.message.model_copy(
                update={
                    "citations": (
                        citation_of(world.acme, "v").model_copy(update={"quote": "A quote that is cited once."}),
                    )
                }
            )
            writer.put_message(world.acme.chat.id, message)
        for text, held in (
            (_TEXT * 2, True),
            ("A quote that is cited once.", True),
            ("Nobody ever wrote this sentence.", False),
        ):
            traces = _traces(text)
            assert (len(world.storage.held(traces)) > 0) == held, f"S38: held() is wrong about {text!r}"
        collector = TraceCollector()
        collector.add_vector(planned.vectors[0].tobytes())
        assert len(world.storage.held(collector.traces())) == 2, "S38: held() does not know a vector that a row holds"

    def test_s45_old_reads_are_told(self, world: StorageWorld) -> None:
        """S45: `old_reads` tells of a view from before as long as it is held, and `check_open` says that it is."""
        acme = world.acme
        assert world.storage.old_reads() is None, "S45: old_reads() tells of a view where there is none"
        with world.storage.read(acme.scope) as reader:
            assert reader.bot_by_id(acme.bot.id) is not None
            world.write(acme, "note", _TEXT)
            assert world.storage.old_reads() is not None, "S45: old_reads() does not tell of a view from before"
            reader.check_open()
        assert world.storage.old_reads() is None, "S45: old_reads() tells of a view that has ended"


def _record(customer: Customer, bot_id: str | None, *, sequence: int, text: str = _TEXT) -> ErasureRecord:
    receipt = ErasureReceipt(
        id=new_id(), kind="document", status="pending", tenant=customer.tenant.id, bot_id=bot_id, requested_at=utc_now()
    )
    return ErasureRecord(receipt, bot_id, sequence, keys=b"k" * 8, traces=_traces(text).to_bytes())


def _traces(text: str) -> Traces:
    collector = TraceCollector()
    collector.add_text(text)
    return collector.traces()
