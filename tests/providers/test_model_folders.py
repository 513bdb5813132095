"""What a model's files say, and how sessions and loaded models are shared: the parts that local engines are made of."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minirag.errors import ProviderOptionsError
from minirag.providers.local import onnx_model
from minirag.providers.local.model_folder import ModelFolder
from minirag.providers.local.onnx_embedder import OnnxEmbedder, OnnxEmbedderOptions
from minirag.providers.local.onnx_model import OnnxModel
from minirag.providers.local.onnx_reranker import OnnxReranker, OnnxRerankerOptions
from minirag.providers.local.onnx_runtime import make_session
from minirag.providers.local.sentence_settings import SentenceSettings, read_sentence_settings
from minirag.providers.local.shared_models import SharedModel

MODELS = Path(__file__).parent.parent / "data" / "models"


def embedder(folder: Path = MODELS / "embedder", **options: Any) -> OnnxEmbedder:
    return OnnxEmbedder(OnnxEmbedderOptions(model=str(folder), **options))


def reranker(folder: Path = MODELS / "reranker", **options: Any) -> OnnxReranker:
    return OnnxReranker(OnnxRerankerOptions(model=str(folder), **options))


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str], Path]:
    """Returns a copy of one of the models, to be changed."""
    return lambda name: Path(shutil.copytree(MODELS / name, tmp_path / name))


def settings(folder: Path, **files: dict[str, Any]) -> SentenceSettings:
    """Return what a folder of these JSON files says."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return read_sentence_settings(ModelFolder(str(folder), provider="test"))


def test_limits_dimension_and_prompts(tmp_path: Path) -> None:
    """The smaller of what tokenizer and model say; the hidden size where no pooling says more; the default prompt."""
    found = settings(
        tmp_path / "a",
        config={"hidden_size": 24, "max_position_embeddings": 100},
        tokenizer_config={"model_max_length": 300},
        config_sentence_transformers={"prompts": {"corpus": "c: ", "any": "a: "}, "default_prompt_name": "any"},
    )
    assert (found.limit, found.dimension, found.pooling, found.normalize) == (100, 24, "mean", True)
    assert found.prompts == {"document": "c: ", "query": "a: "}
    unlimited = settings(tmp_path / "b", tokenizer_config={"model_max_length": int(1e30)})
    assert (unlimited.limit, unlimited.dimension) == (512, None)
    (tmp_path / "c" / "1_Pooling").mkdir(parents=True)
    (tmp_path / "c" / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 7, "pooling_mode": "max"}')
    assert settings(tmp_path / "c", config={"hidden_size": 24}).dimension == 7


def test_a_transformer_in_a_folder_of_its_own(copy: Callable[[str], Path]) -> None:
    """Its files are found there, the weights too."""
    folder = copy("embedder")
    expected = embedder().embed(["rain"], purpose="query")
    inner = folder / "0_Transformer"
    inner.mkdir()
    for name in ("config.json", "sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json", "model.onnx"):
        (folder / name).rename(inner / name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    made = embedder(folder)
    assert np.array_equal(made.embed(["rain"], purpose="query"), expected)
    assert made.max_tokens == 62


def test_the_revision_follows_all_that_decides(copy: Callable[[str], Path]) -> None:
    """Settings, tokenizer, and weights in files beside the model."""
    plain = embedder().space.revision
    assert (
        len({plain, *(embedder(**changed).space.revision for changed in ({"normalize": False}, {"max_tokens": 20}))})
        == 3
    )
    folder = copy("embedder")
    found = {plain}
    for number, name in enumerate(
        ("model.onnx_data", "model.onnx.data", "tokenizer.json", "sentence_bert_config.json")
    ):
        if name.endswith(".json"):
            content = json.loads((folder / name).read_text(encoding="utf-8"))
            changed = {"do_lower_case": True} if name.startswith("sentence") else {"truncation": None}
            (folder / name).write_text(json.dumps({**content, **changed}, indent=1), encoding="utf-8")
        else:
            (folder / name).write_bytes(b"weights")
        found.add(embedder(folder).space.revision)
        assert len(found) == number + 2, name


def test_tokens_are_counted_as_they_are_read(copy: Callable[[str], Path]) -> None:
    """A capital that becomes longer in lower case has the tokens of the lower case."""
    folder = copy("embedder")
    assert embedder(folder).count_tokens("İ") == 2
    content = json.loads((folder / "sentence_bert_config.json").read_text())
    (folder / "sentence_bert_config.json").write_text(json.dumps({**content, "do_lower_case": True}))
    assert embedder(folder).count_tokens("İ") == 3


def test_a_text_without_any_token_has_a_vector(copy: Callable[[str], Path]) -> None:
    """Of length one, though a tokenizer without special tokens makes nothing of it."""
    folder = copy("embedder")
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**content, "post_processor": None}), encoding="utf-8")
    for normalize in (True, False):
        made = embedder(folder, document_prefix="", normalize=normalize)
        assert made.embed([""], purpose="document")[0].tolist() == [1.0] + [0.0] * 11


def test_the_output_is_chosen_by_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens' vectors go before one for the text, scores are called logits, and a model with neither is refused."""
    outputs: list[tuple[str, list[Any]]] = [("text", ["b", 12]), ("tokens", ["b", "s", 12]), ("logits", ["b", 1])]
    monkeypatch.setattr(OnnxModel, "outputs", lambda _: outputs)
    assert embedder()._choose_output() == ("tokens", False)
    assert reranker()._output() == "logits"
    del outputs[1:]
    assert embedder()._choose_output() == ("text", True)
    assert reranker()._output() == "text"
    outputs[0] = ("flat", ["b"])
    with pytest.raises(ProviderOptionsError, match=r"no output with vectors, only 'flat'"):
        embedder()._choose_output()


class Session:
    """Stands in for weights that want inputs of other kinds."""

    def __init__(self, *inputs: str, kind: str = "tensor(int64)") -> None:
        self._inputs = [type("Input", (), {"name": name, "type": kind}) for name in inputs]
        self.given: dict[str, Any] = {}

    def get_inputs(self) -> list[Any]:
        return self._inputs

    def run(self, outputs: list[str], given: dict[str, Any]) -> list[Any]:
        self.given = given
        return [np.ones((1, 3, 12), np.float32)]


def test_weights_are_given_what_they_want(monkeypatch: pytest.MonkeyPatch, copy: Callable[[str], Path]) -> None:
    """Numbers of the size that they name; inputs that no text has are refused."""
    session = Session("input_ids", kind="tensor(int32)")
    monkeypatch.setattr(onnx_model, "make_session", lambda *_, **__: session)
    ids = {"input_ids": np.array([[1, 2]]), "attention_mask": np.ones((1, 2), np.int64)}
    embedder(copy("embedder"))._model.run(ids, output="tokens")
    assert {name: array.dtype for name, array in session.given.items()} == {"input_ids": np.int32}
    monkeypatch.setattr(onnx_model, "make_session", lambda *_, **__: Session("input_ids", "pixel_values"))
    with pytest.raises(ProviderOptionsError, match=r"wants the inputs 'pixel_values'"):
        reranker(copy("reranker"))._model.run(ids, output="tokens")


def test_a_reranker_reads_its_folder(copy: Callable[[str], Path]) -> None:
    """Fewer tokens where that is asked for, never more than the model reads; another model's tokenizer is refused."""
    query, long = "warranty", "x" * 100 + " warranty"
    assert reranker().scores(query, [long])[0] > reranker(max_tokens=40).scores(query, [long])[0]
    assert reranker(max_tokens=100_000).scores(query, [long * 100]) == reranker().scores(query, [long * 100])
    folder = copy("reranker")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 50}))
    with pytest.raises(ProviderOptionsError, match="another model"):
        reranker(folder)


def test_a_score_is_the_logistic_function_of_the_output() -> None:
    """From 0 to 1, whatever the model gives."""
    made = reranker()
    raw = made._model.run(made._model.tokenizer.encode_pair("warranty", "zzzz", limit=512), output="logits")
    assert made.scores("warranty", ["zzzz"])[0] == pytest.approx(1 / (1 + np.exp(-float(raw[0]))))


@pytest.mark.parametrize("before", [None, "0"])
def test_onnx_runtime_reports_to_nobody(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    """Also where the host had imported it before; the host's environment is left as it was."""
    told: list[bool] = []
    monkeypatch.setattr("onnxruntime.disable_telemetry_events", lambda: told.append(True))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    if before is not None:
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", before)
    make_session(str(MODELS / "embedder/model.onnx"), provider="test")
    assert told == [True]
    assert os.environ.get("ORT_DISABLE_TELEMETRY") == before


def test_a_session_has_no_threads_of_its_own_and_is_silent() -> None:
    """Its threads would hang a forked child, its log would be the host's."""
    options = make_session(str(MODELS / "embedder/model.onnx"), provider="test").get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level) == (1, 1, 4)


def test_models_of_two_providers_are_two() -> None:
    """Though their files are the same; of one provider they are one."""
    hosts = [SharedModel(object, key="k", provider=provider) for provider in ("a", "a", "b")]
    models = [host.get() for host in hosts]
    assert models[0] is models[1]
    assert models[0] is not models[2]


def test_a_model_is_loaded_once() -> None:
    """Threads that come while it is loaded wait for it."""
    loads: list[object] = []

    def load() -> object:
        loads.append(object())
        time.sleep(0.05)
        return loads[-1]

    host = SharedModel(load, key="slow", provider="a")
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: host.get(), range(4)))
    assert models == [loads[0]] * 4


def test_one_caller_at_a_time() -> None:
    """`alone` lets the next one in when the first has left."""
    first, second = (SharedModel(object, key="alone", provider="a") for _ in range(2))
    entered = threading.Event()

    def enter() -> None:
        with second.alone():
            entered.set()

    thread = threading.Thread(target=enter)
    with first.alone():
        thread.start()
        assert not entered.wait(0.2)
    thread.join()
    assert entered.is_set()
