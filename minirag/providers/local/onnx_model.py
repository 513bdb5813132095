"""`OnnxModel`: an exported transformer in a folder, with its tokenizer, shared within the process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from minirag.errors import ProviderError
from minirag.providers.local.model_folder import ModelFolder
from minirag.providers.local.onnx_runtime import import_engine, make_session, translated_errors
from minirag.providers.local.shared_models import SharedModel
from minirag.providers.local.tokenizing import FolderTokenizer

if TYPE_CHECKING:
    from minirag.types import Matrix

__all__ = ["OnnxModel"]

_INPUTS: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_SEPARATE_WEIGHTS: Final = ("{name}_data", "{name}.data", "{stem}.onnx_data")


class OnnxModel:
    """Weights and tokenizer of one folder. The tokenizer is read at once, the weights at the first `run`.

    Attributes:
        file: the weights' file.
        revision: 16 hexadecimal digits of weights, tokenizer and settings.
    """

    def __init__(
        self, folder: ModelFolder, *, file: str | None, weights: str, vocabulary: int | None, settings: object
    ) -> None:
        """Find the files and hash them.

        Args:
            file: path of the weights below the folder, or None for `model.onnx` or `onnx/model.onnx`.
            weights: the folder of the transformer's own files below the model's folder.
            vocabulary: how many tokens the weights know, or None if unknown.
            settings: what else decides about the results, for the revision.

        Raises:
            ProviderOptionsError: if a file is missing, or the tokenizer is another model's.
            ProviderError: if a file is damaged.
        """
        own = f"{weights}/" if weights else ""
        names = (
            (file,) if file is not None else tuple(dict.fromkeys(("model.onnx", "onnx/model.onnx", f"{own}model.onnx")))
        )
        self._folder = folder
        self.file = folder.find(*names, what="exported model")
        tokenizer = folder.find(*dict.fromkeys((f"{own}tokenizer.json", "tokenizer.json")), what="tokenizer")
        self._files = (self.file, *_separate_weights(self.file), tokenizer)
        self._settings = settings
        self.revision = folder.digest(self._files, settings=settings)
        key = (str(self.file), self.revision)
        self._session: SharedModel[Any] = SharedModel(self._load, key=key, provider=folder.provider)
        self._tokenizer: SharedModel[FolderTokenizer] = SharedModel(
            lambda: FolderTokenizer(tokenizer, provider=folder.provider, vocabulary=vocabulary),
            key=(str(tokenizer), self.revision),
            provider=folder.provider,
        )
        self._tokenizer.get()

    @property
    def tokenizer(self) -> FolderTokenizer:
        """The folder's tokenizer."""
        return self._tokenizer.get()

    def outputs(self) -> list[tuple[str, list[Any]]]:
        """Return name and shape of each output; what the file leaves open is a str or None. Loads the weights."""
        return [(output.name, list(output.shape)) for output in self._session.get().get_outputs()]

    def run(self, inputs: Mapping[str, npt.NDArray[np.int64]], *, output: str) -> Matrix:
        """Return one output for one text: its first row, float32.

        Raises:
            ProviderError: if the weights are damaged, do not fit the tokenizer, or ONNX Runtime failed.
        """
        session = self._session.get()
        given = {
            wanted.name: inputs[wanted.name].astype(np.int32) if wanted.type == "tensor(int32)" else inputs[wanted.name]
            for wanted in session.get_inputs()
        }
        message = (
            f"{self._folder.provider}: ONNX Runtime failed with {{kind}} on {str(self.file)!r}; the tokenizer beside it may"
            " be another model's"
        )
        with translated_errors(self._folder.provider, message):
            (found,) = session.run([output], given)
        row: Matrix = np.asarray(found[0], dtype=np.float32)
        return row

    def close(self) -> None:
        """Let go of weights and tokenizer."""
        self._session.close()
        self._tokenizer.close()

    def _load(self) -> Any:
        provider = self._folder.provider
        import_engine(provider)  # what is not installed must not look like damage
        if self._folder.digest(self._files, settings=self._settings) != self.revision:
            raise ProviderError(
                f"{provider}: the files in {str(self._folder.path)!r} were changed since this provider was made, and its"
                " vectors would be others; open the workspace again",
                provider=provider,
            )
        message = (
            f"{provider}: ONNX Runtime cannot load {str(self.file)!r} ({{kind}}): it is damaged, incomplete, or of a newer"
            " format; fetch the model again, or run: pip install --upgrade onnxruntime"
        )
        with translated_errors(provider, message):
            session = make_session(str(self.file), provider=provider)
        if foreign := sorted({wanted.name for wanted in session.get_inputs()} - _INPUTS):
            self._folder.refuse(
                f"the model {str(self.file)!r} wants the inputs {', '.join(map(repr, foreign))}; one that takes"
                f" {', '.join(map(repr, sorted(_INPUTS)))} is needed"
            )
        return session


def _separate_weights(file: Path) -> list[Path]:
    """Return the files beside an exported model that hold weights too large for one file."""
    names = dict.fromkeys(pattern.format(name=file.name, stem=file.stem) for pattern in _SEPARATE_WEIGHTS)
    return [file.with_name(name) for name in names if file.with_name(name).is_file()]
