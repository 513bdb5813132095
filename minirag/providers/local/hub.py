"""Models named as on the Hugging Face hub: taken from its cache on disk, downloaded only if they are not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from minirag.errors import ProviderConnectionError, ProviderNotInstalledError, ProviderOptionsError
from minirag.providers.local.model_folder import ModelFolder, looks_like_path

__all__ = ["open_model"]

_UNWANTED: Final = ("onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot", "*.tflite", "*.gguf")
"""Copies of the same weights for other engines."""


def open_model(
    model: str, *, provider: str, download: bool, revision: str | None = None, wanted: Sequence[str] | None = None
) -> ModelFolder:
    """Return the folder of a model: the path itself, or the one in which the hub's cache holds it.

    Args:
        model: a path, or a name as on the hub, such as `"BAAI/bge-small-en-v1.5"`.
        download: whether one that is not on disk is downloaded.
        revision: branch, tag or commit on the hub.
        wanted: patterns of the files to download, or None for all but other engines' weights.

    Raises:
        ProviderOptionsError: if there is no such folder or name, or it is not on disk and must not be downloaded.
        ProviderConnectionError: if it could not be downloaded.
        ProviderNotInstalledError: if the package `huggingface_hub` is missing.
    """
    if looks_like_path(model):
        return ModelFolder(model, provider=provider)
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
    except ImportError as problem:
        message = f"The provider {provider!r} needs 'huggingface_hub' for {model!r}. Run: pip install huggingface-hub"
        raise ProviderNotInstalledError(message, provider=provider) from problem

    def folder(*, local_files_only: bool) -> str:
        patterns: dict[str, Any] = (
            {"ignore_patterns": list(_UNWANTED)} if wanted is None else {"allow_patterns": wanted}
        )
        return str(snapshot_download(model, revision=revision, local_files_only=local_files_only, **patterns))

    place = f"{provider}: the model {model!r}" + (f" at {revision!r}" if revision else "")
    try:
        return ModelFolder(folder(local_files_only=True), provider=provider)
    except HFValidationError as problem:
        message = f"{place} is neither a folder nor a name such as 'owner/name'; give an absolute path for a folder"
        raise ProviderOptionsError(message, provider=provider) from problem
    except FileNotFoundError as problem:  # what the hub's client raises for what its cache does not hold
        if not download:
            message = f"{place} is not on disk, and download=False; fetch it first, or give its folder's path"
            raise ProviderOptionsError(message, provider=provider) from problem
    try:
        return ModelFolder(folder(local_files_only=False), provider=provider)
    except (RepositoryNotFoundError, RevisionNotFoundError) as problem:
        message = f"{place} does not exist on the hub, or is not public; give its folder's path if it is on disk"
        raise ProviderOptionsError(message, provider=provider) from problem
    except Exception as problem:  # the client raises its HTTP library's errors, which changed with releases
        message = (
            f"{place} is not on disk and could not be downloaded ({type(problem).__name__}); give its folder's path"
        )
        raise ProviderConnectionError(message, provider=provider) from problem
