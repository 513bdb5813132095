"""Which of one text's content words other texts hold, and how much these words weigh. In any script, without a model.

The extractive answerer and the citing step share it, so that both mean the same by "supports".
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence

__all__ = ["Overlap", "content_words", "same_word", "words_of"]

# Words that carry no content, question words among them, in the languages users ask in most.
_FUNCTION_WORDS = {
    "en": (
        "a about above after again all also am an and any are as at be been before being below between both but "
        "by can could did do does doing done during each few for from further had has have having he her here "
        "hers him his how i if in into is it its itself many may me might more most much must my no nor not of "
        "off on once only or other our out over own same shall she should so some such than that the their them "
        "then there these they this those through to too under until up upon us very was we were what when where "
        "which while who whom whose why will with within without would you your tell give called s t d ll re ve m "
        "aren couldn didn doesn don hadn hasn haven isn mustn shouldn wasn weren won wouldn"
    ),
    "de": (
        "aber als am an auch auf aus bei bin bis bist da das dass dein dem den der des die dies diese dieser "
        "dieses du durch ein eine einem einen einer eines er es euer für hat hatte hätte ich ihm ihn ihr ihre im "
        "in ist ja kann können man mein mit muss nach nicht noch nur ob oder sein seine sich sie sind so über um "
        "und uns unter vom von vor wann war waren warum was welche welcher welches wem wen wenn wer werden wie "
        "wir wird wo wurde wurden zu zum zur"
    ),
    "fr": (
        "au aux avec ce ces cet cette combien comment dans de des du elle elles en est et eu il ils je la le les "
        "leur leurs lui mais mes mon ne nos notre nous on ont ou où par pas pour pourquoi quand que quel quelle "
        "quelles quels qui sa sans se ses son sont sur ta te tes ton tu un une vos votre vous était été être "
        "avait c d j l m n qu s t"
    ),
    "es": (
        "al algo ante como con cual cuál cuáles cuando cuándo cuánto cuántos de del desde donde dónde e el ella "
        "ellos era es esa ese eso esta está este esto fue fueron ha han hasta hay la las le les lo los más mi muy "
        "o para pero por porque qué quién quiénes se sin sobre su sus también te tu un una uno unos y ya"
    ),
    "pt": (
        "a à ao aos as até com da das do dos ela ele eles em entre essa esse foi foram isso mais mas na nas no "
        "nos não nós o onde os ou pela pelo qual quais quando quanto quantos quem são sem ser seu sua tem têm uma "
        "você e de que por se me um"
    ),
    "it": (
        "a agli ai alla alle anche che chi ci come cosa da dal dalla dei della delle di dove gli ha hanno il io "
        "lei loro ma nel nella non perché più quale quali quanti quanto questa questo sono stata stato sua suo "
        "tra è e la le lo i un una per con si se in era all dall dell l nell"
    ),
    "nl": (
        "de aan dan dat deze dit door een en hebben heeft het hij hoe hun ik is kan maar met naar niet nog of om "
        "ook op te tot uit van voor waar waarom wanneer wat welk welke werd wie wij worden ze zijn zij"
    ),
    "sv": (
        "att av de den det efter en ett från för hade har hur i inte kan med men när och om på som till var vad "
        "vem vilka vilken är"
    ),
    "ru": (
        "а был была были было быть в вам вас во вот где для до его ее если есть еще же за и из или им их к как "
        "какая какие каков какой когда кого которая которые который кто ли мне мы на над не нет но о об он она "
        "они оно от по почему при с сколько со так там то тот у уже чего чем что эта эти это этот я"
    ),
    "zh": (
        "什么 甚麼 多少 可以 怎么 怎樣 怎样 怎麼 为什 為什 是什 哪些 哪个 哪個 哪里 哪裡 如何 我们 你们 他们 她们 它们 没有 一个 一個 "
        "这个 這個 那个 那個 这些 那些 是否 请问 請問 因为 因為 所以 如果 但是 就是 不是 是谁 谁是 时候 候是"
    ),
    "ja": (
        "です ます ました まし した して ある いる する から まで ので こと これ それ あれ この その あの どの どこ いつ だれ 何で ませ せん "
        "でし しょ ょう すか たか のか にあ でき きま うか とは には では への ので なに なぜ どう どれ いく くら くつ つの"
    ),
}
_BY_LANGUAGE = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# A run of a script that writes no spaces, or a word with its combining marks (category M has no class in `re`).
_TOKEN = re.compile(
    rf"([{_UNSPACED}]+)|((?:[^\W_{_UNSPACED}]|[\u0300-\u036f\u0590-\u05c7\u064b-\u065f\u0900-\u0dff])+)"
)
_PAIR = re.compile(rf"[{_UNSPACED}]{{1,2}}")
_PREFIX = 4


def words_of(text: str) -> list[str]:
    """Return the words of `text` in order, case folded; of scripts without spaces, overlapping pairs of characters."""
    words: list[str] = []
    for match in _TOKEN.finditer(text):
        run = match[1]
        if run is None:
            words.append(match[2].casefold())
        elif len(run) == 1:
            words.append(run)
        else:
            words.extend(run[place : place + 2] for place in range(len(run) - 1))
    return words


def content_words(text: str) -> list[str]:
    """Return the distinct words of `text` that carry content, in order.

    Left out are the function words of the one language that knows most of the text's words, English if none does:
    "war" counts in "when did the war end", not in "wer war das". A single word is left out only in English.
    """
    words = list(dict.fromkeys(words_of(text)))
    languages = _BY_LANGUAGE if len(words) > 1 else ("en",)
    language = max(languages, key=lambda language: sum(word in _BY_LANGUAGE[language] for word in words))
    return [word for word in words if word not in _BY_LANGUAGE[language]]


def same_word(left: str, right: str) -> bool:
    """Return whether two words are equal or forms of one word, judged by what they begin with.

    At least four characters and three fifths of the longer word must agree, and at most three may follow. In place of
    a stemmer: it needs no language, and errs rarely where only the few words of a question are compared.
    """
    if left == right:
        return True
    shorter, longer = sorted((left, right), key=len)
    if longer == shorter + "s":
        return len(shorter) >= 3
    common = 0
    for one, other in zip(shorter, longer, strict=False):
        if one != other:
            break
        common += 1
    return common >= _PREFIX and len(longer) - common <= 3 and 5 * common >= 3 * len(longer)


def _weight(word: str, count: int, total: int) -> float:
    # A pair of characters that no sentence holds lies across two words as often as not.
    doubt = 0.5 if count == 0 and _PAIR.fullmatch(word) else 1.0
    return doubt * math.log(1 + (total + 1) / max(count, 1))


class Overlap:
    """A text's content words, weighed by how rare they are in `sentences`, and where each is found.

    Attributes:
        words: the content words of the text; all its words if none carries content.
        weights: by word; a word in few of the sentences weighs more (inverse document frequency).
        found: one set a sentence, of those words that it holds in some form.
    """

    def __init__(self, text: str, sentences: Sequence[str]) -> None:
        self.words = content_words(text) or list(dict.fromkeys(words_of(text)))
        self.found = [self._find(sentence) for sentence in sentences]
        counts = dict.fromkeys(self.words, 0)
        for found in self.found:
            for word in found:
                counts[word] += 1
        total = len(sentences)
        self.weights = {word: _weight(word, count, total) for word, count in counts.items()}
        self._total = sum(self.weights.values())

    def share(self, found: Collection[str]) -> float:
        """Return the weight of the words `found` in that of all words, from 0 to 1; 0 for a text without words."""
        return sum(self.weights[word] for word in found) / self._total if self._total else 0.0

    def _find(self, sentence: str) -> frozenset[str]:
        held = set(words_of(sentence))
        by_prefix: dict[str, list[str]] = {}
        for word in held:
            by_prefix.setdefault(word[:_PREFIX], []).append(word)
        return frozenset(
            word
            for word in self.words
            if word in held
            or word + "s" in held
            or (word[-1] == "s" and word[:-1] in held)
            or any(same_word(word, other) for other in by_prefix.get(word[:_PREFIX], ()))
        )
