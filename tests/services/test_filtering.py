"""Search under filters: exactly the hits that scoring every allowed chunk would give, by whichever way they are found."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minirag
from minirag import DocumentInput
from minirag._services import filtering, fusion
from minirag._services.indexing import StaleViewError
from minirag.models.filters import matches, parse_filter
from minirag.models.search import Hit
from minirag.providers.sqlalchemy.reader import SqlAlchemyReader
from minirag.testing.strategies import COMMON_VALUES, where_filters
from minirag.types import SearchMode

CHUNKS: Final = 300
DEPTH: Final = 100
FIELDS: Final = ("lang", 'quo"te', "n", "on")
WORDS: Final = ("red", "blue", "widget", "zeppelin", "pear", "apple", "seven", "eleven")
VALUES: Final = (*COMMON_VALUES, ["1", "en"], [0, 1, 1], [], "x" * 150 + "a", "x" * 150 + "b")
FILTERS: Final = where_filters(
    st.sampled_from((*FIELDS, *FIELDS, "$key", "$source", "$page", "$title", "$added_at")),
    st.sampled_from([value for value in VALUES if not isinstance(value, list)]) | st.integers(0, 40),
)


def _documents() -> Iterator[DocumentInput]:
    """Yield documents of one chunk each; few texts are alike, some are equal, and values are of every type."""
    chance = random.Random(7)
    for number in range(CHUNKS):
        text = " ".join(chance.choices(WORDS, k=chance.choice((3, 8)))) + chance.choice(("", f" {number}"))
        metadata = {name: chance.choice(VALUES) for name in FIELDS if chance.random() < 0.7}
        if chance.random() < 0.7:
            metadata["n"] = number // 7
        yield DocumentInput(text=text, key=f"k{number:03}", title=chance.choice((None, "en")), metadata=metadata)


@pytest.fixture(scope="module")
def bots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, minirag.Bot]]:
    """Two bots of the same documents: one declares every field, the other none."""
    with minirag.Workspace.open(tmp_path_factory.mktemp("filters") / "kb", embedder="hashing") as workspace:
        tenant = workspace.tenant("acme", create=True)
        made = {
            "declared": tenant.bot("declared", create=True, filterable=list(FIELDS)),
            "undeclared": tenant.bot("undeclared", create=True),
        }
        for bot in made.values():
            bot.add(list(_documents()))
        yield made


class Oracle:
    """A query's scores of every chunk of a bot, and the hits that a filter leaves of them."""

    def __init__(self, bot: minirag.Bot, query: str) -> None:
        self.query = query
        self.added = {document.id: document.added_at for document in bot.documents.list()}
        self.lists = {mode: list(bot.search(query, k=10_000, mode=mode)) for mode in ("dense", "keyword")}  # type: ignore[arg-type]  # a str of the list
        assert len(self.lists["dense"]) == CHUNKS

    def allowed(self, where: Mapping[str, Any], mode: str) -> list[Hit]:
        """Return the allowed chunks of one retriever, best first."""
        condition = parse_filter(where)
        return [hit for hit in self.lists[mode] if condition is None or matches(condition, self._record(hit))]

    def _record(self, hit: Hit) -> dict[str, Any]:
        return {
            **hit.metadata, "$source": hit.source_name, "$key": hit.key, "$document": hit.document_id,
            "$title": hit.title, "$page": hit.page, "$added_at": self.added[hit.document_id],
        }  # fmt: skip

    def keys(self, where: Mapping[str, Any], k: int, mode: str, *, weight: float | None) -> list[str]:
        """Return the keys of the best k, by brute force."""
        if mode != "hybrid":
            return [hit.key for hit in self.allowed(where, mode)[:k]]
        found: dict[str, Hit] = {}
        for retriever in ("dense", "keyword"):
            hits = self.allowed(where, retriever)
            last = round(hits[: max(DEPTH, 10 * k)][-1].score, 6) if hits else 0.0
            found |= {hit.key: hit for hit in hits if round(hit.score, 6) >= last}
        if not found:
            return []
        assert weight is not None
        scores = {mode: {hit.key: hit.score for hit in hits} for mode, hits in self.lists.items()}
        dense, keyword = (np.array([scores[mode].get(key, 0.0) for key in found]) for mode in ("dense", "keyword"))
        fused = fusion.convex(dense, keyword, weight)
        return [
            key for _, key in sorted((-round(score, 6), key) for key, score in zip(found, fused.tolist(), strict=True))
        ][:k]


def _check(
    bots: Mapping[str, minirag.Bot],
    oracles: dict[str, Oracle],
    where: dict[str, Any],
    k: int,
    mode: SearchMode,
    query: str,
) -> None:
    if query not in oracles:
        oracles[query] = Oracle(bots["undeclared"], query)
    oracle = oracles[query]
    for name, bot in bots.items():
        hits = bot.search(query, k=k, where=where, mode=mode)
        assert hits.trace is not None
        expected = oracle.keys(where, k, mode, weight=hits.trace.weight)
        assert [hit.key for hit in hits] == expected, (name, where, k, mode)
        possible = {hit.key for hit in oracle.allowed(where, "dense")}
        allowed = len(possible)
        assert hits.trace.allowed in (None, allowed)
        if mode != "keyword":
            assert len(hits) == min(k, allowed)
        if "$page" not in repr(where):
            assert bot.documents.count(where=where) == allowed
            assert {document.key for document in bot.documents.list(where=where)} == possible


def test_filters_equal_brute_force(bots: dict[str, minirag.Bot], pytestconfig: pytest.Config) -> None:
    """Under any filter, on declared fields or not, in every mode, the hits are those of brute force, min(k, allowed) of them."""
    oracles: dict[str, Oracle] = {}

    @settings(
        max_examples=pytestconfig.getoption("filters"),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        where=FILTERS,
        k=st.sampled_from((1, 3, 10, 40)),
        mode=st.sampled_from(("hybrid", "dense", "keyword")),
        query=st.sampled_from(("red zeppelin", "seven apple 11", "widget", "nothing of it")),
    )
    def every(where: dict[str, Any], k: int, mode: SearchMode, query: str) -> None:
        _check(bots, oracles, where, k, mode, query)

    every()


@pytest.mark.parametrize("mode", ["hybrid", "dense", "keyword"])
@pytest.mark.parametrize(
    "where",
    [
        {"n": 3}, {"n": {"$gte": 5, "$lt": 7}}, {"n": {"$lt": 20}}, {"n": {"$in": [1, 2, "1", True]}}, {"lang": "en"},
        {"lang": "x" * 150 + "a"}, {"lang": {"$gt": "x" * 150 + "a"}}, {"on": {"$gte": dt.date(2024, 2, 29)}},
        {"$key": {"$in": ["k007", "k250", "?"]}}, {"$or": [{"n": 4}, {"lang": {"$exists": True}}]}, {"lang": None},
        {"n": {"$gt": 1}, "lang": {"$nin": ["en"]}}, {"$source": "inline", "n": 2}, {"$source": "?"}, {"n": {"$in": []}},
    ],
    ids=str,
)  # fmt: skip
def test_each_way_of_narrowing(bots: dict[str, minirag.Bot], where: dict[str, Any], mode: SearchMode) -> None:
    """Equality, ranges, lists, cut texts, dates, alternatives and reserved names are found as brute force finds them."""
    _check(bots, {}, where, 5, mode, "red widget")


def test_few_allowed_chunks_are_listed_not_guessed(
    bots: dict[str, minirag.Bot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven of 300 chunks by a declared field are scored at once: no candidate is asked for, and their number is told."""

    def never(*_: Any) -> Any:
        raise AssertionError("candidates were asked for")

    monkeypatch.setattr(filtering.AllowedChunks, "_among_best", never)
    hits = bots["declared"].search("widget", where={"n": 3}, mode="dense")
    assert hits.trace is not None
    assert 0 < len(hits) == hits.trace.allowed < 10


def test_many_allowed_chunks_are_never_listed(bots: dict[str, minirag.Bot], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where half are allowed, the best candidates are put to the filter, and the allowed ones are not listed."""

    def never(*_: Any) -> Any:
        raise AssertionError("the allowed chunks were listed")

    monkeypatch.setattr(SqlAlchemyReader, "allowed", never)
    for bot in bots.values():
        assert len(bot.search("widget", where={"n": {"$lt": 20}}, mode="dense")) == 10


@pytest.mark.parametrize("fields", [(), ("even",)], ids=["undeclared", "declared"])
def test_ties_are_broken_among_all_that_are_allowed(tmp_path: Path, fields: tuple[str, ...]) -> None:
    """Of 260 equal texts, half of them allowed, the hits are the first by key, though these came last."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("ties", create=True, filterable=list(fields))
        numbers = range(259, -1, -1)
        bot.add(DocumentInput(text="All the same.", key=f"{n:03}", metadata={"even": n % 2 == 0}) for n in numbers)
        for mode in ("dense", "keyword", "hybrid"):
            hits = bot.search("same", k=3, where={"even": True}, mode=mode)  # type: ignore[arg-type]  # a str of the list
            assert [hit.key for hit in hits] == ["000", "002", "004"]


def test_a_write_meanwhile_is_noticed(bots: dict[str, minirag.Bot]) -> None:
    """A candidate that the view does not know, or an allowed chunk that the index does not hold, asks for a newer view."""
    bot = bots["declared"]
    condition = parse_filter({"n": {"$lt": 20}})
    assert condition is not None
    with bot._context.core.storage.read(bot._context.scope) as reader:
        allowed = filtering.AllowedChunks(reader, bot._context.bot_id, condition, rebuild=False)
        with pytest.raises(StaleViewError):
            allowed.search(lambda k: (np.array([2**62]), np.array([0.5])), lambda keys: keys * 0.0, 10, chunks=100)
        few = parse_filter({"n": 3})
        assert few is not None
        listed = filtering.AllowedChunks(reader, bot._context.bot_id, few, rebuild=False)
        with pytest.raises(StaleViewError):
            listed.search(lambda k: (np.empty(0, np.int64), np.empty(0)), lambda keys: keys * np.nan, 10, chunks=CHUNKS)


def test_searches_beside_a_writer_lose_nothing(tmp_path: Path) -> None:
    """While another thread writes documents anew, a filtered search finds each of them in its old or its new form."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("busy", create=True, filterable=["n"])

        def write(turn: int) -> None:
            bot.add([DocumentInput(text=f"widget {n} {turn}", key=f"{n}", metadata={"n": n % 9}) for n in range(250)])

        write(0)
        writer = threading.Thread(target=lambda: [write(turn) for turn in range(1, 6)])
        writer.start()
        looked = 0
        while writer.is_alive() or not looked:
            for where, expected in (({"n": 4}, 28), ({"n": {"$lt": 7}}, 196)):
                assert len(bot.search("widget", k=250, where=where, mode="dense")) == expected
                looked += 1
        writer.join()
