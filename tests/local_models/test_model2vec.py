"""A static model made by hand: vectors are its tokens' average, read from a folder without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model2vec import StaticModel
from tokenizers import Tokenizer

from minirag.errors import ProviderError, ProviderOptionsError
from minirag.interfaces import Embedder
from minirag.providers.local.model2vec import Model2VecEmbedder, Model2VecOptions
from minirag.testing import EmbedderConformance

TOKENIZER = Path(__file__).parent.parent / "data/models/embedder/tokenizer.json"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random vectors, a token a byte, saved as the package saves it."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    vectors = np.random.default_rng(7).standard_normal((tokenizer.get_vocab_size(), 16)).astype(np.float32)
    place = tmp_path_factory.mktemp("static") / "bytes-16"
    StaticModel(vectors, tokenizer, normalize=True).save_pretrained(place)
    return place


def embedder(folder: Path, **options: Any) -> Model2VecEmbedder:
    return Model2VecEmbedder(Model2VecOptions(model=str(folder), **options))


class TestModel2Vec(EmbedderConformance):
    """The embedder keeps the contract."""

    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        self.folder = folder

    def make_embedder(self) -> Embedder:
        return embedder(self.folder)


def test_vectors_are_those_of_the_package(folder: Path) -> None:
    """At length one; a text without tokens gets the first unit vector, since a vector of zeros points nowhere."""
    made = embedder(folder)
    expected = StaticModel.from_pretrained(folder, force_download=False).encode(["rain", "snow"])
    np.testing.assert_allclose(made.embed(["rain", "snow"], purpose="query"), expected, rtol=1e-5)
    assert made.embed([""], purpose="query")[0].tolist() == [1.0] + [0.0] * 15
    assert (made.space.dimension, made.space.model, made.max_tokens) == (16, "bytes-16", 512)


def test_tokens_are_counted_beyond_the_limit(folder: Path) -> None:
    """And counting does not lift the limit of embedding."""
    made = embedder(folder)
    assert made.count_tokens("a" * 600) == 600
    long = made.embed(["a" * 512 + "z" * 100], purpose="query")
    assert np.array_equal(long, made.embed(["a" * 512 + "y" * 100], purpose="query"))


def test_wrong_and_damaged_folders(folder: Path, tmp_path: Path) -> None:
    """What is missing is told at once, what is damaged when it is loaded."""
    with pytest.raises(ProviderOptionsError, match="does not exist"):
        embedder(tmp_path / "nowhere")
    with pytest.raises(ProviderOptionsError, match=r"holds no static model: 'model\.safetensors' is not there"):
        embedder(tmp_path)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ProviderError, match="is damaged"):
        embedder(tmp_path).embed(["rain"], purpose="query")
    with pytest.raises(ProviderOptionsError, match="is not on disk, and download=False"):
        Model2VecEmbedder(Model2VecOptions(model="acme/no-such-static-model", download=False))


def test_instances_share_the_model_and_other_weights_are_another_space(folder: Path, tmp_path: Path) -> None:
    """By path and contents."""
    first, second = embedder(folder), embedder(folder)
    assert first._model.get() is second._model.get()
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    assert embedder(tmp_path).space.revision != first.space.revision
