"""`extractive`: answers composed of the documents' own sentences, without a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field

from minirag.interfaces.llm import LLM, LLMChunk, LLMRequest, LLMResponse, Passage, TokenUsage
from minirag.interfaces.specs import ProviderContext
from minirag.models.base import Model
from minirag.models.overlap import Overlap, content_words, words_of
from minirag.models.statements import Statement, statements_of

__all__ = ["Extractive", "ExtractiveOptions", "create"]

# Measured on the 1,190 questions of XQuAD (English) with five retrieved paragraphs, by BM25 and by MiniLM with BM25: the
# best sentence holds the expected answer for 80-81 of 100 questions, one of the best three for 93-95. Halving or
# doubling a weight moves that by less than 3.
_TITLE, _BEFORE, _PASSAGE, _COSINE, _RANK, _CUE = 0.5, 0.4, 0.25, 0.6, 0.02, 0.25
_TO_THE_POINT = 0.05  # among sentences that hold every content word of the question, the shortest is first
_AFTER_QUESTION = 0.9  # a question in the text, as in a list of frequent ones, is about the sentence after it

# A further sentence may score so much less than the best one: 1.4 sentences an answer. Of 100 answers given, 90 (BM25) or
# 91 (MiniLM, hybrid) then hold the expected one. None comes once those chosen hold every content word of the question;
# but one such word is a subject, of which no sentence says all there is.
_FURTHER = 0.16

# What a sentence's form costs it: one that only leads to what comes next, one that is no sentence, one that is code.
_LEADS_ON, _UNENDED, _CODE = 0.1, 0.25, 0.5

# When to abstain, of 100 questions each, with cosines: 3-4 whose paragraph is there; 92 from whose surroundings nine
# paragraphs were removed; 90-100 put to collections on other subjects. Without cosines: 5, 79 and 74-100. The cosine
# counts no further than _COSINE_LIMIT, so that an embedder that finds everything similar cannot carry a sentence alone.
_ENOUGH_WITH_COSINE, _COSINE_LIMIT = 0.7, 0.6
_ENOUGH_WORDS_ALONE = 0.36

_WANTS_NUMBER = re.compile(
    r"\b(?:how (?:many|much|old|long|far|large|big|often|tall|high)|when|(?:what|which) (?:year|date|day|month|time|number"
    r"|century|decade|percent\w*)|wie ?viele?|wie lange|wann|combien|quand|cu[aá]nt\w+|cu[aá]ndo|quant[oaie]s?|quando|hoeveel"
    r"|wanneer|сколько|когда)\b"
)
_WANTS_NAME = re.compile(
    r"\b(?:who|whom|whose|where|which|wer|wo|wem|wen|qui|où|qui[eé]n\w*|d[oó]nde|quem|onde|chi|dove|wie|waar|кто|где)\b"
)
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|half|hundred|thousand|million|billion|twice|dozen)\b",
    re.IGNORECASE,
)
# "How long" asks for a number; a sentence with "as long as" is no nearer to it.
_HOW = re.compile(r"\bhow (?:many|much|old|long|far|large|big|often|tall|high)\b", re.IGNORECASE)
_TICKED = re.compile(r"`[^`]*`")
_SIGN = re.compile(r"[(){}\[\]=<>;_\"'\\/$#@]")
_MOST_SIGNS = 0.08  # of a line's characters; more is code
_NOTE_NUMBER = re.compile(r"[(\[]\d{1,3}[)\]]")
_NAME = re.compile(r"(?<=[^.!?] )[^\W\d_]\w+")
_ENDED = re.compile(r"[.!?…:;։؟۔।॥。！？｡][\"'”’»)\]」』）]*$")
_QUESTION = re.compile(r"[?؟？][\"'”’»)\]」』）]*$")


class ExtractiveOptions(Model):
    """Options of the `extractive` provider.

    Attributes:
        max_sentences: how many sentences an answer has at most.
    """

    max_sentences: int = Field(default=3, ge=1, le=10)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence that may answer; `supported` tells whether the evidence is enough to say it, `lacks` what it leaves open."""

    text: str
    number: int
    score: float
    supported: bool
    lacks: frozenset[str]


class Extractive(LLM):
    """Answers with the best supporting sentences of the passages, each followed by its marker: `It is 30 days. [2]`.

    A sentence counts by the question's content words that it holds, weighed by their rarity in the passages; by those
    of its title, of the sentence before it and of its passage, in part; by the passage's cosine and rank; and by whether it
    holds a number or a name where the question asks for one. It follows no instructions and writes no word of its own.
    Headings, code and other markup are left out: `minirag.models.statements` says what a sentence says.

    Without enough evidence the response is empty and its `finish_reason` is `"abstain"`.
    """

    reads_prompts = False
    metered = False

    def __init__(self, *, max_sentences: int = 3) -> None:
        self._max_sentences = max_sentences

    @property
    def name(self) -> str:
        return "extractive"

    def generate(self, request: LLMRequest) -> LLMResponse:
        pieces = self._pieces(request)
        return LLMResponse(text="".join(pieces), finish_reason="stop" if pieces else "abstain", model=self.name)

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        pieces = self._pieces(request)
        for piece in pieces:
            yield LLMChunk(text=piece)
        yield LLMChunk(usage=TokenUsage(), finish_reason="stop" if pieces else "abstain")

    def _pieces(self, request: LLMRequest) -> list[str]:
        """Return the answer cut between sentences, or nothing if the passages do not support one."""
        self.check(request)
        candidates = _candidates(request.question, request.passages)
        if not candidates or not candidates[0].supported:
            return []
        least = candidates[0].score - _FURTHER
        lacking = candidates[0].lacks
        chosen: dict[str, str] = {}
        for candidate in candidates:
            if len(chosen) == self._max_sentences or candidate.score < least or (chosen and not lacking):
                break
            chosen.setdefault(_compared(candidate.text), f"{candidate.text} [{candidate.number}]")
            lacking &= candidate.lacks
        return [" " * (place > 0) + sentence for place, sentence in enumerate(chosen.values())]


def create(options: ExtractiveOptions, context: ProviderContext) -> Extractive:  # noqa: ARG001 - every factory is called alike
    """Return the extractive answerer."""
    return Extractive(max_sentences=options.max_sentences)


def _candidates(question: str, passages: tuple[Passage, ...]) -> list[_Candidate]:
    """Return the sentences that may answer, best first; none for a question without content words."""
    if not content_words(question):
        return []
    by_passage = [statements_of(passage.text) for passage in passages]
    titles = [passage.title or "" for passage in passages]
    # What says nothing, such as a heading, still tells what the sentence after it is about.
    texts = [
        statement.said or passage.text[statement.start : statement.end]
        for passage, statements in zip(passages, by_passage, strict=True)
        for statement in statements
    ]
    subject = _HOW.sub(" ", question)
    overlap = Overlap(subject if content_words(subject) else question, [*titles, *texts])
    asked = frozenset(overlap.words)
    cue = _Cue(question)
    candidates: list[_Candidate] = []
    place = len(titles)
    for rank, (passage, statements) in enumerate(zip(passages, by_passage, strict=True)):
        found = overlap.found[place : place + len(statements)]
        place += len(statements)
        in_title = overlap.found[rank]
        in_passage = in_title.union(*found)
        cosine = min(max(passage.score, 0.0), 1.0)
        before: frozenset[str] = frozenset()
        before_weight = 0.0
        for statement, own in zip(statements, found, strict=True):
            said = statement.said
            asks = bool(_QUESTION.search(said))
            if said and not asks and not _is_heading(said, own):
                nearby = before - own
                titled = in_title - own - nearby
                share = overlap.share(own)
                support = share + before_weight * overlap.share(nearby) + _TITLE * overlap.share(titled)
                elsewhere = overlap.share(in_passage - own - nearby - titled)
                score = support + _PASSAGE * elsewhere + _COSINE * cosine - _RANK * rank
                score += cue.bonus(said) - _form_costs(statement)
                lacks = asked - own if len(asked) > 1 else asked
                if not lacks:
                    score += _TO_THE_POINT * len(own) / max(len(content_words(said)), 1)
                if passage.score != 0:
                    supported = support + min(cosine, _COSINE_LIMIT) >= _ENOUGH_WITH_COSINE
                else:
                    supported = (support + overlap.share(in_passage)) / 2 >= _ENOUGH_WORDS_ALONE
                candidates.append(_Candidate(said, passage.number, score, supported, lacks))
            before, before_weight = own, _AFTER_QUESTION if asks else _BEFORE
    return sorted(candidates, key=lambda candidate: -candidate.score)


def _is_heading(said: str, found: frozenset[str]) -> bool:
    """Return whether a line only names a subject: it is not ended, and has no word of its own."""
    return not _ENDED.search(said) and len(content_words(said)) <= len(found)


def _form_costs(statement: Statement) -> float:
    """Return what a statement loses because it does not read as a whole sentence."""
    said = statement.said
    if _ENDED.search(said):
        return _LEADS_ON if said.endswith((":", "：")) else 0.0
    plain = _TICKED.sub("", said)
    if len(_SIGN.findall(plain)) > _MOST_SIGNS * len(plain):
        return _CODE
    return 0.0 if statement.listed else _UNENDED


def _compared(said: str) -> str:
    """Return what two copies of a sentence have in common: neither white space nor the numbers of notes."""
    return "".join(_NOTE_NUMBER.sub("", said).split()).casefold()


class _Cue:
    """What kind of thing the question asks for, by its question word."""

    def __init__(self, question: str) -> None:
        asked = question.casefold()
        self._number = bool(_WANTS_NUMBER.search(asked))
        self._name = bool(_WANTS_NAME.search(asked))
        self._known = frozenset(words_of(question))

    def bonus(self, sentence: str) -> float:
        """Return a small bonus for a sentence that holds a number or a new name where one is asked for."""
        if self._number:
            return _CUE if _NUMBER.search(sentence) else 0.0
        if self._name and any(
            name[0].isupper() and name.casefold() not in self._known for name in _NAME.findall(sentence)
        ):
            return _CUE / 2
        return 0.0
