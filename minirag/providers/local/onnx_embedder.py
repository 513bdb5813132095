"""`OnnxEmbedder`: any exported sentence-transformers model in a folder, on ONNX Runtime in this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from minirag.errors import InvalidInputError, ProviderOptionsError
from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.models.base import InputModel
from minirag.models.index import EmbeddingSpace
from minirag.providers.local.model_folder import ModelFolder
from minirag.providers.local.onnx_model import OnnxModel
from minirag.providers.local.onnx_runtime import embedded_each, usable_cores
from minirag.providers.local.sentence_settings import read_sentence_settings

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose, Vector

__all__ = ["OnnxEmbedder", "OnnxEmbedderOptions", "create"]

_PROVIDER: Final = "onnx"
_DEFAULT_THREADS: Final = 2


class OnnxEmbedderOptions(InputModel):
    """Options of the embedder `onnx`. What is not given is read from the folder's files.

    Attributes:
        model: the folder's path.
        name: what the embedding space calls the model; by default the folder's name.
        file: the weights' path below the folder, such as `"onnx/model_quantized.onnx"`.
        pooling: how the vectors of the tokens become one.
        normalize: whether vectors are brought to length one.
        max_tokens: where texts are cut, special tokens included; never more than the model reads.
        document_prefix: put before a document's text.
        query_prefix: put before a query.
        threads: texts embedded side by side; by default two, or one where a single core may be used.
    """

    error: ClassVar[type[InvalidInputError]] = ProviderOptionsError

    model: str = Field(min_length=1, max_length=4_000)
    name: str | None = Field(default=None, min_length=1, max_length=500)
    file: str | None = Field(default=None, min_length=1, max_length=1_000)
    pooling: Literal["mean", "cls", "max"] | None = None
    normalize: bool | None = None
    max_tokens: int | None = Field(default=None, ge=8, le=131_072, strict=True)
    document_prefix: str | None = None
    query_prefix: str | None = None
    threads: int | None = Field(default=None, ge=1, le=64, strict=True)


class OnnxEmbedder(Embedder):
    """An exported sentence-transformers model: `model.onnx` or `onnx/model.onnx`, `tokenizer.json`, and what says how to pool.

    Weights are loaded at the first `embed` and shared by all instances of a process that name the same files; making an
    instance reads the tokenizer and hashes the files. Each text is a run of its own on one thread, so its vector is the
    same to the last bit whatever stands beside it; see `minirag.providers.local.minilm.MiniLM` for what that costs.
    """

    batch_size = 32

    def __init__(self, options: OnnxEmbedderOptions) -> None:
        """Read the folder.

        Raises:
            ProviderOptionsError: if it is no such folder, or its model is made of parts that are not known here.
            ProviderError: if a file is damaged.
            ProviderNotInstalledError: if `tokenizers` is missing.
        """
        folder = ModelFolder(options.model, provider=_PROVIDER)
        found = read_sentence_settings(folder)
        self._pooling = options.pooling or found.pooling
        self._normalize = found.normalize if options.normalize is None else options.normalize
        self._lower_case = found.lower_case
        self._limit = min(options.max_tokens or found.limit, found.limit)
        self._prefixes = dict(found.prompts)
        for purpose, prefix in (("document", options.document_prefix), ("query", options.query_prefix)):
            if prefix is not None:
                self._prefixes[purpose] = prefix
        settings = [self._pooling, self._normalize, self._lower_case, self._limit]
        self._model = OnnxModel(
            folder, file=options.file, weights=found.weights, vocabulary=found.vocabulary, settings=settings
        )
        self.max_tokens = max(self._limit - self._model.tokenizer.specials, 1)
        self._threads = options.threads or min(_DEFAULT_THREADS, usable_cores())
        self._folder = folder
        self._dimension = found.dimension
        self._name = options.name or folder.path.name
        self._output: tuple[str, bool] | None = None

    @property
    def space(self) -> EmbeddingSpace:
        """The space of these weights and settings. The weights are loaded for it only if no file tells the dimension."""
        if self._dimension is None:
            self._dimension = len(self._embed_one("document", ""))
        return EmbeddingSpace(
            provider=_PROVIDER,
            model=self._name,
            dimension=self._dimension,
            revision=self._model.revision,
            normalized=self._normalize,
            document_prefix=self._prefixes["document"],
            query_prefix=self._prefixes["query"],
        )

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Return one vector a text: float32, shape `(len(texts), space.dimension)`.

        Raises:
            ProviderError: the weights are damaged, do not fit the tokenizer, or ONNX Runtime failed.
        """
        if texts:
            self._choose_output()  # the first call loads: once, and outside the threads
        embed_one = partial(self._embed_one, purpose)
        return embedded_each(embed_one, texts, dimension=self.space.dimension, threads=self._threads)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the model makes of `text`, without special ones."""
        return self._model.tokenizer.count(text.lower() if self._lower_case else text)

    def close(self) -> None:
        """Let go of the model; the last instance to do so frees it."""
        self._model.close()

    def _embed_one(self, purpose: Purpose, text: str) -> Vector:
        name, pooled = self._choose_output()
        prompted = self._prefixes[purpose] + text
        inputs = self._model.tokenizer.encode(prompted.lower() if self._lower_case else prompted, limit=self._limit)
        vector: Vector
        if inputs["input_ids"].shape[1] == 0:  # a tokenizer without special tokens, and a text without any
            vector = np.zeros(self._dimension or 1, dtype=np.float32)
        else:
            found = self._model.run(inputs, output=name)
            vector = found if pooled else _pool(found, self._pooling)
        if self._dimension is not None and vector.shape != (self._dimension,):
            self._folder.refuse(
                f"the weights {str(self._model.file)!r} make {vector.shape[-1]} numbers a vector, where the folder's files"
                f" say {self._dimension}; they belong to different models"
            )
        length = float(np.linalg.norm(vector))
        if length == 0.0:
            vector[0] = length = 1.0
        unit: Vector = vector / length
        return unit if self._normalize else vector

    def _choose_output(self) -> tuple[str, bool]:
        """Return the output that holds the tokens' vectors, or one for the whole text, and whether it is that."""
        if self._output is None:
            outputs: list[tuple[str, list[Any]]] = self._model.outputs()
            of_tokens = [name for name, shape in outputs if len(shape) == 3]
            of_texts = [name for name, shape in outputs if len(shape) == 2]
            if not of_tokens and not of_texts:
                self._folder.refuse(
                    f"the model {str(self._model.file)!r} has no output with vectors, only"
                    f" {', '.join(repr(name) for name, _ in outputs) or 'none'}"
                )
            self._output = (of_tokens[0], False) if of_tokens else (of_texts[0], True)
        return self._output


def create(options: OnnxEmbedderOptions, context: ProviderContext) -> OnnxEmbedder:  # noqa: ARG001 - needs no credentials
    """Return the embedder that `options` describe."""
    return OnnxEmbedder(options)


def _pool(tokens: Matrix, pooling: str) -> Vector:
    """Return one vector of the vectors of a text's tokens. There is no padding, so every token counts."""
    vector: Vector = tokens[0] if pooling == "cls" else tokens.max(axis=0) if pooling == "max" else tokens.mean(axis=0)
    return vector
