"""The local embedders keep the contract of `Embedder`."""

from __future__ import annotations

from minirag.interfaces import Embedder
from minirag.providers.local.hashing import Hashing
from minirag.providers.local.minilm import MiniLM
from minirag.testing.embedder import EmbedderConformance


class TestHashing(EmbedderConformance):
    """Hashed words and trigrams."""

    def make_embedder(self) -> Embedder:
        return Hashing()


class TestMiniLM(EmbedderConformance):
    """The bundled model."""

    def make_embedder(self) -> Embedder:
        return MiniLM()
