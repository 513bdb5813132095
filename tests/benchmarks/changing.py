"""Deleting and updating: last, for it changes the databases that all else is measured on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

import minirag
from tests.benchmarks.bench import Bench, measurement
from tests.benchmarks.measuring import Figure, figure, percentile, timed

__all__ = ["changes"]

Steps = dict[str, Callable[[], object]]


@measurement
def changes(bench: Bench) -> Iterator[Figure]:
    """A source of one percent deleted, a thousand documents updated, and the first search after each."""
    corpus, changed = bench.corpus, bench.changed
    with bench.bot() as bot:
        yield from _changed(
            "delete of a source of 1 %", bench, bot, [_delete(bench, bot, n) for n in range(bench.parts)]
        )
        yield from _changed(
            f"update of {changed:,} documents", bench, bot, [_update(bench, bot, n) for n in range(bench.rounds)]
        )
        left = bench.size - bench.parts * bench.part
        assert bot.documents.count() == left
        for query in corpus.queries[:20]:
            assert all(int(hit.key.removeprefix("document-")) < left for hit in bot.search(query, k=50))
        for row in range(3):
            hits = bot.search(corpus.queries[row], where={"number": corpus.metadata(row)["number"]})
            assert [hit.text for hit in hits] == [corpus.text(corpus.size + row)]


def _delete(bench: Bench, bot: minirag.Bot, turn: int) -> Steps:
    source, raw = f"part-{turn}", bench.raw

    def library() -> None:
        assert bot.sources.remove(source) == bench.part

    return {
        "library": library,
        "words": partial(raw.forget_words, "source = ?", (source,)),
        "raw": partial(raw.delete, source),
    }


def _update(bench: Bench, bot: minirag.Bot, turn: int) -> Steps:
    begin, end, raw = turn * bench.changed, (turn + 1) * bench.changed, bench.raw
    documents = bench.corpus.documents(begin, end, changed=True)
    those = "id >= ? AND id < ?", (begin, end)

    def library() -> None:
        report = bot.add(documents, source="most", progress=False)
        assert report.counts["updated"] == end - begin

    return {
        "library": library,
        "words": partial(raw.forget_words, *those),
        "raw": partial(raw.update, begin, end),
        "new words": partial(raw.learn_words, *those),
    }


def _changed(name: str, bench: Bench, bot: minirag.Bot, turns: list[Steps]) -> Iterator[Figure]:
    seconds: dict[str, list[float]] = defaultdict(list)
    query = bench.corpus.queries[0]
    for turn in turns:
        for step, work in turn.items():
            seconds[step].append(timed(work, bench.clock))
        seconds["search"].append(timed(partial(bot.search, query, mode="dense"), bench.clock))
        seconds["raw search"].append(timed(partial(bench.raw.flat_with_rows, 0), bench.clock))
    middle = {step: percentile(found) for step, found in seconds.items()}
    words = middle["words"] + middle.get("new words", 0.0)
    yield figure(name, "ms", middle["library"], middle["raw"], "rows, flat index")
    yield figure(name, "ms", middle["library"], middle["raw"] + words, "rows, flat index, FTS5")
    after = f"first search after {name.split(' of ', maxsplit=1)[0]}"
    yield figure(after, "ms", middle["search"], middle["raw search"], "flat index + rows")
