"""Local servers that speak each vendor's embedding and reranking protocol, and refuse a request that is not of its form.

```python
with ModelServer(EMBEDDING["cohere"], api_key="secret") as server:
    server.script(server.answer([[1.0, 0.0], [0.0, 1.0]]))
    ...                                   # call it at server.base_url
```
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from tests.servers.openai_server import OpenAIServer, Recorded, Scripted, failure, hashed_embedding

__all__ = ["EMBEDDING", "RERANKING", "ModelServer", "Protocol", "StormServer"]

DIMENSION = 512


@dataclass(frozen=True)
class Protocol:
    """How one vendor's requests, answers and errors look.

    Attributes:
        root: the path of the API's root.
        path: the path of a request below it.
        key: the header that carries the key, and what stands before it.
        required, optional: the fields of a body, each with the values that it may have, or None for any.
        texts: what of a body is to be embedded or scored.
        answer: the answer that holds vectors or scores; the places say in which order they are sent.
        error: the body of a refusal.
        most: texts in one request.
        dimension_field: where a request names the dimension.
    """

    name: str
    root: str
    path: str
    key: tuple[str, str]
    required: Mapping[str, Sequence[Any] | None]
    optional: Mapping[str, Sequence[Any] | None]
    texts: Callable[[Any], list[str]]
    answer: Callable[[Sequence[Any], Sequence[int]], Any]
    error: Callable[[str], Any]
    most: int = 2048
    ordered: bool = False
    dimension_field: str = "dimensions"

    def problem(self, body: Any) -> str | None:
        """Return what is wrong with a body, or None."""
        if missing := self.required.keys() - body.keys():
            return f"missing: {sorted(missing)}"
        allowed = {**self.required, **self.optional}
        if unknown := body.keys() - allowed.keys():
            return f"unknown: {sorted(unknown)}"
        for name, value in body.items():
            values = allowed[name]
            if values is not None and value not in values:
                return f"{name} must be one of {values}"
        texts = self.texts(body)
        if not 1 <= len(texts) <= self.most:
            return f"{len(texts)} texts"
        if not all(isinstance(text, str) and text.strip() for text in texts):
            return "a text is blank"
        return None


class ModelServer(OpenAIServer):
    """A server that speaks a protocol; with `api_key`, other keys are refused."""

    def __init__(self, protocol: Protocol, *, api_key: str | None = None) -> None:
        super().__init__(api_key=api_key)
        self.protocol = protocol

    @property
    def base_url(self) -> str:
        """The API's root."""
        return super().base_url.removesuffix("/v1") + self.protocol.root

    def answer(self, values: Sequence[Any], *, places: Sequence[int] | None = None) -> Scripted:
        """Return an answer of vectors or scores, sent in the order of `places`."""
        payload = self.protocol.answer(values, range(len(values)) if places is None else places)
        return Scripted(headers={"x-request-id": "call-1"}, body=json.dumps(payload).encode())

    def refusal(self, status: int, message: str = "No.", **headers: str) -> Scripted:
        """Return a refusal in the vendor's form."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Scripted(status=status, headers=named, body=json.dumps(self.protocol.error(message)).encode())

    def reply(self, request: Recorded) -> Scripted:
        """Return what this request is answered with."""
        self.requests.append(request)
        if self._script:
            return self._script.popleft()
        header, prefix = self.protocol.key
        if self._api_key is not None and request.headers.get(header) != f"{prefix}{self._api_key}":
            return self.refusal(401, "The key is wrong.")
        path = self.protocol.root + self.protocol.path
        if unquote(request.path) != path:
            return self.refusal(404, f"no such path: {request.path}")
        problem = self.protocol.problem(request.body)
        if problem is not None:
            return self.refusal(400, problem)
        return self._values(request.body)

    def _values(self, body: Any) -> Scripted:
        texts = self.protocol.texts(body)
        places = list(range(len(texts)))
        if not self.protocol.ordered:
            random.Random(len(texts)).shuffle(places)
        if "query" in body:
            return self.answer([_overlap(body["query"], text) for text in texts], places=places)
        first = body["requests"][0] if "requests" in body else body
        dimension = first.get(self.protocol.dimension_field, DIMENSION)
        return self.answer([hashed_embedding(text, dimension=dimension) for text in texts], places=places)


class StormServer(OpenAIServer):
    """A server of the OpenAI protocol that refuses a share of its requests with status 429.

    `accepted` counts the texts of the requests that it answered, `refused` the requests that it did not.
    """

    def __init__(self, *, share: float, waits: Sequence[str | None]) -> None:
        super().__init__()
        self.accepted: Counter[str] = Counter()
        self.refused = 0
        self._share, self._waits, self._chance = share, waits, random.Random(7)
        self._lock = threading.Lock()

    def reply(self, request: Recorded) -> Scripted:
        """Return what this request is answered with."""
        with self._lock:
            if self._chance.random() < self._share:
                self.refused += 1
                return failure(429, retry_after=self._chance.choice(self._waits))
            self.accepted.update(request.body["input"])
        return super().reply(request)


def _overlap(query: str, text: str) -> float:
    """Return the share of the query's words that a text has."""
    wanted = set(re.findall(r"\w+", query.lower()))
    return len(wanted & set(re.findall(r"\w+", text.lower()))) / (len(wanted) or 1)


def _listed(name: str, holder: str) -> Callable[[Sequence[Any], Sequence[int]], Any]:
    """Return how answers look whose items carry an index."""

    def answer(values: Sequence[Any], places: Sequence[int]) -> Any:
        return {holder: [{"index": place, name: values[place]} for place in places], "model": "served"}

    return answer


def _openai_error(message: str) -> Any:
    return {"error": {"message": message, "type": "invalid_request_error", "code": None}}


_OPENAI = Protocol(
    name="openai",
    root="/v1",
    path="/embeddings",
    key=("authorization", "Bearer "),
    required={"model": None, "input": None},
    optional={"encoding_format": ["float"], "dimensions": None},
    texts=lambda body: body["input"],
    answer=_listed("embedding", "data"),
    error=_openai_error,
)

EMBEDDING: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _OPENAI,
        replace(_OPENAI, name="azure", root="", path="/openai/v1/embeddings", key=("api-key", "")),
        replace(
            _OPENAI,
            name="voyage",
            required={"model": None, "input": None, "input_type": ["document", "query"]},
            optional={"truncation": [True], "output_dimension": None},
            error=lambda message: {"detail": message},
            most=1000,
            dimension_field="output_dimension",
        ),
        replace(
            _OPENAI,
            name="jina",
            required={"model": None, "input": None, "task": ["retrieval.passage", "retrieval.query"]},
            optional={"embedding_type": ["float"], "truncate": [True], "dimensions": None},
            error=lambda message: {"detail": message},
        ),
        Protocol(
            name="cohere",
            root="/v2",
            path="/embed",
            key=("authorization", "Bearer "),
            required={
                "model": None,
                "texts": None,
                "input_type": ["search_document", "search_query"],
                "embedding_types": [["float"]],
            },
            optional={"truncate": ["END"], "output_dimension": None},
            texts=lambda body: body["texts"],
            answer=lambda values, places: {"id": "1", "embeddings": {"float": [values[place] for place in places]}},
            error=lambda message: {"message": message},
            most=96,
            ordered=True,
            dimension_field="output_dimension",
        ),
        Protocol(
            name="gemini",
            root="/v1beta",
            path="/models/some-model:batchEmbedContents",
            key=("x-goog-api-key", ""),
            required={"requests": None},
            optional={},
            texts=lambda body: [_gemini_text(request) for request in body["requests"]],
            answer=lambda values, places: {"embeddings": [{"values": values[place]} for place in places]},
            error=lambda message: {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}},
            most=100,
            ordered=True,
            dimension_field="outputDimensionality",
        ),
        Protocol(
            name="ollama",
            root="",
            path="/api/embed",
            key=("authorization", "Bearer "),
            required={"model": None, "input": None},
            optional={"truncate": [True], "dimensions": None},
            texts=lambda body: body["input"],
            answer=lambda values, places: {"model": "served", "embeddings": [values[place] for place in places]},
            error=lambda message: {"error": message},
            ordered=True,
        ),
    )
}


def _gemini_text(request: Any) -> str:
    """Return the text of one request of a batch, or nothing if it is not of the right form."""
    form = {"model", "content", "taskType"}
    wrong = request.keys() - form - {"outputDimensionality"} or form - request.keys()
    if wrong or request["model"] != "models/some-model" or not request["taskType"].startswith("RETRIEVAL_"):
        return ""
    [part] = request["content"]["parts"]
    return str(part["text"])


_COHERE_RERANK = Protocol(
    name="cohere",
    root="/v2",
    path="/rerank",
    key=("authorization", "Bearer "),
    required={"model": None, "query": None, "documents": None},
    optional={},
    texts=lambda body: body["documents"] if body["query"].strip() else [""],
    answer=_listed("relevance_score", "results"),
    error=lambda message: {"message": message},
    most=1000,
)

RERANKING: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _COHERE_RERANK,
        replace(
            _COHERE_RERANK,
            name="jina",
            root="/v1",
            optional={"return_documents": [False]},
            error=lambda message: {"detail": message},
        ),
        replace(
            _COHERE_RERANK,
            name="voyage",
            root="/v1",
            optional={"return_documents": [False], "truncation": [True]},
            answer=_listed("relevance_score", "data"),
            error=lambda message: {"detail": message},
        ),
    )
}
