"""sentence-transformers on real weights, and a cross-encoder of random ones: from folders, without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import minirag
from minirag.errors import ProviderConnectionError, ProviderError, ProviderOptionsError
from minirag.interfaces import Embedder
from minirag.providers.local.sentence_transformers import (
    SentenceTransformerEmbedder,
    SentenceTransformerOptions,
    SentenceTransformerReranker,
    SentenceTransformerRerankerOptions,
)
from minirag.testing import EmbedderConformance

TEXTS = ("A man is playing a guitar.", "Someone plays an instrument.", "The parliament passed the budget.")


def embedder(folder: Path | str, **options: Any) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(SentenceTransformerOptions(model=str(folder), device="cpu", **options))


class TestSentenceTransformers(EmbedderConformance):
    """The embedder keeps the contract."""

    @pytest.fixture(autouse=True)
    def _folder(self, minilm: Path) -> None:
        self.folder = minilm

    def make_embedder(self) -> Embedder:
        return embedder(self.folder)


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """A cross-encoder with random weights."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(7)
    folder = tmp_path_factory.mktemp("cross-encoder")
    tokenizer = AutoTokenizer.from_pretrained(minilm, local_files_only=True)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, **sizes)
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_vectors_are_those_of_the_package(minilm: Path) -> None:
    """The wrapper adds nothing of its own."""
    made = embedder(minilm)
    expected = SentenceTransformer(str(minilm), device="cpu", local_files_only=True).encode(list(TEXTS))
    np.testing.assert_allclose(made.embed(TEXTS, purpose="document"), expected, atol=1e-5)
    first, second, other = made.embed(TEXTS, purpose="document")
    assert first @ second > 0.6 > 0.3 > first @ other
    assert (made.space.dimension, made.space.model) == (384, minilm.name)
    assert made.count_tokens("unaffable, naïve") == 5


def test_prefixes_are_put_before_the_texts(minilm: Path) -> None:
    """By purpose, and the space says so."""
    made = embedder(minilm, query_prefix="query: ")
    assert made.space.query_prefix == "query: "
    prefixed = embedder(minilm).embed(["query: rain"], purpose="query")
    np.testing.assert_allclose(made.embed(["rain"], purpose="query"), prefixed, atol=1e-6)
    plain = embedder(minilm).embed(["rain"], purpose="document")
    np.testing.assert_allclose(made.embed(["rain"], purpose="document"), plain, atol=1e-6)


def test_a_name_that_is_on_disk_needs_no_network(minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's cache is read as the hub's client lays it out; a folder elsewhere gives the same space but for its name."""
    revision = "0" * 40
    place = tmp_path / "models--acme--small"
    shutil.copytree(minilm, place / "snapshots" / revision)
    (place / "refs").mkdir()
    (place / "refs/main").write_text(revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    made = embedder("acme/small", download=False)
    assert made.space == embedder(minilm).space.model_copy(update={"model": "acme/small"})
    assert made.embed(["rain"], purpose="query").shape == (1, 384)


def test_a_name_that_is_not_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without leave to download it is refused, without a network it is told that the download failed."""
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ProviderOptionsError, match="is not on disk, and download=False"):
        embedder("acme/small", download=False)
    with pytest.raises(ProviderConnectionError, match="could not be downloaded") as caught:
        embedder("acme/small")
    assert caught.value.retryable
    with pytest.raises(ProviderOptionsError, match="neither a folder nor a name"):
        embedder("no such name")


def test_wrong_and_damaged_folders(minilm: Path, tmp_path: Path) -> None:
    """What is missing is told at once, what is damaged when it is loaded."""
    with pytest.raises(ProviderOptionsError, match="does not exist"):
        embedder(tmp_path / "nowhere")
    with pytest.raises(ProviderOptionsError, match="holds no model"):
        embedder(tmp_path)
    folder = tmp_path / "damaged"
    shutil.copytree(minilm, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000_000])
    with pytest.raises(ProviderError, match="cannot be loaded"):
        embedder(folder).embed(["rain"], purpose="query")


def test_instances_share_the_model(minilm: Path) -> None:
    """Two instances hold one model, until the last is closed."""
    first, second = embedder(minilm), embedder(minilm)
    assert first._model.get() is second._model.get()
    first.close()
    assert second.embed(["rain"], purpose="query").shape == (1, 384)
    second.close()


def test_a_cross_encoder_scores_pairs(cross_encoder: Path) -> None:
    """Scores are those of the package, in the order of the texts."""
    from sentence_transformers import CrossEncoder

    made = SentenceTransformerReranker(SentenceTransformerRerankerOptions(model=str(cross_encoder), device="cpu"))
    package = CrossEncoder(str(cross_encoder), device="cpu", local_files_only=True)
    expected = package.predict([("rain", text) for text in TEXTS], show_progress_bar=False)
    assert made.scores("rain", TEXTS) == pytest.approx(expected, abs=1e-6)
    assert made.scores("rain", []) == []
    assert made.name == f"sentence-transformers:{cross_encoder.name}"
    made.close()


def test_a_classifier_is_no_reranker(cross_encoder: Path, tmp_path: Path) -> None:
    """Several labels are refused."""
    folder = tmp_path / "classifier"
    shutil.copytree(cross_encoder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": "no", "1": "yes"}}))
    with pytest.raises(ProviderOptionsError, match="has 2 labels"):
        SentenceTransformerReranker(SentenceTransformerRerankerOptions(model=str(folder)))


def test_a_bot_uses_both_by_name(minilm: Path, cross_encoder: Path, tmp_path: Path) -> None:
    """Through the registry, as an application names them."""
    with minirag.Workspace.open(tmp_path / "kb") as workspace:
        bot = workspace.tenant("acme", create=True).bot(
            "music",
            create=True,
            embedder=f"sentence-transformers:{minilm}",
            reranker={"provider": "sentence-transformers", "options": {"model": str(cross_encoder), "device": "cpu"}},
        )
        bot.add(*(minirag.DocumentInput(text=text, key=text) for text in TEXTS), progress=False).raise_for_failures()
        assert len(bot.search("instruments", k=3)) == 3
        assert bot.search("musician with a guitar", k=1, mode="dense")[0].key
