"""The OpenAI-compatible embedder, against a local server that speaks the protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minirag.errors import ProviderAuthenticationError, ProviderOptionsError, ProviderResponseError
from minirag.interfaces import Embedder, ProviderContext
from minirag.providers.http.openai import OpenAIEmbeddingOptions, create_embedder
from minirag.testing.embedder import EmbedderConformance
from tests.servers.openai_server import OpenAIServer, Scripted, embeddings, hashed_embedding

DIMENSION = 512
BOTH = pytest.mark.parametrize("way", ["sync", "async"])


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server of one's own."""
    with OpenAIServer() as running:
        yield running


@contextlib.contextmanager
def opened(server: OpenAIServer, **options: Any) -> Iterator[Embedder]:
    """Open an embedder of four dimensions that is closed at the end."""
    options = {"model": "tiny", "base_url": server.base_url, "max_retries": 0, "dimensions": 4, **options}
    embedder = create_embedder(OpenAIEmbeddingOptions(**options), ProviderContext())
    with contextlib.closing(embedder):
        yield embedder


def embed(embedder: Embedder, texts: list[str], *, way: str, purpose: Any = "document") -> Any:
    """Return the vectors of `texts`."""
    if way == "sync":
        return embedder.embed(texts, purpose=purpose)
    return asyncio.run(embedder.aembed(texts, purpose=purpose))


def rows(*vectors: Any) -> Scripted:
    """Return an answer with these vectors in order."""
    return embeddings([{"index": index, "embedding": vector} for index, vector in enumerate(vectors)])


class TestOpenAIEmbedderConformance(EmbedderConformance):
    """The embedder keeps every clause of `Embedder`."""

    @pytest.fixture(autouse=True)
    def _server(self, server: OpenAIServer) -> None:
        self.server = server

    def make_embedder(self) -> Embedder:
        options = OpenAIEmbeddingOptions(
            model="tiny", base_url=self.server.base_url, dimensions=DIMENSION, send_dimensions=True, max_tokens=256
        )
        return create_embedder(options, ProviderContext())


@BOTH
def test_one_row_a_text_in_float32(server: OpenAIServer, way: str) -> None:
    """Each text gets its own row."""
    texts = ["red apple", "blue sky", "red apple"]
    with opened(server, dimensions=64) as embedder:
        matrix = embed(embedder, texts, way=way)
    assert matrix.dtype == np.float32
    expected = [hashed_embedding(text, dimension=64) for text in texts]
    np.testing.assert_allclose(matrix, expected, atol=1e-6)


@BOTH
def test_rows_are_ordered_by_index(server: OpenAIServer, way: str) -> None:
    """An answer in another order is put right."""
    server.script(embeddings([{"index": 1, "embedding": [0, 0, 0, 1]}, {"index": 0, "embedding": [1, 0, 0, 0]}]))
    with opened(server) as embedder:
        matrix = embed(embedder, ["a", "b"], way=way)
    assert matrix.argmax(axis=1).tolist() == [0, 3]


@BOTH
@pytest.mark.parametrize(
    ("reply", "match"),
    [
        (rows([1, 0, 0, 0]), "1 embeddings for 2 texts"),
        (rows(*[[1, 0, 0, 0]] * 3), "3 embeddings for 2 texts"),
        (embeddings([{"index": 0, "embedding": [1, 0, 0, 0]}] * 2), "no list of 2"),
        (embeddings([{"index": -1, "embedding": [1, 0, 0, 0]}] * 2), "no list of 2"),
        (rows([1, 0, 0], [1, 0, 0]), "3 dimensions instead of 4"),
        (rows([1, 0, 0, 0], [1, 0]), "not a list of numbers"),
        (rows([1, 0, 0, 0], [1, 0, 0, float("nan")]), "not finite"),
        (rows([1, 0, 0, 0], [1, 0, 0, None]), "not finite|not a list"),
        (rows([1, 0, 0, 0], [1, 0, 0, 1e300]), "not finite|not a list"),
        (rows([1, 0, 0, 0], "AACAPw=="), "not a list of numbers"),
        (rows([1, 0, 0, 0], None), "dimensions|not a list"),
        (embeddings(None), "no list of 2"),
        (Scripted(body=b"[]"), "no list of 2"),
        (Scripted(body=b"oops"), "not JSON"),
    ],
)
def test_wrong_answers_are_refused(server: OpenAIServer, way: str, reply: Scripted, match: str) -> None:
    """Count, index, dimension and values are checked before a vector is used."""
    server.script(reply)
    with opened(server) as embedder, pytest.raises(ProviderResponseError, match=match):
        embed(embedder, ["a", "b"], way=way)


@BOTH
def test_no_texts_need_no_call(server: OpenAIServer, way: str) -> None:
    """No texts are no rows."""
    with opened(server) as embedder:
        assert embed(embedder, [], way=way).shape == (0, 4)
    assert server.requests == []


def test_request_has_the_documented_form(server: OpenAIServer) -> None:
    """Texts go as a list, with their prefix, and floats are asked for."""
    with opened(server, document_prefix="passage: ", query_prefix="query: ", dimensions=64) as embedder:
        embed(embedder, ["a", ""], way="sync")
        embed(embedder, ["b"], way="sync", purpose="query")
    first, second = (request.body for request in server.requests)
    assert first == {"model": "tiny", "input": ["passage: a", "passage: ."], "encoding_format": "float"}
    assert second["input"] == ["query: b"]


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_blank_texts_are_taken(server: OpenAIServer, text: str) -> None:
    """The API refuses an empty text, so it never sees one."""
    with opened(server, dimensions=64) as embedder:
        assert embed(embedder, [text, "a"], way="sync").shape == (2, 64)


def test_long_texts_are_cut_at_the_model_limit(server: OpenAIServer) -> None:
    """The beginning that fits is sent; a text that fits is sent whole."""
    with opened(server, max_tokens=10, dimensions=64) as embedder:
        embed(embedder, ["word " * 50, "word " * 10], way="sync")
        sent = server.requests[0].body["input"]
        assert embedder.count_tokens(sent[0]) == 10
    assert sent[1] == "word " * 10


@pytest.mark.parametrize(
    ("model", "dimensions", "expected", "sent"),
    [
        ("text-embedding-3-small", None, 1536, 1536),
        ("text-embedding-3-large", None, 3072, 3072),
        ("text-embedding-3-large", 256, 256, 256),
        ("text-embedding-ada-002", None, 1536, None),
        ("nomic-embed-text", 64, 64, None),
    ],
)
def test_dimension_is_known_without_a_call(
    server: OpenAIServer, model: str, dimensions: int | None, expected: int, sent: int | None
) -> None:
    """`space` needs no network, and only models that can shorten their vectors are told the dimension."""
    with opened(server, model=model, dimensions=dimensions) as embedder:
        assert embedder.space.dimension == expected
        assert server.requests == []
        assert embed(embedder, ["a"], way="sync").shape == (1, expected)
    assert server.requests[0].body.get("dimensions") == sent


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"model": "nomic-embed-text"}, "give the option `dimensions`"),
        ({"model": "text-embedding-ada-002", "dimensions": 512}, "1536 dimensions, not 512"),
        ({"model": "text-embedding-3-small", "dimensions": 4096}, "1536 dimensions, not 4096"),
        ({"model": "m", "dimensions": 0}, "dimensions"),
        ({"model": "m", "batch_size": 0}, "batch_size"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], match: str) -> None:
    """An unknown or impossible dimension is told before anything is embedded."""
    with pytest.raises(ProviderOptionsError, match=match):
        create_embedder(OpenAIEmbeddingOptions(**options), ProviderContext())


@BOTH
def test_missing_key_is_told_at_the_first_call(way: str) -> None:
    """OpenAI's own server is not called without a key."""
    embedder = create_embedder(OpenAIEmbeddingOptions(model="text-embedding-3-small"), ProviderContext())
    with contextlib.closing(embedder), pytest.raises(ProviderAuthenticationError, match="api_key"):
        embed(embedder, ["a"], way=way)


def test_equal_options_make_equal_spaces(server: OpenAIServer) -> None:
    """The server's address is no part of the space; model and prefixes are."""
    with opened(server) as one, opened(server, base_url="http://127.0.0.1:1/v1") as moved:
        assert one.space == moved.space
    with opened(server, query_prefix="query: ") as other:
        assert one.space.fingerprint != other.space.fingerprint
