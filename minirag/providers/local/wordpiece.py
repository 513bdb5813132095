"""`WordPiece`: texts to the token ids of an uncased BERT model, in pure Python."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from minirag.providers.local.bert_characters import IDEOGRAPHS, MARKS, PUNCTUATION, REMOVED

__all__ = ["WordPiece"]

_LONGEST_WORD: Final = 100  # characters; BERT reads a longer word as unknown
_STRETCH: Final = 4096  # characters normalised at once
_CACHED_WORDS: Final = 32_768
_CACHED_CHARACTERS: Final = 65_536

_ASCII_WORD: Final = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_ASCII_REMOVED: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])


class _CodePoints:
    """A set of code points, written as in `bert_characters`."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, text: str) -> None:
        pairs = [item.partition("-") for item in text.split()]
        self._starts = [int(first, 16) for first, _, _ in pairs]
        self._ends = [int(last or first, 16) for first, _, last in pairs]

    def __contains__(self, code: int) -> bool:
        place = bisect_right(self._starts, code) - 1
        return place >= 0 and code <= self._ends[place]


class _Normalized(dict[int, str]):
    """What each character becomes, for `str.translate`; worked out when a character is first met.

    No step of BERT's normalisation looks at a character's neighbours, except canonical reordering, and that only
    moves marks that are stripped or that the vocabulary does not hold; so one table does them all in one pass.
    """

    def __init__(self) -> None:
        self._removed = _CodePoints(REMOVED)
        self._marks = _CodePoints(MARKS)
        self._punctuation = _CodePoints(PUNCTUATION)
        self._ideographs = _CodePoints(IDEOGRAPHS)

    def __missing__(self, code: int) -> str:
        normalized = self._normalize(code)
        if len(self) < _CACHED_CHARACTERS:
            self[code] = normalized
        return normalized

    def _normalize(self, code: int) -> str:
        character = chr(code)
        if code in self._removed:
            return ""
        if character.isspace():
            return " "
        letters = unicodedata.normalize("NFD", character)
        # Lowered one by one: `str.lower` of a whole word would turn a final Σ into ς, which BERT does not.
        lowered = "".join(letter.lower() for letter in letters if ord(letter) not in self._marks)
        spaced = "".join(f" {letter} " if ord(letter) in self._punctuation else letter for letter in lowered)
        return f" {spaced} " if code in self._ideographs else spaced


class WordPiece:
    """Splits texts as BERT's uncased tokenizer does: clean, strip accents, lower, isolate, longest match first.

    The ids are those of the package `tokenizers` (`BertWordPieceTokenizer`), with one difference meant so: a text
    that spells a control token, such as `[SEP]`, is read as the characters it is made of. Lone surrogates are dropped.
    Time is linear in the text. One instance may be used by several threads.

    Source: Wu et al., Google's Neural Machine Translation System, 2016, section 4.1, as done in BERT (Devlin et al., 2019).
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        """Take the vocabulary, one token a line, in the order of their ids."""
        vocabulary = {token.rstrip("\n"): number for number, token in enumerate(tokens)}
        self.cls_id: Final = vocabulary["[CLS]"]
        self.sep_id: Final = vocabulary["[SEP]"]
        self.unknown_id: Final = vocabulary["[UNK]"]
        self._unknown: Final = (self.unknown_id,)
        self._beginnings = {token: number for token, number in vocabulary.items() if not token.startswith("##")}
        self._continuations = {token[2:]: number for token, number in vocabulary.items() if token.startswith("##")}
        self._longest_piece = max(map(len, vocabulary))
        self._normalized = _Normalized()
        self._pieces: dict[str, tuple[int, ...]] = {}

    def encode(self, text: str, *, limit: int | None = None) -> list[int]:
        """Return the ids of `text`, without `[CLS]` and `[SEP]`: all of them, or the first `limit`."""
        ids: list[int] = []
        for words in self._words(text):
            for word in words[:limit]:  # a word is one id or more
                ids += self.pieces(word)
            if limit is not None and len(ids) >= limit:
                return ids[:limit]
        return ids

    def count(self, text: str) -> int:
        """Return `len(encode(text))`."""
        return sum(len(self.pieces(word)) for words in self._words(text) for word in words)

    def words(self, text: str) -> Iterator[str]:
        """Yield the normalised words of `text`; each punctuation mark and each ideograph is one."""
        for words in self._words(text):
            yield from words

    def pieces(self, word: str) -> tuple[int, ...]:
        """Return the ids of one normalised word, `(unknown_id,)` if it cannot be built of known pieces."""
        known = self._pieces.get(word)
        return self._match(word) if known is None else known

    def _words(self, text: str) -> Iterator[list[str]]:
        start = 0
        while start < len(text):
            # No word goes across a space, so a text may be cut there; one odd character slows one stretch only.
            end = text.find(" ", start + _STRETCH)
            stretch = text[start : end if end >= 0 else len(text)]
            start += len(stretch)
            if stretch.isascii():
                yield _ASCII_WORD.findall(stretch.translate(_ASCII_REMOVED).lower())
            else:
                yield stretch.translate(self._normalized).split()

    def _match(self, word: str) -> tuple[int, ...]:
        if len(word) > _LONGEST_WORD:
            return self._unknown
        ids: list[int] = []
        start, known = 0, self._beginnings
        while start < len(word):
            for end in range(min(len(word), start + self._longest_piece), start, -1):
                number = known.get(word[start:end])
                if number is not None:
                    break
            else:
                ids = [self.unknown_id]
                break
            ids.append(number)
            start, known = end, self._continuations
        if len(self._pieces) >= _CACHED_WORDS:
            self._pieces.clear()
        self._pieces[word] = pieces = tuple(ids)
        return pieces
