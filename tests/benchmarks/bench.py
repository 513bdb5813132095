"""`Bench`: what the measurements share, made when first needed; and the registry of measurements."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import minirag
from tests.benchmarks.corpus import Corpus, make_corpus
from tests.benchmarks.embedding import CorpusEmbedder
from tests.benchmarks.measuring import Clock, Figure, timed
from tests.benchmarks.raw import RawEngines, RawWords

__all__ = ["MEASUREMENTS", "Bench", "Built", "measurement"]

_BATCH = 1_000
_PROFILE = {"chunker": "whole", "language": "none", "filterable": ("number",)}


@dataclass
class Built:
    """How long each batch took, and what was still to do before the first fast search.

    Attributes:
        rows: how many documents each batch held; the first `alike` batches a thousand each, but perhaps the last of these.
        settled: seconds of `optimize()` after the last batch.
    """

    alike: int = 0
    rows: list[int] = field(default_factory=list)
    library: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    settled: float = 0.0


class Bench:
    """A corpus of one size, the library's database and the raw engines', and the clock.

    Attributes:
        rounds: how often what takes long is repeated.
        part: how many documents are one percent, in the source `part-0`, `part-1` or `part-2`; the last ones of the corpus.
        changed: how many documents are updated at once.
    """

    parts = 3

    def __init__(self, size: int, folder: Path, clock: Clock) -> None:
        self.size = size
        self.folder = folder
        self.clock = clock
        self.rounds = 1 if size < 10_000 else 5 if size <= 100_000 else 3
        self.queries = 50 if size < 10_000 else 200
        self.part = size // 100
        self.changed = min(1_000, size // 10)

    @cached_property
    def corpus(self) -> Corpus:
        """The documents and queries."""
        return make_corpus(self.folder / "corpus", self.size, changed=self.changed * self.rounds, queries=self.queries)

    @cached_property
    def embedder(self) -> CorpusEmbedder:
        """An embedder that knows the corpus."""
        return CorpusEmbedder(self.corpus.folder)

    @property
    def location(self) -> Path:
        """Where the library's database lies."""
        return self.folder / "library"

    @property
    def raw_file(self) -> Path:
        """Where the raw engines' database lies."""
        return self.folder / "raw.sqlite3"

    @cached_property
    def raw(self) -> RawEngines:
        """The raw engines, with every document."""
        _ = self.built
        return RawEngines(self.raw_file, self.corpus, words=True)

    @cached_property
    def words(self) -> RawWords | None:
        """bm25s over the corpus; None where it is not installed, or would need more memory than is fair to ask for."""
        try:
            return RawWords(self.corpus) if self.size <= 100_000 else None
        except ModuleNotFoundError:
            return None

    @cached_property
    def built(self) -> Built:
        """Both databases, filled batch by batch in turns, each batch durable when its call returns."""
        built = Built()
        raw = RawEngines(self.raw_file, self.corpus, words=True)
        with self.workspace() as workspace:
            bot = workspace.tenant("measured", create=True).bot("bot", create=True, **_PROFILE)
            for begin, end, source in self._batches():
                documents = self.corpus.documents(begin, end)
                built.alike += source == "most"
                built.rows.append(end - begin)
                built.raw.append(timed(partial(raw.add, begin, end, source=source), self.clock))
                add = partial(bot.add, documents, source=source, progress=False)
                built.library.append(timed(add, self.clock))
            built.settled = timed(bot.optimize, self.clock)
            assert bot.documents.count() == self.size
        raw.close()
        return built

    def _batches(self) -> Iterator[tuple[int, int, str]]:
        first = self.size - self.parts * self.part
        bounds = [(0, first, "most")]
        bounds += [(first + n * self.part, first + (n + 1) * self.part, f"part-{n}") for n in range(self.parts)]
        for low, high, source in bounds:
            for begin in range(low, high, _BATCH):
                yield begin, min(begin + _BATCH, high), source

    @contextmanager
    def workspace(self, location: Path | None = None, **options: Any) -> Iterator[minirag.Workspace]:
        """Open the library's workspace, or another's."""
        with minirag.Workspace.open(location or self.location, embedder=self.embedder, **options) as workspace:
            yield workspace

    @contextmanager
    def bot(self) -> Iterator[minirag.Bot]:
        """Open the library's bot, with every document, and its indexes loaded."""
        _ = self.built
        with self.workspace() as workspace:
            bot = workspace.tenant("measured").bot("bot")
            bot.search(self.corpus.queries[0])
            yield bot

    def child(self, work: str, *arguments: object) -> dict[str, float]:
        """Return what a new process prints; see `child`."""
        return self.children([(work, *arguments)])[0]

    def children(self, works: Sequence[Sequence[object]]) -> list[dict[str, float]]:
        """Return what new processes print that run at the same time; each begins when all are ready."""
        head = [sys.executable, "-m", "tests.benchmarks.child"]
        tail = [str(self.corpus.folder), "process_time" if self.clock is time.process_time else "perf_counter"]
        processes = [
            subprocess.Popen([*head, *tail, *map(str, work)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for work in works
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "a child process failed; its message is above"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        printed = [process.communicate()[0] for process in processes]
        assert all(process.returncode == 0 for process in processes), "a child process failed; its message is above"
        return [json.loads(text) for text in printed]


Measurement = Callable[[Bench], Iterator[Figure]]
MEASUREMENTS: dict[str, Measurement] = {}
"""By name, in the order they are taken."""


def measurement(work: Measurement) -> Measurement:
    """Register a function under its name: it yields figures, and checks that what it measured is right."""
    MEASUREMENTS[work.__name__] = work
    return work
