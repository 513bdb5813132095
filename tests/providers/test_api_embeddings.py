"""Every vendor's embedder, against a local server that speaks its protocol and checks the requests."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minirag.errors import (
    ProviderAuthenticationError,
    ProviderOptionsError,
    ProviderRateLimitError,
    ProviderResponseError,
    ProviderTimeoutError,
)
from minirag.interfaces import Embedder, ProviderContext
from minirag.providers.builtin.models import minirag_embedders
from minirag.providers.http import client as client_module
from minirag.providers.http.api_embeddings import ApiEmbedder
from minirag.testing.embedder import EmbedderConformance
from tests.servers.embedding_server import DIMENSION, EMBEDDING, ModelServer
from tests.servers.openai_server import Scripted, hashed_embedding

SECRET = "sk-very-secret-123456"
VENDORS = sorted(EMBEDDING)
EACH = pytest.mark.parametrize("vendor", VENDORS)
BOTH = pytest.mark.parametrize("way", ["sync", "async"])


@pytest.fixture
def server(vendor: str) -> Iterator[ModelServer]:
    """A server of the vendor's protocol."""
    with ModelServer(EMBEDDING[vendor], api_key=SECRET) as running:
        yield running


def made(vendor: str, *, key: str = SECRET, **options: Any) -> ApiEmbedder:
    """Return an embedder as the registry makes it."""
    spec = next(spec for spec in minirag_embedders() if spec.name == vendor)
    assert spec.options is not None
    model = _named(spec.options)(**{"model": "some-model", **options})
    embedder: ApiEmbedder = _named(spec.factory)(model, ProviderContext(credentials={"api_key": key} if key else {}))
    return embedder


def _named(import_string: str) -> Any:
    module, name = import_string.split(":")
    return getattr(importlib.import_module(module), name)


@contextlib.contextmanager
def opened(server: ModelServer, **options: Any) -> Iterator[ApiEmbedder]:
    """Open an embedder of four dimensions that is closed at the end."""
    options = {"base_url": server.base_url, "max_retries": 0, "dimensions": 4, "send_dimensions": True, **options}
    with contextlib.closing(made(server.protocol.name, **options)) as embedder:
        yield embedder


def embed(embedder: Embedder, texts: list[str], *, way: str = "sync", purpose: Any = "document") -> Any:
    """Return the vectors of `texts`."""
    if way == "sync":
        return embedder.embed(texts, purpose=purpose)
    return asyncio.run(embedder.aembed(texts, purpose=purpose))


class OfVendor(EmbedderConformance):
    """What the suites of all vendors share: a server for each test."""

    vendor = ""

    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        with ModelServer(EMBEDDING[self.vendor], api_key=SECRET) as server:
            self.base_url = server.base_url
            yield

    def make_embedder(self) -> Embedder:
        return made(self.vendor, base_url=self.base_url, dimensions=DIMENSION, max_tokens=256)


class TestAzure(OfVendor):
    """The embedder at Azure keeps every clause."""

    vendor = "azure"


class TestCohere(OfVendor):
    """The embedder at Cohere keeps every clause."""

    vendor = "cohere"


class TestGemini(OfVendor):
    """The Gemini embedder keeps every clause."""

    vendor = "gemini"


class TestJina(OfVendor):
    """The embedder at Jina keeps every clause."""

    vendor = "jina"


class TestOllama(OfVendor):
    """The embedder behind Ollama keeps every clause."""

    vendor = "ollama"


class TestVoyage(OfVendor):
    """The embedder at Voyage keeps every clause."""

    vendor = "voyage"


@EACH
@BOTH
def test_each_text_gets_its_own_row(server: ModelServer, way: str) -> None:
    """Vectors come back in the order of the texts, over several requests whose answers are shuffled."""
    texts = [f"word{number} of text {number}" for number in range(23)]
    with opened(server, dimensions=64, batch_size=5) as embedder:
        matrix = embed(embedder, texts, way=way)
    assert len(server.requests) == 5
    np.testing.assert_allclose(matrix, [hashed_embedding(text, dimension=64) for text in texts], atol=1e-6)


@EACH
def test_rows_are_ordered_by_index(server: ModelServer) -> None:
    """An answer with indexes is put in order; one without is taken as it comes."""
    server.script(server.answer([[1, 0, 0, 0], [0, 0, 0, 1]], places=[1, 0]))
    with opened(server) as embedder:
        best = embed(embedder, ["a", "b"]).argmax(axis=1).tolist()
    assert best == ([3, 0] if server.protocol.ordered else [0, 3])


@EACH
@BOTH
def test_a_wrong_key_is_told_once(server: ModelServer, way: str) -> None:
    """401 is the credentials' error, not tried again, and shows no key."""
    with (
        contextlib.closing(
            made(server.protocol.name, key="sk-wrong-key-987654", base_url=server.base_url, dimensions=4)
        ) as embedder,
        pytest.raises(ProviderAuthenticationError, match="credentials") as caught,
    ):
        embed(embedder, ["a"], way=way)
    assert "987654" not in str(caught.value)
    assert len(server.requests) == 1


@EACH
@BOTH
@pytest.mark.parametrize("wait", ["0", None])
def test_too_many_requests_are_waited_out(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, way: str, wait: str | None
) -> None:
    """429 is tried again, with `Retry-After` and without."""
    monkeypatch.setattr(client_module, "_FIRST_PAUSE", 0.001)
    server.script(*[server.refusal(429, **({"Retry_After": wait} if wait else {}))] * 5)
    with opened(server, max_retries=1) as embedder:
        assert embed(embedder, ["a"], way=way).shape == (1, 4)
    assert len(server.requests) == 6


@EACH
def test_a_query_is_not_waited_for_that_long(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody waits for a query: 429 is tried again as often as any other failure."""
    monkeypatch.setattr(client_module, "_FIRST_PAUSE", 0.001)
    server.script(*[server.refusal(429)] * 5)
    with opened(server, max_retries=1) as embedder, pytest.raises(ProviderRateLimitError):
        embed(embedder, ["a"], purpose="query")
    assert len(server.requests) == 2


@EACH
@BOTH
def test_a_failing_server_is_tried_again_less_often(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """500 is tried again `max_retries` times, then told with its status."""
    monkeypatch.setattr(client_module, "_FIRST_PAUSE", 0.001)
    server.script(*[server.refusal(500)] * 9)
    with opened(server, max_retries=2) as embedder, pytest.raises(ProviderResponseError) as caught:
        embed(embedder, ["a"], way=way)
    assert (caught.value.status, caught.value.retryable, len(server.requests)) == (500, True, 3)


@EACH
@BOTH
def test_silence_is_a_timeout(server: ModelServer, way: str) -> None:
    """A server that does not answer is given up."""
    server.script(Scripted(delay=0.4))
    with opened(server, timeout=0.1) as embedder, pytest.raises(ProviderTimeoutError):
        embed(embedder, ["a"], way=way)


@EACH
@pytest.mark.parametrize(
    ("vectors", "match"),
    [
        ([[1, 0, 0, 0]], "1 embeddings for 2 texts"),
        ([[1, 0, 0, 0]] * 3, "3 embeddings for 2 texts"),
        ([[1, 0, 0]] * 2, "3 dimensions instead of 4"),
        ([[1, 0, 0, 0], [1, 0]], "not a list of numbers"),
        ([[1, 0, 0, 0], [1, 0, 0, float("nan")]], "not finite"),
        ([[1, 0, 0, 0], [1, 0, 0, 1e300]], "not finite"),
        ([[1, 0, 0, 0], "AACAPw=="], "not a list of numbers"),
        ([[1, 0, 0, 0], None], "dimensions|not a list"),
    ],
)
def test_wrong_vectors_are_refused(server: ModelServer, vectors: list[Any], match: str) -> None:
    """Count, dimension and values are checked before a vector is used."""
    server.script(server.answer(vectors))
    with opened(server) as embedder, pytest.raises(ProviderResponseError, match=match):
        embed(embedder, ["a", "b"])


@EACH
@pytest.mark.parametrize("body", [b"oops", b"[]", b"{}", b"null", b'{"data": 5, "embeddings": {"float": 5}}'])
def test_malformed_answers_are_refused(server: ModelServer, body: bytes) -> None:
    """What is not an answer of the protocol is an error of the provider."""
    server.script(Scripted(body=body))
    with opened(server) as embedder, pytest.raises(ProviderResponseError, match=r"not JSON|no list of 2|for 2 texts"):
        embed(embedder, ["a", "b"])


@EACH
def test_a_huge_answer_is_refused(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer beyond the limit is not read to its end."""
    monkeypatch.setattr(client_module, "_MAX_REPLY_BYTES", 1000)
    with (
        opened(server, dimensions=1000) as embedder,
        pytest.raises(ProviderResponseError, match="more than 1000 bytes"),
    ):
        embed(embedder, ["a"])


@EACH
def test_long_texts_are_cut_and_large_requests_divided(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """No text goes beyond the model's limit, and no request beyond its own."""
    with opened(server, max_tokens=10) as embedder:
        monkeypatch.setattr(type(embedder), "most_request_tokens", 25)
        assert embed(embedder, ["word " * 50] * 5).shape == (5, 4)
        sent = [server.protocol.texts(request.body) for request in server.requests]
        assert {embedder.count_tokens(text) for texts in sent for text in texts} == {10}
    assert sorted(map(len, sent)) == [1, 2, 2]


@EACH
def test_no_text_of_the_request_shows_in_an_error(server: ModelServer) -> None:
    """What a server repeats of the texts is left out of the message."""
    server.script(server.refusal(400, "cannot embed 'the secret recipe of Acme'"))
    with opened(server) as embedder, pytest.raises(Exception, match="refused the request") as caught:
        embed(embedder, ["the secret recipe of Acme"])
    assert "recipe" not in str(caught.value)


@EACH
def test_the_key_may_not_hold_white_space(server: ModelServer) -> None:
    """A key with a line break is refused before it is sent."""
    embedder = made(server.protocol.name, key="sk-1\n", base_url=server.base_url, dimensions=4)
    with contextlib.closing(embedder), pytest.raises(ProviderAuthenticationError, match="alone"):
        embed(embedder, ["a"])
    assert server.requests == []


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor != "ollama"])
def test_the_vendor_is_not_called_without_a_key(vendor: str) -> None:
    """A missing key is told before anything is sent."""
    address = {"base_url": "https://my.openai.azure.com"} if vendor == "azure" else {}
    embedder = made(vendor, key="", dimensions=4, **address)
    with contextlib.closing(embedder), pytest.raises(ProviderAuthenticationError, match="api_key"):
        embed(embedder, ["a"])


@EACH
def test_a_model_that_is_not_known_needs_its_dimension(vendor: str) -> None:
    """Without a dimension there is no embedder."""
    with pytest.raises(ProviderOptionsError, match="give the option `dimensions`"):
        made(vendor, base_url="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("vendor", "model", "dimension", "shorter", "wrong"),
    [
        ("azure", "text-embedding-3-small", 1536, 512, 2000),
        ("cohere", "embed-v4.0", 1536, 256, 300),
        ("cohere", "embed-multilingual-light-v3.0", 384, None, 256),
        ("gemini", "gemini-embedding-001", 3072, 768, 4000),
        ("jina", "jina-embeddings-v3", 1024, 64, 2048),
        ("ollama", "nomic-embed-text:latest", 768, None, 512),
        ("voyage", "voyage-3.5", 1024, 2048, 300),
        ("voyage", "voyage-law-2", 1024, None, 512),
    ],
)
def test_known_models_need_no_dimension(
    vendor: str, model: str, dimension: int, shorter: int | None, wrong: int
) -> None:
    """The table knows the dimension and the others a model has; an option overrides the table."""
    address = {"base_url": "http://127.0.0.1:1"}
    assert made(vendor, model=model, **address).space.dimension == dimension
    if shorter is not None:
        assert made(vendor, model=model, dimensions=shorter, **address).space.dimension == shorter
    with pytest.raises(ProviderOptionsError, match=f"{dimension} dimensions, not {wrong}"):
        made(vendor, model=model, dimensions=wrong, **address)
    overridden = made(vendor, model=model, dimensions=wrong, send_dimensions=False, **address)
    assert overridden.space.dimension == wrong


@pytest.mark.parametrize(
    ("vendor", "document", "query"),
    [
        ("cohere", "[input_type=search_document]", "[input_type=search_query]"),
        ("gemini", "[taskType=RETRIEVAL_DOCUMENT]", "[taskType=RETRIEVAL_QUERY]"),
        ("jina", "[task=retrieval.passage]", "[task=retrieval.query]"),
        ("voyage", "[input_type=document]", "[input_type=query]"),
    ],
)
def test_the_space_names_the_task(vendor: str, document: str, query: str) -> None:
    """Vectors made for different tasks never meet."""
    with ModelServer(EMBEDDING[vendor], api_key=SECRET) as server, opened(server) as embedder:
        assert (embedder.space.document_prefix, embedder.space.query_prefix) == (document, query)
        for purpose, named in (("document", document), ("query", query)):
            embed(embedder, ["a"], purpose=purpose)
            body = server.requests[-1].body
            field, value = named.strip("[]").split("=")
            assert (body["requests"][0] if vendor == "gemini" else body)[field] == value


@pytest.mark.parametrize(
    ("vendor", "options"),
    [
        ("gemini", {"document_task": "SEMANTIC_SIMILARITY"}),
        ("gemini", {"query_task": None}),
        ("jina", {"document_task": "text-matching"}),
        *[(vendor, {"document_prefix": "passage: "}) for vendor in VENDORS],
        *[(vendor, {"query_prefix": "query: "}) for vendor in VENDORS],
        *[(vendor, {"dimensions": 5}) for vendor in VENDORS],
        *[(vendor, {"model": "another"}) for vendor in VENDORS],
    ],
)
def test_what_shapes_the_vectors_shapes_the_space(vendor: str, options: dict[str, Any]) -> None:
    """Task, prefix, dimension and model are parts of the fingerprint; the address is not."""
    shared = {"base_url": "http://127.0.0.1:1", "dimensions": 4}
    one = made(vendor, **shared).space
    assert made(vendor, **{**shared, "base_url": "http://127.0.0.1:2"}).space == one
    assert made(vendor, **{**shared, **options}).space.fingerprint != one.fingerprint


def test_prefixes_are_put_before_texts() -> None:
    """A prefix is sent with each text, and with the stand-in for a blank one."""
    with ModelServer(EMBEDDING["ollama"]) as server, opened(server, document_prefix="search_document: ") as embedder:
        embed(embedder, ["a", ""])
    assert server.requests[0].body["input"] == ["search_document: a", "search_document: ."]


def test_azure_knows_the_older_path_and_the_deployed_model() -> None:
    """A version of the API changes the path; the model behind a deployment names the vectors."""
    with ModelServer(EMBEDDING["azure"]) as server:
        options = {"deployed_model": "text-embedding-3-small", "api_version": "2024-10-21", "dimensions": None}
        with opened(server, model="my deployment", **options) as embedder:
            assert (embedder.space.model, embedder.space.dimension) == ("text-embedding-3-small", 1536)
            server.script(server.answer([[1.0] + [0.0] * 1535]))
            embed(embedder, ["a"])
    assert server.requests[0].path == "/openai/deployments/my%20deployment/embeddings?api-version=2024-10-21"


@pytest.mark.parametrize(("dimension", "normalized"), [(3072, True), (768, False)])
def test_short_gemini_vectors_are_not_called_normalised(dimension: int, normalized: bool) -> None:
    """Google normalises only those of the full length."""
    assert made("gemini", model="gemini-embedding-001", dimensions=dimension).space.normalized is normalized
