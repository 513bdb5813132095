"""The clauses of `Storage` about search, writing conflicts, threads and life cycle; part of `StorageConformance`."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from minirag.errors import ConflictError, NotFoundError, ReadOnlyWorkspaceError, WorkspaceClosedError
from minirag.interfaces.storage import Storage, Writer
from minirag.models.filters import matches, parse_filter
from minirag.models.tenants import BotRecord
from minirag.testing.storage_world import CHUNK, StorageWorld, draft, new_bot, new_source, vectors_of
from minirag.types import new_id

__all__ = ["StorageSearchClauses"]

_METADATA: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"lang": "en", "year": 2020, "draft": True},
    {"lang": "de", "year": 2021.5, "draft": False, "tags": ["a", "b"]},
    {"lang": None, "year": "2020", "tags": [1, 2]},
    {"lang": "\U0001f600", "year": 2**53 + 1, "on": dt.date(2024, 2, 29)},
    {"lang": "en", "at": dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC), 'odd "name". $': "x"},
)
_FILTERS: Final[tuple[dict[str, Any], ...]] = (
    {"lang": "en"},
    {"lang": None},
    {"lang": {"$in": ["en", None]}},
    {"lang": {"$nin": ["en", "de"]}},
    {"lang": {"$gt": "en"}},
    {"year": {"$gte": 2020}},
    {"year": 2020, "draft": True},
    {"year": 2**53},
    {"draft": {"$exists": False}},
    {"draft": 1},
    {"tags": "a"},
    {"tags": 2},
    {"on": {"$lte": dt.date(2024, 3, 1)}},
    {"at": {"$lt": dt.datetime(2025, 1, 1, tzinfo=dt.UTC)}},
    {'odd "name". $': "x"},
    {"$not": {"lang": "en"}},
    {"$or": [{"lang": "de"}, {"$key": "k1"}]},
    {"$and": [{"$title": "Title"}, {"$source": "inline"}, {"$key": {"$gt": "k2"}}]},
)
_THREADS: Final = 4
_WRITES: Final = 6


class StorageSearchClauses(ABC):
    """What a suite must provide, and the tests of S11 to S16 and S24."""

    lasting: bool = True
    """Whether the same location opened again, or by another process, holds the same data."""

    concurrent: bool = True
    """Whether several threads may hold transactions at once."""

    @abstractmethod
    def make_storage(self, location: Path, *, read_only: bool = False) -> Storage:
        """Return the storage at a location, a path that is this test's own; the same path is the same storage."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[StorageWorld]:
        """Yield a storage with two customers."""
        world = StorageWorld(partial(self.make_storage, tmp_path / "storage"))
        yield world
        world.close()

    # ---------------------------------------------------------------- what indexes are fed with
    def test_s11_present_chunks_and_no_others(self, world: StorageWorld) -> None:
        """S11: after writes, updates and removals, `vectors` and `index_texts` yield the chunks of current versions."""
        acme, bot_id = world.acme, world.acme.bot.id
        texts = {"note": "The note. " * 9, "b": "Another document. " * 20, "c": "Short."}
        for key in ("note", "b", "c", "gone"):
            world.write(acme, key, "An old text. " * 10)
        for key, text in texts.items():
            world.write(acme, key, text)
        with world.storage.write(acme.scope) as writer:
            writer.remove_documents(bot_id, [each.id for each in writer.documents_with_key(bot_id, "gone")])
        expected = sorted(text[at : at + CHUNK] for text in texts.values() for at in range(0, len(text), CHUNK))
        with world.storage.read(acme.scope) as reader:
            batches = list(reader.vectors(bot_id, batch=3))
            fed = [text for batch in reader.index_texts(bot_id, batch=2) for text in batch]
            stats = reader.stats(bot_id)
            known = reader.familiarity(bot_id)
        vectors = {key: row for keys, rows in batches for key, row in zip(keys.tolist(), rows, strict=True)}
        assert sum(len(keys) for keys, _ in batches) == len(vectors), "S11: vectors() yielded a key twice"
        assert sorted(text.text for text in fed) == expected, "S11: index_texts() yielded other chunks than the current"
        assert {text.key for text in fed} == vectors.keys(), "S11: vectors() and index_texts() differ in their keys"
        assert all(np.array_equal(vectors[text.key], vectors_of([text.text])[0]) for text in fed), "S11: wrong vector"
        assert (stats.documents, stats.chunks) == (len(texts), len(expected)), "S11: stats() counted something else"
        assert stats.characters == sum(map(len, texts.values())), "S11: stats() counted other characters"
        words = sum(len(text.split()) for text in texts.values())
        assert known[0] == words, "S11: familiarity() is of other versions"
        assert abs(known[1] - words / 3) < 1e-4, "S11: familiarity() is of other versions"

    def test_s11_given_keys(self, world: StorageWorld) -> None:
        """S11: with `keys`, those chunks are yielded and absent ones left out."""
        world.write(world.acme, "b", "Another document. " * 20)
        keys = world.keys(world.acme)
        asked = np.array([keys[3], 5, keys[0], 2**63 - 1], np.int64)
        with world.storage.read(world.acme.scope) as reader:
            found = [key for part, _ in reader.vectors(world.acme.bot.id, asked, batch=1) for key in part.tolist()]
            texts = [text.key for batch in reader.index_texts(world.acme.bot.id, asked) for text in batch]
            samples = reader.sample_texts(world.acme.bot.id, 3)
        assert sorted(found) == sorted(texts) == sorted([int(keys[0]), int(keys[3])]), "S11: other keys were yielded"
        assert len(samples) == 3, "S11: sample_texts() returned too few"
        for chunk, vector in samples:
            assert chunk.title == "Title", "S11: sample_texts() returned another title"
            expected = vectors_of([chunk.text])[0]
            assert np.array_equal(vector, expected), "S11: sample_texts() paired text and vector wrongly"

    # ---------------------------------------------------------------- filters
    def test_s12_filters_mean_what_matches_says(self, world: StorageWorld) -> None:
        """S12: `where` allows the chunks and documents whose record `matches`, and no others."""
        _check_filters(world)

    def test_s12_filters_on_declared_fields(self, world: StorageWorld) -> None:
        """S12: the same, where the bot declares the fields."""
        _declare(world, ("lang", "year", "tags", "on", 'odd "name". $'))
        _check_filters(world)

    def test_s12_the_index_of_declared_fields_follows(self, world: StorageWorld) -> None:
        """S12: filters on a declared field hold after it was declared, updated, removed, and declared no more."""
        acme, bot_id, text = world.acme, world.acme.bot.id, "Some text of two chunks, more or less.... " * 2
        condition = parse_filter({"lang": "en"})
        assert condition is not None

        def check(expected: list[str]) -> None:
            with world.storage.read(acme.scope) as reader:
                few = reader.allowed_if_few(bot_id, condition, limit=100)
                keys = reader.allowed(bot_id, condition)
                found = {hit.key for hit in reader.hydrate(bot_id, keys).values()}
                verdicts = reader.matching(bot_id, condition, world.keys(acme))
            assert sorted(found) == expected, "S12: allowed() is of other metadata"
            assert few is None or few.tolist() == keys.tolist(), "S12: allowed_if_few() is of other metadata"
            assert sorted(key for key, is_allowed in verdicts.items() if is_allowed) == keys.tolist(), (
                "S12: matching() is of other metadata"
            )

        for key in ("a", "b", "c"):
            world.write(acme, key, text, metadata={"lang": "en"})
        _declare(world, ("lang",))
        check(["a", "b", "c"])
        world.write(acme, "a", text + "!", metadata={"lang": "de"})
        world.write(acme, "d", text, metadata={"lang": "en"})
        check(["b", "c", "d"])
        with world.storage.write(acme.scope) as writer:
            for key, lang in (("a", "en"), ("b", ["fr", "en"]), ("c", None)):
                writer.update_document(
                    world.document_id(acme, key), title="Title", metadata={"lang": lang}, raw_hash=None
                )
        check(["a", "b", "d"])
        with world.storage.write(acme.scope) as writer:
            writer.remove_documents(bot_id, [world.document_id(acme, "d")])
        check(["a", "b"])
        _declare(world, ("year",))
        check(["a", "b"])

    def test_s12_a_limit_on_what_is_allowed(self, world: StorageWorld) -> None:
        """S12: `allowed_if_few` never returns more than its limit, nor less than all that is allowed."""
        acme, bot_id = world.acme, world.acme.bot.id
        _declare(world, ("lang",))
        for number in range(6):
            world.write(acme, f"{number}", "One chunk.", metadata={"lang": "en"})
        condition = parse_filter({"lang": "en"})
        assert condition is not None
        with world.storage.read(acme.scope) as reader:
            for limit in range(9):
                few = reader.allowed_if_few(bot_id, condition, limit=limit)
                assert few is None or len(few) == 6 <= limit, "S12: allowed_if_few() does not heed its limit"

    def test_s12_pages_of_listings(self, world: StorageWorld) -> None:
        """S12: documents and states come in pages, in the order of ids and of keys by code point."""
        acme, bot_id = world.acme, world.acme.bot.id
        names = ["Z", "a", "\u00e9", "\uffff", "\U00010000"]
        for name in reversed(names):
            world.write(acme, name, f"Document {name}.")
        with world.storage.read(acme.scope) as reader:
            whole = reader.documents(bot_id)
            paged = [reader.documents(bot_id, limit=4), reader.documents(bot_id, after=whole[3].id, limit=4)]
            assert [each for page in paged for each in page] == whole, "S12: documents() loses some between pages"
            assert [each.id for each in whole] == sorted(each.id for each in whole), "S12: not by ascending id"
            keys = [state.key for state in reader.states(acme.source.id)]
            assert keys == sorted([*names, "note"]), "S12: states are not in the order of code points"
            assert [s.key for s in reader.states(acme.source.id, after="a", limit=2)] == ["note", "\u00e9"], (
                "S12: after"
            )
            assert [s.key for s in reader.states(acme.source.id, ["Z", "?", "a"])] == ["Z", "a"], "S12: states of keys"

    def test_s12_stale_documents(self, world: StorageWorld) -> None:
        """S12: every document of a bot can be marked stale; a new version is not stale any more."""
        acme = world.acme
        world.write(acme, "b", "Second.")
        with world.storage.write(acme.scope) as writer:
            assert writer.mark_stale(acme.bot.id) == 2, "S12: mark_stale() counted other documents"
        world.write(acme, "b", "Second, cut anew.")
        with world.storage.read(acme.scope) as reader:
            assert [s.key for s in reader.states(acme.source.id, stale=True)] == ["note"], "S12: stale=True"
            assert [s.key for s in reader.states(acme.source.id, stale=False)] == ["b"], "S12: stale=False"
            assert reader.stats(acme.bot.id).stale == 1, "S12: stats() counts other stale documents"

    # ---------------------------------------------------------------- hits
    def test_s13_absent_keys_are_left_out(self, world: StorageWorld) -> None:
        """S13: `order` and `hydrate` leave out keys of old versions, of other bots and of nothing."""
        acme, bot_id = world.acme, world.acme.bot.id
        old = world.keys(acme)
        text = "A new text\r\n\U0001f600 of the note. " * 300
        world.write(acme, "note", text)
        other = new_bot("other")
        with world.storage.write(acme.scope) as writer:
            writer.put_bot(other)
        present = world.keys(acme)
        asked = np.concatenate([old, [1], present])
        anything = parse_filter({"$key": {"$exists": True}})
        assert anything is not None
        with world.storage.read(acme.scope) as reader:
            hits, order = reader.hydrate(bot_id, asked), reader.order(bot_id, asked)
            elsewhere = reader.hydrate(other.id, asked), reader.order(other.id, asked)
            matching = {key for key, is_allowed in reader.matching(bot_id, anything, asked).items() if is_allowed}
            matching_elsewhere = reader.matching(other.id, anything, asked)
            assert not any(matching_elsewhere.values()), "S13: chunks of another bot were allowed"
            unknown = reader.matching(bot_id, anything, np.array([2**63 - 1]))
            assert unknown == {}, "S13: matching() answers for a chunk that is newer than its view"
            document = reader.documents_with_key(bot_id, "note")[0]
        assert elsewhere == ({}, {}), "S13: chunks of another bot were hydrated"
        assert hits.keys() == order.keys() == matching == set(present.tolist()), (
            "S13: absent keys came, or present ones did not"
        )
        for key, hit in hits.items():
            assert hit.text == text[hit.start : hit.end], "S13: a hit's text is not its span of the canonical text"
            assert order[key] == (hit.source_name, hit.key, hit.start), "S13: order() and hydrate() differ"
            facts = (hit.document_id, hit.version_id, hit.source_id, hit.title, hit.chunk_metadata)
            expected = (document.id, acme.versions["note"], acme.source.id, "Title", {"at": hit.start})
            assert facts == expected, "S13: a hit carries another document's facts"

    def test_s13_a_removed_source_takes_its_documents(self, world: StorageWorld) -> None:
        """S13: after `delete_source` none of its chunks is found; another source's are."""
        acme, bot_id = world.acme, world.acme.bot.id
        second = new_source(bot_id, locator="second", name="second")
        with world.storage.write(acme.scope) as writer:
            writer.put_source(second)
            planned = draft(acme, "note", "The same key, elsewhere.", source_id=second.id, replaces=None)
            writer.write_version(bot_id, planned, space=acme.bot.space.fingerprint, keep_versions=None)
        with world.storage.write(acme.scope) as writer:
            assert len(writer.documents_with_key(bot_id, "note")) == 2, "S13: a key in two sources is two documents"
            assert writer.delete_source(bot_id, acme.source.id) == 1, "S13: delete_source() counted wrongly"
            assert writer.sources(bot_id) == [second], "S13: the source is still there, or the other one is not"
        with world.storage.read(acme.scope) as reader:
            left = reader.hydrate(bot_id, world.keys(acme))
            assert {hit.source_name for hit in left.values()} == {"second"}, "S13: a removed source is still searched"
            assert reader.text(acme.versions["note"]) is not None, "S13: a removed source's evidence is gone"

    def test_s13_names_that_are_taken(self, world: StorageWorld) -> None:
        """S13: a bot's name and a source's place are taken once; a row of nobody is refused."""
        acme = world.acme
        twin = new_source(acme.bot.id)
        orphan = new_source(new_id(), locator="elsewhere")
        with world.storage.write(acme.scope) as writer:
            with pytest.raises(ConflictError):
                writer.put_bot(new_bot("support"))
            with pytest.raises(ConflictError):
                writer.put_source(twin)
            with pytest.raises(NotFoundError):
                writer.put_source(orphan)
            writer.put_bot(acme.bot)
            writer.put_source(acme.source)
        with world.storage.read(acme.scope) as reader:
            assert reader.sources(acme.bot.id) == [acme.source], "S13: a refused source was written"

    # ---------------------------------------------------------------- threads and life cycle
    def test_s14_threads_write_together(self, world: StorageWorld) -> None:
        """S14: writes of several threads all happen, in one gapless sequence."""
        if not self.concurrent:
            pytest.skip("the storage holds one transaction at a time")
        acme, before = world.acme, 1

        def work(thread: int) -> None:
            for number in range(_WRITES):
                world.write(acme, f"{thread}/{number}", f"Written by thread {thread}, number {number}.")
                world.keys(acme)

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(work, range(_THREADS)))
        with world.storage.read(acme.scope) as reader:
            sequences = [row.sequence for row in reader.log(acme.bot.id, after=0)]
            count = reader.count_documents(acme.bot.id)
        assert count == _THREADS * _WRITES + before, "S14: a thread's write is missing"
        assert sequences == list(range(1, count + 1)), "S14: threads tore the sequence"

    def test_s24_the_state_of_a_search(self, world: StorageWorld) -> None:
        """S24: after each of several changes, `search_state` gives record, position and familiarity as they are now."""
        acme, bot = world.acme, world.acme.bot
        changes: list[Callable[[Writer], object]] = [
            lambda writer: writer.put_bot(_renamed(bot, "another name")),
            lambda writer: writer.put_bot(_renamed(bot, "a third one")),
            lambda writer: writer.delete_bot(bot.id),
        ]
        for number, change in enumerate(changes):
            world.write(acme, f"{number}", "Some more words, and others.")
            with world.storage.write(acme.scope) as writer:
                change(writer)
            with world.storage.read(acme.scope) as reader:
                state, record = reader.search_state(bot.id), reader.bot_by_id(bot.id)
                if record is None:
                    assert state is None, "S24: search_state() of a missing bot"
                    continue
                assert state is not None, "S24: search_state() knows no bot where there is one"
                assert state.record == record, "S24: search_state() gave another record than bot_by_id()"
                assert state.position == reader.position(bot.id), "S24: search_state() gave another position"
                found = (state.words, state.known_words)
                assert found == reader.familiarity(bot.id), "S24: search_state() gave another familiarity"

    def test_s15_closed_is_closed(self, world: StorageWorld) -> None:
        """S15: after `close`, every call raises `WorkspaceClosedError`; closing twice is closing once."""
        world.storage.close()
        world.storage.close()
        with pytest.raises(WorkspaceClosedError), world.storage.read(world.acme.scope):
            pass
        with pytest.raises(WorkspaceClosedError), world.storage.write(world.acme.scope):
            pass
        with pytest.raises(WorkspaceClosedError), world.storage.directory():
            pass

    def test_s16_read_only_refuses_writes(self, world: StorageWorld) -> None:
        """S16: opened with `read_only`, it reads, and refuses to write."""
        if not self.lasting:
            pytest.skip("the storage keeps nothing that could be opened again")
        keys = world.keys(world.acme)
        storage = world.open(read_only=True)
        assert (storage.read_only, world.storage.read_only) == (True, False), "S16: read_only tells something else"
        with pytest.raises(ReadOnlyWorkspaceError), storage.write(world.acme.scope):
            pass
        with pytest.raises(ReadOnlyWorkspaceError), storage.directory(write=True):
            pass
        with storage.directory() as directory:
            assert directory.tenant("acme") == world.acme.tenant, "S16: a read-only directory shows nothing"
        assert np.array_equal(world.keys(world.acme, storage), keys), "S16: a read-only storage reads other chunks"


def _check_filters(world: StorageWorld) -> None:
    """Compare each way to read by a filter with `matches`, for every filter."""
    acme, bot_id = world.acme, world.acme.bot.id
    for number, metadata in enumerate(_METADATA):
        world.write(acme, f"k{number}", "Some text of two chunks, more or less.... " * 2, metadata=metadata)
    with world.storage.read(acme.scope) as reader:
        hits = reader.hydrate(bot_id, world.keys(acme))
        documents = {document.id: document for document in reader.documents(bot_id)}
        for where in (*_FILTERS, {"$page": 1}, {"$page": {"$gt": 1}, "lang": "en"}):
            condition = parse_filter(where)
            assert condition is not None
            records = {
                key: {
                    **hit.metadata,
                    "$source": hit.source_name,
                    "$key": hit.key,
                    "$document": hit.document_id,
                    "$title": hit.title,
                    "$page": hit.page,
                    "$added_at": documents[hit.document_id].added_at,
                }
                for key, hit in hits.items()
            }
            expected = sorted(key for key, record in records.items() if matches(condition, record))
            assert reader.allowed(bot_id, condition).tolist() == expected, f"S12: allowed() differs for {where!r}"
            few = reader.allowed_if_few(bot_id, condition, limit=len(expected))
            assert few is None or few.tolist() == expected, f"S12: allowed_if_few() differs for {where!r}"
            verdicts = reader.matching(bot_id, condition, world.keys(acme))
            assert {key for key, is_allowed in verdicts.items() if is_allowed} == set(expected), (
                f"S12: matching() differs for {where!r}"
            )
            assert verdicts.keys() == hits.keys(), f"S12: matching() left out present chunks for {where!r}"
            if "$page" in where:
                continue
            ids = sorted({hits[key].document_id for key in expected})
            found = [document.id for document in reader.documents(bot_id, where=condition)]
            assert found == ids, f"S12: documents() differs for {where!r}"
            assert reader.count_documents(bot_id, where=condition) == len(ids), f"S12: count differs for {where!r}"


def _declare(world: StorageWorld, fields: tuple[str, ...]) -> None:
    """Have the bot of acme declare these fields as filterable."""
    bot = world.acme.bot
    with world.storage.write(world.acme.scope) as writer:
        writer.put_bot(bot.model_copy(update={"profile": bot.profile.model_copy(update={"filterable": fields})}))


def _renamed(bot: BotRecord, name: str) -> BotRecord:
    return bot.model_copy(update={"profile": bot.profile.model_copy(update={"name": name})})
