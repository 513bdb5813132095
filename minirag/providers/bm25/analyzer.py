"""From text to terms: one analyser per language, with a cache of the words it has met."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import snowballstemmer

from minirag.providers.bm25.languages import LANGUAGES, NO_LANGUAGE
from minirag.providers.bm25.words import cut_words

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Analyzer", "Analyzers", "query_terms", "term_id"]

_CACHED_WORDS: Final = 32_768
_LONGEST_WORD: Final = 64  # what is longer is no word of a language: not stemmed (which may be quadratic), not cached


def term_id(term: str) -> int:
    """Return the term's number: 63 bits of its BLAKE2b hash.

    A number that needs no dictionary is the same in every segment, process and release, and postings hold no
    words. Among a million terms some two share a number with a probability of 5e-8.
    """
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 1


class Analyzer:
    """Turns words into terms as one language does. May be called from several threads."""

    def __init__(self, language: str) -> None:
        known = LANGUAGES.get(language)
        self.language = language if known else NO_LANGUAGE
        self.stop_words: frozenset[str] = known.stop_words if known else frozenset()
        self._clitics: frozenset[str] = known.clitics if known else frozenset()
        self._stemmer = snowballstemmer.stemmer(known.stemmer) if known else None
        self._lock = threading.Lock()
        self._stem_cached = lru_cache(_CACHED_WORDS)(self._stem)
        self._term_ids_cached = lru_cache(_CACHED_WORDS)(self._term_ids)

    def count(self, text: str) -> dict[int, int]:
        """Return how often each term, by its number, is in a chunk's text.

        Stop words are counted: a query of nothing else finds them. So are the single characters of unspaced scripts,
        which a query of one character needs.
        """
        words, runs = cut_words(text)
        counts: dict[int, int] = {}
        for word, count in Counter(words).items():
            for term in self._term_ids_cached(word) if len(word) <= _LONGEST_WORD else self._term_ids(word):
                counts[term] = counts.get(term, 0) + count
        for gram, count in Counter(gram for run in runs for gram in (*run, *_bigrams(run))).items():
            term = term_id(gram)
            counts[term] = counts.get(term, 0) + count
        return counts

    def terms(self, word: str) -> dict[str, str]:
        """Return the term of each part of a word: cut at apostrophes, without clitics."""
        parts = word.split("'")
        kept = [part for part in parts if part not in self._clitics] if len(parts) > 1 else parts
        return {part: self._stem_cached(part) if len(part) <= _LONGEST_WORD else part for part in kept or parts}

    def _term_ids(self, word: str) -> tuple[int, ...]:
        return tuple(term_id(term) for term in self.terms(word).values())

    def _stem(self, word: str) -> str:
        if self._stemmer is None or word.isdigit():
            return word
        with self._lock:  # a Snowball stemmer keeps the word it works on
            stem: str = self._stemmer.stemWord(word)
        return stem or word


class Analyzers:
    """The analysers of one index, each made when it is first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, Analyzer] = {}

    def __getitem__(self, language: str) -> Analyzer:
        analyzer = self._made.get(language)
        if analyzer is None:
            with self._lock:
                analyzer = self._made.setdefault(language, Analyzer(language))
        return analyzer


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
    return [run[start : start + 2] for start in range(len(run) - 1)]
