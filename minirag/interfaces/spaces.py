"""What a storage's reader and writer do about vectors of several embedding spaces: parts of `Reader` and `Writer`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from minirag.interfaces.records import ChunkText

if TYPE_CHECKING:
    from minirag.types import Matrix, Vector

__all__ = ["SpaceReader", "SpaceWriter"]


class SpaceReader(ABC):
    """Reads vectors of any space, by its fingerprint; part of `Reader`."""

    @abstractmethod
    def sample_texts(self, bot_id: str, limit: int, *, space: str | None = None) -> list[tuple[ChunkText, Vector]]:
        """Return up to `limit` embedded chunks and their vectors: the oldest, the newest and some in between.

        Vectors are those of the bot's space, or of another one, whose fingerprint is given.
        """

    @abstractmethod
    def lacking_vectors(self, bot_id: str, space: str, *, after: int = 0, limit: int = 256) -> list[ChunkText]:
        """Return the bot's chunks without a vector in a space, by ascending key, those with a key above `after`."""

    @abstractmethod
    def count_vectors(self, bot_id: str, space: str) -> int:
        """Return how many of the bot's chunks have a vector in a space."""

    @abstractmethod
    def current_versions(
        self, bot_id: str, *, after: str | None = None, limit: int = 1_000
    ) -> list[tuple[str, str, int]]:
        """Return document id, current version's id and length in code points, by ascending document id above `after`."""


class SpaceWriter(ABC):
    """Writes vectors of a space beside the bot's own; part of `Writer`."""

    @abstractmethod
    def put_embeddings(
        self, bot_id: str, space: str, keys: Sequence[int], content_hashes: Sequence[bytes], vectors: Matrix
    ) -> int:
        """Store vectors of a space beside those there are; returns how many chunks of the bot these are.

        Keys of chunks that are gone are left out; a vector that is there already stays.
        """

    @abstractmethod
    def drop_embeddings(self, bot_id: str, *, keep_space: str, limit: int) -> int:
        """Delete up to `limit` of the bot's vectors of every other space than the one kept; returns how many."""

    @abstractmethod
    def put_familiarity(self, bot_id: str, documents: Mapping[str, tuple[int, float]]) -> None:
        """Write `words` and `known_words` of all the bot's documents by their ids; those left out, and unknown, get 0."""
