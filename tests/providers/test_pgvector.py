"""Vectors in PostgreSQL keep the contract, notice what is lost, and stay each with their tenant and bot."""

from __future__ import annotations

import numpy as np
import pytest

from minirag.errors import ProviderOptionsError, VectorIndexError
from minirag.interfaces.scope import mint_scope
from minirag.interfaces.specs import ProviderContext
from minirag.interfaces.vector_index import VectorIndex
from minirag.models.index import EmbeddingSpace
from minirag.providers.pgvector.index import PgVectorIndex, create
from minirag.providers.pgvector.options import PgVectorOptions
from minirag.testing.vector_index import VectorIndexConformance
from tests.servers.postgres_server import PostgresServer


@pytest.fixture
def dsn(postgres: PostgresServer) -> str:
    """The URL of a database without the extension."""
    return postgres.new_database().replace("+psycopg", "")


class TestPgVectorIndex(VectorIndexConformance):
    """The clauses where every vector is compared."""

    programmes = 2
    size = 200
    generations = 40
    options = PgVectorOptions()

    @pytest.fixture(autouse=True)
    def _database(self, dsn: str) -> None:
        self.dsn = dsn

    def make_index(self) -> VectorIndex:
        return PgVectorIndex(self.dsn, self.options)


class TestIndexedPgVectorIndex(TestPgVectorIndex):
    """The clauses where a few vectors have an HNSW index already."""

    programmes = 1
    options = PgVectorOptions(index_from=10)


class TestHalvedPgVectorIndex(TestPgVectorIndex):
    """The clauses where that index holds numbers of half the size."""

    programmes = 1
    options = PgVectorOptions(index_from=10, halfvec=True)


def test_options_are_checked() -> None:
    """The workspace's own database is taken if it is PostgreSQL, and a password is shown nowhere."""
    assert isinstance(create(None, ProviderContext(location="postgresql+psycopg://localhost/x")), PgVectorIndex)
    with pytest.raises(ProviderOptionsError, match="dsn"):
        create(None, ProviderContext(location="/some/folder"))
    for wrong in ({"dsn": "mysql://localhost"}, {"m": 50, "ef_construction": 60}):
        with pytest.raises(ProviderOptionsError):
            PgVectorOptions(**wrong)
    assert "hidden" not in repr(PgVectorOptions(dsn="postgresql://user:hidden@localhost/x"))


def test_vectors_are_counted_again_only_when_some_may_have_changed(dsn: str) -> None:
    """Another handle's apply is counted at once, without a position; without one the count of before is told again."""
    psycopg = pytest.importorskip("psycopg")
    space = EmbeddingSpace(provider="test", model="random", dimension=8)
    index, other = PgVectorIndex(dsn), PgVectorIndex(dsn)
    one, two = (each.partition(mint_scope("tenant"), "bot", space) for each in (index, other))
    assert len(one) == len(two) == 0
    vectors = np.eye(8, dtype=np.float32)
    none = np.empty(0, np.int64)
    two.apply(none, np.arange(5), vectors[:5])
    assert len(one) == 5
    two.apply(np.arange(3), none, vectors[:0])
    assert len(one) == 2
    with psycopg.connect(dsn) as connection:
        connection.execute(f"DELETE FROM minirag_vectors_{space.fingerprint} WHERE key = 3")
    assert len(one) == 2
    two.clear()
    assert len(one) == 0
    index.close()
    other.close()


def test_a_server_that_is_not_there_is_said_so() -> None:
    """The error says that the same call may succeed later, and tells no password."""
    index = PgVectorIndex("postgresql://user:hidden@127.0.0.1:9/x")
    with pytest.raises(VectorIndexError, match="could not be asked") as caught:
        index.partition(mint_scope("tenant"), "bot", EmbeddingSpace(provider="test", model="random", dimension=8))
    assert caught.value.retryable
    assert "hidden" not in str(caught.value)
