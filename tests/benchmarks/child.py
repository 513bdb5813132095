"""What is measured in a new process: `python -m tests.benchmarks.child CORPUS CLOCK WORK LOCATION ...` prints JSON.

Nothing but the interpreter is loaded before the clock starts: imports are part of what a new process costs.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

__all__: list[str] = []


def _go() -> None:
    """Say that all is ready, and wait until the others are."""
    print("ready", flush=True)
    sys.stdin.readline()


def _open(corpus: Path, location: Path, **options: Any) -> Any:
    import minirag
    from tests.benchmarks.embedding import CorpusEmbedder

    return minirag.Workspace.open(location, embedder=CorpusEmbedder(corpus), **options)


def _queries(corpus: Path) -> list[str]:
    queries: list[str] = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))["queries"]
    return queries


def first_result(corpus: Path, clock: Callable[[], float], location: Path, mode: str) -> dict[str, float]:
    """Return the seconds from before `import minirag` to ten hits."""
    query = _queries(corpus)[0]
    _go()
    began = clock()
    with _open(corpus, location) as workspace:
        hits = workspace.tenant("measured").bot("bot").search(query, mode=mode)
        seconds = clock() - began
        assert len(hits) == 10 or (hits and mode == "keyword"), f"{len(hits)} hits by {mode} search"
    return {"seconds": seconds}


def raw_first_result(corpus: Path, clock: Callable[[], float], location: Path) -> dict[str, float]:
    """Return the seconds from before `import faiss` to ten rows."""
    _go()
    began = clock()
    from tests.benchmarks.corpus import Corpus
    from tests.benchmarks.raw import RawEngines

    engines = RawEngines(location, Corpus(corpus))
    assert len(engines.flat_with_rows(0)) == 10
    return {"seconds": clock() - began}


def streaming(corpus: Path, clock: Callable[[], float], location: Path, count: str) -> dict[str, float]:
    """Return what one `add` of so many documents takes: seconds, and by how much memory grows meanwhile at most."""
    from tests.benchmarks.corpus import Corpus
    from tests.benchmarks.measuring import anonymous_bytes

    given, end = Corpus(corpus), int(count)
    _go()
    with _open(corpus, location) as workspace:
        bot = workspace.tenant("measured", create=True).bot("bot", create=True, chunker="whole", language="none")
        bot.add(given.documents(0, 10), progress=False)  # imports and connections
        taken = [anonymous_bytes()]

        def documents() -> Iterator[Any]:
            for begin in range(10, end, 100):
                yield from given.documents(begin, min(begin + 100, end))
                taken.append(anonymous_bytes())

        began = clock()
        report = bot.add(documents(), progress=False)
        seconds = clock() - began
        taken.append(anonymous_bytes())
        assert report.counts["added"] == end - 10
    return {"seconds": seconds, "added": max(taken) - taken[0]}


def memory(corpus: Path, clock: Callable[[], float], location: Path, mode: str) -> dict[str, float]:
    """Return what a process takes that has searched a bot."""
    from tests.benchmarks.measuring import private_bytes

    _go()
    with _open(corpus, location) as workspace:
        bot = workspace.tenant("measured").bot("bot")
        for query in _queries(corpus):
            bot.search(query, mode=mode)
        private, anonymous = private_bytes()
        stats = bot.stats()
    return {"private": private, "anonymous": anonymous, "counted": stats.memory_bytes}


def raw_memory(corpus: Path, clock: Callable[[], float], location: Path) -> dict[str, float]:
    """Return what a process takes that has loaded every vector into a flat index."""
    from tests.benchmarks.corpus import Corpus
    from tests.benchmarks.measuring import private_bytes
    from tests.benchmarks.raw import RawEngines

    _go()
    engines = RawEngines(location, Corpus(corpus))
    for query in range(len(_queries(corpus))):
        engines.flat_with_rows(query)
    private, anonymous = private_bytes()
    return {"private": private, "anonymous": anonymous}


def tenants_memory(corpus: Path, clock: Callable[[], float], location: Path, budget: str) -> dict[str, float]:
    """Return what a process takes that has searched every tenant once, with a memory budget, and after the first tenth."""
    from tests.benchmarks.measuring import private_bytes

    query = _queries(corpus)[0]
    _go()
    found = []
    with _open(corpus, location, memory_budget=int(budget)) as workspace:
        slugs = [tenant.slug for tenant in workspace.tenants.list()]
        for number, slug in enumerate(slugs, start=1):
            workspace.tenant(slug).bot("bot").search(query, mode="dense")
            if number in (max(1, len(slugs) // 10), len(slugs)):
                found.append(private_bytes()[0])
    return {"tenth": found[0], "all": found[-1]}


def throughput(
    corpus: Path, clock: Callable[[], float], location: Path, threads: str, duration: str
) -> dict[str, float]:
    """Return how many dense searches a second this process makes, with so many threads on one bot."""
    queries = _queries(corpus)
    with _open(corpus, location) as workspace:
        bot = workspace.tenant("measured").bot("bot")
        for query in queries:
            bot.search(query, mode="dense")
        shared = nullcontext(lambda turn: bot.search(queries[turn % len(queries)], mode="dense"))
        return {"rate": _rate(lambda: shared, int(threads), float(duration))}


def raw_throughput(
    corpus: Path, clock: Callable[[], float], location: Path, threads: str, duration: str
) -> dict[str, float]:
    """Return how many searches a second raw FAISS and SQLite make in this process."""
    from tests.benchmarks.corpus import Corpus
    from tests.benchmarks.raw import RawEngines

    engines, count = RawEngines(location, Corpus(corpus)), len(_queries(corpus))

    @contextmanager
    def own() -> Iterator[Callable[[int], object]]:
        with engines.other_thread() as mine:
            yield lambda turn: mine.flat_with_rows(turn % count)

    return {"rate": _rate(own, int(threads), float(duration))}


def _rate(
    prepare: Callable[[], AbstractContextManager[Callable[[int], object]]], threads: int, duration: float
) -> float:
    """Return how often a second so many threads call what `prepare` gives each of them."""
    counts = [0] * threads
    _go()
    began = time.perf_counter()

    def work(number: int) -> None:
        with prepare() as search:
            while time.perf_counter() < began + duration:
                search(counts[number] + 50 * number)
                counts[number] += 1

    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def _main() -> None:
    corpus, clock, work, location, *rest = sys.argv[1:]
    done: Any = globals()[work](Path(corpus), getattr(time, clock), Path(location), *rest)
    print(json.dumps(done))


if __name__ == "__main__":
    _main()
