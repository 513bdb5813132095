"""Deliberately wrong storages fail `StorageConformance` by the clause they break."""

from __future__ import annotations

import dataclasses
import inspect
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from minirag.errors import NotFoundError, StorageBusyError
from minirag.interfaces.scope import TenantScope, mint_scope
from minirag.interfaces.storage import Reader, Storage, Writer
from minirag.interfaces.upkeep import StoredFault
from minirag.models.index import EmbeddingSpace
from minirag.providers.sqlalchemy.changes import BotChanges
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.providers.sqlalchemy.writer import SqlAlchemyWriter
from minirag.testing.storage import StorageConformance
from minirag.testing.storage_world import StorageWorld
from minirag.types import new_id


class Wrong(SqlAlchemyStorage):
    """A right storage, of which each subclass spoils one thing."""

    def __init__(self, location: Path, *, read_only: bool = False) -> None:
        super().__init__(location, read_only=read_only)
        self.file = Path(location) / "minirag.sqlite3"

    @contextmanager
    def read(self, scope: TenantScope) -> Iterator[Reader]:
        with super().read(scope) as reader:
            self.spoil(reader)
            yield reader

    @contextmanager
    def write(self, scope: TenantScope) -> Iterator[Writer]:
        with super().write(scope) as writer:
            self.spoil(writer)
            yield writer

    def spoil(self, reader: Any) -> None:
        """Replace a method of a reader or writer."""

    def scopes(self) -> list[TenantScope]:
        with self.directory() as directory:
            return [mint_scope(tenant.id) for tenant in directory.tenants()]


class NoSnapshot(Wrong):
    """Breaks S1: every call of a read block sees the newest state."""

    @contextmanager
    def read(self, scope: TenantScope) -> Iterator[Reader]:
        right = partial(SqlAlchemyStorage.read, self, scope)

        class Anew:
            def __getattr__(self, name: str) -> Any:
                def call(*arguments: Any, **named: Any) -> Any:
                    with right() as reader:
                        result = getattr(reader, name)(*arguments, **named)
                        return list(result) if inspect.isgenerator(result) else result

                return call

        yield Anew()  # type: ignore[misc]


class LosesRollback(Wrong):
    """Breaks S2: an exception is passed on, but what came before it is committed."""

    @contextmanager
    def write(self, scope: TenantScope) -> Iterator[Writer]:
        problem: BaseException | None = None
        with super().write(scope) as writer:
            try:
                yield writer
            except BaseException as caught:
                problem = caught
        if problem is not None:
            raise problem


class Forgets(Wrong):
    """Breaks S3: the same location is another storage each time."""

    def __init__(self, location: Path, *, read_only: bool = False) -> None:
        super().__init__(location / new_id())


class SharesVectors(Wrong):
    """Breaks S4: a vector is found by its hash, whoever embedded it."""

    def spoil(self, reader: Any) -> None:
        def found(space: str, hashes: Any) -> Any:
            vectors = {}
            for scope in self.scopes():
                with SqlAlchemyStorage.read(self, scope) as other:
                    vectors |= other.vectors_by_hash(space, hashes)
            return vectors

        reader.vectors_by_hash = found


class LeaksById(Wrong):
    """Breaks S5: a text is returned to whoever knows its version's id."""

    def spoil(self, reader: Any) -> None:
        def text(version_id: str, start: int = 0, end: int | None = None) -> str | None:
            for scope in self.scopes():
                with SqlAlchemyStorage.read(self, scope) as other:
                    if (found := other.text(version_id, start, end)) is not None:
                        return found
            return None

        reader.text = text


class TellsForeignIds(Wrong):
    """Breaks S5: another tenant's id is refused, where a missing one gives None."""

    def spoil(self, reader: Any) -> None:
        right = reader.version

        def version(version_id: str) -> Any:
            row = right(version_id)
            if row is None:
                for scope in self.scopes():
                    with SqlAlchemyStorage.read(self, scope) as other:
                        if other.version(version_id) is not None:
                            raise NotFoundError("this belongs to another tenant")
            return row

        reader.version = version


class GapsInSequences(Wrong):
    """Breaks S6: like a database sequence, it does not take back a number when a transaction is rolled back."""

    @contextmanager
    def write(self, scope: TenantScope) -> Iterator[Writer]:
        try:
            with super().write(scope) as writer:
                yield writer
        except BaseException:
            with sqlite3.connect(self.file) as connection:
                connection.execute("UPDATE bot_logs SET sequence = sequence + 1")
            connection.close()
            raise


class ReusesKeys(Wrong):
    """Breaks S7: keys are counted from 1 in each version."""

    @contextmanager
    def write(self, scope: TenantScope) -> Iterator[Writer]:
        counted = mock.patch.object(BotChanges, "new_keys", lambda self, count: range(1, count + 1))
        with counted, super().write(scope) as writer:
            yield writer


class CutsBytes(Wrong):
    """Breaks S8: offsets are taken as bytes."""

    def spoil(self, reader: Any) -> None:
        right = reader.text

        def text(version_id: str, start: int = 0, end: int | None = None) -> str | None:
            whole = right(version_id)
            return None if whole is None else whole.encode()[start:end].decode(errors="replace")

        reader.text = text


class OverwritesBlindly(Wrong):
    """Breaks S9: a version replaces the current one, whichever it is."""

    def spoil(self, reader: Any) -> None:
        if not isinstance(reader, SqlAlchemyWriter):
            return
        right = reader.write_versions

        def write_versions(bot_id: str, drafts: Any, **named: Any) -> Any:
            from dataclasses import replace

            written = []
            for draft in drafts:
                present = reader.documents_with_key(bot_id, draft.key, source_id=draft.source_id)
                blind = replace(draft, replaces=present[0].version_id if present else None)
                written += right(bot_id, [blind], **named)
            return written

        reader.write_versions = write_versions  # type: ignore[method-assign]


class DropsEvidence(Wrong):
    """Breaks S10: an update drops the old text."""

    def spoil(self, reader: Any) -> None:
        if isinstance(reader, SqlAlchemyWriter):
            right = reader.write_versions
            reader.write_versions = lambda *given, **named: right(*given, **(named | {"keep_versions": 0}))  # type: ignore[method-assign]


class FeedsTwice(Wrong):
    """Breaks S11: the last batch of vectors comes twice."""

    def spoil(self, reader: Any) -> None:
        right = reader.vectors

        def vectors(*given: Any, **named: Any) -> Any:
            batches = list(right(*given, **named))
            return iter(batches + batches[-1:])

        reader.vectors = vectors


class IgnoresFilter(Wrong):
    """Breaks S12: every chunk is allowed."""

    def spoil(self, reader: Any) -> None:
        right = reader.allowed
        reader.allowed = lambda bot_id, where: right(bot_id, _everything())


class MatchesAnything(Wrong):
    """Breaks S12: every candidate is allowed."""

    def spoil(self, reader: Any) -> None:
        right = reader.matching
        reader.matching = lambda bot_id, where, keys: right(bot_id, _everything(), keys)


class ForgetsToDeclare(Wrong):
    """Breaks S12: what documents say of a declared field is not looked up again when their metadata change."""

    @contextmanager
    def write(self, scope: TenantScope) -> Iterator[Writer]:
        with mock.patch("minirag.providers.sqlalchemy.writer.fill"), super().write(scope) as writer:
            yield writer


class ListsTooMany(Wrong):
    """Breaks S12: a limit is not heeded."""

    def spoil(self, reader: Any) -> None:
        reader.allowed_if_few = lambda bot_id, where, *, limit: reader.allowed(bot_id, where)


class OrdersAnything(Wrong):
    """Breaks S13: absent keys are ordered too."""

    def spoil(self, reader: Any) -> None:
        right = reader.order
        reader.order = lambda bot_id, keys: {int(key): ("", "", 0) for key in keys} | right(bot_id, keys)


class OneWriter(Wrong):
    """Breaks S14: a second writer is refused instead of waiting."""

    def __init__(self, location: Path, *, read_only: bool = False) -> None:
        super().__init__(location, read_only=read_only)
        self.writing = threading.Lock()

    @contextmanager
    def write(self, scope: TenantScope) -> Iterator[Writer]:
        if not self.writing.acquire(blocking=False):
            raise StorageBusyError("another thread writes; try again")
        try:
            with super().write(scope) as writer:
                yield writer
        finally:
            self.writing.release()


class NeverCloses(Wrong):
    """Breaks S15: it goes on after `close`."""

    def close(self) -> None:
        pass


class AlwaysWrites(Wrong):
    """Breaks S16: `read_only` is not heeded."""

    def __init__(self, location: Path, *, read_only: bool = False) -> None:
        super().__init__(location)


class FindsFaults(Wrong):
    """Breaks S17: old versions are taken for damaged."""

    def verify(self, scope: TenantScope | None, *, deep: bool = True, tell: Any = None) -> Any:
        yield from super().verify(scope, deep=deep)
        if scope is not None:
            yield StoredFault("text", "an old version", "none", repairable=False)


class RepairsTooMuch(Wrong):
    """Breaks S18: a repair drops every vector of the bot it is told of."""

    def repair(self, scope: TenantScope | None, fault: Any) -> None:
        with sqlite3.connect(self.file) as connection:
            connection.execute("DELETE FROM embeddings WHERE bot_id = ?", (fault.bot_id,))


class CopiesTornly(Wrong):
    """Breaks S19: the copy lacks the vectors."""

    def backup(self, folder: Path) -> None:
        super().backup(folder)
        with sqlite3.connect(folder / "minirag.sqlite3") as connection:
            connection.execute("DELETE FROM embeddings")


class MixesSpaces(Wrong):
    """Breaks S20: vectors of whatever space are given."""

    def spoil(self, reader: Any) -> None:
        right = reader.vectors
        space = EmbeddingSpace(provider="test", model="other", dimension=4).fingerprint

        def vectors(bot_id: str, keys: Any = None, *, batch: int = 4_096) -> Any:
            others = [(chunk.key, vector) for chunk, vector in reader.sample_texts(bot_id, 1, space=space)]
            yield from right(bot_id, keys, batch=batch)
            for key, vector in others:
                yield np.array([key]), vector[None]

        reader.vectors = vectors


class TakesVectorsOfTheGone(Wrong):
    """Breaks S21: what was stored is not told from what was left out."""

    def spoil(self, reader: Any) -> None:
        if isinstance(reader, SqlAlchemyWriter):
            right = reader.put_embeddings

            def put_embeddings(bot_id: str, space: str, keys: Any, *others: Any) -> int:
                right(bot_id, space, keys, *others)
                return len(keys)

            reader.put_embeddings = put_embeddings  # type: ignore[method-assign]


class DropsTooMuch(Wrong):
    """Breaks S22: the limit is not heeded."""

    def spoil(self, reader: Any) -> None:
        if isinstance(reader, SqlAlchemyWriter):
            right = reader.drop_embeddings
            reader.drop_embeddings = lambda bot_id, *, keep_space, limit: right(  # type: ignore[method-assign]
                bot_id, keep_space=keep_space, limit=limit + 1
            )


class KeepsShares(Wrong):
    """Breaks S23: documents that are left out keep their words."""

    def spoil(self, reader: Any) -> None:
        if isinstance(reader, SqlAlchemyWriter):
            right = reader.put_familiarity
            reader.put_familiarity = lambda bot_id, given: right(bot_id, given) if given else None  # type: ignore[method-assign]


class RemembersBots(Wrong):
    """Breaks S24: a search begins with the bot as it was first seen."""

    def __init__(self, location: Path, *, read_only: bool = False) -> None:
        super().__init__(location, read_only=read_only)
        self.seen: dict[str, Any] = {}

    def spoil(self, reader: Any) -> None:
        right = reader.search_state
        reader.search_state = lambda bot_id: self.seen.setdefault(bot_id, right(bot_id))


class MovesNoHistory(Wrong):
    """Breaks S25: old versions, and those of documents that are gone, are not told."""

    def spoil(self, reader: Any) -> None:
        right = reader.stored_versions
        reader.stored_versions = lambda bot_id: ([row for row in rows if row.current] for rows in right(bot_id))


class LogsOfOthers(Wrong):
    """Breaks S39: the log of every tenant is one."""

    def spoil(self, reader: Any) -> None:
        right = reader.audit_events

        def audit_events(**named: Any) -> Any:
            found = right(**named)
            for scope in self.scopes():
                with SqlAlchemyStorage.read(self, scope) as other:
                    found += [event for event in other.audit_events(**named) if event not in found]
            return found

        reader.audit_events = audit_events


class TakesPrefixes(Wrong):
    """Breaks S39: whose name begins like an actor's is taken for it."""

    def spoil(self, reader: Any) -> None:
        right = reader.audit_events
        reader.audit_events = lambda *, actor=None, **named: [
            event for event in right(**named) if event.actor.startswith(actor or "")
        ]


class RoundsLimits(Wrong):
    """Breaks S40: amounts of money are kept as floats."""

    def spoil(self, reader: Any) -> None:
        right = reader.limits

        def limits() -> Any:
            found = right()
            day = found and found.cost.day
            if day is None:
                return found
            return found.model_copy(update={"cost": found.cost.model_copy(update={"day": Decimal(float(day))})})

        reader.limits = limits


class HoldsForOthers(Wrong):
    """Breaks S40: documents are counted that were removed."""

    def spoil(self, reader: Any) -> None:
        right, most = reader.held, [0]

        def held() -> Any:
            found = right()
            most[0] = max(most[0], found.documents)
            return replace(found, documents=most[0])

        reader.held = held


class ForgetsReservations(Wrong):
    """Breaks S41: a call counts only when it has ended."""

    def spoil(self, reader: Any) -> None:
        right = reader.spent
        reader.spent = lambda *, since, alive_since: right(since=since, alive_since=alive_since + timedelta(days=1))


class RemembersTheDead(Wrong):
    """Breaks S41: what a died process has reserved is never free again."""

    def spoil(self, reader: Any) -> None:
        right = reader.spent
        reader.spent = lambda *, since, alive_since: right(since=since, alive_since=alive_since - timedelta(days=1))


def _everything() -> Any:
    from minirag.models.filters import And

    return And(())


class SearchesTheClosed(Wrong):
    """Breaks S42: a search is not told that its tenant is closed."""

    def spoil(self, reader: Any) -> None:
        right = reader.search_state

        def search_state(bot_id: str) -> Any:
            state = right(bot_id)
            return state and dataclasses.replace(state, suspended=False)

        reader.search_state = search_state


class ClosesAll(Wrong):
    """Breaks S42: where one tenant is closed all are."""

    def spoil(self, reader: Any) -> None:
        def suspended() -> bool:
            with self.directory() as directory:
                return any(tenant.suspended_at is not None for tenant in directory.tenants())

        reader.suspended = suspended


class ShowsAllChats(Wrong):
    """Breaks S43: whoever asks for one person's chats is given everybody's."""

    def spoil(self, reader: Any) -> None:
        right = reader.chats
        reader.chats = lambda bot_id, *, user_id=None, **page: right(bot_id, **page)


class CountsForAll(Wrong):
    """Breaks S44: every tenant holds what the first one holds."""

    @contextmanager
    def directory(self, *, write: bool = False) -> Iterator[Any]:
        with super().directory(write=write) as directory:
            right = directory.tenant_counts

            def tenant_counts() -> Any:
                held = right()
                return dict.fromkeys(held, next(iter(held.values())))

            directory.tenant_counts = tenant_counts  # type: ignore[method-assign]
            yield directory


@pytest.mark.parametrize(
    ("wrong", "clause"),
    [
        (NoSnapshot, 1), (LosesRollback, 2), (Forgets, 3), (SharesVectors, 4), (LeaksById, 5), (TellsForeignIds, 5),
        (GapsInSequences, 6), (ReusesKeys, 7), (CutsBytes, 8), (OverwritesBlindly, 9), (DropsEvidence, 10),
        (FeedsTwice, 11), (IgnoresFilter, 12),
        (MatchesAnything, 12), (ForgetsToDeclare, 12), (ListsTooMany, 12), (OrdersAnything, 13), (OneWriter, 14), (NeverCloses, 15),
        (AlwaysWrites, 16), (FindsFaults, 17), (RepairsTooMuch, 18), (CopiesTornly, 19), (MixesSpaces, 20), (TakesVectorsOfTheGone, 21), (DropsTooMuch, 22), (KeepsShares, 23),
        (RemembersBots, 24), (MovesNoHistory, 25), (LogsOfOthers, 39), (TakesPrefixes, 39), (RoundsLimits, 40), (HoldsForOthers, 40), (ForgetsReservations, 41), (RemembersTheDead, 41),
        (SearchesTheClosed, 42), (ClosesAll, 42), (ShowsAllChats, 43), (CountsForAll, 44),
    ],
)  # fmt: skip
def test_wrong_storage_fails_by_its_clause(wrong: type[Wrong], clause: int, tmp_path: Path) -> None:
    """Of the tests of the clause that a storage breaks, at least one fails."""

    class Suite(StorageConformance):
        def make_storage(self, location: Path, *, read_only: bool = False) -> Storage:
            made.append(wrong(location, read_only=read_only))
            return made[-1]

    made: list[Wrong] = []
    suite, failed = Suite(), []
    names = [name for name in dir(suite) if name.startswith(f"test_s{clause:02d}_")]
    assert names, f"the suite has no test of S{clause}"
    for name in names:
        test = getattr(suite, name)
        given = {"number": 2, "tmp_path": tmp_path}
        extra: dict[str, Any] = {each: given[each] for each in inspect.signature(test).parameters if each in given}
        world = StorageWorld(partial(suite.make_storage, tmp_path / name))
        try:
            test(world, **extra)
        except (Exception, pytest.fail.Exception) as problem:
            failed.append((name, problem))
        finally:
            for storage in made:
                SqlAlchemyStorage.close(storage)
    assert failed, f"{wrong.__name__} passed {names}"
