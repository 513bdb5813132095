"""From text to terms: one analyser per language, with a cache of the words it has met."""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from itertools import count
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.providers.bm25.languages import LANGUAGES, NO_LANGUAGE
from minirag.providers.bm25.words import WESTERN, cut_folded, cut_words, fold, western_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from minirag.providers.bm25.segments import Integers

__all__ = ["Analyzed", "AnalyzedQuery", "Analyzer", "Analyzers", "analysis_version", "query_terms", "term_id"]

_ANALYSIS: Final = 1
"""To be raised when this module or `words` makes other terms of the same text."""
_CACHED_WORDS: Final = 65_536
_CACHED_STEMS: Final = 4_096
_CACHED_QUERIES: Final = 256
_LONGEST_WORD: Final = 64  # what is longer is no word of a language: not stemmed (which may be quadratic), not cached
_LONGEST_QUERY: Final = 1_000


def term_id(term: str) -> int:
    """Return the term's number: 63 bits of its BLAKE2b hash.

    A number that needs no dictionary is the same in every segment, process and release, and postings hold no
    words. Among a million terms some two share a number with a probability of 5e-8.
    """
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 1


@cache
def analysis_version() -> str:
    """Return a name for the way in which text becomes terms; another one, and postings must be made anew.

    Beside this package it depends on the stemmers, and on the Unicode version that this Python folds text with.
    """
    lists = [(code, known.stemmer, sorted(known.clitics)) for code, known in sorted(LANGUAGES.items())]
    parts = (_ANALYSIS, version("snowballstemmer"), unicodedata.unidata_version, lists)
    return hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()


class Analyzer:
    """Turns words into terms as one language does. May be called from several threads."""

    def __init__(self, language: str) -> None:
        known = LANGUAGES.get(language)
        self.language = language if known else NO_LANGUAGE
        self.stop_words: frozenset[str] = known.stop_words if known else frozenset()
        self._clitics: frozenset[str] = known.clitics if known else frozenset()
        import snowballstemmer  # 30 ms, which opening a workspace need not take

        self._stemmer = snowballstemmer.stemmer(known.stemmer) if known else None
        self._lock = threading.Lock()
        self._stem_cached = lru_cache(_CACHED_STEMS)(self._stem)
        self._western = _WordTerms(self)
        self._words = _WordTerms(self)
        self._grams = _Terms()

    def analyze(self, texts: Sequence[str]) -> Analyzed:
        """Return the terms of the words of some texts.

        Stop words are kept: a query of nothing else finds them. So are the single characters of unspaced scripts,
        which a query of one character needs.
        """
        western, others, grams = _Words(self._western), _Words(self._words), _Words(self._grams)
        for text in texts:
            folded = fold(text)
            cut = western_words(folded)
            if cut is not None:
                western.add(cut.split())
                others.add(())
                grams.add(())
            else:
                words, runs = cut_folded(folded)
                western.add(())
                others.add(words)
                grams.add([gram for run in runs for gram in (*run, *_bigrams(run))])
        return western.analyzed().joined(others.analyzed()).joined(grams.analyzed())

    def terms(self, word: str) -> dict[str, str]:
        """Return the term of each part of a word: cut at apostrophes, without clitics."""
        parts = word.split("'")
        kept = [part for part in parts if part not in self._clitics] if len(parts) > 1 else parts
        return {part: self._stem_cached(part) for part in kept or parts}

    def _stem(self, word: str) -> str:
        if self._stemmer is None or len(word) > _LONGEST_WORD or word.isdigit():
            return word
        with self._lock:  # a Snowball stemmer keeps the word it works on
            stem: str = self._stemmer.stemWord(word)
        return stem or word


@dataclass(frozen=True, slots=True)
class Analyzed:
    """The terms of some texts.

    Attributes:
        texts: int64 `(m,)`, the position of the text that each word is in.
        which: int64 `(m,)`, the position in `terms` of the term that each word is.
        terms: int64, numbers of terms, each in `which`; some may be equal.
    """

    texts: Integers
    which: Integers
    terms: Integers

    def joined(self, other: Analyzed, *, texts: Integers | None = None) -> Analyzed:
        """Return the words of both; `texts`, if given, are the numbers of the other's texts among all."""
        if not len(other.texts):
            return self
        placed = other.texts if texts is None else texts[other.texts]
        return Analyzed(
            np.concatenate((self.texts, placed)),
            np.concatenate((self.which, other.which + len(self.terms))),
            np.concatenate((self.terms, other.terms)),
        )


class _Terms(dict[str | bytes, bytes]):
    """The numbers of the terms of words, 8 bytes each. It makes those it lacks, and forgets what was not asked for in a long while.

    A word is given as text, or as bytes in the encoding `WESTERN`; never both in one dictionary, where Python may warn of that.
    """

    def __init__(self) -> None:
        super().__init__()
        self._older: dict[str | bytes, bytes] = {}

    def __missing__(self, word: str | bytes) -> bytes:
        ids = self._older.get(word)
        if ids is None:
            terms = self.make(word if isinstance(word, str) else word.decode(WESTERN))
            ids = b"".join(term_id(term).to_bytes(8, "little") for term in terms)
        if len(word) <= _LONGEST_WORD:
            if len(self) >= _CACHED_WORDS:
                # Two threads may come here at once; then words are made again, which is no harm.
                self._older = dict(self)
                self.clear()
            self[word] = ids
        return ids

    def make(self, word: str) -> Iterable[str]:
        """Return the terms of a word."""
        return (word,)


class _WordTerms(_Terms):
    """Those of words that may have apostrophes at any place."""

    def __init__(self, analyzer: Analyzer) -> None:
        super().__init__()
        self._analyzer = analyzer

    def make(self, word: str) -> Iterable[str]:
        words = cut_folded(word)[0] if "'" in word else (word,)
        return (term for word in words for term in self._analyzer.terms(word).values())


class _Words:
    """The words of some texts, each by the number that it got when it was first met."""

    def __init__(self, terms: _Terms) -> None:
        self._terms = terms
        self._numbering: defaultdict[str | bytes, int] = defaultdict(count().__next__)
        self._which: list[int] = []
        self._counts: list[int] = []

    def add(self, words: Iterable[str] | Iterable[bytes]) -> None:
        """Add the words of the next text."""
        before = len(self._which)
        self._which += map(self._numbering.__getitem__, words)
        self._counts.append(len(self._which) - before)

    def analyzed(self) -> Analyzed:
        """Return the terms of all words."""
        found = list(map(self._terms.__getitem__, self._numbering))
        which = np.asarray(self._which, np.int64)
        texts = np.repeat(np.arange(len(self._counts)), self._counts)
        widths = np.fromiter(map(len, found), np.int64, len(found)) // 8
        if not np.all(widths == 1):
            first = np.cumsum(widths) - widths
            repeats = widths[which]
            offsets = np.arange(int(repeats.sum())) - np.repeat(np.cumsum(repeats) - repeats, repeats)
            which = np.repeat(first[which], repeats) + offsets
            texts = np.repeat(texts, repeats)
        return Analyzed(texts, which, np.frombuffer(b"".join(found), "<i8"))


@dataclass(frozen=True, slots=True)
class AnalyzedQuery:
    """The terms of a query.

    Attributes:
        numbers: int64 `(t,)`, those of its terms, in the sorted order of the terms.
        variants: for each term the positions of its variants, itself too.
    """

    numbers: Integers
    variants: tuple[tuple[int, ...], ...]


class Analyzers:
    """The analysers of one index, each made when it is first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, Analyzer] = {}
        self._query_cached = lru_cache(_CACHED_QUERIES)(self._query)

    def __getitem__(self, language: str) -> Analyzer:
        analyzer = self._made.get(language)
        if analyzer is None:
            with self._lock:
                analyzer = self._made.setdefault(language, Analyzer(language))
        return analyzer

    def query(self, query: str, languages: tuple[str, ...]) -> AnalyzedQuery:
        """Return the terms of a query to chunks of these languages. The last few hundred are kept: a hybrid search asks twice."""
        return (self._query_cached if len(query) <= _LONGEST_QUERY else self._query)(query, languages)

    def _query(self, query: str, languages: tuple[str, ...]) -> AnalyzedQuery:
        terms = query_terms(query, [self[language] for language in languages])
        positions = {term: position for position, term in enumerate(terms)}
        return AnalyzedQuery(
            np.asarray([term_id(term) for term in terms], np.int64),
            tuple(tuple(positions[variant] for variant in variants) for variants in terms.values()),
        )


def query_terms(query: str, analyzers: Sequence[Analyzer]) -> dict[str, frozenset[str]]:
    """Return the terms of a query in sorted order, each with its variants: the terms made from the same word, itself too.

    Every analyser in use contributes its own, since chunks of each language hold terms made by theirs. A word is left
    out if all analysers with stop words list it, unless nothing would be left.

    A repeated word counts once: on the collections measured that is as good as counting it each time, or better.
    """
    words, runs = cut_words(query)
    made: dict[str, set[str]] = {}
    for analyzer in analyzers:
        for word in words:
            for part, term in analyzer.terms(word).items():
                made.setdefault(part, set()).add(term)
    lists = [analyzer.stop_words for analyzer in analyzers if analyzer.stop_words]
    stop_words: frozenset[str] = frozenset.intersection(*lists) if lists else frozenset()
    kept = [terms for part, terms in made.items() if part not in stop_words]
    kept += [{gram} for run in runs for gram in _bigrams(run) or [run]]
    variants: dict[str, frozenset[str]] = {}
    for terms in kept or made.values():
        for term in terms:
            variants[term] = variants.get(term, frozenset()) | terms
    return dict(sorted(variants.items()))


def _bigrams(run: str) -> list[str]:
    return list(map(str.__add__, run, run[1:]))
