"""Embedding spaces: what makes two vectors comparable."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import ClassVar

from pydantic import Field

from minirag.errors import InvalidInputError
from minirag.models.base import InputModel

__all__ = ["EmbeddingSpace"]


class EmbeddingSpace(InputModel):
    """What makes vectors comparable. Vectors of two different spaces never meet.

    Attributes:
        provider: who makes the vectors, such as `"openai"`.
        model: the model's name.
        dimension: numbers in a vector.
        revision: a release or a checksum of the weights, where one is known.
        normalized: whether the provider returns vectors of length one. MiniRAG stores them so in either case.
        document_prefix: what the provider puts before a document's text, or in brackets the task it is told.
        query_prefix: what the provider puts before a query, or in brackets the task it is told.
        generation: where a bot's model was replaced under the same name, what tells its new vectors from the old; an
            embedder leaves it empty.
    """

    error: ClassVar[type[InvalidInputError]] = InvalidInputError

    provider: str = Field(min_length=1, max_length=200)
    model: str = Field(min_length=1, max_length=500)
    dimension: int = Field(ge=1, le=65_536, strict=True)
    revision: str = ""
    normalized: bool = True
    document_prefix: str = ""
    query_prefix: str = ""
    generation: str = ""

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ whenever a field differs."""
        return _fingerprint(self)

    def matches(self, space: EmbeddingSpace) -> bool:
        """Return whether an embedder of `space` is by name the one that these vectors come from."""
        return self == space or self.model_copy(update={"generation": space.generation}) == space

    def __str__(self) -> str:
        return f"{self.provider}:{self.model} ({self.dimension} dimensions)"


# Every search asks for it several times.
@lru_cache(maxsize=256)
def _fingerprint(space: EmbeddingSpace) -> str:
    text = json.dumps(space.model_dump(exclude=None if space.generation else {"generation"}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
