"""The hashing embedder is the same everywhere and knows shared words."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from minirag.errors import InvalidInputError
from minirag.interfaces import ProviderContext
from minirag.providers.local import hashing
from minirag.providers.local.hashing import Hashing, HashingOptions, create


def test_vectors_are_fixed_for_ever() -> None:
    """The places of a word are part of revision 1 of the space."""
    vector = Hashing().embed(["Rain"], purpose="document")[0]
    signs = {int(place): int(np.sign(vector[place])) for place in np.flatnonzero(vector)}
    assert signs == {0: 1, 33: -1, 49: -1, 218: -1, 244: 1}


@pytest.mark.parametrize("seed", ["0", "1"])
def test_another_process_gives_the_same_bits(seed: str) -> None:
    """No vector depends on Python's own string hashes, which differ from process to process."""
    code = (
        "from minirag.providers.local.hashing import Hashing\n"
        "print(Hashing().embed(['naïve rain, 中文'], purpose='query').tobytes().hex())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"}
    output = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == Hashing().embed(["naïve rain, 中文"], purpose="document").tobytes().hex()


def test_every_vector_has_length_one() -> None:
    """Empty texts, texts without words and dimension 1, where counts cancel, too."""
    for dimension in (1, 2, 256):
        vectors = Hashing(dimension=dimension).embed(["", " ", "?!", "rain", "rain and snow"], purpose="document")
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)


def test_lone_surrogates_are_taken() -> None:
    """Half a surrogate pair, which has no UTF-8, is a character as any other."""
    assert np.isfinite(Hashing().embed(["a\ud800b"], purpose="query")).all()


def test_shared_words_and_word_parts_bring_texts_together() -> None:
    """The same words beat an inflected form, which beats other words."""
    same, inflected, other, query = Hashing().embed(
        ["return a laptop", "returning laptops", "bake the bread", "laptop return"], purpose="document"
    )
    assert same @ query > inflected @ query > other @ query


def test_the_word_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither many words nor long ones fill the memory."""
    monkeypatch.setattr(hashing, "_CACHED_WORDS", 10)
    embedder = Hashing()
    embedder.embed([" ".join(f"w{number}" for number in range(100)), "x" * 10_000], purpose="document")
    assert len(embedder._places) <= 10
    assert max(map(len, embedder._places)) <= 64


def test_factory_takes_a_dimension() -> None:
    """The option reaches the space, and with it the vectors."""
    embedder = create(HashingOptions(dimension=32), ProviderContext())
    assert embedder.space.dimension == 32
    assert embedder.embed(["rain"], purpose="query").shape == (1, 32)
    assert embedder.space != Hashing().space


def test_dimension_is_checked() -> None:
    """A space of no dimension is refused."""
    with pytest.raises(InvalidInputError, match="dimension"):
        Hashing(dimension=0)
