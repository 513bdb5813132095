"""`ModelFolder`: a folder with a model, its files found and read with clear errors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NoReturn

from minirag.errors import ProviderError, ProviderOptionsError

__all__ = ["ModelFolder", "looks_like_path"]

_PART: Final = 1 << 20
_MODEL_SUFFIXES: Final = frozenset({".safetensors", ".bin", ".json", ".model", ".onnx", ".onnx_data", ".py", ".txt"})
_OTHER_ENGINES: Final = frozenset({"onnx", "openvino"})


def looks_like_path(model: str) -> bool:
    """Return whether a model is named by a path, rather than as `name` or `owner/name` on a hub."""
    path = Path(model)
    return path.is_dir() or path.is_absolute() or model[:1] in (".", "~") or "\\" in model or model.count("/") > 1


class ModelFolder:
    """A folder that exists.

    Attributes:
        path: resolved, so that two ways to write it are one.
    """

    def __init__(self, path: str, *, provider: str) -> None:
        """Resolve a path against the current folder.

        Raises:
            ProviderOptionsError: if no folder is there.
        """
        self.path = Path(path).resolve()
        self.provider = provider
        if not self.path.is_dir():
            what = "is a file" if self.path.exists() else "does not exist"
            self.refuse(f"the folder {str(self.path)!r} {what}; give the folder that holds the model's files")

    def find(self, *names: str, what: str) -> Path:
        """Return the first of these files that is there.

        Raises:
            ProviderOptionsError: if none is; names them.
        """
        found = next((self.path / name for name in names if (self.path / name).is_file()), None)
        if found is None:
            neither, wanted = "neither " * (len(names) > 1), " nor ".join(map(repr, names))
            not_there = "is there" if neither else "is not there"
            self.refuse(f"the folder {str(self.path)!r} holds no {what}: {neither}{wanted} {not_there}")
        return found

    def read_json(self, name: str) -> Any:
        """Return what a JSON file holds, or None if it is not there.

        Raises:
            ProviderError: if it cannot be read, or is no JSON.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as problem:
            message = f"{self.provider}: {str(path)!r} is damaged: it cannot be read as JSON; fetch the model again"
            raise ProviderError(message, provider=self.provider) from problem

    def read_object(self, name: str) -> dict[str, Any]:
        """Return the object in a JSON file, empty if the file is not there."""
        found = self.read_json(name)
        if found is not None and not isinstance(found, dict):
            message = f"{self.provider}: {str(self.path / name)!r} holds no JSON object; fetch the model again"
            raise ProviderError(message, provider=self.provider)
        return found or {}

    def parts(self) -> list[Path]:
        """Return the files that a model is made of, in a fixed order; exports for other engines and prose are left out."""
        found = (path for path in self.path.rglob("*") if path.suffix in _MODEL_SUFFIXES and path.is_file())
        below = {path.relative_to(self.path): path for path in found}
        return [
            below[name]
            for name in sorted(below, key=lambda name: name.as_posix())
            if name.parts[0] not in _OTHER_ENGINES and not name.name.startswith("._")
        ]

    def digest(self, files: Iterable[Path], *, settings: object = None) -> str:
        """Return 16 hexadecimal digits that change with any of these files and settings.

        Raises:
            ProviderError: if a file cannot be read.
        """
        found = hashlib.sha256()
        for path in files:
            own = hashlib.sha256()
            try:
                with path.open("rb") as file:
                    while part := file.read(_PART):
                        own.update(part)
            except OSError as problem:
                message = f"{self.provider}: {str(path)!r} cannot be read"
                raise ProviderError(message, provider=self.provider) from problem
            found.update(own.digest())
        found.update(json.dumps(settings, sort_keys=True).encode())
        return found.hexdigest()[:16]

    def refuse(self, problem: str) -> NoReturn:
        """Raise that this folder is not what the provider reads."""
        raise ProviderOptionsError(f"{self.provider}: {problem}", provider=self.provider)
