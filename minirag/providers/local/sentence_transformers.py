"""Embedder and reranker of the package `sentence-transformers`, on PyTorch in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import Field

from minirag.errors import InvalidInputError, ProviderError, ProviderNotInstalledError, ProviderOptionsError
from minirag.interfaces.embedder import Embedder
from minirag.interfaces.reranker import Reranker
from minirag.interfaces.specs import ProviderContext
from minirag.models.base import InputModel
from minirag.models.index import EmbeddingSpace
from minirag.providers.local.hub import open_model
from minirag.providers.local.model_folder import looks_like_path
from minirag.providers.local.sentence_settings import read_parts, read_prompts, sentence_limit
from minirag.providers.local.shared_models import SharedModel
from minirag.providers.local.sound_text import sound_text
from minirag.providers.local.tokenizing import FolderTokenizer
from minirag.providers.local.unit_vectors import unit_vectors

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose

__all__ = [
    "SentenceTransformerEmbedder",
    "SentenceTransformerOptions",
    "SentenceTransformerReranker",
    "SentenceTransformerRerankerOptions",
    "create_embedder",
    "create_reranker",
]

_PROVIDER: Final = "sentence-transformers"


class SentenceTransformerRerankerOptions(InputModel):
    """Options of the reranker `sentence-transformers`.

    Attributes:
        model: a folder's path, or a name as on the Hugging Face hub.
        revision: branch, tag or commit on the hub.
        download: whether a named model that is not on disk is downloaded.
        device: such as `"cpu"` or `"cuda:0"`; by default the package chooses.
        batch_size: texts that go through the model together.
    """

    error: ClassVar[type[InvalidInputError]] = ProviderOptionsError

    model: str = Field(min_length=1, max_length=4_000)
    revision: str | None = Field(default=None, min_length=1, max_length=200)
    download: bool = True
    device: str | None = Field(default=None, min_length=1, max_length=50)
    batch_size: int = Field(default=32, ge=1, le=1_024, strict=True)


class SentenceTransformerOptions(SentenceTransformerRerankerOptions):
    """Options of the embedder `sentence-transformers`: those of the reranker and the prefixes.

    Attributes:
        document_prefix: put before a document's text; by default what the model's files say.
        query_prefix: put before a query; by default what the model's files say.
    """

    document_prefix: str | None = None
    query_prefix: str | None = None


class SentenceTransformerEmbedder(Embedder):
    """Any model of sentence-transformers. Its vectors are brought to length one.

    PyTorch and the weights are loaded at the first `embed`, and shared by all instances of a process that name the same
    files; one call at a time goes through the model, since its tokenizer changes with each. No code of a model is run
    (`trust_remote_code` is never set).
    """

    def __init__(self, options: SentenceTransformerOptions) -> None:
        """Find the files and hash them. A named model that is not on disk is downloaded, unless `download` is False."""
        folder = open_model(options.model, provider=_PROVIDER, download=options.download, revision=options.revision)
        files = folder.parts()
        parts = read_parts(folder)
        if parts is None and not any(path.name == "config.json" for path in files):
            folder.refuse(
                f"the folder {str(folder.path)!r} holds no model: neither 'modules.json' nor 'config.json' is there"
            )
        weights = parts[0][1] if parts and parts[0][0] == "Transformer" else ""
        limit = sentence_limit(folder, weights)
        self._prompts = read_prompts(folder)
        for purpose, prefix in (("document", options.document_prefix), ("query", options.query_prefix)):
            if prefix is not None:
                self._prompts[purpose] = prefix
        self.batch_size = options.batch_size
        self._folder = folder
        self._device = options.device
        self._revision = folder.digest(files)
        tokenizer = next((path for path in files if path.name == "tokenizer.json"), None)
        self._tokenizer = tokenizer and FolderTokenizer(tokenizer, provider=_PROVIDER, vocabulary=None)
        self.max_tokens = limit - self._tokenizer.specials if self._tokenizer else limit
        self._name = folder.path.name if looks_like_path(options.model) else options.model
        key = (str(folder.path), self._revision, options.device)
        self._model: SharedModel[Any] = SharedModel(self._load, key=key, provider=_PROVIDER)
        pooling = parts[1][1] if parts and [kind for kind, _ in parts] in _PLAIN else None
        said = folder.read_object(f"{pooling}/config.json") if pooling else {}
        self._dimension: int | None = said.get("word_embedding_dimension") or said.get("embedding_dimension")

    @property
    def space(self) -> EmbeddingSpace:
        """The space of these weights. They are loaded for it only if no file tells the dimension."""
        if self._dimension is None:
            self._dimension = self._encode([""], "document").shape[1]
        return EmbeddingSpace(
            provider=_PROVIDER,
            model=self._name,
            dimension=self._dimension,
            revision=self._revision,
            document_prefix=self._prompts["document"],
            query_prefix=self._prompts["query"],
        )

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Return one vector of length one a text: float32, shape `(len(texts), space.dimension)`.

        Raises:
            ProviderNotInstalledError: the package is missing.
            ProviderError: the weights are damaged, or PyTorch failed.
        """
        if not texts:
            return np.zeros((0, self.space.dimension), dtype=np.float32)
        return self._encode(texts, purpose)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the model makes of `text`; an estimate for a model without `tokenizer.json`."""
        return self._tokenizer.count(text) if self._tokenizer else super().count_tokens(text)

    def close(self) -> None:
        """Let go of the model; the last instance to do so frees it."""
        self._model.close()

    def _encode(self, texts: Sequence[str], purpose: Purpose) -> Matrix:
        with self._model.alone() as model:
            encode = model.encode_query if purpose == "query" else model.encode_document
            try:
                vectors = encode(
                    [sound_text(text) for text in texts],
                    prompt=self._prompts[purpose],
                    batch_size=self.batch_size,
                    show_progress_bar=False,
                )
            except (RuntimeError, ValueError, IndexError) as problem:
                raise _failure(self._folder.path.name, problem) from problem
        return unit_vectors(vectors)

    def _load(self) -> Any:
        package = _import_package()
        return _loaded(package.SentenceTransformer, str(self._folder.path), device=self._device)


class SentenceTransformerReranker(Reranker):
    """Any cross-encoder of sentence-transformers with one score, loaded at the first `scores` and shared as the embedders are."""

    def __init__(self, options: SentenceTransformerRerankerOptions) -> None:
        """Find the files. A named model that is not on disk is downloaded, unless `download` is False."""
        folder = open_model(options.model, provider=_PROVIDER, download=options.download, revision=options.revision)
        labels = folder.read_object("config.json").get("id2label")
        if not (folder.path / "config.json").is_file():
            folder.refuse(f"the folder {str(folder.path)!r} holds no model: 'config.json' is not there")
        if isinstance(labels, dict) and len(labels) > 1:
            folder.refuse(
                f"the model in {str(folder.path)!r} has {len(labels)} labels; a cross-encoder that ranks has one score"
            )
        self._folder = folder
        self._options = options
        self._name = f"{_PROVIDER}:{folder.path.name if looks_like_path(options.model) else options.model}"
        key = ("reranker", str(folder.path), folder.digest(folder.parts()), options.device)
        self._model: SharedModel[Any] = SharedModel(self._load, key=key, provider=_PROVIDER)

    @property
    def name(self) -> str:
        return self._name

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query, as the model's own activation gives it.

        Raises:
            ProviderNotInstalledError: the package is missing.
            ProviderError: the weights are damaged, or PyTorch failed.
        """
        if not texts:
            return []
        pairs = [(sound_text(query), sound_text(text)) for text in texts]
        with self._model.alone() as model:
            try:
                scores = model.predict(pairs, batch_size=self._options.batch_size, show_progress_bar=False)
            except (RuntimeError, ValueError, IndexError) as problem:
                raise _failure(self._folder.path.name, problem) from problem
        found = [float(score) for score in np.asarray(scores, dtype=np.float64).reshape(len(texts), -1)[:, 0]]
        if not np.isfinite(found).all():
            message = f"{_PROVIDER}: the model {self._folder.path.name!r} gave no finite score; its weights are damaged"
            raise ProviderError(message, provider=_PROVIDER)
        return found

    def close(self) -> None:
        """Let go of the model; the last instance to do so frees it."""
        self._model.close()

    def _load(self) -> Any:
        package = _import_package()
        return _loaded(package.CrossEncoder, str(self._folder.path), device=self._options.device)


def create_embedder(
    options: SentenceTransformerOptions,
    context: ProviderContext,  # noqa: ARG001 - needs no credentials
) -> SentenceTransformerEmbedder:
    """Return the embedder that `options` describe."""
    return SentenceTransformerEmbedder(options)


def create_reranker(
    options: SentenceTransformerRerankerOptions,
    context: ProviderContext,  # noqa: ARG001 - needs no credentials
) -> SentenceTransformerReranker:
    """Return the reranker that `options` describe."""
    return SentenceTransformerReranker(options)


_PLAIN: Final = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
"""Models whose pooling tells the dimension."""


def _import_package() -> Any:
    try:
        import sentence_transformers
    except ImportError as problem:
        message = (
            f'The provider {_PROVIDER!r} needs its package. Run: pip install "minirag-core[sentence-transformers]"'
        )
        raise ProviderNotInstalledError(message, provider=_PROVIDER) from problem
    return sentence_transformers


def _loaded(kind: Any, folder: str, *, device: str | None) -> Any:
    try:
        return kind(folder, device=device, local_files_only=True)
    except Exception as problem:  # three libraries read the files, and promise nothing of what they raise
        message = (
            f"{_PROVIDER}: the model in {folder!r} cannot be loaded ({type(problem).__name__}): its files are damaged or"
            f" incomplete, it needs code of its own, or the device {device!r} is not there"
        )
        raise ProviderError(message, provider=_PROVIDER) from problem


def _failure(model: str, problem: Exception) -> ProviderError:
    return ProviderError(f"{_PROVIDER}: the model {model!r} failed with {type(problem).__name__}", provider=_PROVIDER)
