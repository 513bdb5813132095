"""Texts for the suite of keyword indexes: words of no language, random texts, random programmes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.interfaces.keyword_index import IndexText, KeywordPartition

if TYPE_CHECKING:
    from minirag.types import Keys

__all__ = [
    "QUERIES",
    "STOP_WORDS",
    "WORDS",
    "holding",
    "keys_of",
    "random_text",
    "random_texts",
    "run_programme",
    "text_of",
]

WORDS: Final = (
    "bravok",
    "delzu",
    "gamvix",
    "kilqo",
    "limfa",
    "novjek",
    "oskarp",
    "papzi",
    "quebno",
    "siervu",
    "tangru",
    "zuluk",
)
"""Words of no language, which every analyser of unknown text leaves as they are; in sorted order."""

QUERIES: Final = ("tangru", "siervu papzi kilqo", " ".join(WORDS), "absent")

STOP_WORDS: Final = "to be or not to be"
"""English, and nothing but stop words."""


def run_programme(randomness: random.Random, partition: KeywordPartition) -> dict[int, str]:
    """Apply random removals and additions, and return what should be held after them."""
    held: dict[int, str] = {}
    pool = [randomness.getrandbits(63) for _ in range(60)]
    for _ in range(randomness.randrange(1, 25)):
        removed = randomness.sample(pool, randomness.randrange(0, 12))
        added = {key: random_text(randomness) for key in randomness.sample(pool, randomness.randrange(0, 15))}
        partition.apply(keys_of(*removed), [text_of(key, text) for key, text in added.items()])
        for key in removed:
            held.pop(key, None)
        held |= added
    return held


def random_texts(randomness: random.Random, count: int) -> dict[int, str]:
    """Return that many random texts by random keys."""
    return {key: random_text(randomness) for key in randomness.sample(range(2**62), count)}


def random_text(randomness: random.Random) -> str:
    """Return some random words, the last of `WORDS` oftener than the first."""
    return " ".join(randomness.choices(WORDS, weights=range(1, len(WORDS) + 1), k=randomness.randrange(1, 12)))


def holding(texts: Mapping[int, str], query: str) -> set[int]:
    """Return the keys of the texts that hold a word of the query."""
    return {key for key, text in texts.items() if set(query.split()) & set(text.split())}


def text_of(key: int, text: str) -> IndexText:
    """Return a chunk without a title, of unknown language."""
    return IndexText(key=key, text=text, title=None, language="none")


def keys_of(*keys: int) -> Keys:
    """Return keys as an index takes them."""
    return np.asarray(keys, np.int64)
