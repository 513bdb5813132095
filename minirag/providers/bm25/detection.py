"""Which language a text is in, told by its function words."""

from __future__ import annotations

from collections import Counter
from functools import cache

from minirag.providers.bm25.languages import LANGUAGES, NO_LANGUAGE, RIVALS
from minirag.providers.bm25.words import WESTERN, cut_folded, fold, western_words

__all__ = ["detect_language"]

_SAMPLE_CHARACTERS = 4_000
_LEAST_WORDS = 3
_LEAST_DIFFERENT = 2  # or Los Angeles is Spanish
_LEAST_SHARE = 0.12
_LEAST_LEAD = 1.3
_APOSTROPHES = "'\u2019\uff07"


def detect_language(text: str) -> str:
    """Return the ISO 639-1 code of the text's language if it has an analyser and is sure, else `"none"`.

    A language is sure when enough of the first 4,000 characters' words are function words of it, and when it leads
    over every other language clearly. There a word counts the less the more languages have it, so that what
    Danish and Norwegian share decides nothing between them.
    """
    text = text[:_SAMPLE_CHARACTERS]
    for apostrophe in _APOSTROPHES:
        text = text.replace(apostrophe, " ")
    text = fold(text)
    western = western_words(text)
    words, runs = cut_folded(text) if western is None else (western.decode(WESTERN).split(), [])
    shares = _function_words()
    counts = Counter(filter(shares.__contains__, words))
    weights: dict[str, float] = {}
    for word, count in counts.items():
        often = count**0.5  # a word that comes often is less evidence than many different ones
        for language, share in shares[word]:
            weights[language] = weights.get(language, 0.0) + often * share
    if not weights:
        return NO_LANGUAGE
    (best, weight), *others = sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:2]
    if best not in LANGUAGES or (others and weight < _LEAST_LEAD * others[0][1]):
        return NO_LANGUAGE
    hits = counts.keys() & LANGUAGES[best].function_words
    count = sum(counts[word] for word in hits)
    share = count / (len(words) + sum(map(len, runs)))
    sure = len(hits) >= _LEAST_DIFFERENT and count >= _LEAST_WORDS and share >= _LEAST_SHARE
    return best if sure else NO_LANGUAGE


@cache
def _function_words() -> dict[str, list[tuple[str, float]]]:
    """Return the languages of each function word, with its weight in each: what languages share counts less."""
    lists = {code: language.function_words | language.clitics for code, language in LANGUAGES.items()} | RIVALS
    languages_of: dict[str, list[str]] = {}
    for code, words in lists.items():
        for word in words:
            languages_of.setdefault(word, []).append(code)
    return {word: [(code, 1 / len(codes)) for code in codes] for word, codes in languages_of.items()}
