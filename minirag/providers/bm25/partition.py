"""`Bm25Partition`: the postings of one bot, read and written at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.interfaces.keyword_index import IndexText, KeywordPartition
from minirag.providers.bm25.analyzer import Analyzed, Analyzers
from minirag.providers.bm25.languages import LANGUAGE_CODES
from minirag.providers.bm25.merging import merge
from minirag.providers.bm25.searching import Search
from minirag.providers.bm25.segments import LARGEST, Segment, build
from minirag.providers.bm25.storing import read_segments, write_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from minirag.interfaces.snapshots import SnapshotReader, SnapshotWriter
    from minirag.types import Keys, Scores

__all__ = ["Bm25Partition"]

_MERGE_RATIO: Final = 4
"""`apply` merges a segment with the one before it unless that is more than this many times larger."""
_MERGE_CHUNKS: Final = 16_384
"""`apply` makes no larger segment by merging, so that no caller waits longer than that takes; `optimize` does."""
_LOOSE_SHARE: Final = 8
_LOOSE_LEAST: Final = 1_024
"""`optimize` pays when an eighth of the chunks, and at least so many, lie outside the largest segment or were removed."""


@dataclass(frozen=True, slots=True)
class _State:
    """What a partition holds between two calls of `apply`. Readers take it once and are not disturbed by the writer.

    Attributes:
        size: how many chunks.
        length: how many words they have together.
        language_counts: int64, how many are in each of `LANGUAGE_CODES`.
        languages: the codes of those, sorted.
        recent: the last query and its search; replaced as a whole.
    """

    segments: tuple[Segment, ...]
    size: int
    length: int
    language_counts: NDArray[np.int64]
    languages: tuple[str, ...]
    recent: list[tuple[str, Search]] = field(default_factory=list)


def _state(segments: tuple[Segment, ...], size: int, length: int, language_counts: NDArray[np.int64]) -> _State:
    held = tuple(sorted(LANGUAGE_CODES[place] for place in np.flatnonzero(language_counts)))
    return _State(segments, size, length, language_counts, held)


_EMPTY: Final = _state((), 0, 0, np.zeros(len(LANGUAGE_CODES), np.int64))


class Bm25Partition(KeywordPartition):
    """BM25 over segments of postings.

    Each `apply` makes a small segment; small neighbours of like size are merged at once, so that a chunk is copied a number of
    times that grows with the logarithm of their count. Large ones are merged by `optimize`, beside searches and one writer.
    """

    def __init__(self, analyzers: Analyzers) -> None:
        self._analyzers = analyzers
        self._writing = threading.Lock()
        self._state = _EMPTY
        self._merging: tuple[Segment, ...] = ()
        """The first segments of the state as they were when `optimize` began to merge them; `apply` leaves them in their places."""

    @classmethod
    def load(cls, analyzers: Analyzers, snapshot: SnapshotReader) -> Bm25Partition:
        """Return the partition that a snapshot holds. Raises `SnapshotDamagedError`."""
        partition = cls(analyzers)
        segments = tuple(read_segments(snapshot))
        size = sum(segment.size for segment in segments)
        partition._state = _state(
            segments, size, int(snapshot.array("length")), snapshot.array("language_counts").astype(np.int64)
        )
        return partition

    def __len__(self) -> int:
        return self._state.size

    @property
    def analyzers(self) -> tuple[str, ...]:
        return self._state.languages

    @property
    def nbytes(self) -> int:
        """The memory its segments take; the shared caches of words are not counted."""
        return sum(segment.nbytes for segment in self._state.segments)

    @property
    def pending(self) -> int:
        """How many chunks lie in segments that should be parts of the largest, or were removed and still take room."""
        state = self._state
        if not state.size:
            return 0
        removed = sum(len(segment.gone) for segment in state.segments)
        loose = state.size - max(segment.size for segment in state.segments) + removed
        return loose if loose >= _LOOSE_LEAST and _LOOSE_SHARE * loose >= state.size else 0

    def clear(self) -> None:
        with self._writing:
            self._state, self._merging = _EMPTY, ()

    def apply(self, removed: Keys, added: Sequence[IndexText]) -> None:
        last = {chunk.key: chunk for chunk in added}
        chunks = [last[key] for key in sorted(last)]
        new = self._built(chunks) if chunks else None
        gone = np.unique(np.concatenate((np.asarray(removed, np.int64), np.asarray(list(last), np.int64))))
        with self._writing:
            state = self._state
            segments = []
            size, length, language_counts = state.size, state.length, state.language_counts.copy()
            for segment in state.segments:
                _, positions = segment.find(gone)
                size -= len(positions)
                length -= int(segment.lengths[positions].sum())
                language_counts -= _count_languages(segment.languages[positions])
                segments.append(segment.without(positions) if len(positions) else segment)
            if new is not None:
                size += new.size
                length += int(new.lengths.sum())
                language_counts += _count_languages(new.languages)
                segments.append(new)
            fixed = len(self._merging)
            settled = (*segments[:fixed], *_settled(segments[fixed:]))
            self._state = _state(settled, size, length, language_counts)

    def search(self, query: str, k: int, *, allowed: Keys | None = None) -> tuple[Keys, Scores]:
        search = self._search(query)
        if search is None or k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float64)
        return search.best(k, None if allowed is None else _sorted(np.asarray(allowed, np.int64)))

    def scores(self, query: str, keys: Keys) -> Scores:
        search = self._search(query)
        wanted = np.asarray(keys, np.int64)
        return np.full(len(wanted), np.nan) if search is None else search.scores(wanted)

    def optimize(self, stop: Callable[[], bool]) -> None:
        """Merge all segments, as far as one can hold them."""
        with self._writing:
            state = self._state
            chosen: tuple[Segment, ...] = ()
            for segment in state.segments:
                if sum(member.size for member in chosen) + segment.size <= LARGEST:
                    chosen += (segment,)
                else:
                    break
            if not any(segment.size for segment in chosen) or (len(chosen) == 1 and not len(chosen[0].gone)):
                return
            self._merging = chosen
        merged = None
        try:
            merged = merge(chosen, stop)
        finally:
            with self._writing:
                if self._merging is chosen:  # else the partition was cleared meanwhile
                    self._merging = ()
                    if merged is not None:
                        self._replace(chosen, merged)

    def snapshot(self) -> Callable[[SnapshotWriter], None]:
        state = self._state

        def write(writer: SnapshotWriter) -> None:
            writer.put("length", np.asarray(state.length))
            writer.put("language_counts", state.language_counts)
            write_segments(state.segments, writer)

        return write

    def _replace(self, chosen: tuple[Segment, ...], merged: Segment) -> None:
        """Put a merged segment in the place of the first ones of the state, less what was removed from them since."""
        state = self._state
        now = state.segments[: len(chosen)]
        since = [np.setdiff1d(new.gone, old.gone, assume_unique=True) for new, old in zip(now, chosen, strict=True)]
        keys = np.concatenate([segment.keys[gone] for segment, gone in zip(now, since, strict=True)])
        if len(keys):
            merged = merged.without(merged.find(keys)[1])
        kept = (merged,) if merged.size else ()
        self._state = _state((*kept, *state.segments[len(chosen) :]), state.size, state.length, state.language_counts)

    def _search(self, query: str) -> Search | None:
        state = self._state
        if not state.size:
            return None
        for text, search in state.recent:
            if text == query:
                return search
        analyzed = self._analyzers.query(query, state.languages)
        search = Search(state.segments, analyzed, size=state.size, length=state.length)
        state.recent[:] = [(query, search)]
        return search

    def _built(self, chunks: Sequence[IndexText]) -> Segment:
        groups: dict[str, list[int]] = {}
        for position, chunk in enumerate(chunks):
            groups.setdefault(self._analyzers[chunk.language].language, []).append(position)
        codes = np.empty(len(chunks), np.uint8)
        nothing = np.empty(0, np.int64)
        analyzed = Analyzed(nothing, nothing, nothing)
        for language, members in groups.items():
            positions = np.asarray(members, np.int64)
            codes[positions] = LANGUAGE_CODES.index(language)
            texts = [_text(chunks[position]) for position in members]
            analyzed = analyzed.joined(self._analyzers[language].analyze(texts), texts=positions)
        return build(
            [chunk.key for chunk in chunks],
            codes,
            chunks=analyzed.texts,
            terms=analyzed.terms,
            which=analyzed.which,
        )


def _text(chunk: IndexText) -> str:
    return chunk.text if chunk.title is None else f"{chunk.title}\n{chunk.text}"


def _count_languages(languages: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.bincount(languages, minlength=len(LANGUAGE_CODES))


def _settled(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Return the segments merged where small neighbours are of like size, and copied where most of a small one was removed."""
    settled: list[Segment] = []
    for segment in segments:
        if not segment.size:
            continue
        group = [segment]
        size = segment.size
        while settled and settled[-1].size <= min(_MERGE_RATIO * size, _MERGE_CHUNKS - size):
            group.insert(0, settled.pop())
            size += group[0].size
        sparse = 2 * segment.size < len(segment.keys) and size <= _MERGE_CHUNKS
        merged = merge(group) if len(group) > 1 or sparse else segment
        assert merged is not None
        settled.append(merged)
    return tuple(settled)


def _sorted(keys: Keys) -> Keys:
    """Return the keys in order, each once."""
    return keys if bool(np.all(keys[1:] > keys[:-1])) else np.unique(keys)
