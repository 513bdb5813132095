"""ONNX Runtime: imported so that it reports to nobody, and its failures in our words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from minirag.errors import ProviderError, ProviderNotInstalledError

__all__ = ["import_engine", "make_session", "translated_errors", "usable_cores"]

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
