"""`Bm25Partition`: the postings of one bot, read and written at once."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.interfaces.keyword_index import IndexText, KeywordPartition
from minirag.providers.bm25.analyzer import Analyzers, query_terms, term_id
from minirag.providers.bm25.languages import LANGUAGE_CODES
from minirag.providers.bm25.ranking import rank
from minirag.providers.bm25.segments import CountedChunk, Segment, build, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from minirag.types import Keys, Scores

__all__ = ["Bm25Partition"]

_SATURATION: Final = 1.5
"""BM25's k1: how fast further occurrences of a term stop counting."""
_LENGTH_WEIGHT: Final = 0.75
"""BM25's b: how much a chunk's length counts against it."""
_MERGE_RATIO: Final = 4
"""A segment is merged with the one before it unless that is more than this many times larger."""


@dataclass(frozen=True, slots=True)
class _State:
    """What a partition holds between two calls of `apply`. Readers take it once and are not disturbed by the writer."""

    segments: tuple[Segment, ...]
    size: int
    length: int
    language_counts: NDArray[np.int64]


_EMPTY: Final = _State(segments=(), size=0, length=0, language_counts=np.zeros(len(LANGUAGE_CODES), np.int64))


class Bm25Partition(KeywordPartition):
    """BM25 in Lucene's form over segments of postings.

    Source: Kamphuis, de Vries, Boytsov and Lin, "Which BM25 Do You Mean?", ECIR 2020, the form named "Lucene (accurate)",
    without its constant factor k1 + 1.

    Each `apply` makes a small segment; neighbours of like size are merged, so that a chunk is copied a number of times that grows
    with the logarithm of their count, and a search reads few segments.
    """

    def __init__(self, analyzers: Analyzers) -> None:
        self._analyzers = analyzers
        self._writing = threading.Lock()
        self._state = _EMPTY

    def __len__(self) -> int:
        return self._state.size

    @property
    def analyzers(self) -> tuple[str, ...]:
        return _languages(self._state)

    @property
    def nbytes(self) -> int:
        """The memory its segments take; the shared caches of stems are not counted."""
        return sum(segment.nbytes for segment in self._state.segments)

    def clear(self) -> None:
        with self._writing:
            self._state = _EMPTY

    def apply(self, removed: Keys, added: Sequence[IndexText]) -> None:
        last = {chunk.key: chunk for chunk in added}
        counted = [self._counted(chunk) for chunk in last.values()]
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
            if counted:
                new = build(counted)
                size += new.size
                length += int(new.lengths.sum())
                language_counts += _count_languages(new.languages)
                segments.append(new)
            self._state = _State(_settled(segments), size, length, language_counts)

    def search(self, query: str, k: int, *, allowed: Keys | None = None) -> tuple[Keys, Scores]:
        state = self._state
        wanted = None if allowed is None else _sorted(np.asarray(allowed, np.int64))
        keys: list[Keys] = [np.empty(0, np.int64)]
        scores: list[Scores] = [np.empty(0, np.float64)]
        for segment, scored in self._scored(state, query):
            positions: NDArray[np.integer] = np.flatnonzero(scored > 0)
            if wanted is not None and len(wanted) < len(positions):
                _, positions = segment.find(wanted)
                positions = positions[scored[positions] > 0]
            elif wanted is not None:
                positions = positions[_contains(wanted, segment.keys[positions])]
            if segment.alive is not None:
                positions = positions[segment.alive[positions]]
            keys.append(segment.keys[positions])
            scores.append(scored[positions])
        return rank(np.concatenate(keys), np.concatenate(scores), k)

    def scores(self, query: str, keys: Keys) -> Scores:
        state = self._state
        wanted = np.asarray(keys, np.int64)
        found = np.full(len(wanted), np.nan)
        for segment, scored in self._scored(state, query):
            held, positions = segment.find(wanted)
            found[held] = scored[positions]
        return found

    def _counted(self, chunk: IndexText) -> CountedChunk:
        analyzer = self._analyzers[chunk.language]
        text = chunk.text if chunk.title is None else f"{chunk.title}\n{chunk.text}"
        return CountedChunk(int(chunk.key), analyzer.count(text), LANGUAGE_CODES.index(analyzer.language))

    def _scored(self, state: _State, query: str) -> Iterable[tuple[Segment, Scores]]:
        """Yield each segment with the score of every chunk in it, 0.0 without a query term; removed ones have scores too."""
        if not state.size:
            return
        variants = query_terms(query, [self._analyzers[language] for language in _languages(state)])
        numbers = np.asarray([term_id(term) for term in variants], np.int64)
        places = [segment.postings(numbers) for segment in state.segments]
        weights = _weights(state, places, variants)
        mean = max(state.length, 1) / state.size
        for segment, slices in zip(state.segments, places, strict=True):
            scored = np.zeros(len(segment.keys))
            for place, weight in zip(slices, weights, strict=True):
                chunks = segment.chunks[place]
                if len(chunks):
                    frequencies = segment.frequencies[place].astype(np.float64)
                    norms = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * segment.lengths[chunks] / mean)
                    scored[chunks] += weight * (frequencies / (frequencies + norms))
            yield segment, scored


def _languages(state: _State) -> tuple[str, ...]:
    return tuple(sorted(LANGUAGE_CODES[place] for place in np.flatnonzero(state.language_counts)))


def _count_languages(languages: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.bincount(languages, minlength=len(LANGUAGE_CODES))


def _weights(state: _State, places: Sequence[Sequence[slice]], variants: Mapping[str, frozenset[str]]) -> list[float]:
    """Return the inverse document frequency of each term, counting only chunks that were not removed.

    It is that of the most frequent variant. Otherwise `wings`, left whole in one chunk of unknown language, would be
    the rarest of words among a thousand English chunks that hold `wing`, and put that chunk before them.
    Source: the treatment of synonyms in Lucene.
    """
    holding = np.zeros(len(variants), np.int64)
    for segment, slices in zip(state.segments, places, strict=True):
        for number, place in enumerate(slices):
            alive = segment.alive
            holding[number] += (
                place.stop - place.start if alive is None else np.count_nonzero(alive[segment.chunks[place]])
            )
    held = dict(zip(variants, holding.tolist(), strict=True))
    most = [max(held[variant] for variant in alternatives) for alternatives in variants.values()]
    return [math.log(1 + (state.size - count + 0.5) / (count + 0.5)) for count in most]


def _settled(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Return the segments merged where neighbours are of like size, and copied where most of one was removed."""
    settled: list[Segment] = []
    for segment in segments:
        if not segment.size:
            continue
        group = [segment]
        while settled and settled[-1].size <= _MERGE_RATIO * sum(member.size for member in group):
            group.insert(0, settled.pop())
        sparse = 2 * segment.size < len(segment.keys)
        settled.append(merge(group) if len(group) > 1 or sparse else segment)
    return tuple(settled)


def _sorted(keys: Keys) -> Keys:
    """Return the keys in order, each once."""
    return keys if bool(np.all(keys[1:] > keys[:-1])) else np.unique(keys)


def _contains(wanted: Keys, keys: Keys) -> NDArray[np.bool_]:
    """Return which of the keys are among the wanted ones, which are sorted."""
    if not len(wanted):
        return np.zeros(len(keys), np.bool_)
    found: NDArray[np.bool_] = wanted[np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)] == keys
    return found
