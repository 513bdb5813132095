"""The clauses of `Storage` about vectors of several embedding spaces; part of `StorageConformance`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.interfaces.records import ChunkText
from minirag.interfaces.storage import Reader
from minirag.models.index import EmbeddingSpace
from minirag.testing.storage_world import CHUNK, Customer, StorageWorld, vectors_of

if TYPE_CHECKING:
    from minirag.types import Matrix

__all__ = ["StorageSpaceClauses"]

_OTHER: Final = EmbeddingSpace(provider="test", model="other", dimension=4)
_SPACE: Final = _OTHER.fingerprint
_TEXT: Final = "A text of some chunks, each of forty code points. " * 5


class StorageSpaceClauses:
    """The tests of S20 to S23."""

    def test_s20_spaces_lie_side_by_side(self, world: StorageWorld) -> None:
        """S20: vectors of another space change nothing that is read in the bot's own, and are read where it is named."""
        acme = world.acme
        world.write(acme, "b", _TEXT)
        with world.storage.read(acme.scope) as reader:
            before = _vectors(reader, acme)
            lacking = reader.lacking_vectors(acme.bot.id, _SPACE)
            own = reader.sample_texts(acme.bot.id, 3)
        _fill(world, acme, lacking)
        with world.storage.read(acme.scope) as reader:
            assert _vectors(reader, acme) == before, "S20: vectors() yielded another space's"
            assert _same(reader.sample_texts(acme.bot.id, 3), own), "S20: sample_texts() gave another space's"
            samples = reader.sample_texts(acme.bot.id, 3, space=_SPACE)
            hashes = [chunk.content_hash for chunk in lacking if chunk.content_hash is not None]
            found = reader.vectors_by_hash(_SPACE, hashes)
            in_own = reader.vectors_by_hash(acme.bot.space.fingerprint, hashes)
            assert reader.count_vectors(acme.bot.id, _SPACE) == len(lacking), "S20: count_vectors() counted others"
        assert samples, "S20: sample_texts() found nothing in a space that was named"
        for chunk, vector in samples:
            assert np.array_equal(vector, _made_of([chunk])[0]), "S20: sample_texts() paired text and vector wrongly"
        assert {vector.shape for vector in found.values()} == {(4,)}, "S20: vectors_by_hash() mixed spaces"
        assert {vector.shape for vector in in_own.values()} == {(8,)}, "S20: vectors_by_hash() mixed spaces"

    def test_s20_samples_reach_from_the_oldest_to_the_newest(self, world: StorageWorld) -> None:
        """S20: the oldest and the newest chunk are among the samples."""
        acme = world.acme
        for number in range(5):
            world.write(acme, f"b{number}", _TEXT)
        keys = world.keys(acme).tolist()
        with world.storage.read(acme.scope) as reader:
            samples = [chunk.key for chunk, _ in reader.sample_texts(acme.bot.id, 3)]
            assert reader.sample_texts(acme.bot.id, 3, space=_SPACE) == [], "S20: samples of a space that is empty"
        assert len(samples) <= 3, "S20: more samples than asked for"
        assert {keys[0], keys[-1]} <= set(samples) <= set(keys), "S20: the oldest or the newest chunk was left out"

    def test_s21_lacking_until_put(self, world: StorageWorld) -> None:
        """S21: `lacking_vectors` gives every chunk once, by key, until it has a vector; what is gone takes none."""
        acme, bot_id = world.acme, world.acme.bot.id
        world.write(acme, "b", _TEXT)
        keys = world.keys(acme).tolist()
        with world.storage.read(acme.scope) as reader:
            lacking: list[ChunkText] = []
            while batch := reader.lacking_vectors(bot_id, _SPACE, after=lacking[-1].key if lacking else 0, limit=2):
                assert len(batch) <= 2, "S21: more than the limit"
                lacking += batch
            own = reader.lacking_vectors(bot_id, acme.bot.space.fingerprint)
        assert own == [], "S21: chunks lack vectors of the bot's own space"
        assert [chunk.key for chunk in lacking] == keys, "S21: lacking_vectors() left chunks out, or gave them twice"
        for chunk in lacking:
            assert 0 < len(chunk.text) <= CHUNK, "S21: a chunk's text is not its own"
            assert chunk.title == "Title", "S21: a chunk's title is not its document's"
        _fill(world, acme, lacking[:3])
        with world.storage.read(acme.scope) as reader:
            left = [chunk.key for chunk in reader.lacking_vectors(bot_id, _SPACE)]
        assert left == keys[3:], "S21: lacking_vectors() does not tell what put_embeddings() wrote"
        with world.storage.write(acme.scope) as writer:
            writer.remove_documents(bot_id, [each.id for each in writer.documents_with_key(bot_id, "b")])
        gone = [chunk for chunk in lacking if chunk.key not in world.keys(acme)]
        assert gone, "S11: the chunks of a removed document are still there"
        assert _fill(world, acme, lacking) == len(lacking) - len(gone), (
            "S21: vectors of chunks that are gone were taken"
        )
        with world.storage.read(acme.scope) as reader:
            assert reader.lacking_vectors(bot_id, _SPACE) == [], "S21: a chunk was left out"
            assert reader.count_vectors(bot_id, _SPACE) == len(lacking) - len(gone), "S21: a vector outlived its chunk"

    def test_s21_a_vector_that_is_there_stays(self, world: StorageWorld) -> None:
        """S21: two workers may give the same chunk its vector."""
        acme, bot_id = world.acme, world.acme.bot.id
        with world.storage.read(acme.scope) as reader:
            lacking = reader.lacking_vectors(bot_id, _SPACE)
        _fill(world, acme, lacking)
        with world.storage.write(acme.scope) as writer:
            keys, hashes = [chunk.key for chunk in lacking], [chunk.content_hash or b"" for chunk in lacking]
            writer.put_embeddings(bot_id, _SPACE, keys, hashes, np.ones((len(keys), 4), np.float32))
            ((chunk, vector), *_) = writer.sample_texts(bot_id, 1, space=_SPACE)
        assert np.array_equal(vector, _made_of([chunk])[0]), "S21: a vector that was there was written over"

    def test_s22_the_bot_moves(self, world: StorageWorld) -> None:
        """S22: with `put_bot` all reads turn to the other space; then only what is not kept is dropped, in bounded steps."""
        acme, bot_id = world.acme, world.acme.bot.id
        world.write(acme, "b", _TEXT)
        with world.storage.read(acme.scope) as reader:
            lacking = reader.lacking_vectors(bot_id, _SPACE)
        _fill(world, acme, lacking)
        with world.storage.write(acme.scope) as writer:
            writer.put_bot(acme.bot.model_copy(update={"space": _OTHER}))
            moved = _vectors(writer, acme)
        expected = {chunk.key: _made_of([chunk])[0].tolist() for chunk in lacking}
        assert moved == expected, "S22: vectors() are not those of the space that the bot was put in"
        dropped: list[int] = []
        while not dropped or dropped[-1]:
            with world.storage.write(acme.scope) as writer:
                dropped.append(writer.drop_embeddings(bot_id, keep_space=_SPACE, limit=4))
            assert dropped[-1] <= 4, "S22: more were dropped than the limit"
        assert sum(dropped) == len(lacking), "S22: not all vectors of other spaces were dropped"
        with world.storage.read(acme.scope) as reader:
            assert _vectors(reader, acme) == expected, "S22: vectors of the kept space were dropped"
            assert reader.count_vectors(bot_id, acme.bot.space.fingerprint) == 0, "S22: vectors were left"
            assert reader.bot_by_id(bot_id) == acme.bot.model_copy(update={"space": _OTHER}), "S22: another bot was put"
        assert len(world.keys(world.rival)), "S22: another tenant's vectors were dropped"

    def test_s23_familiarity_is_replaced(self, world: StorageWorld) -> None:
        """S23: sums are those given, and a document that is removed takes its own part along."""
        acme, bot_id = world.acme, world.acme.bot.id
        for key in ("b", "c"):
            world.write(acme, key, _TEXT)
        ids = {key: world.document_id(acme, key) for key in ("note", "b", "c")}
        with world.storage.read(acme.scope) as reader:
            versions = reader.current_versions(bot_id, limit=2)
            versions += reader.current_versions(bot_id, after=versions[-1][0], limit=2)
        assert [row[0] for row in versions] == sorted(ids.values()), "S23: current_versions() left documents out"
        assert {row[1] for row in versions} == set(acme.versions.values()), "S23: current_versions() gave old ones"
        assert {row[0]: row[2] for row in versions}[ids["b"]] == len(_TEXT), "S23: a wrong length"
        with world.storage.write(acme.scope) as writer:
            writer.put_familiarity(bot_id, {ids["note"]: (10, 2.5), ids["b"]: (20, 15.0), "unknown": (5, 5.0)})
            assert writer.familiarity(bot_id) == (30, 17.5), "S23: other sums than what was put"
        with world.storage.write(acme.scope) as writer:
            writer.remove_documents(bot_id, [ids["b"]])
        with world.storage.read(acme.scope) as reader:
            assert reader.familiarity(bot_id) == (10, 2.5), "S23: a removed document left its share"
        with world.storage.write(acme.scope) as writer:
            writer.put_familiarity(bot_id, {})
            assert writer.familiarity(bot_id) == (0, 0.0), "S23: documents left out kept theirs"

    def test_s23_marked_to_be_cut_anew(self, world: StorageWorld) -> None:
        """S23: documents are marked stale; with `recut`, no version hash is equal to theirs."""
        acme, bot_id = world.acme, world.acme.bot.id
        for recut in (False, True):
            with world.storage.write(acme.scope) as writer:
                assert writer.mark_stale(bot_id, recut=recut) == 1, "S23: mark_stale() counted other documents"
                (state,) = writer.states(acme.source.id)
                assert state.stale, "S23: a document is not stale"
                assert (state.version_hash == b"") == recut, "S23: the version's hash is not as asked for"
                assert writer.stats(bot_id).stale == 1, "S23: stats() counted other stale documents"


def _vectors(reader: Reader, customer: Customer) -> dict[int, list[float]]:
    return {
        key: vector.tolist()
        for keys, rows in reader.vectors(customer.bot.id)
        for key, vector in zip(keys.tolist(), rows, strict=True)
    }


def _same(one: list[tuple[ChunkText, Matrix]], other: list[tuple[ChunkText, Matrix]]) -> bool:
    return len(one) == len(other) and all(
        a == b and np.array_equal(x, y) for (a, x), (b, y) in zip(one, other, strict=True)
    )


def _made_of(chunks: list[ChunkText]) -> Matrix:
    """Return vectors of the other space that depend on nothing but each chunk's text."""
    return np.ascontiguousarray(vectors_of([chunk.text for chunk in chunks])[:, :4])


def _fill(world: StorageWorld, customer: Customer, chunks: list[ChunkText]) -> int:
    """Give chunks their vectors of the other space; return how many were taken."""
    keys, hashes = [chunk.key for chunk in chunks], [chunk.content_hash or b"" for chunk in chunks]
    with world.storage.write(customer.scope) as writer:
        return writer.put_embeddings(customer.bot.id, _SPACE, keys, hashes, _made_of(chunks))
