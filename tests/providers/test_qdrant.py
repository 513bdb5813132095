"""Vectors in Qdrant keep the contract, notice what is lost, and stay each with their tenant and bot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minirag.errors import ProviderOptionsError, VectorIndexError
from minirag.interfaces.records import LogPosition
from minirag.interfaces.scope import mint_scope
from minirag.interfaces.snapshots import PartitionLostError
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.vector_index import VectorIndex, VectorPartition
from minirag.models.index import EmbeddingSpace
from minirag.providers.qdrant.index import QdrantIndex, create
from minirag.providers.qdrant.options import QdrantOptions
from minirag.testing.vector_index import VectorIndexConformance
from minirag.testing.vector_index_oracle import random_vectors


class TestQdrantIndex(VectorIndexConformance):
    """The clauses, in the client's local mode."""

    programmes = 1
    size = 100
    generations = 12  # the local mode keeps what was deleted, and looks at all of it in every search

    def make_index(self) -> VectorIndex:
        return create(QdrantOptions(path=":memory:"), ProviderContext())


def test_a_folder_keeps_them(tmp_path: Path) -> None:
    """What one process has put into a folder of the local mode, the next finds there with its position."""
    options = QdrantOptions(path=str(tmp_path / "qdrant"))
    space = EmbeddingSpace(provider="test", model="random", dimension=8)
    vectors = random_vectors(5, 8, seed=1)
    for opened in (1, 2):
        index = create(options, ProviderContext())
        partition = index.partition(mint_scope("tenant"), "bot", space)
        if opened == 1:
            partition.apply(np.empty(0, np.int64), np.arange(5), vectors)
            partition.keep(LogPosition(3, 33))
        assert partition.kept() == LogPosition(3, 33)
        assert partition.search(vectors[2], 1)[0].tolist() == [2]
        index.close()


def test_who_feeds_while_another_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has stored goes with what was there before, so it must notice that, and not take its part for complete."""
    index = create(QdrantOptions(path=":memory:"), ProviderContext())
    other = QdrantIndex(index._client, index._options)
    space = EmbeddingSpace(provider="test", model="random", dimension=8)
    vectors, nothing = random_vectors(5, 8, seed=1), np.empty(0, np.int64)
    cleared = index.partition(mint_scope("tenant"), "bot", space)
    delete = index._client.delete

    def late(*given: object, **named: object) -> object:
        fed = other.partition(mint_scope("tenant"), "bot", space)
        fed.apply(nothing, np.arange(5), vectors)
        fed.keep(LogPosition(3, 33))
        handles.append(fed)
        return delete(*given, **named)

    handles: list[VectorPartition] = []
    monkeypatch.setattr(index._client, "delete", late)
    cleared.clear()
    (fed,) = handles
    with pytest.raises(PartitionLostError):
        fed.search(vectors[2], 1)
    assert cleared.kept() == LogPosition(0, 0)
    assert len(cleared) == 0
    index.close()


def test_options_are_checked() -> None:
    """One place must be named, and the key is shown nowhere."""
    for wrong in ({}, {"url": "http://localhost:6333", "path": ":memory:"}, {"url": "nonsense"}):
        with pytest.raises(ProviderOptionsError):
            QdrantOptions(**wrong)
    assert "hidden" not in repr(QdrantOptions(url="http://localhost:6333", api_key="hidden"))


def test_a_server_that_is_not_there_is_said_so() -> None:
    """The error says that the same call may succeed later."""
    index = create(QdrantOptions(url="http://127.0.0.1:9", timeout=2), ProviderContext())
    with pytest.raises(VectorIndexError, match="could not be asked") as caught:
        index.partition(mint_scope("tenant"), "bot", EmbeddingSpace(provider="test", model="random", dimension=8))
    assert caught.value.retryable
    index.close()
