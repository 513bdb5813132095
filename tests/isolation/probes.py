"""`TwinClauses`: what a tenant deleted or lost is not made up for by its twins, who have kept it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, cast

import pytest

from minirag.errors import DocumentNotFoundError
from minirag.interfaces.upkeep import StoredFault
from minirag.models.filters import Condition, Not
from minirag.models.verification import FaultKind
from minirag.testing.storage import StorageConformance
from minirag.testing.storage_world import StorageWorld, draft, new_bot
from minirag.types import new_id

__all__ = ["TwinClauses"]

_TEXT = "A text of some chunks, each of forty code points. " * 5
_OTHER_SPACE = "f" * 16


class TwinClauses(StorageConformance):
    """The storage's suite, and clauses that tell something about a database with twins alone.

    Their twins stand for any other tenant: no row of one may count, be it of a document, chunk or version of the very same id.
    """

    # ---------------------------------------------------------------- what was deleted
    def test_t01_a_removed_document_holds_nothing(self, world: StorageWorld) -> None:
        """T1: its hashes are not found, nor is it sampled."""
        acme, bot_id = world.acme, world.acme.bot.id
        world.write(acme, "gone", _TEXT)
        hashes = [chunk.content_hash for chunk in draft(acme, "gone", _TEXT).chunks]
        with world.storage.write(acme.scope) as writer:
            writer.remove_documents(bot_id, [document(world, "gone")])
        with world.storage.read(acme.scope) as reader:
            assert reader.documents_holding(hashes) == set()
            assert reader.vectors_by_hash(acme.bot.space.fingerprint, hashes) == {}
            newest = [chunk.key for chunk, _ in reader.sample_texts(bot_id, 2)]
        assert newest == [world.keys(acme)[0], world.keys(acme)[-1]]

    def test_t02_a_deleted_chat_begins_anew(self, world: StorageWorld) -> None:
        """T2: it has no messages, and another chat of its id counts them from one."""
        acme = world.acme
        with world.storage.write(acme.scope) as writer:
            writer.delete_chat(acme.bot.id, acme.chat.id)
            assert [*writer.messages_of_bot(acme.bot.id)] == []
            writer.put_chat(acme.chat)
            first = acme.message.model_copy(update={"id": new_id()})
            writer.put_message(acme.chat.id, first)
            writer.put_message(acme.chat.id, acme.message)
            assert writer.messages(acme.chat.id) == [first, acme.message]
        assert stored(world, "SELECT number FROM messages WHERE tenant_id = :tenant ORDER BY 1") == [1, 2]

    def test_t03_a_deleted_bot_has_no_documents(self, world: StorageWorld) -> None:
        """T3: to delete a source of it removes nothing, and is no error."""
        acme = world.acme
        with world.storage.write(acme.scope) as writer:
            writer.delete_bot(acme.bot.id)
            assert writer.delete_source(acme.bot.id, acme.source.id) == 0

    def test_t04_fields_are_those_of_the_own_profile(self, world: StorageWorld) -> None:
        """T4: a field that only a twin's bot declares is not looked up."""
        world.write(world.acme, "dated", _TEXT, metadata={"year": 2024})
        declare(world, "lang")
        assert allowed(world, "year", 2024)

    def test_t05_fields_follow_the_own_chunks(self, world: StorageWorld) -> None:
        """T5: a document's new metadata change the fields of its own chunks, and nothing is wrong then."""
        acme = world.acme
        declare(world, "year", "lang")
        for key in ("one", "two"):
            world.write(acme, key, "Short.", metadata={"year": 1})
        one, two = (document(world, key) for key in ("one", "two"))
        move_chunks(world, one, two)
        with world.storage.write(acme.scope) as writer:
            writer.update_document(one, title="Title", metadata={"year": 2}, raw_hash=None)
        assert len(allowed(world, "year", 1)) == 2

    def test_t06_a_source_that_moved(self, world: StorageWorld) -> None:
        """T6: it belongs to the bot that it was put in last."""
        acme = world.acme
        second = new_bot("second")
        source = acme.source.model_copy(update={"bot_id": second.id})
        planned = draft(acme, "note", "Written into the second bot.", replaces=None)
        with world.storage.write(acme.scope) as writer:
            writer.put_bot(second)
            writer.delete_source(acme.bot.id, source.id)
            writer.put_source(source)
            writer.write_version(second.id, planned, space=second.space.fingerprint, keep_versions=None)
            assert [state.key for state in writer.states(source.id)] == ["note"]

    def test_t07_a_source_that_was_renamed(self, world: StorageWorld) -> None:
        """T7: its former name, which a twin's has kept, leads nowhere."""
        acme = world.acme
        with world.storage.write(acme.scope) as writer:
            writer.put_source(acme.source.model_copy(update={"name": "renamed"}))
            for name, count in ((acme.source.name, 0), ("renamed", 1)):
                where = Condition(field="$source", operator="$eq", value=name)
                assert len(writer.documents(acme.bot.id, where=where)) == count
                assert len(writer.documents(acme.bot.id, where=Not(where))) == 1 - count
            former = Condition(field="$source", operator="$eq", value=acme.source.name)
            few = writer.allowed_if_few(acme.bot.id, former, limit=1)
        assert few is not None, "chunks of a twin's were counted"
        assert len(few) == 0

    def test_t08_few_is_few(self, world: StorageWorld) -> None:
        """T8: what an index shows to be few is not more for the chunks of twins."""
        acme = world.acme
        declare(world, "year")
        world.write(acme, "dated", "Short.", metadata={"year": 2024})
        world.write(acme, "gone", _TEXT)
        with world.storage.write(acme.scope) as writer:
            writer.remove_documents(acme.bot.id, [document(world, "gone")])
        for field, value, count in (("year", 2024, 1), ("$key", "gone", 0)):
            with world.storage.read(acme.scope) as reader:
                few = reader.allowed_if_few(acme.bot.id, Condition(field=field, operator="$eq", value=value), limit=1)
            assert few is not None, "chunks of twins were counted"
            assert len(few) == count

    def test_t09_dropped_vectors_are_lacking(self, world: StorageWorld) -> None:
        """T9: those of another space that only a twin has kept are asked for again."""
        acme = world.acme
        put_and_drop_vectors(world)
        with world.storage.read(acme.scope) as reader:
            assert [chunk.key for chunk in reader.lacking_vectors(acme.bot.id, _OTHER_SPACE)] == [*world.keys(acme)]

    # ---------------------------------------------------------------- what was lost
    def test_t10_who_holds_a_hash(self, world: StorageWorld) -> None:
        """T10: the document of the own chunk, and none when its vector is lost."""
        acme = world.acme
        for key in ("one", "two"):
            world.write(acme, key, f"Short {key}.")
        one, two = (document(world, key) for key in ("one", "two"))
        (chunk,) = draft(acme, "one", "Short one.").chunks
        move_chunks(world, one, two)
        with world.storage.read(acme.scope) as reader:
            assert reader.documents_holding([chunk.content_hash]) == {two}
        damage(world, "DELETE FROM embeddings WHERE tenant_id = :tenant")
        with world.storage.read(acme.scope) as reader:
            assert reader.documents_holding([chunk.content_hash]) == set()

    def test_t11_a_lost_bot(self, world: StorageWorld) -> None:
        """T11: its documents are not found by their ids, though a twin has the bot."""
        document_id = world.document_id(world.acme, "note")
        damage(world, "DELETE FROM bots WHERE tenant_id = :tenant")
        with world.storage.write(world.acme.scope) as writer:
            assert writer.states(world.acme.source.id) == []
            with pytest.raises(DocumentNotFoundError):
                writer.update_document(document_id, title="New", metadata={}, raw_hash=None)

    def test_t12_pruned_versions_are_no_fault(self, world: StorageWorld) -> None:
        """T12: a twin's document that still names one is not this tenant's."""
        acme = world.acme
        declare(world, "year")
        for number in range(3):
            world.write(acme, "note", f"Version {number}.", keep_versions=0, metadata={"year": number})
        assert faults(world) == []

    def test_t13_a_lost_version(self, world: StorageWorld) -> None:
        """T13: it is missing, though a twin has it; a repair forgets the hashes of the own document alone."""
        for table in ("text_blocks", "document_versions"):
            damage(world, f"DELETE FROM {table} WHERE tenant_id = :tenant")
        assert faults(world) == ["version_missing"]
        repair(world, "version_missing")
        assert stored(world, "SELECT length(version_hash) FROM documents WHERE tenant_id = :tenant") == [0]

    def test_t14_a_changed_text(self, world: StorageWorld) -> None:
        """T14: what a twin's document says of its text does not count."""
        damage(world, "UPDATE documents SET text_hash = x'00' WHERE tenant_id = :tenant")
        assert faults(world) == ["text"]
        repair(world, "text")
        assert stored(world, "SELECT length(version_hash) FROM documents WHERE tenant_id = :tenant") == [0]

    def test_t15_a_lost_chunk(self, world: StorageWorld) -> None:
        """T15: its vector is left over and is dropped, its document is marked, though a twin has the chunk."""
        damage(world, f"DELETE FROM chunks WHERE tenant_id = :tenant AND key = {world.keys(world.acme)[-1]}")
        assert faults(world) == ["chunk_count", "log_replay", "vector_leftover"]
        repair(world, "vector_leftover", "chunk_count")
        assert faults(world) == ["chunk_count", "log_replay"]
        assert stored(world, "SELECT stale FROM documents WHERE tenant_id = :tenant") == [1]

    def test_t16_a_lost_vector(self, world: StorageWorld) -> None:
        """T16: it is missing though a twin has it, and the document that is marked is its own, not its twin's."""
        acme = world.acme
        for key in ("one", "two"):
            world.write(acme, key, "Short.")
        one, two = (document(world, key) for key in ("one", "two"))
        move_chunks(world, one, two)
        damage(world, "DELETE FROM embeddings WHERE tenant_id = :tenant")
        damage(world, f"DELETE FROM chunks WHERE tenant_id = :tenant AND document_id != '{two}'")
        assert "vector_missing" in faults(world)
        repair(world, "vector_missing")
        assert stored(world, "SELECT id FROM documents WHERE tenant_id = :tenant AND stale") == [two]

    def test_t17_a_damaged_vector(self, world: StorageWorld) -> None:
        """T17: it is deleted, and its document marked."""
        last = world.keys(world.acme)[-1]
        damage(world, f"UPDATE embeddings SET vector = x'00' WHERE tenant_id = :tenant AND chunk_key = {last}")
        assert faults(world) == ["vector_invalid"]
        repair(world, "vector_invalid")
        assert faults(world) == ["vector_missing"]
        assert stored(world, "SELECT stale FROM documents WHERE tenant_id = :tenant") == [1]

    def test_t18_a_changed_fingerprint(self, world: StorageWorld) -> None:
        """T18: vectors of that space that only a twin has do not make it the bot's; fingerprint and profile are written anew."""
        put_and_drop_vectors(world)
        damage(world, f"UPDATE bots SET fingerprint = '{_OTHER_SPACE}' WHERE tenant_id = :tenant")
        repair(world, "bot")
        assert faults(world) == []

    def test_t19_lost_counters(self, world: StorageWorld) -> None:
        """T19: the highest key is that of the own chunks."""
        acme = world.acme
        world.write(acme, "gone", _TEXT)
        with world.storage.write(acme.scope) as writer:
            writer.remove_documents(acme.bot.id, [document(world, "gone")])
        damage(world, "UPDATE bot_logs SET last_key = 0 WHERE tenant_id = :tenant")
        repair(world, "counters")
        assert stored(world, "SELECT last_key FROM bot_logs WHERE tenant_id = :tenant") == world.keys(acme)[-1:]

    def test_t20_a_lost_log(self, world: StorageWorld) -> None:
        """T20: the own log is written anew."""
        damage(world, "DELETE FROM change_log WHERE tenant_id = :tenant")
        assert faults(world) == ["log"]
        repair(world, "log")
        assert faults(world) == []


# ---------------------------------------------------------------- the database past the library
@contextmanager
def raw(world: StorageWorld) -> Iterator[sqlite3.Connection]:
    """Yield a connection of the driver, on which foreign keys are not looked after."""
    storage = cast("Any", world.storage)
    with closing(sqlite3.connect(storage.file, isolation_level=None)) as connection:
        storage.listen(connection)
        yield connection


def damage(world: StorageWorld, statement: str) -> None:
    """Change rows of acme past the library; `:tenant` is its id."""
    with raw(world) as connection:
        connection.execute(statement, {"tenant": world.acme.tenant.id})


def put_and_drop_vectors(world: StorageWorld) -> None:
    """Give acme's chunks vectors of another space, and take them away again, while twins keep them."""
    acme, bot_id = world.acme, world.acme.bot.id
    keys = world.keys(acme).tolist()
    with world.storage.write(acme.scope) as writer:
        vectors = next(writer.vectors(bot_id))[1]
        writer.put_embeddings(bot_id, _OTHER_SPACE, keys, [b"h" * 32] * len(keys), vectors)
        writer.drop_embeddings(bot_id, keep_space=acme.bot.space.fingerprint, limit=100)


def move_chunks(world: StorageWorld, old: str, new: str) -> None:
    """Have chunks of one of acme's documents be those of another, while twins keep them where they were."""
    damage(world, f"UPDATE chunks SET document_id = '{new}' WHERE tenant_id = :tenant AND document_id = '{old}'")


def stored(world: StorageWorld, query: str) -> list[Any]:
    """Return the first column of what a query finds; `:tenant` is acme's id."""
    with raw(world) as connection:
        return [row[0] for row in connection.execute(query, {"tenant": world.acme.tenant.id})]


def faults(world: StorageWorld) -> list[str]:
    """Return the kinds of acme's faults, sorted."""
    return sorted(fault.kind for fault in world.storage.verify(world.acme.scope))


def repair(world: StorageWorld, *kinds: FaultKind) -> None:
    """Mend faults of acme's bot."""
    for kind in kinds:
        named = StoredFault(kind, "said so", "mended", repairable=True, bot_id=world.acme.bot.id)
        world.storage.repair(world.acme.scope, named)


def document(world: StorageWorld, key: str) -> str:
    """Return the id of a document of acme."""
    return world.document_id(world.acme, key)


def declare(world: StorageWorld, *fields: str) -> None:
    """Have acme's bot declare fields as filterable."""
    bot = world.acme.bot
    with world.storage.write(world.acme.scope) as writer:
        writer.put_bot(bot.model_copy(update={"profile": bot.profile.model_copy(update={"filterable": fields})}))


def allowed(world: StorageWorld, field: str, value: int) -> list[int]:
    """Return the keys of acme's chunks whose document has a field of this value."""
    with world.storage.read(world.acme.scope) as reader:
        keys = reader.allowed(world.acme.bot.id, Condition(field=field, operator="$eq", value=value))
    return [int(key) for key in keys]
