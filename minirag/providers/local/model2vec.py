"""Embedder of the package `model2vec`: static vectors of tokens, averaged; small and very fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import Field

from minirag.errors import InvalidInputError, ProviderError, ProviderNotInstalledError, ProviderOptionsError
from minirag.interfaces.embedder import Embedder
from minirag.interfaces.specs import ProviderContext
from minirag.models.base import InputModel
from minirag.models.index import EmbeddingSpace
from minirag.providers.local.hub import open_model
from minirag.providers.local.model_folder import looks_like_path
from minirag.providers.local.shared_models import SharedModel
from minirag.providers.local.sound_text import sound_text
from minirag.providers.local.unit_vectors import unit_vectors

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose

__all__ = ["Model2VecEmbedder", "Model2VecOptions", "create"]

_PROVIDER: Final = "model2vec"


class Model2VecOptions(InputModel):
    """Options of the embedder `model2vec`.

    Attributes:
        model: a folder's path, or a name as on the Hugging Face hub.
        revision: branch, tag or commit on the hub.
        download: whether a named model that is not on disk is downloaded.
    """

    error: ClassVar[type[InvalidInputError]] = ProviderOptionsError

    model: str = Field(min_length=1, max_length=4_000)
    revision: str | None = Field(default=None, min_length=1, max_length=200)
    download: bool = True


class Model2VecEmbedder(Embedder):
    """A static model: a vector a token, averaged and brought to length one. It knows no order of words.

    The model is loaded when the space or a vector is first asked for, and shared by all instances of a process that name
    the same files.

    Source: Tulkens and van Dongen, "Model2Vec: Fast State-of-the-Art Static Embeddings", 2024.
    """

    batch_size = 256

    def __init__(self, options: Model2VecOptions) -> None:
        """Find the files and hash them. A named model that is not on disk is downloaded, unless `download` is False."""
        folder = open_model(options.model, provider=_PROVIDER, download=options.download, revision=options.revision)
        files = [
            folder.find(name, what="static model") for name in ("model.safetensors", "tokenizer.json", "config.json")
        ]
        limit = folder.read_object("config.json").get("max_length", 512)
        self.max_tokens = limit if isinstance(limit, int) else None
        self._folder = folder
        self._revision = folder.digest(files)
        self._name = folder.path.name if looks_like_path(options.model) else options.model
        key = (str(folder.path), self._revision)
        self._model: SharedModel[Any] = SharedModel(self._load, key=key, provider=_PROVIDER)
        self._dimension: int | None = None

    @property
    def space(self) -> EmbeddingSpace:
        """The space of these vectors."""
        if self._dimension is None:
            self._dimension = int(self._model.get().dim)
        return EmbeddingSpace(provider=_PROVIDER, model=self._name, dimension=self._dimension, revision=self._revision)

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:  # noqa: ARG002 - both purposes are alike
        """Return one vector of length one a text: float32, shape `(len(texts), space.dimension)`.

        Raises:
            ProviderNotInstalledError: the package is missing.
            ProviderError: the files are damaged.
        """
        if not texts:
            return np.zeros((0, self.space.dimension), dtype=np.float32)
        # One call at a time: each sets the tokenizer's limit.
        with self._model.alone() as model:
            vectors = model.encode(
                [sound_text(text) for text in texts], max_length=self.max_tokens, use_multiprocessing=False
            )
        return unit_vectors(np.asarray(vectors))

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the model makes of `text`."""
        with self._model.alone() as model:
            model.tokenizer.no_truncation()  # every call of `embed` sets it again
            return len(model.tokenizer.encode(sound_text(text), add_special_tokens=False).ids)

    def close(self) -> None:
        """Let go of the model; the last instance to do so frees it."""
        self._model.close()

    def _load(self) -> Any:
        try:
            from model2vec import StaticModel
        except ImportError as problem:
            message = f'The provider {_PROVIDER!r} needs its package. Run: pip install "minirag-core[model2vec]"'
            raise ProviderNotInstalledError(message, provider=_PROVIDER) from problem
        try:
            return StaticModel.from_pretrained(self._folder.path, force_download=False)
        except Exception as problem:  # two libraries read the files, and promise nothing of what they raise
            message = f"{_PROVIDER}: the model in {str(self._folder.path)!r} is damaged ({type(problem).__name__})"
            raise ProviderError(message, provider=_PROVIDER) from problem


def create(options: Model2VecOptions, context: ProviderContext) -> Model2VecEmbedder:  # noqa: ARG001 - needs no credentials
    """Return the embedder that `options` describe."""
    return Model2VecEmbedder(options)
