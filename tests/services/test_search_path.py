"""The way of a search: how often it asks the database, what it makes of a bot that moves under it, and its records."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minirag
from minirag import DocumentInput, errors
from minirag._services import fusion, retrieval
from minirag.interfaces.snapshots import SnapshotDamagedError
from minirag.models.search import Hit, RetrieverRank, SearchTrace
from minirag.providers.sqlalchemy import engine
from tests.services.conftest import CountingEmbedder


def fill(bot: minirag.Bot, number: int = 30) -> None:
    """Add short documents, no two of them alike."""
    bot.add(
        DocumentInput(
            text=f"Widget {n} {'x' * n} costs {n * n} euros and is {'red' if n % 2 else 'blue'} {'again ' * (n % 7)}.",
            key=f"w{n:03}",
            metadata={"n": n},
        )
        for n in range(number)
    )


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every SQL statement that connections opened from now on execute, in order."""
    heard: list[str] = []
    connect = engine.connect

    def listening(settings: engine.Settings) -> Any:
        connection = connect(settings)
        connection.set_trace_callback(heard.append)
        return connection

    monkeypatch.setattr(engine, "connect", listening)
    return heard


@pytest.fixture
def heard_bot(tmp_path: Path, statements: list[str], embedder: CountingEmbedder) -> Iterator[minirag.Bot]:
    """A filled bot whose statements are heard."""
    with minirag.Workspace.open(tmp_path / "kb", embedder=embedder) as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        fill(bot)
        yield bot


# ---------------------------------------------------------------- how often the database is asked
@pytest.mark.parametrize("mode", ["dense", "keyword", "hybrid"])
def test_a_warm_search_is_one_transaction_of_two_queries(
    heard_bot: minirag.Bot, statements: list[str], mode: Any
) -> None:
    """A search in a loaded bot without ties reads the bot's state and the hits, in one transaction, and nothing else."""
    for _ in range(2):
        statements.clear()
        assert len(heard_bot.search("widget 7 costs 49", k=1, mode=mode)) == 1
    kinds = [statement.split()[0] for statement in statements]
    assert kinds == ["BEGIN", "SELECT", "SELECT", "ROLLBACK"]


def test_many_queries_share_a_transaction(heard_bot: minirag.Bot, statements: list[str]) -> None:
    """Each further query of `search_many` costs one statement more: its hits."""
    queries = [f"widget {n} costs {n * n}" for n in (3, 7, 11)]
    for _ in range(2):
        statements.clear()
        heard_bot.search_many(queries, k=1, mode="dense")
    assert [statement.split()[0] for statement in statements] == ["BEGIN", *["SELECT"] * 4, "ROLLBACK"]


# ---------------------------------------------------------------- a bot that changes under a search
class Hooked(CountingEmbedder):
    """Calls something before it embeds a query."""

    def __init__(self, model: str, before: Callable[[], object] = lambda: None) -> None:
        super().__init__(model)
        self.before = before

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        if purpose == "query":
            self.before()
        vectors = super().embed(texts, purpose=purpose)
        return vectors if self._space.model == "first" else np.roll(vectors, 1, axis=1)


@pytest.fixture
def embedders() -> tuple[Hooked, Hooked]:
    """Two embedders of different spaces."""
    return Hooked("first"), Hooked("second")


@pytest.fixture
def moving(tmp_path: Path, embedders: tuple[Hooked, Hooked]) -> Iterator[minirag.Bot]:
    """A filled bot of the first embedder."""
    with minirag.Workspace.open(tmp_path / "kb", embedder=embedders[0]) as workspace:
        bot = workspace.tenant("acme", create=True).bot("moving", create=True)
        fill(bot)
        yield bot


@pytest.mark.parametrize("warm", [False, True])
def test_a_bot_that_moves_while_a_query_is_embedded(
    moving: minirag.Bot, embedders: tuple[Hooked, Hooked], *, warm: bool
) -> None:
    """If `reembed` swaps the space after the query was embedded, it is embedded again, and compared with the new vectors."""
    first, second = embedders
    if warm:
        moving.search("widget 7", mode="dense")

    def move() -> None:
        first.before = lambda: None
        moving.reembed(second)

    first.before = move
    hits = moving.search("Widget 7 xxxxxxx costs 49 euros and is red .", k=1, mode="dense")
    assert second.queries == ["Widget 7 xxxxxxx costs 49 euros and is red ."]
    assert hits[0].key == "w007"
    assert hits[0].score == pytest.approx(1.0, abs=1e-6)


def test_a_bot_that_never_stops_moving(moving: minirag.Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search gives up after some tries, and says why."""
    monkeypatch.setattr(retrieval, "_search_until_consistent", _moved)
    with pytest.raises(errors.StorageBusyError, match="moved"):
        moving.search("widget", mode="dense")


def _moved(*_: Any) -> Any:
    raise retrieval._MovedError


def test_the_embedder_that_was_seen_last_may_be_gone(moving: minirag.Bot, embedders: tuple[Hooked, Hooked]) -> None:
    """A bot that another process has moved is searched with its new embedder, though the old one fails by now."""
    first, second = embedders
    moving.search("widget 7", mode="dense")
    seen = moving._context.seen
    moving.reembed(second)
    first.fail_on = "widget"
    moving._context.seen = seen
    assert len(moving.search("widget 7", k=3, mode="dense")) == 3
    assert second.queries == ["widget 7"]


def test_a_failing_embedder_is_called_once(moving: minirag.Bot, embedders: tuple[Hooked, Hooked]) -> None:
    """The error of an embedder that is the bot's is raised, and it is not asked again."""
    calls: list[None] = []
    moving.search("widget 7", mode="dense")
    embedders[0].before = lambda: calls.append(None)
    embedders[0].fail_on = "widget"
    with pytest.raises(errors.ProviderConnectionError):
        moving.search("widget 7", mode="dense")
    assert len(calls) == 1


def test_a_metered_embedder_is_not_asked_for_a_deleted_bot(
    moving: minirag.Bot, embedders: tuple[Hooked, Hooked]
) -> None:
    """A call that costs something is entered in the ledger first, which finds that the bot is gone."""
    moving.search("widget 7", mode="dense")
    embedders[0].metered = True
    embedders[0].queries.clear()
    core, scope = moving._context.core, moving._context.scope
    with core.storage.write(scope) as writer:
        writer.delete_bot(moving.id)
    with pytest.raises(errors.BotNotFoundError):
        moving.search("widget 7", mode="dense")
    assert embedders[0].queries == []


def test_searches_keep_their_record_to_themselves(moving: minirag.Bot) -> None:
    """What an application is given of a bot is never the object that searches go by."""
    moving.search("widget 7", mode="dense")
    seen = moving._context.seen
    assert seen is not None
    assert moving.profile == seen.profile
    assert moving.profile is not seen.profile
    assert moving._context.profile() is not seen.profile


# ---------------------------------------------------------------- indexes that are damaged or disagree
def test_a_damaged_index_is_made_anew(bot: minirag.Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that meets a damaged part of a snapshot drops it, feeds a new index and answers."""
    fill(bot)
    before = bot.search("widget 7", k=5, mode="dense")
    partition = _dense_partition(bot)
    monkeypatch.setattr(partition, "search", _damaged, raising=False)
    assert bot.search("widget 7", k=5, mode="dense") == before
    assert _dense_partition(bot) is not partition


def test_an_index_that_stays_damaged_is_told(bot: minirag.Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new index is damaged each time, the search ends in an error instead of going on for ever."""
    fill(bot)
    bot.search("widget 7", mode="dense")
    monkeypatch.setattr(type(_dense_partition(bot)), "search", _damaged)
    with pytest.raises(errors.VectorIndexError, match="damaged"):
        bot.search("widget 7", mode="dense")


def _damaged(*_: Any, **__: Any) -> Any:
    raise SnapshotDamagedError("a part is not what was written")


def _dense_partition(bot: minirag.Bot) -> Any:
    context = bot._context
    with context.core.storage.read(context.scope) as reader:
        state = context.state(reader)
        return context.core.partitions.dense(reader, context.scope, state.record, position=state.position)


def test_the_union_asks_each_retriever_for_what_it_did_not_find() -> None:
    """Scores that a retriever has returned are not computed again; the rest is asked for once."""
    asked: list[list[int]] = []

    def score(keys: Any) -> Any:
        asked.append(keys.tolist())
        return keys / 100

    dense = np.array([5, 3, 9]), np.array([0.9, 0.8, 0.7])
    keyword = np.array([9, 4]), np.array([2.5, 1.5])
    keys, near, worded = fusion.united(dense, keyword, score, score)
    assert asked == [[4], [5, 3]]
    assert keys.tolist() == [5, 3, 9, 4]
    assert near.tolist() == [0.9, 0.8, 0.7, 0.04]
    assert worded.tolist() == [0.05, 0.03, 2.5, 1.5]


def test_hybrid_scores_are_those_of_each_retriever(bot: minirag.Bot) -> None:
    """In a hybrid result each retriever's score of a hit is, to the last bit, what it gives when it searches alone."""
    fill(bot)
    alone = {
        mode: {hit.key: hit.ranks[mode].score for hit in bot.search("red widget 7 again", k=30, mode=mode)}  # type: ignore[arg-type]  # a str of the list
        for mode in ("dense", "keyword")
    }
    for hit in bot.search("red widget 7 again", k=30):
        assert hit.ranks["dense"].score == alone["dense"][hit.key]
        assert hit.ranks["keyword"].score == alone["keyword"].get(hit.key, 0.0)


# ---------------------------------------------------------------- records and texts
def test_records_of_a_result_are_like_any_others(bot: minirag.Bot) -> None:
    """A hit, a rank and a trace equal those made with validation, and are printed, dumped, copied and pickled as these are."""
    fill(bot)
    results = bot.search("red widget 7", k=3, where={"n": {"$gte": 2}})
    assert results.trace is not None
    made: list[tuple[Any, Any]] = [
        (results[0], Hit),
        (results[0].ranks["keyword"], RetrieverRank),
        (results.trace, SearchTrace),
    ]
    for record, kind in made:
        checked = kind(**{name: getattr(record, name) for name in kind.model_fields})
        assert record == checked
        assert repr(record) == repr(checked)
        assert list(record.__dict__) == list(kind.model_fields)
        assert record.model_dump_json() == checked.model_dump_json()
        assert record.model_dump(exclude_unset=True) == checked.model_dump(exclude_unset=True)
        assert kind.model_validate_json(record.model_dump_json()) == record
        assert pickle.loads(pickle.dumps(record)) == record
        assert record.model_copy(update={}) == record
        with pytest.raises(ValueError, match="frozen"):
            setattr(record, next(iter(kind.model_fields)), None)


def test_a_hits_metadata_is_its_own(bot: minirag.Bot) -> None:
    """Changing what one result holds changes no other."""
    fill(bot, 3)
    bot.search("widget", k=1)[0].metadata["n"] = "changed"
    assert all(isinstance(hit.metadata["n"], int) for hit in bot.search("widget", k=3))


def test_a_chunk_over_several_blocks_of_text(workspace: minirag.Workspace) -> None:
    """A hit's text is whole, however many blocks of the stored text it lies in."""
    bot = workspace.tenant("acme", create=True).bot("whole", create=True, chunker="whole")
    texts = {
        f"t{length}": ("Ein Äpfelchen 🍎 " * 1_000)[:length].strip() for length in (10, 3_999, 4_000, 4_001, 12_345)
    }
    bot.add(DocumentInput(text=text, key=key) for key, text in texts.items())
    assert {hit.key: hit.text for hit in bot.search("äpfelchen", k=5)} == texts
