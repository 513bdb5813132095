"""Every vendor's reranker, against a local server that speaks its protocol and checks the requests."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.errors import (
    ProviderAuthenticationError,
    ProviderRateLimitError,
    ProviderResponseError,
    ProviderTimeoutError,
)
from minirag.interfaces import ProviderContext, Reranker
from minirag.providers.builtin.models import minirag_rerankers
from minirag.providers.http import client as client_module
from minirag.testing.reranker import RerankerConformance
from tests.servers.embedding_server import RERANKING, ModelServer
from tests.servers.openai_server import Scripted

SECRET = "sk-very-secret-123456"
EACH = pytest.mark.parametrize("vendor", sorted(RERANKING))
BOTH = pytest.mark.parametrize("way", ["sync", "async"])


@pytest.fixture
def server(vendor: str) -> Iterator[ModelServer]:
    """A server of the vendor's protocol."""
    with ModelServer(RERANKING[vendor], api_key=SECRET) as running:
        yield running


def made(vendor: str, *, key: str = SECRET, **options: Any) -> Reranker:
    """Return a reranker as the registry makes it."""
    spec = next(spec for spec in minirag_rerankers() if spec.name == vendor)
    assert spec.options is not None
    model = _named(spec.options)(**{"model": "some-model", **options})
    reranker: Reranker = _named(spec.factory)(model, ProviderContext(credentials={"api_key": key} if key else {}))
    return reranker


def _named(import_string: str) -> Any:
    module, name = import_string.split(":")
    return getattr(importlib.import_module(module), name)


@contextlib.contextmanager
def opened(server: ModelServer, **options: Any) -> Iterator[Reranker]:
    """Open a reranker that is closed at the end."""
    options = {"base_url": server.base_url, "max_retries": 0, **options}
    with contextlib.closing(made(server.protocol.name, **options)) as reranker:
        yield reranker


def scores(reranker: Reranker, query: str, texts: list[str], *, way: str = "sync") -> list[float]:
    """Return the scores of `texts`."""
    if way == "sync":
        return reranker.scores(query, texts)
    return asyncio.run(reranker.ascores(query, texts))


class OfVendor(RerankerConformance):
    """What the suites of all vendors share: a server for each test."""

    vendor = ""

    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        with ModelServer(RERANKING[self.vendor], api_key=SECRET) as server:
            self.base_url = server.base_url
            yield

    def make_reranker(self) -> Reranker:
        return made(self.vendor, base_url=self.base_url)


class TestCohere(OfVendor):
    """The reranker at Cohere keeps every clause."""

    vendor = "cohere"


class TestJina(OfVendor):
    """The reranker at Jina keeps every clause."""

    vendor = "jina"


class TestVoyage(OfVendor):
    """The reranker at Voyage keeps every clause."""

    vendor = "voyage"


@EACH
@BOTH
def test_scores_are_in_the_order_of_the_texts(server: ModelServer, way: str) -> None:
    """The answer comes best first; over several requests every score is at its text's place."""
    texts = ["blue sky", "red apple", "", "red sky", "green grass"]
    with opened(server, batch_size=2) as reranker:
        assert (reranker.batch_size, reranker.metered) == (2, True)
        assert scores(reranker, "red sky", texts, way=way) == [0.5, 0.5, 0.0, 1.0, 0.0]
    assert [len(request.body["documents"]) for request in server.requests] == [2, 2, 1]


@EACH
@BOTH
def test_a_blank_query_needs_no_call(server: ModelServer, way: str) -> None:
    """A query of nothing prefers nothing."""
    with opened(server) as reranker:
        assert scores(reranker, " \n", ["a", "b"], way=way) == [0.0, 0.0]
        assert scores(reranker, "a", [], way=way) == []
    assert server.requests == []


@EACH
@BOTH
def test_a_wrong_key_is_told_once(server: ModelServer, way: str) -> None:
    """401 is the credentials' error, not tried again, and shows no key."""
    reranker = made(server.protocol.name, key="sk-wrong-key-987654", base_url=server.base_url)
    with contextlib.closing(reranker), pytest.raises(ProviderAuthenticationError, match="credentials") as caught:
        scores(reranker, "a", ["b"], way=way)
    assert "987654" not in str(caught.value)
    assert len(server.requests) == 1


@EACH
@BOTH
@pytest.mark.parametrize(("status", "wait"), [(429, "0"), (429, None), (500, None)])
def test_passing_failures_are_tried_again(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, way: str, status: int, wait: str | None
) -> None:
    """429 and 500 are tried again, with `Retry-After` and without, and told when they do not end."""
    monkeypatch.setattr(client_module, "_FIRST_PAUSE", 0.001)
    refusal = server.refusal(status, **({"Retry_After": wait} if wait else {}))
    kind = ProviderRateLimitError if status == 429 else ProviderResponseError
    with opened(server, max_retries=2) as reranker:
        server.script(refusal, refusal)
        assert scores(reranker, "a", ["a"], way=way) == [1.0]
        server.script(refusal, refusal, refusal)
        with pytest.raises(kind):
            scores(reranker, "a", ["a"], way=way)


@EACH
def test_silence_is_a_timeout(server: ModelServer) -> None:
    """A server that does not answer is given up."""
    server.script(Scripted(delay=0.4))
    with opened(server, timeout=0.1) as reranker, pytest.raises(ProviderTimeoutError):
        scores(reranker, "a", ["b"])


@EACH
@pytest.mark.parametrize(
    ("values", "places", "match"),
    [
        ([0.5], [0], "1 scores for 2 texts"),
        ([0.5, 0.4, 0.3], [0, 1, 2], "3 scores for 2 texts"),
        ([0.5, 0.4], [0, 0], "no list of 2 scores"),
        ([0.5, float("nan")], [0, 1], "not a finite number"),
        ([0.5, float("inf")], [0, 1], "not a finite number"),
        ([0.5, "0.4"], [0, 1], "not a finite number"),
        ([0.5, None], [0, 1], "not a finite number"),
    ],
)
def test_wrong_scores_are_refused(server: ModelServer, values: list[Any], places: list[int], match: str) -> None:
    """Count, index and values are checked before a score is used."""
    server.script(server.answer(values, places=places))
    with opened(server) as reranker, pytest.raises(ProviderResponseError, match=match):
        scores(reranker, "a", ["a", "b"])


@EACH
@pytest.mark.parametrize("body", [b"oops", b"[]", b"{}", b"null", b'{"data": 5, "results": 5}'])
def test_malformed_answers_are_refused(server: ModelServer, body: bytes) -> None:
    """What is not an answer of the protocol is an error of the provider."""
    server.script(Scripted(body=body))
    with opened(server) as reranker, pytest.raises(ProviderResponseError, match=r"not JSON|no list of 2"):
        scores(reranker, "a", ["a", "b"])


@EACH
def test_a_huge_answer_is_refused(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer beyond the limit is not read to its end."""
    monkeypatch.setattr(client_module, "_MAX_REPLY_BYTES", 10)
    with opened(server) as reranker, pytest.raises(ProviderResponseError, match="more than 10 bytes"):
        scores(reranker, "a", ["b"])


@EACH
def test_long_texts_are_cut(server: ModelServer) -> None:
    """Query and texts are cut where the option says."""
    with opened(server, max_tokens=10) as reranker:
        scores(reranker, "word " * 50, ["word " * 50])
    body = server.requests[0].body
    assert [len(text.split()) for text in (body["query"], *body["documents"])] == [10, 10]


@EACH
def test_no_text_of_the_request_shows_in_an_error(server: ModelServer) -> None:
    """What a server repeats of query and texts is left out of the message."""
    for said in ("cannot score 'the secret recipe of Acme'", "no model for 'where is it kept'"):
        server.script(server.refusal(400, said))
        with opened(server) as reranker, pytest.raises(Exception, match="refused the request") as caught:
            scores(reranker, "where is it kept", ["the secret recipe of Acme"])
        assert "recipe" not in str(caught.value)
        assert "kept" not in str(caught.value)


@EACH
def test_the_vendor_is_not_called_without_a_key(vendor: str) -> None:
    """A missing key is told before anything is sent."""
    reranker = made(vendor, key="")
    with contextlib.closing(reranker), pytest.raises(ProviderAuthenticationError, match="api_key"):
        scores(reranker, "a", ["b"])


@EACH
def test_a_bot_reranks_with_it(server: ModelServer, tmp_path: Path) -> None:
    """A bot that names the reranker gets its hits in the reranker's order, and the call is in the ledger."""
    options = {"model": "some-model", "base_url": server.base_url}
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot(
            "support",
            create=True,
            reranker={"provider": server.protocol.name, "options": options},
            credentials={"api_key": SECRET},
        )
        bot.add(*[minirag.DocumentInput(text=text, key=text) for text in ("red apple", "red sky at night", "sky")])
        hits = bot.search("red sky at night", k=3)
        (row,) = workspace.tenant("acme").usage.total().rows
    assert hits[0].text == "red sky at night"
    assert server.requests[-1].body["query"] == "red sky at night"
    assert (row.kind, row.provider, row.model, row.calls) == ("rerank", server.protocol.name, "some-model", 1)
    assert row.input_tokens > 3 * 4
