"""Exported models in folders: vectors and scores as the files say, clear errors, weights shared and freed."""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minirag.errors import ProviderError, ProviderNotInstalledError, ProviderOptionsError
from minirag.interfaces import Embedder, ProviderContext, Reranker
from minirag.models.tenants import ProviderRef
from minirag.plugins import Registry
from minirag.providers.local import onnx_model
from minirag.providers.local.onnx_embedder import OnnxEmbedder, OnnxEmbedderOptions
from minirag.providers.local.onnx_reranker import OnnxReranker, OnnxRerankerOptions
from minirag.testing import EmbedderConformance, RerankerConformance

MODELS = Path(__file__).parent.parent / "data" / "models"
TEXT = "The warranty lasts two years."

Copy = Callable[[str], Path]


def embedder(folder: Path = MODELS / "embedder", **options: Any) -> OnnxEmbedder:
    return OnnxEmbedder(OnnxEmbedderOptions(model=str(folder), **options))


def reranker(folder: Path = MODELS / "reranker", **options: Any) -> OnnxReranker:
    return OnnxReranker(OnnxRerankerOptions(model=str(folder), **options))


def one(made: OnnxEmbedder, text: str = TEXT, purpose: Any = "document") -> np.ndarray:
    return made.embed([text], purpose=purpose)[0]


def by_hand(text: str) -> np.ndarray:
    """Return what the embedder's last hidden states are, computed with ONNX Runtime and `tokenizers` alone."""
    import onnxruntime
    from tokenizers import Tokenizer

    ids = np.array([Tokenizer.from_file(str(MODELS / "embedder/tokenizer.json")).encode(text).ids], np.int64)
    session = onnxruntime.InferenceSession(MODELS / "embedder/model.onnx", providers=["CPUExecutionProvider"])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return np.asarray(session.run(None, feed)[0][0])


def change(path: Path, **values: object) -> None:
    """Change fields of a JSON object."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Returns a copy of one of the models, to be changed."""
    return lambda name: Path(shutil.copytree(MODELS / name, tmp_path / name))


class TestOnnxEmbedder(EmbedderConformance):
    """The embedder keeps the contract."""

    def make_embedder(self) -> Embedder:
        return embedder()


class TestOnnxEmbedderByFirstToken(EmbedderConformance):
    """The embedder keeps the contract with another pooling, and vectors of any length."""

    def make_embedder(self) -> Embedder:
        return embedder(pooling="cls", normalize=False, threads=1)


class TestOnnxReranker(RerankerConformance):
    """The reranker keeps the contract."""

    def make_reranker(self) -> Reranker:
        return reranker()


@pytest.mark.parametrize(
    ("pooling", "pooled"),
    [("mean", lambda states: states.mean(0)), ("cls", lambda states: states[0]), ("max", lambda states: states.max(0))],
)
def test_each_pooling_is_what_it_says(pooling: Any, pooled: Callable[[np.ndarray], np.ndarray]) -> None:
    """The vector is made of the token's hidden states, and only brought to length one if that is asked for."""
    expected = pooled(by_hand(f"passage: {TEXT}"))
    np.testing.assert_allclose(one(embedder(pooling=pooling, normalize=False)), expected, rtol=1e-5)
    np.testing.assert_allclose(
        one(embedder(pooling=pooling, normalize=True)), expected / np.linalg.norm(expected), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("files", "pooling"),
    [
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_the_pooling_is_read_from_the_folder(copy: Copy, files: dict[str, Any], pooling: Any) -> None:
    """Both ways in which releases of sentence-transformers write it down."""
    folder = copy("embedder")
    change(folder / "1_Pooling/config.json", **files)
    assert np.array_equal(one(embedder(folder)), one(embedder(pooling=pooling)))


def test_prompts_come_from_the_folder_and_can_be_replaced() -> None:
    """A query and a document are told apart, and the space knows how."""
    made = embedder()
    assert (made.space.document_prefix, made.space.query_prefix) == ("passage: ", "query: ")
    plain = embedder(document_prefix="", query_prefix="")
    assert np.array_equal(one(made, purpose="query"), one(plain, f"query: {TEXT}"))
    assert np.array_equal(one(made), one(plain, f"passage: {TEXT}"))
    assert plain.space != made.space


def test_normalization_is_read_from_the_folder(copy: Copy) -> None:
    """A model without that part gives vectors as they are, and says so."""
    folder = copy("embedder")
    parts = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(parts[:2]))
    made = embedder(folder)
    assert made.space.normalized is False
    assert abs(np.linalg.norm(one(made)) - 1) > 0.1


def test_a_long_text_is_cut_where_the_model_ends() -> None:
    """64 tokens with the two special ones, and fewer where that is asked for; never more."""
    made = embedder(document_prefix="")
    assert made.max_tokens == 62
    assert np.array_equal(one(made, "a" * 61 + "b"), one(made, "a" * 61 + "bc"))
    assert not np.array_equal(one(made, "a" * 61 + "b"), one(made, "a" * 61 + "c"))
    assert embedder(max_tokens=20).max_tokens == 18
    assert embedder(max_tokens=5_000).max_tokens == 62


def test_tokens_are_counted_exactly() -> None:
    """A token a byte, without the special ones and beyond the limit."""
    assert embedder().count_tokens("é" * 100) == 200


def test_lower_case_is_read_from_the_folder(copy: Copy) -> None:
    """A model that was trained so reads no capitals."""
    folder = copy("embedder")
    change(folder / "sentence_bert_config.json", do_lower_case=True)
    made = embedder(folder)
    assert np.array_equal(one(made, "ABC"), one(made, "abc"))
    assert not np.array_equal(one(embedder(), "ABC"), one(embedder(), "abc"))


def test_the_space_follows_the_weights_and_not_the_place(copy: Copy) -> None:
    """A copy elsewhere makes the same vectors; other weights, another tokenizer or pooling do not."""
    folder = copy("embedder")
    assert embedder(folder).space == embedder().space
    assert embedder(folder, pooling="max").space.revision != embedder().space.revision
    assert embedder(folder, name="other").space.model == "other"
    (folder / "model.onnx").write_bytes((MODELS / "reranker/model.onnx").read_bytes())
    assert embedder(folder).space.revision != embedder().space.revision


def test_the_layout_of_other_exporters_is_read(copy: Copy) -> None:
    """`onnx/model.onnx`, a file that is named, and a folder without the files of sentence-transformers."""
    folder = copy("embedder")
    expected = one(embedder(document_prefix=""))
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx/model.onnx")
    assert np.array_equal(one(embedder(folder, document_prefix="")), expected)
    (folder / "onnx/model.onnx").rename(folder / "small.onnx")
    for name in ("modules.json", "config.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "1_Pooling")
    made = embedder(folder, file="small.onnx")
    assert (made.space.dimension, made.max_tokens) == (12, 126)
    assert np.array_equal(one(made), expected)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda f: shutil.rmtree(f), ProviderOptionsError, r"the folder '.*embedder' does not exist"),
        (lambda f: (f / "model.onnx").unlink(), ProviderOptionsError, r"no exported model: neither 'model\.onnx' nor"),
        (
            lambda f: (f / "tokenizer.json").unlink(),
            ProviderOptionsError,
            r"no tokenizer: 'tokenizer\.json' is not there",
        ),
        (lambda f: (f / "tokenizer.json").write_text("{}"), ProviderError, r"tokenizer '.*' is damaged"),
        (lambda f: (f / "config.json").write_text("{"), ProviderError, r"config\.json' is damaged"),
        (lambda f: (f / "config.json").write_text("[]"), ProviderError, r"holds no JSON object"),
        (lambda f: (f / "modules.json").write_text("{}"), ProviderOptionsError, r"not a list of the model's parts"),
        (
            lambda f: change(f / "config.json", vocab_size=50),
            ProviderOptionsError,
            r"another model: it has 260 tokens.* 50",
        ),
        (
            lambda f: (f / "modules.json").write_text('[{"type": "a.Transformer"}, {"type": "a.Dense"}]'),
            ProviderOptionsError,
            r"made of Transformer, Dense",
        ),
        (
            lambda f: change(f / "1_Pooling/config.json", pooling_mode_max_tokens=True),
            ProviderOptionsError,
            r"pools by 'mean' and 'max'",
        ),
        (
            lambda f: change(f / "1_Pooling/config.json", include_prompt=False),
            ProviderOptionsError,
            r"leaves its prompts out",
        ),
    ],
)
def test_a_wrong_folder_is_refused_at_once(copy: Copy, spoil: Any, error: type[Exception], message: str) -> None:
    """The message names the file and what is wrong with it."""
    folder = copy("embedder")
    spoil(folder)
    with pytest.raises(error, match=message) as caught:
        embedder(folder)
    assert caught.value.provider == "onnx"  # type: ignore[attr-defined]


def test_a_file_instead_of_a_folder_is_refused() -> None:
    """The commonest mistake has words of its own."""
    with pytest.raises(ProviderOptionsError, match=r"model\.onnx' is a file; give the folder"):
        embedder(MODELS / "embedder/model.onnx")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "model.onnx").write_bytes((f / "model.onnx").read_bytes()[:3000]), r"cannot load .*damaged"),
        (lambda f: (f / "model.onnx").write_bytes(b"version https://git-lfs"), r"cannot load .*damaged"),
        (lambda f: change(f / "1_Pooling/config.json", word_embedding_dimension=9), r"12 numbers .* say 9"),
    ],
)
def test_damaged_weights_are_found_when_they_are_loaded(copy: Copy, spoil: Any, message: str) -> None:
    """The error is ours, with ONNX Runtime's behind it where there is one."""
    folder = copy("embedder")
    spoil(folder)
    made = embedder(folder)
    with pytest.raises(ProviderError, match=message):
        one(made)


def test_a_tokenizer_of_another_model_is_found_when_it_is_used(copy: Copy) -> None:
    """Where no file tells how many tokens the weights know, the first unknown one does."""
    folder = copy("embedder")
    (folder / "config.json").unlink()
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["model"]["vocab"]["a"] = 5_000
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ProviderError, match=r"failed with .* the tokenizer beside it may be another model's") as caught:
        one(embedder(folder))
    assert type(caught.value.__cause__).__module__.startswith("onnxruntime")


def test_files_that_change_between_making_and_loading_are_refused(copy: Copy) -> None:
    """Vectors of new weights are never stored as those of the old ones."""
    folder = copy("embedder")
    made = embedder(folder)
    (folder / "model.onnx").write_bytes((MODELS / "reranker/model.onnx").read_bytes())
    with pytest.raises(ProviderError, match="were changed since this provider was made"):
        one(made)


def test_weights_are_loaded_late_once_and_freed_by_the_last(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two instances, four threads: one load. The first to close takes nothing away, the second frees the session."""
    folder = copy("embedder")
    loads: list[str] = []
    load = onnx_model.make_session

    def counted(model: Any, **options: Any) -> Any:
        loads.append(Path(model).name)
        return load(model, **options)

    monkeypatch.setattr(onnx_model, "make_session", counted)
    first, second = embedder(folder), embedder(folder)
    assert first.space.dimension == 12
    assert first.count_tokens("abc") == 3
    assert loads == []
    threads = [threading.Thread(target=one, args=(made,)) for made in (first, second) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["model.onnx"]
    session = weakref.ref(first._model._session.get())
    expected = one(second)
    first.close()
    assert np.array_equal(one(second), expected)
    second.close()
    gc.collect()
    assert session() is None
    assert np.array_equal(one(embedder(folder)), expected)
    assert loads == ["model.onnx"] * 2


def test_use_after_close_is_an_error() -> None:
    """It does not load the model again behind the back of whoever freed it."""
    made = embedder()
    made.close()
    with pytest.raises(ProviderError, match=r"used after close\(\)"):
        one(made)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
def test_a_forked_child_loads_its_own() -> None:
    """The child gives the same bits and ends."""
    import subprocess

    code = (
        "import os\n"
        "from minirag.providers.local.onnx_embedder import OnnxEmbedder, OnnxEmbedderOptions\n"
        f"m = OnnxEmbedder(OnnxEmbedderOptions(model={str(MODELS / 'embedder')!r}))\n"
        "parent = m.embed(['rain', 'snow'], purpose='query').tobytes()\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(write, m.embed(['rain', 'snow'], purpose='query').tobytes())\n"
        "    raise SystemExit(0)\n"
        "os.wait()\n"
        "print(os.read(read, 4096) == parent)"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip() == "True"


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name through the registry, and when the class is used directly."""
    real = sys.modules["minirag.plugins.discovery"]._is_importable  # type: ignore[attr-defined]
    monkeypatch.setattr("minirag.plugins.discovery._is_importable", lambda name: name != "tokenizers" and real(name))
    for kind in ("embedder", "reranker"):
        ref = ProviderRef(provider="onnx", options={"model": str(MODELS / kind)})
        with pytest.raises(ProviderNotInstalledError, match=r'pip install "minirag-core\[onnx\]"'):
            Registry.discover(()).create(kind, ref, ProviderContext())  # type: ignore[call-overload]
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ProviderNotInstalledError, match=r'pip install "minirag-core\[onnx\]"'):
        embedder()


@pytest.mark.parametrize(
    "options",
    [{}, {"model": ""}, {"model": "m", "pooling": "sum"}, {"model": "m", "threads": 0}, {"model": "m", "x": 1}],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    """A wrong option is an error of ours that names it."""
    with pytest.raises(ProviderOptionsError, match="OnnxEmbedderOptions"):
        OnnxEmbedderOptions(**options)


def test_scores_rank_the_same_text_first() -> None:
    """The score is the logistic function of the model's output, in the order of the texts, alone or among others."""
    made = reranker()
    texts = ["zzzz", "warranty of two years", "qqqq 0000"]
    scores = made.scores("warranty of two years", texts)
    assert scores[1] > 0.9 > 0.6 > max(scores[0], scores[2])
    assert scores == [made.scores("warranty of two years", [text])[0] for text in texts]
    assert made.scores("warranty", []) == []
    assert made.name == "onnx:reranker"


def test_the_query_survives_a_long_text() -> None:
    """The text is cut first; a long query leaves it half of the room."""
    made = reranker()
    query, long = "the warranty", "the warranty lasts" + " and so on" * 500
    assert made.scores(query, [long])[0] > made.scores(query, [long[18:]])[0]
    half = "x" * 255
    assert made.scores(half + "y" * 5_000, ["z" * 5_000]) == made.scores(half[:254], ["z" * 255])


def test_a_classifier_is_no_reranker(copy: Copy) -> None:
    """Several labels are refused when the folder is read, several numbers when they come."""
    folder = copy("reranker")
    change(folder / "config.json", id2label={"0": "no", "1": "yes"})
    with pytest.raises(ProviderOptionsError, match="has 2 labels"):
        reranker(folder)
    with pytest.raises(ProviderOptionsError, match="numbers a text"):
        reranker(MODELS / "embedder").scores("a", ["b"])


def test_a_score_that_is_not_finite_is_damage(copy: Copy) -> None:
    """An index is never asked to sort NaN."""
    folder = copy("reranker")
    weights = (folder / "model.onnx").read_bytes()
    start = weights.index(np.float32(6.5).tobytes())
    (folder / "model.onnx").write_bytes(weights[:start] + np.float32("nan").tobytes() + weights[start + 4 :])
    with pytest.raises(ProviderError, match="no finite score"):
        reranker(folder).scores("a", ["b"])
