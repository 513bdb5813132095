"""The clause of `Storage` about tenants that move to another storage; part of `StorageConformance`."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirag.interfaces.scope import TenantScope, mint_scope
from minirag.interfaces.storage import Reader
from minirag.models.filters import Condition
from minirag.models.tenants import Tenant
from minirag.testing.storage_world import StorageWorld
from minirag.types import new_id, utc_now

__all__ = ["StorageMovingClauses"]

_TEXT = "A text of some chunks, each of forty code points. " * 5


class StorageMovingClauses:
    """The tests of S25."""

    upkeep: bool

    def test_s25_a_bot_reads_the_same_elsewhere(self, world: StorageWorld) -> None:
        """S25: documents, versions of all kinds, texts, vectors, counters and filters are those of the bot that moved."""
        acme, bot_id, space = world.acme, world.acme.bot.id, world.acme.bot.space.fingerprint
        for number in range(4):
            world.write(acme, f"b{number}", f"{_TEXT}{number}", metadata={"year": number}, title=f"Title {number}")
        old = {acme.versions["b0"], acme.versions["b1"]}
        world.write(acme, "b0", "Another text.")
        with world.storage.write(acme.scope) as writer:
            writer.remove_documents(bot_id, [world.document_id(acme, "b1")])
            writer.mark_stale(bot_id)
            writer.update_document(world.document_id(acme, "b2"), title="New", metadata={"year": 9}, raw_hash=None)
            writer.put_familiarity(bot_id, {world.document_id(acme, "b2"): (7, 2.5)})
        scope = _new_tenant(world)
        with world.storage.read(acme.scope) as reader:
            before = _seen(reader, bot_id)
            versions = [(row, reader.text(row.id) or "") for rows in reader.stored_versions(bot_id) for row in rows]
            documents = [document for some in reader.stored_documents(bot_id) for document in some]
            single = [[document.id for document in some] for some in reader.stored_documents(bot_id, chunks=1)]
        found = {row.id for row, _ in versions if not row.current}
        assert found == old, "S25: stored_versions() left old ones out, or those of documents that are gone"
        assert len(versions) == len(documents) + len(old), "S25: a current version was left out"
        assert [row.id for row, _ in versions] == sorted(row.id for row, _ in versions), "S25: versions are not by id"
        assert single == [[each] for each in sorted(document.id for document in documents)], (
            "S25: not by id, one a batch"
        )
        with world.storage.write(scope) as writer:
            writer.put_bot(acme.bot)
            writer.put_source(acme.source)
            writer.restore_versions(bot_id, versions)
            writer.restore_documents(bot_id, documents[:2], space=space)
            writer.restore_documents(bot_id, documents[2:], space=space)
        with world.storage.read(scope) as reader:
            assert _seen(reader, bot_id) == before, "S25: the bot reads otherwise where it was moved to"
            log = reader.log(bot_id, after=0)
            added = [key for row in log for key in row.added.tolist()]
            present = [key for keys, _ in reader.vectors(bot_id) for key in keys.tolist()]
        assert len(log) == len(documents), "S25: there is not one log row a document"
        assert sorted(added) == present, "S25: other chunks are logged than there are"
        if self.upkeep:
            assert [*world.storage.verify(scope)] == [], "S25: what was moved does not verify"


def _new_tenant(world: StorageWorld) -> TenantScope:
    now = utc_now()
    tenant = Tenant(id=new_id(), slug="moved", name="Moved", created_at=now, updated_at=now)
    with world.storage.directory(write=True) as directory:
        directory.insert_tenant(tenant)
    return mint_scope(tenant.id)


def _seen(reader: Reader, bot_id: str) -> dict[str, Any]:
    """Return what a bot shows, without the keys of its chunks."""
    documents = reader.documents(bot_id)
    versions = [row for rows in reader.stored_versions(bot_id) for row in rows]
    keys = np.concatenate([np.empty(0, np.int64), *(keys for keys, _ in reader.vectors(bot_id))])
    vectors = {key: row.tolist() for some, rows in reader.vectors(bot_id) for key, row in zip(some.tolist(), rows, strict=True)}  # fmt: skip
    texts = {e.key: (e.text, e.title, e.language) for batch in reader.index_texts(bot_id) for e in batch}
    hits = reader.hydrate(bot_id, keys)
    year = Condition(field="year", operator="$gte", value=3)
    return {
        "documents": documents,
        "states": reader.states(reader.sources(bot_id)[0].id),
        "versions": [(row, reader.text(row.id)) for row in versions],
        "of documents": [reader.versions(document.id) for document in documents],
        "chunks": sorted((hit[6], hit[2], hit[1:], vectors[key], texts[key]) for key, hit in hits.items()),
        "stats": reader.stats(bot_id).model_copy(update={"sequence": 0}),
        "familiarity": reader.familiarity(bot_id),
        "allowed": sorted(hits[key].document_id for key in reader.allowed(bot_id, year).tolist()),
    }
