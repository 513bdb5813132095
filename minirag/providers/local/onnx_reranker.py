"""`OnnxReranker`: an exported cross-encoder in a folder, on ONNX Runtime in this process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ClassVar, Final

from pydantic import Field

from minirag.errors import InvalidInputError, ProviderError, ProviderOptionsError
from minirag.interfaces.reranker import Reranker
from minirag.interfaces.specs import ProviderContext
from minirag.models.base import InputModel
from minirag.providers.local.model_folder import ModelFolder
from minirag.providers.local.onnx_model import OnnxModel
from minirag.providers.local.onnx_runtime import usable_cores
from minirag.providers.local.sentence_settings import token_limit

__all__ = ["OnnxReranker", "OnnxRerankerOptions", "create"]

_PROVIDER: Final = "onnx"
_DEFAULT_THREADS: Final = 2


class OnnxRerankerOptions(InputModel):
    """Options of the reranker `onnx`.

    Attributes:
        model: the folder's path.
        file: the weights' path below the folder, such as `"onnx/model_quantized.onnx"`.
        max_tokens: where query and text together are cut; never more than the model reads.
        threads: texts scored side by side; by default two, or one where a single core may be used.
    """

    error: ClassVar[type[InvalidInputError]] = ProviderOptionsError

    model: str = Field(min_length=1, max_length=4_000)
    file: str | None = Field(default=None, min_length=1, max_length=1_000)
    max_tokens: int | None = Field(default=None, ge=8, le=131_072, strict=True)
    threads: int | None = Field(default=None, ge=1, le=64, strict=True)


class OnnxReranker(Reranker):
    """An exported cross-encoder with one score: `model.onnx` or `onnx/model.onnx`, `tokenizer.json`, `config.json`.

    Weights are loaded at the first `scores` and shared by all instances of a process that name the same files. Scores are
    the model's output through the logistic function, from 0 to 1; each text is a run of its own.
    """

    def __init__(self, options: OnnxRerankerOptions) -> None:
        """Read the folder.

        Raises:
            ProviderOptionsError: if it is no such folder, or its model has several labels.
            ProviderError: if a file is damaged.
            ProviderNotInstalledError: if `tokenizers` is missing.
        """
        folder = ModelFolder(options.model, provider=_PROVIDER)
        config = folder.read_object("config.json")
        labels = config.get("id2label")
        if isinstance(labels, dict) and len(labels) > 1:
            folder.refuse(
                f"the model in {str(folder.path)!r} has {len(labels)} labels; a cross-encoder that ranks has one score"
            )
        vocabulary = config.get("vocab_size")
        limit = token_limit(folder)
        self._limit = min(options.max_tokens or limit, limit)
        self._folder = folder
        self._model = OnnxModel(
            folder,
            file=options.file,
            weights="",
            vocabulary=vocabulary if isinstance(vocabulary, int) else None,
            settings=None,
        )
        self._threads = options.threads or min(_DEFAULT_THREADS, usable_cores())
        self._name = f"{_PROVIDER}:{folder.path.name}"

    @property
    def name(self) -> str:
        return self._name

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query, from 0 to 1.

        Raises:
            ProviderError: the weights are damaged, do not fit the tokenizer, or ONNX Runtime failed.
        """
        if not texts:
            return []
        score_one = partial(self._score_one, self._output(), query)
        workers = min(self._threads, len(texts))
        if workers == 1:
            return [score_one(text) for text in texts]
        with ThreadPoolExecutor(workers, thread_name_prefix=_PROVIDER) as pool:
            return list(pool.map(score_one, texts))

    def close(self) -> None:
        """Let go of the model; the last instance to do so frees it."""
        self._model.close()

    def _score_one(self, output: str, query: str, text: str) -> float:
        found = self._model.run(
            self._model.tokenizer.encode_pair(query, text, limit=self._limit), output=output
        ).ravel()
        if found.shape != (1,):
            self._folder.refuse(
                f"the model {str(self._model.file)!r} gives {found.size} numbers a text; a cross-encoder that ranks gives one"
            )
        score = float(found[0])
        if not math.isfinite(score):
            message = f"{_PROVIDER}: the model {str(self._model.file)!r} gave no finite score; its weights are damaged"
            raise ProviderError(message, provider=_PROVIDER)
        # The same as 1 / (1 + exp(-score)), which overflows for scores below -709.
        return 0.5 * (1.0 + math.tanh(0.5 * score))

    def _output(self) -> str:
        outputs = self._model.outputs()
        return next((name for name, _ in outputs if name == "logits"), outputs[0][0])


def create(options: OnnxRerankerOptions, context: ProviderContext) -> OnnxReranker:  # noqa: ARG001 - needs no credentials
    """Return the reranker that `options` describe."""
    return OnnxReranker(options)
