"""ONNX Runtime: imported so that it reports to nobody, its failures in our words, and texts embedded side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minirag.errors import ProviderError, ProviderNotInstalledError

if TYPE_CHECKING:
    from minirag.types import Matrix, Vector

__all__ = ["embedded_each", "import_engine", "make_session", "translated_errors", "usable_cores"]

_NO_TELEMETRY: Final = "ORT_DISABLE_TELEMETRY"


def import_engine(provider: str) -> Any:
    """Return the module `onnxruntime`, imported so that it reports to nobody.

    From release 1.29 its wheels start an uploader and write a device id when they are imported, unless this variable is
    set by then; the choice holds for the process (onnxruntime pull request 27379). The host's environment is left as it was.
    """
    before = os.environ.get(_NO_TELEMETRY)
    os.environ[_NO_TELEMETRY] = "1"
    try:
        import onnxruntime
    except ImportError as problem:
        message = f"The provider {provider!r} needs ONNX Runtime. Run: pip install onnxruntime"
        raise ProviderNotInstalledError(message, provider=provider) from problem
    finally:
        if before is None:
            del os.environ[_NO_TELEMETRY]
        else:
            os.environ[_NO_TELEMETRY] = before
    onnxruntime.disable_telemetry_events()  # on Windows, and where the host had imported it before
    return onnxruntime


def make_session(model: bytes | str, *, provider: str) -> Any:
    """Return a session on the CPU that runs each call on the caller's thread alone.

    ONNX Runtime then keeps no threads of its own, which would spin after each run and hang a forked child at its exit.

    Args:
        model: the model itself, or the path of its file where its weights lie in files beside it.
    """
    onnxruntime = import_engine(provider)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4  # what is fatal; the rest is raised
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


@contextmanager
def translated_errors(provider: str, message: str) -> Iterator[None]:
    """Raise what ONNX Runtime raises as a `ProviderError`.

    Args:
        message: what to say; `{kind}` in it becomes the name of ONNX Runtime's exception.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    # Its exceptions share no base of their own, and their number grows from release to release.
    kinds = [kind for kind in vars(runtime).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    failures: tuple[type[Exception], ...] = (RuntimeError, *kinds)
    try:
        yield
    except failures as problem:
        raise ProviderError(message.replace("{kind}", type(problem).__name__), provider=provider) from problem


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def embedded_each(embed_one: Callable[[str], Vector], texts: Sequence[str], *, dimension: int, threads: int) -> Matrix:
    """Return the vector of each text, float32 `(len(texts), dimension)`, so many threads embedding one text each at a time."""
    vectors = np.zeros((len(texts), dimension), dtype=np.float32)
    workers = min(threads, len(texts))
    if workers > 1:
        with ThreadPoolExecutor(workers, thread_name_prefix="minirag-onnx") as pool:
            vectors[:] = list(pool.map(embed_one, texts))
    elif texts:
        vectors[:] = [embed_one(text) for text in texts]
    return vectors
