"""A workspace with the deterministic embedder, and embedders that count or fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minirag
from minirag.interfaces import Embedder, EmbeddingSpace
from minirag.providers.local.hashing import Hashing
from tests.services.signing import Clock


class CountingEmbedder(Embedder):
    """The hashing embedder, counting what it is sent, and failing when told to."""

    batch_size = 8

    def __init__(self, model: str = "counting", dimension: int = 64) -> None:
        self._inner = Hashing(dimension=dimension)
        self._space = EmbeddingSpace(provider="tests", model=model, dimension=dimension)
        self.documents: list[str] = []
        self.queries: list[str] = []
        self.fail_on: str | None = None
        self.error: Exception = minirag.errors.ProviderConnectionError("the embedder is down", provider="tests")

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    def embed(self, texts: Sequence[str], *, purpose: Any) -> Any:
        if self.fail_on is not None and any(self.fail_on in text for text in texts):
            raise self.error
        (self.documents if purpose == "document" else self.queries).extend(texts)
        return np.asarray(self._inner.embed(texts, purpose=purpose), dtype=np.float32)


@pytest.fixture
def embedder() -> CountingEmbedder:
    """An embedder that counts."""
    return CountingEmbedder()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is told otherwise."""
    return Clock()


@pytest.fixture
def workspace(tmp_path: Path, embedder: CountingEmbedder) -> Iterator[minirag.Workspace]:
    """An open workspace."""
    with minirag.Workspace.open(tmp_path / "kb", embedder=embedder) as opened:
        yield opened


@pytest.fixture
def bot(workspace: minirag.Workspace) -> minirag.Bot:
    """A new bot."""
    return workspace.tenant("acme", create=True).bot("support", create=True)
