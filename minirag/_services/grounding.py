"""Citations for an answer whose model wrote none: statements that one sentence of a passage holds almost word for word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from minirag.models.overlap import Overlap, content_words, words_of
from minirag.models.search import Hit
from minirag.models.sentences import sentence_spans

__all__ = ["LEAST_PART", "LEAST_SHARE", "LEAST_WORDS", "Support", "supported_statements"]

LEAST_SHARE: Final = 0.9
"""So much of a statement's content words must be in one sentence. It is never lowered: what is below has no citation."""
LEAST_PART: Final = 1 / 3
"""So much of that sentence must be what the statement says: a long list holds the words of many a false statement."""
LEAST_WORDS: Final = 3
"""A statement with fewer content words, such as "It is 1800.", could be in a sentence about anything."""

# Words about the answer itself, which a passage need not hold: "The answer to the question is that ...".
_FRAMING: Final = frozenset({"answer", "according", "document", "documents", "passage", "passages", "question", "text"})
# Function words that turn a statement round, of the languages whose function words are known; "t" is what "isn't" ends in.
_NEGATING_WORDS: Final = (
    "not no never none nor neither cannot without t nicht kein keine keinen nie ohne ne pas jamais sans sin nunca jamás"
    " não sem non mai senza niet geen nooit zonder inte ingen aldrig utan не нет без никогда"
)
_NEGATING: Final = frozenset(_NEGATING_WORDS.split())

Support = tuple[int, int, int]
"""A passage's number, and where in the passage's text the sentence begins and ends."""


def supported_statements(text: str, hits: Sequence[Hit]) -> list[Support]:
    """Return, for each statement of `text` that a passage holds, the sentence that holds it; each sentence once.

    A sentence holds a statement of at least `LEAST_WORDS` content words if `LEAST_SHARE` of these are in it in some form,
    and make up `LEAST_PART` of its own; if it holds all numbers exactly; and if both negate or neither does. Of several
    such sentences the one with the largest share counts, then the shortest, then the one of the better passage.
    """
    places = [
        (number, start, end) for number, hit in enumerate(hits, start=1) for start, end in sentence_spans(hit.text)
    ]
    sentences = [hits[number - 1].text[start:end] for number, start, end in places]
    held = [frozenset(words_of(sentence)) for sentence in sentences]
    sizes = [len(content_words(sentence)) for sentence in sentences]
    supports: dict[Support, None] = {}
    for begin, stop in sentence_spans(text):
        statement = text[begin:stop]
        overlap = Overlap(statement, sentences)
        wanted = frozenset(overlap.words) - _FRAMING
        if len(wanted) < LEAST_WORDS:
            continue
        said = frozenset(words_of(statement))
        numbers = {word for word in said if any(character.isdigit() for character in word)}
        negates = not _NEGATING.isdisjoint(said)
        best: tuple[float, int, int] | None = None
        for place, words in enumerate(held):
            found = len(wanted & overlap.found[place])
            if (
                found >= max(LEAST_SHARE * len(wanted), LEAST_PART * sizes[place])
                and numbers <= words
                and negates is not _NEGATING.isdisjoint(words)
            ):
                rank = (-found / len(wanted), sizes[place], place)
                best = rank if best is None else min(best, rank)
        if best is not None:
            supports[places[best[2]]] = None
    return list(supports)
