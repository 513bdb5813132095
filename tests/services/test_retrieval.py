"""Search: exact counts, filters, order, consistency with what was written, and what a trace tells."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import minirag
from minirag import DocumentInput, errors
from minirag._services import fusion
from minirag.interfaces import Reranker


def fill(bot: minirag.Bot, number: int = 40) -> None:
    """Add short documents about numbered widgets."""
    bot.add(
        DocumentInput(
            text=f"Widget number {n} costs {n} euros and is {'red' if n % 2 else 'blue'}.",
            key=f"w{n:03}",
            metadata={"n": n, "color": "red" if n % 2 else "blue"},
        )
        for n in range(number)
    )


@pytest.mark.parametrize("mode", ["hybrid", "dense"])
@pytest.mark.parametrize("k", [1, 7, 40, 100])
def test_exactly_min_k_and_all(bot: minirag.Bot, mode: Any, k: int) -> None:
    """Dense and hybrid search return exactly min(k, chunks) hits, best first."""
    fill(bot)
    hits = bot.search("red widget", k=k, mode=mode)
    assert len(hits) == min(k, 40)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert len({hit.chunk_id for hit in hits}) == len(hits)


def test_keyword_returns_only_chunks_with_a_term(bot: minirag.Bot) -> None:
    """Keyword search returns exactly min(k, chunks that hold a query term)."""
    fill(bot)
    assert len(bot.search("red", k=100, mode="keyword")) == 20
    assert len(bot.search("zeppelin", k=100, mode="keyword")) == 0


@pytest.mark.parametrize("mode", ["hybrid", "dense", "keyword"])
def test_filter_comes_first(bot: minirag.Bot, mode: Any) -> None:
    """A filter that allows five of forty yields five, however far down they are."""
    fill(bot)
    hits = bot.search("blue widget zero", k=10, where={"n": {"$gte": 35}}, mode=mode)
    assert sorted(hit.metadata["n"] for hit in hits) == [35, 36, 37, 38, 39]


def test_scores_are_cosines_bm25_and_shares(bot: minirag.Bot) -> None:
    """Dense scores lie in [-1, 1], keyword scores are positive, hybrid ones lie in [0, 1]."""
    fill(bot)
    assert all(-1 <= hit.score <= 1 for hit in bot.search("red widget", k=40, mode="dense"))
    assert all(hit.score > 0 for hit in bot.search("red widget", k=40, mode="keyword"))
    hybrid = bot.search("red widget", k=40)
    assert all(0 <= hit.score <= 1 for hit in hybrid)
    assert set(hybrid[0].ranks) == {"dense", "keyword"}


def test_the_same_text_scores_one_against_itself(bot: minirag.Bot) -> None:
    """The cosine of a text with itself is 1."""
    fill(bot)
    hit = bot.search("Widget number 7 costs 7 euros and is red.", k=1, mode="dense")[0]
    assert hit.key == "w007"
    assert hit.score == pytest.approx(1.0, abs=1e-6)


def test_ties_are_broken_by_source_key_and_start(bot: minirag.Bot) -> None:
    """Equal scores are ordered by source name, key and start, whatever the order of arrival."""
    for key in ("c", "a", "d", "b"):
        bot.add(DocumentInput(text="All the same.", key=key))
    bot.add(DocumentInput(text="All the same.", key="z"), source="earlier")
    for mode in ("hybrid", "dense", "keyword"):
        hits = bot.search("same", k=3, mode=mode)  # type: ignore[arg-type]  # a str of the list
        assert [(hit.source_name, hit.key) for hit in hits] == [("earlier", "z"), ("inline", "a"), ("inline", "b")]


def test_hit_text_is_the_span_of_its_version(bot: minirag.Bot) -> None:
    """A hit's text equals its version's text from start to end."""
    text = "\n\n".join(f"Part {n}. " + "Ein Satz über Äpfel 🍎. " * 40 for n in range(8))
    bot.add(DocumentInput(text=text, key="a"))
    hits = bot.search("Part", k=50)
    assert len(hits) > 3
    for hit in hits:
        assert bot.documents.text("a", version_id=hit.version_id)[hit.start : hit.end] == hit.text


def test_empty_bot_finds_nothing(bot: minirag.Bot) -> None:
    """A search of nothing is empty, in every mode."""
    assert [len(bot.search("anything", mode=mode)) for mode in ("hybrid", "dense", "keyword")] == [0, 0, 0]


def test_stop_words_alone_are_searched(bot: minirag.Bot) -> None:
    """A query of stop words alone still finds."""
    bot.add(DocumentInput(text="To be or not to be.", key="hamlet"))
    assert [hit.key for hit in bot.search("to be or not to be", mode="keyword")] == ["hamlet"]


def test_search_many_equals_single_searches(bot: minirag.Bot) -> None:
    """Many queries at once give what each alone gives."""
    fill(bot)
    queries = ["red widget", "37 euros", "blue"]
    many = bot.search_many(queries, k=5)
    assert [[hit.key for hit in hits] for hits in many] == [[h.key for h in bot.search(q, k=5)] for q in queries]


def test_session_search_fuses_by_rank(workspace: minirag.Workspace) -> None:
    """A search over all bots interleaves their lists by rank and names the bot of each hit."""
    acme = workspace.tenant("acme", create=True)
    for name in ("first", "second"):
        acme.bot(name, create=True).add(
            DocumentInput(text=f"Apples in {name}.", key="a"), DocumentInput(text="Pears.", key="p")
        )
    hits = acme.search("apples", k=3, mode="dense")
    assert [(hit.bot, hit.key) for hit in hits][:2] == [("first", "a"), ("second", "a")]
    assert len(hits) == 3


def test_trace_tells_the_plan(bot: minirag.Bot) -> None:
    """A trace names mode, weight, allowed chunks and candidates."""
    fill(bot)
    trace = bot.search("red widget", k=3, where={"color": "red"}).trace
    assert trace is not None
    assert (trace.mode, trace.fusion, trace.allowed, trace.where) == ("hybrid", "convex", 20, {"color": "red"})
    assert trace.candidates["dense"] == 20
    assert trace.weight == fusion.EVEN_WEIGHT
    assert {"embed", "rank", "hydrate", "total"} <= set(trace.seconds)


def test_rank_fusion_is_an_option(workspace: minirag.Workspace) -> None:
    """`fusion="rank"` uses reciprocal rank fusion."""
    bot = workspace.tenant("acme", create=True).bot("ranked", create=True, fusion="rank")
    fill(bot)
    results = bot.search("red widget 7", k=5)
    assert results.trace is not None
    assert results.trace.fusion == "rank"
    assert all(0 <= hit.score <= 1 for hit in results)


def test_weight_follows_what_the_embedder_knows() -> None:
    """The dense share grows with the known words of query and partition, and is even where nothing is known of them."""
    assert fusion.dense_weight(None, 1.0) == fusion.EVEN_WEIGHT
    assert fusion.dense_weight(1.0, 1.0) == fusion.KNOWN_WEIGHT
    assert fusion.dense_weight(1.0, 0.0) == fusion.UNKNOWN_WEIGHT
    assert fusion.UNKNOWN_WEIGHT < fusion.dense_weight(0.5, 0.9) < fusion.KNOWN_WEIGHT


def test_convex_fusion_is_scaled_by_each_list() -> None:
    """Each list is scaled by its own extremes; a list of equal scores decides nothing."""
    dense, keyword = np.array([0.2, 0.4, 0.6]), np.array([10.0, 0.0, 5.0])
    assert fusion.convex(dense, keyword, 0.5).tolist() == pytest.approx([0.5, 0.25, 0.75])
    assert fusion.scaled(np.array([3.0, 3.0])).tolist() == [1.0, 1.0]
    assert fusion.scaled(np.zeros(2)).tolist() == [0.0, 0.0]


class Backwards(Reranker):
    """Scores texts by the number they hold, the highest first."""

    name = "tests:backwards"

    def scores(self, query: str, texts: Any) -> list[float]:
        return [float(text.split()[2]) for text in texts]


def test_reranker_orders_the_best_anew(workspace: minirag.Workspace) -> None:
    """A reranker's order is the result's, and its rank stands beside the others."""
    bot = workspace.tenant("acme", create=True).bot("reranked", create=True, reranker=Backwards())
    fill(bot)
    hits = bot.search("widget", k=3)
    assert [hit.key for hit in hits] == ["w039", "w038", "w037"]
    assert hits[0].ranks["rerank"].rank == 1
    assert hits.trace is not None
    assert hits.trace.reranker == "tests:backwards"


def test_writes_are_seen_by_the_next_search(bot: minirag.Bot) -> None:
    """Additions, updates and removals are seen by the next search, in every mode."""
    fill(bot, 5)
    for mode in ("hybrid", "dense", "keyword"):
        bot.add(DocumentInput(text="A purple zeppelin.", key="z"))
        assert "z" in [hit.key for hit in bot.search("zeppelin", mode=mode)]  # type: ignore[arg-type]  # as above
        bot.documents.remove("z")
        assert "z" not in [hit.key for hit in bot.search("zeppelin", mode=mode)]  # type: ignore[arg-type]  # as above


def test_searches_beside_a_writer_are_never_short(bot: minirag.Bot) -> None:
    """While one thread writes, searches of others return whole results and nothing removed."""
    fill(bot, 60)
    stop = threading.Event()
    faults: list[str] = []

    def search() -> None:
        while not stop.is_set():
            hits = bot.search("widget", k=10)
            if len(hits) != 10:
                faults.append(f"{len(hits)} hits")

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for n in range(25):
            bot.add(DocumentInput(text=f"Widget number {n} again, version {n}.", key=f"w{n:03}"))
            bot.documents.remove(f"w{59 - n:03}")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert faults == []
    assert bot.documents.count() == 35


def test_a_budget_keeps_few_partitions_loaded(tmp_path: Any, embedder: Any) -> None:
    """With a small memory budget partitions leave memory and searches stay right."""
    with minirag.Workspace.open(tmp_path / "kb", embedder=embedder, memory_budget=50_000) as ws:
        bots = [ws.tenant(f"t{n}", create=True).bot("b", create=True) for n in range(6)]
        for bot in bots:
            fill(bot, 30)
        for bot in bots * 2:
            assert len(bot.search("red widget", k=30)) == 30
        loaded = ws._core.partitions._loaded
        assert sum(entry.partition.nbytes for entry in loaded.values()) <= 50_000
        assert loaded


def test_reembedding_space_mismatch_is_named(tmp_path: Any, embedder: Any) -> None:
    """Another space under the bot's embedder is an error that names `reembed`; keyword search still works."""
    with minirag.Workspace.open(tmp_path / "kb", embedder=embedder) as ws:
        bot = ws.tenant("acme", create=True).bot("b", create=True)
        fill(bot, 3)
        with pytest.raises(errors.EmbeddingSpaceMismatchError, match="reembed"):
            bot.update(embedder="hashing")
    with minirag.Workspace.open(tmp_path / "kb") as ws:
        bot = ws.tenant("acme").bot("b")
        with pytest.raises(errors.EmbedderNotAvailableError, match="embedder="):
            bot.search("widget")
        assert len(bot.search("widget", mode="keyword")) == 3
        assert bot.documents.remove("w000") == 1
