"""WordPiece gives the ids of the reference tokenizer, in linear time."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirag.providers.local import wordpiece
from minirag.providers.local.wordpiece import WordPiece

VOCABULARY = importlib.resources.files("minirag.providers.local").joinpath("minilm-vocab.txt")
TABLE = json.loads((Path(__file__).parents[1] / "data" / "wordpiece_ids.json").read_text(encoding="utf-8"))

with VOCABULARY.open(encoding="utf-8") as lines:
    TOKENIZER = WordPiece(lines)

texts = (
    st.text(max_size=80)
    | st.text(st.characters(max_codepoint=0x2FF), max_size=200)
    | st.text("aé #.Σ中\x00\n", max_size=60)
)


@pytest.mark.parametrize(("text", "ids"), TABLE, ids=[f"{number}" for number in range(len(TABLE))])
def test_ids_equal_the_reference(text: str, ids: list[int]) -> None:
    """Scripts, accents, controls, emoji and words of about 100 characters get the ids of `tokenizers`."""
    assert TOKENIZER.encode(text) == ids


def test_vocabulary_is_bert_uncased() -> None:
    """The vocabulary is the published one, to the byte."""
    digest = hashlib.sha256(VOCABULARY.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    assert digest == "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"


@given(texts)
def test_count_is_the_number_of_ids(text: str) -> None:
    """`count` agrees with `encode`."""
    assert TOKENIZER.count(text) == len(TOKENIZER.encode(text))


@given(texts, st.integers(0, 30))
def test_limit_takes_the_first_ids(text: str, limit: int) -> None:
    """`limit` cuts the ids and changes none of them."""
    assert TOKENIZER.encode(text, limit=limit) == TOKENIZER.encode(text)[:limit]


@given(texts, texts)
def test_a_space_separates(left: str, right: str) -> None:
    """What stands on the two sides of a space is tokenized apart, so a text may be cut there."""
    assert TOKENIZER.encode(f"{left} {right}") == TOKENIZER.encode(left) + TOKENIZER.encode(right)


@given(texts)
def test_case_does_not_matter(text: str) -> None:
    """ASCII letters get the same ids in either case."""
    swapped = "".join(letter.swapcase() if letter.isascii() else letter for letter in text)
    assert TOKENIZER.encode(swapped) == TOKENIZER.encode(text)


@given(st.text(st.characters(max_codepoint=0x7F), max_size=200))
def test_ascii_needs_no_table(text: str) -> None:
    """The short way for ASCII gives what the way for all characters gives."""
    forced = TOKENIZER.encode(f"{text} é")
    assert TOKENIZER.encode(text) == forced[:-1]


@settings(max_examples=30)
@given(st.integers(4_080, 4_100), st.sampled_from(["a", "é", ".", "中"]))
def test_stretches_are_invisible(length: int, filler: str) -> None:
    """A long text gives what its words give one by one, wherever the inner cut falls."""
    words = [filler * length, *["unaffable", "naïve", "rain"] * 1_000]
    assert TOKENIZER.encode(" ".join(words)) == [number for word in words for number in TOKENIZER.encode(word)]


def test_control_tokens_in_a_text_are_text() -> None:
    """A document that spells `[SEP]` does not end the model's input."""
    ids = TOKENIZER.encode("[CLS] [SEP] [MASK] [PAD]")
    assert not {TOKENIZER.cls_id, TOKENIZER.sep_id, 103, 0} & set(ids)


def test_lone_surrogates_are_dropped() -> None:
    """Half a surrogate pair, which has no UTF-8, is read as nothing."""
    assert TOKENIZER.encode("kn\ud800own") == TOKENIZER.encode("known")


@pytest.mark.parametrize("text", ["x" * 2_000_000, f"{'qx' * 50} " * 20_000, "é" * 1_000_000, "中" * 300_000])
def test_long_texts_take_linear_time(text: str) -> None:
    """Words without end, or without a known piece, cost no more than others."""
    started = time.process_time()
    TOKENIZER.count(text)
    assert time.process_time() - started < 5.0


def test_the_word_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of new words does not fill the memory."""
    monkeypatch.setattr(wordpiece, "_CACHED_WORDS", 100)
    with VOCABULARY.open(encoding="utf-8") as tokens:
        tokenizer = WordPiece(tokens)
    words = " ".join(f"w{number}" for number in range(1_000))
    assert tokenizer.encode(words) == TOKENIZER.encode(words)
    assert len(tokenizer._pieces) <= 100
