"""A workspace whose vectors lie in PostgreSQL or Qdrant: answers, loss, older copies, several handles, and tenants apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minirag
from minirag import DocumentInput
from minirag.interfaces import EmbeddingSpace, PartitionLostError, ProviderContext
from minirag.interfaces.records import LogPosition
from minirag.interfaces.scope import mint_scope
from minirag.interfaces.vector_index import VectorIndex
from minirag.providers.pgvector.index import PgVectorIndex
from minirag.providers.pgvector.options import PgVectorOptions
from minirag.providers.pgvector.statements import POSITIONS, table_name
from minirag.providers.qdrant.index import QdrantIndex, create
from minirag.providers.qdrant.options import QdrantOptions
from minirag.providers.qdrant.partition import QdrantPartition
from minirag.testing.vector_index_oracle import random_vectors

SPACE = EmbeddingSpace(provider="test", model="random", dimension=16)
NONE = np.empty(0, np.int64)
NOTHING = np.empty((0, 16), np.float32)
TEXTS = [f"Letter {number} about harbours." for number in range(12)]


@dataclass
class Engine:
    """One of the two, and how its server is damaged."""

    named: dict[str, Any]
    index: VectorIndex
    lose: Callable[[str], None]
    set_back: Callable[[str, int], None]


@pytest.fixture(params=["pgvector", "qdrant"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "qdrant":
        options = QdrantOptions(path=":memory:")
        index = create(options, ProviderContext())
        yield Engine({"provider": "qdrant", "options": {"path": ":memory:"}}, index, *_of_qdrant(index))
        index.close()
        return
    dsn = request.getfixturevalue("postgres").new_database().replace("+psycopg", "")
    index = PgVectorIndex(dsn)
    yield Engine({"provider": "pgvector", "options": {"dsn": dsn}}, index, *_of_postgres(dsn))
    index.close()


def _of_qdrant(index: QdrantIndex) -> tuple[Any, Any]:
    from qdrant_client import models

    def lose(fingerprint: str) -> None:
        index._client.delete_collection(f"minirag_{fingerprint}")

    def set_back(fingerprint: str, sequence: int) -> None:
        any_position = models.Filter(
            must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key="position_bot"))]
        )
        index._client.set_payload(f"minirag_{fingerprint}", payload={"sequence": sequence}, points=any_position)

    return lose, set_back


def _of_postgres(dsn: str) -> tuple[Any, Any]:
    import psycopg

    def run(statement: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statement)

    def lose(fingerprint: str) -> None:
        run(f"DROP TABLE {table_name(fingerprint)}")

    def set_back(fingerprint: str, sequence: int) -> None:
        run(f"UPDATE {POSITIONS} SET sequence = {sequence}")

    return lose, set_back


def handle(engine: Engine, tenant: str = "tenant", bot: str = "bot") -> Any:
    return engine.index.partition(mint_scope(tenant), bot, SPACE)


def calls(partition: Any) -> list[Callable[[], Any]]:
    """Return the calls that must notice a loss."""
    vectors = random_vectors(1, 16, seed=5)
    return [
        lambda: partition.search(vectors[0], 3),
        lambda: partition.search(vectors[0], 3, allowed=NONE),
        lambda: partition.scores(vectors[0], np.arange(3)),
        lambda: partition.scores(vectors[0], NONE),
        lambda: partition.apply(NONE, np.arange(1), vectors),
        lambda: partition.keep(LogPosition(9, 9)),
    ]


def test_a_workspace_answers(engine: Engine, tmp_path: Path) -> None:
    """Everything is found, what was removed is not, and another tenant finds nothing."""
    with minirag.Workspace.open(tmp_path, index=engine.named, embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True, chunker="whole")
        bot.add([DocumentInput(text=text, key=str(number)) for number, text in enumerate(TEXTS)])
        assert {hit.text for hit in bot.search("a letter", k=50, mode="dense")} == set(TEXTS)
        bot.documents.remove("0")
        assert {hit.text for hit in bot.search("a letter", k=50)} == set(TEXTS[1:])
        rival = workspace.tenant("rival", create=True).bot("support", create=True)
        assert not list(rival.search("a letter", k=50, mode="dense"))


def test_a_workspace_recovers_what_was_lost(engine: Engine, tmp_path: Path) -> None:
    """The search after the loss feeds everything again and answers rightly."""
    with minirag.Workspace.open(tmp_path, index=engine.index, embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True, chunker="whole")
        bot.add([DocumentInput(text=text, key=str(number)) for number, text in enumerate(TEXTS)])
        assert len(list(bot.search("a letter", k=50, mode="dense"))) == len(TEXTS)
        engine.lose(bot._context.load().space.fingerprint)
        assert {hit.text for hit in bot.search("a letter", k=50, mode="dense")} == set(TEXTS)


def test_a_lost_collection_is_noticed(engine: Engine) -> None:
    """Every call says so, and a new handle begins at nothing."""
    partition = handle(engine)
    partition.apply(NONE, np.arange(3), random_vectors(3, 16, seed=1))
    partition.keep(LogPosition(4, 44))
    engine.lose(SPACE.fingerprint)
    for call in calls(partition):
        with pytest.raises(PartitionLostError):
            call()


def test_an_older_copy_is_noticed(engine: Engine) -> None:
    """A sequence below the one that the handle has written, or read."""
    partition, reader = handle(engine), handle(engine)
    partition.keep(LogPosition(4, 44))
    assert reader.kept() == LogPosition(4, 44)
    engine.set_back(SPACE.fingerprint, 3)
    for call in calls(partition) + calls(reader):
        with pytest.raises(PartitionLostError):
            call()
    assert handle(engine).kept() == LogPosition(3, 44)


def test_what_another_handle_clears_is_noticed(engine: Engine) -> None:
    """Even by a handle that has seen no position yet."""
    partition = handle(engine)
    other = handle(engine)
    other.clear()
    for call in (*calls(partition), partition.kept):
        with pytest.raises(PartitionLostError):
            call()
    other.apply(NONE, np.arange(2), random_vectors(2, 16, seed=6))
    assert len(other) == 2


def test_who_clears_begins_anew(engine: Engine) -> None:
    """At nothing, however far the handle had come, and goes on from there."""
    partition = handle(engine)
    partition.keep(LogPosition(9, 99))
    partition.clear()
    partition.apply(NONE, np.arange(2), random_vectors(2, 16, seed=6))
    partition.keep(LogPosition(1, 11))
    assert handle(engine).kept() == LogPosition(1, 11)


def test_a_key_that_is_removed_and_added_stays(engine: Engine) -> None:
    """Its new vector is found."""
    partition = handle(engine)
    old, new = random_vectors(2, 16, seed=7)
    partition.apply(NONE, np.arange(2), np.stack([old, old]))
    partition.apply(np.arange(2), np.arange(1), new[np.newaxis])
    assert len(partition) == 1
    assert partition.scores(new, np.arange(1))[0] == pytest.approx(1)


def test_a_large_bot_gets_an_index_in_postgres(request: pytest.FixtureRequest) -> None:
    """Unless it is told to stop; other handles notice it, and it goes with the vectors."""
    import psycopg

    dsn = request.getfixturevalue("postgres").new_database().replace("+psycopg", "")
    index = PgVectorIndex(dsn, PgVectorOptions(index_from=10))
    partition, other = (index.partition(mint_scope("tenant"), "bot", SPACE) for _ in range(2))
    vectors = random_vectors(20, 16, seed=9)
    assert partition.pending == 0
    partition.apply(NONE, np.arange(20), vectors)
    assert partition.pending == 20
    partition.optimize(lambda: True)
    assert partition.engine == "pgvector exact"
    partition.optimize(lambda: False)
    assert (partition.engine, partition.pending) == ("pgvector hnsw", 0)
    assert other.search(vectors[3], 1)[0].tolist() == [3]
    assert other.engine == "pgvector hnsw"
    partition.clear()
    assert partition.engine == "pgvector exact"
    with psycopg.connect(dsn, autocommit=True) as connection:
        hnsw = "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%hnsw%'"
        assert connection.execute(hnsw).fetchone() == (0,)
    index.close()


def test_long_lists_are_sent_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """To Qdrant: the best of all parts are found, every key is scored and removed."""
    monkeypatch.setattr("minirag.providers.qdrant.partition._NAMED", 50)
    index = create(QdrantOptions(path=":memory:"), ProviderContext())
    partition = index.partition(mint_scope("tenant"), "bot", SPACE)
    vectors = random_vectors(200, 16, seed=8)
    partition.apply(NONE, np.arange(200), vectors)
    assert partition.search(vectors[190], 1, allowed=np.arange(200))[0].tolist() == [190]
    assert np.allclose(partition.scores(vectors[190], np.arange(200)), vectors @ vectors[190], atol=1e-5)
    partition.apply(np.arange(120), NONE, NOTHING)
    assert len(partition) == 80
    index.close()


def test_of_two_that_begin_at_once_the_later_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever began first takes the other's generation, and works on."""
    write = QdrantPartition._write_position

    def both_write(partition: QdrantPartition) -> int:
        first = write(partition)
        write(partition)
        return first

    index = create(QdrantOptions(path=":memory:"), ProviderContext())
    with monkeypatch.context() as patched:
        patched.setattr(QdrantPartition, "_write_position", both_write)
        partition = index.partition(mint_scope("tenant"), "bot", SPACE)
    partition.keep(LogPosition(1, 11))
    assert partition.kept() == LogPosition(1, 11)
    index.close()


def test_a_note_that_comes_too_late_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another process begins anew between Qdrant's two requests, its position stays at nothing."""
    index = create(QdrantOptions(path=":memory:"), ProviderContext())
    late, other = (index.partition(mint_scope("tenant"), "bot", SPACE) for _ in range(2))
    check, checked = late._check, []

    def check_and_let_the_other_begin(position: Any, seen: int) -> None:
        check(position, seen)
        if not checked:
            other._generation = other._write_position()
        checked.append(position)

    monkeypatch.setattr(late, "_check", check_and_let_the_other_begin)
    with pytest.raises(PartitionLostError):
        late.keep(LogPosition(9, 99))
    assert other.kept() == LogPosition(0, 0)
    index.close()


def test_two_handles_may_apply_the_same(engine: Engine) -> None:
    """Overlapping parts of the log do no harm, and the later position stays."""
    first, second = handle(engine), handle(engine)
    vectors = random_vectors(30, 16, seed=2)
    first.apply(NONE, np.arange(20), vectors[:20])
    second.apply(np.arange(5), np.arange(5, 30), vectors[5:])
    second.keep(LogPosition(7, 77))
    first.apply(np.arange(5), NONE, NOTHING)
    first.keep(LogPosition(5, 55))
    assert handle(engine).kept() == LogPosition(7, 77)
    for partition in (first, second):
        assert set(partition.search(vectors[9], 100)[0].tolist()) == set(range(5, 30))


@pytest.mark.parametrize(("tenant", "bot"), [("tenant", "other"), ("rival", "bot")])
def test_each_bot_has_its_own(engine: Engine, tenant: str, bot: str) -> None:
    """Equal keys of another bot, or of another tenant's bot of the same id, are found, removed and deleted by nobody else."""
    mine, other = handle(engine), handle(engine, tenant, bot)
    vectors = random_vectors(8, 16, seed=3)
    mine.apply(NONE, np.arange(4), vectors[:4])
    other.apply(NONE, np.arange(8), vectors)
    other.apply(np.arange(2), NONE, NOTHING)
    allowed = np.arange(8)
    assert set(mine.search(vectors[0], 50)[0].tolist()) == {0, 1, 2, 3}
    assert set(mine.search(vectors[0], 50, allowed=allowed, exact=True)[0].tolist()) == {0, 1, 2, 3}
    assert np.isnan(mine.scores(vectors[0], allowed)).tolist() == [False] * 4 + [True] * 4
    assert len(mine) == 4
    other.clear()
    assert len(mine) == 4
    engine.index.drop(mint_scope(tenant), bot)
    assert set(mine.search(vectors[0], 50)[0].tolist()) == {0, 1, 2, 3}


def test_dropping_deletes(engine: Engine) -> None:
    """A tenant's vectors are gone, but for the space that is kept, and its handles notice."""
    partition = handle(engine)
    partition.apply(NONE, np.arange(3), random_vectors(3, 16, seed=4))
    engine.index.drop(mint_scope("tenant"), keep=SPACE.fingerprint)
    assert len(partition) == 3
    engine.index.drop(mint_scope("tenant"))
    with pytest.raises(PartitionLostError):
        partition.search(random_vectors(1, 16, seed=4)[0], 1)
    assert len(handle(engine)) == 0
