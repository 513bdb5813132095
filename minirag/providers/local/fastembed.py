"""Embedder of the package `fastembed`: the models it knows by name, on ONNX Runtime in this process."""

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
from minirag.providers.local.model_folder import ModelFolder
from minirag.providers.local.onnx_runtime import import_engine
from minirag.providers.local.sentence_settings import token_limit
from minirag.providers.local.shared_models import SharedModel
from minirag.providers.local.sound_text import sound_text
from minirag.providers.local.tokenizing import FolderTokenizer
from minirag.providers.local.unit_vectors import unit_vectors

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose

__all__ = ["FastembedEmbedder", "FastembedOptions", "create"]

_PROVIDER: Final = "fastembed"
_FILES: Final = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class FastembedOptions(InputModel):
    """Options of the embedder `fastembed`.

    Attributes:
        model: a name that fastembed knows, such as `"BAAI/bge-small-en-v1.5"`.
        folder: path of the folder with its files, or None to take them from the Hugging Face hub's cache.
        download: whether a model that is not on disk is downloaded.
        threads: threads of ONNX Runtime.
    """

    error: ClassVar[type[InvalidInputError]] = ProviderOptionsError

    model: str = Field(min_length=1, max_length=500)
    folder: str | None = Field(default=None, min_length=1, max_length=4_000)
    download: bool = True
    threads: int = Field(default=2, ge=1, le=64, strict=True)


class FastembedEmbedder(Embedder):
    """A model that fastembed knows, with its prefixes and pooling. Vectors are brought to length one.

    The weights are loaded at the first `embed` and shared by all instances of a process that name the same files. Each
    text is a run of its own, so that the vectors of quantized models do not depend on the texts beside them.
    """

    batch_size = 32

    def __init__(self, options: FastembedOptions) -> None:
        """Find the model's files and hash them. They are downloaded if they are not on disk, unless `download` is False."""
        known = {str(model["model"]).lower(): model for model in _import_package().list_supported_models()}
        description = known.get(options.model.lower())
        if description is None:
            raise ProviderOptionsError(
                f"{_PROVIDER}: it knows no model {options.model!r}; its names are those of"
                " fastembed.TextEmbedding.list_supported_models(). For another model's folder use the provider 'onnx'",
                provider=_PROVIDER,
            )
        wanted = [str(description["model_file"]), *_FILES, *map(str, description.get("additional_files") or ())]
        source = options.folder or (description.get("sources") or {}).get("hf")
        if source is None:
            message = f"{_PROVIDER}: the model {options.model!r} is not on the hub; give its folder's path as folder="
            raise ProviderOptionsError(message, provider=_PROVIDER)
        folder = (
            ModelFolder(options.folder, provider=_PROVIDER)
            if options.folder
            else open_model(str(source), provider=_PROVIDER, download=options.download, wanted=wanted)
        )
        weights = folder.find(wanted[0], what=f"weights of {options.model!r}")
        tokenizer = folder.find("tokenizer.json", what="tokenizer")
        for name in _FILES[:1] + _FILES[2:]:
            folder.find(name, what=f"complete model {options.model!r}")
        files = [weights, tokenizer, *(path for name in wanted[1:] if (path := folder.path / name).is_file())]
        self._dimension = int(description["dim"])
        self._name = str(description["model"])
        self._revision = folder.digest(files)
        self._tokenizer = FolderTokenizer(tokenizer, provider=_PROVIDER, vocabulary=None)
        self.max_tokens = max(token_limit(folder) - self._tokenizer.specials, 1)
        self._folder = folder
        self._threads = options.threads
        key = (str(folder.path), self._name, self._revision, options.threads)
        self._model: SharedModel[Any] = SharedModel(self._load, key=key, provider=_PROVIDER)

    @property
    def space(self) -> EmbeddingSpace:
        """The space of these weights; known without loading them."""
        return EmbeddingSpace(provider=_PROVIDER, model=self._name, dimension=self._dimension, revision=self._revision)

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Return one vector of length one a text: float32, shape `(len(texts), space.dimension)`.

        Raises:
            ProviderError: the weights are damaged, or do not belong to the model that is named.
        """
        if not texts:
            return np.zeros((0, self._dimension), dtype=np.float32)
        sound = [sound_text(text) for text in texts]
        with self._model.alone() as model:
            embed = model.query_embed if purpose == "query" else model.passage_embed
            try:
                vectors = np.array(list(embed(sound, batch_size=1)))
            except Exception as problem:  # ONNX Runtime's exceptions share no base
                message = f"{_PROVIDER}: the model {self._name!r} failed with {type(problem).__name__}"
                raise ProviderError(message, provider=_PROVIDER) from problem
        if vectors.shape != (len(texts), self._dimension):
            self._folder.refuse(
                f"the weights in {str(self._folder.path)!r} make {vectors.shape[-1]} numbers a vector, the model"
                f" {self._name!r} makes {self._dimension}; they are another model's"
            )
        return unit_vectors(vectors)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the model makes of `text`, without special ones."""
        return self._tokenizer.count(text)

    def close(self) -> None:
        """Let go of the model; the last instance to do so frees it."""
        self._model.close()

    def _load(self) -> Any:
        package = _import_package()
        try:
            return package(self._name, threads=self._threads, specific_model_path=str(self._folder.path))
        except Exception as problem:  # ONNX Runtime's exceptions share no base
            message = (
                f"{_PROVIDER}: the model in {str(self._folder.path)!r} cannot be loaded ({type(problem).__name__}): its files"
                f" are damaged, or not those of {self._name!r}"
            )
            raise ProviderError(message, provider=_PROVIDER) from problem


def create(options: FastembedOptions, context: ProviderContext) -> FastembedEmbedder:  # noqa: ARG001 - needs no credentials
    """Return the embedder that `options` describe."""
    return FastembedEmbedder(options)


def _import_package() -> Any:
    """Return the class `fastembed.TextEmbedding`."""
    import_engine(_PROVIDER)  # first, so that ONNX Runtime reports to nobody
    try:
        from fastembed import TextEmbedding
    except ImportError as problem:
        message = f'The provider {_PROVIDER!r} needs its package. Run: pip install "minirag-core[fastembed]"'
        raise ProviderNotInstalledError(message, provider=_PROVIDER) from problem
    return TextEmbedding
