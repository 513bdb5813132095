"""`FolderTokenizer`: the tokenizer that an exported model comes with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from minirag.errors import ProviderError, ProviderNotInstalledError, ProviderOptionsError
from minirag.providers.local.sound_text import sound_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FolderTokenizer"]


class FolderTokenizer:
    """Splits texts as `tokenizer.json` says. It is not changed by its use, so threads may share it."""

    def __init__(self, path: Path, *, provider: str, vocabulary: int | None) -> None:
        """Read the file.

        Args:
            vocabulary: how many tokens the weights know, or None if that is unknown.

        Raises:
            ProviderNotInstalledError: if the package `tokenizers` is missing.
            ProviderError: if the file is damaged.
            ProviderOptionsError: if it has tokens that the weights do not know.
        """
        try:
            from tokenizers import Tokenizer
        except ImportError as problem:
            message = f"The provider {provider!r} needs 'tokenizers'. Run: pip install \"minirag-core[onnx]\""
            raise ProviderNotInstalledError(message, provider=provider) from problem
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(path))
        except Exception as problem:  # the library raises plain exceptions
            message = f"{provider}: the tokenizer {str(path)!r} is damaged or of a newer format; fetch the model again"
            raise ProviderError(message, provider=provider) from problem
        self._tokenizer.no_truncation()  # the file may carry settings of an export; the limits are ours
        self._tokenizer.no_padding()
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if vocabulary is not None and size > vocabulary:
            raise ProviderOptionsError(
                f"{provider}: the tokenizer {str(path)!r} belongs to another model: it has {size} tokens, the weights know"
                f" {vocabulary}",
                provider=provider,
            )
        self.specials: int = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self.pair_specials: int = self._tokenizer.num_special_tokens_to_add(is_pair=True)

    def count(self, text: str) -> int:
        """Return how many tokens `text` has, without special ones."""
        return len(self._plain(text).ids)

    def encode(self, text: str, *, limit: int) -> Mapping[str, npt.NDArray[np.int64]]:
        """Return a model's inputs for one text, cut to `limit` tokens with the special ones: shape `(1, tokens)`."""
        encoding = self._plain(text)
        encoding.truncate(max(limit - self.specials, 1))
        return _inputs(self._tokenizer.post_process(encoding, None, add_special_tokens=True))

    def encode_pair(self, first: str, second: str, *, limit: int) -> Mapping[str, npt.NDArray[np.int64]]:
        """Return a model's inputs for two texts; the second is cut, and the first to what half of the room holds."""
        room = max(limit - self.pair_specials, 2)
        head, tail = self._plain(first), self._plain(second)
        head.truncate(max(room // 2, room - len(tail.ids)))
        tail.truncate(room - len(head.ids))
        return _inputs(self._tokenizer.post_process(head, tail, add_special_tokens=True))

    def _plain(self, text: str) -> Any:
        return self._tokenizer.encode(sound_text(text), add_special_tokens=False)


def _inputs(encoding: Any) -> Mapping[str, npt.NDArray[np.int64]]:
    named = {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
    }
    return {name: np.array([values], dtype=np.int64) for name, values in named.items()}
