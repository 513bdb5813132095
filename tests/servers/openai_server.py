"""A local server that speaks the OpenAI protocol: by default it answers, on demand it misbehaves.

```python
with OpenAIServer() as server:
    server.script(failure(429, retry_after="0"), chat("Hello [1]."))
    ...                                   # call it at server.base_url
    server.requests[0].body["messages"]
```
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["OpenAIServer", "Recorded", "Scripted", "chat", "embeddings", "failure", "hashed_embedding", "stream"]

DEFAULT_ANSWER = "The handbook says so [1]."
DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
DEFAULT_DIMENSION = 64


@dataclass(frozen=True)
class Recorded:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Scripted:
    """A reply to send. `parts` are sent as chunks; with `cut` the connection breaks after the last of them."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    parts: Sequence[bytes] | None = None
    cut: bool = False
    delay: float = 0.0


def chat(text: str | None, **more: Any) -> Scripted:
    """Return a whole chat answer."""
    return Scripted(body=_dumps({"choices": [_choice(text)], "usage": _usage(11, 7), "model": "served", **more}))


def embeddings(data: Any) -> Scripted:
    """Return an answer whose `data` is as given."""
    return Scripted(body=_dumps({"object": "list", "data": data, "model": "served"}))


def failure(status: int, *, message: str = "", retry_after: str | None = None, **more: Any) -> Scripted:
    """Return an error in OpenAI's form."""
    headers = {"x-request-id": f"req-{status}"}
    if retry_after is not None:
        headers["Retry-After"] = retry_after
    return Scripted(status=status, headers=headers, body=_dumps({"error": {"message": message, **more}}))


def stream(*events: Any, done: bool = True, cut: bool = False, delay: float = 0.0) -> Scripted:
    """Return a stream of events: str are texts, other values are sent as they are, as JSON."""
    sent = [event if not isinstance(event, str) else _delta(event) for event in events]
    parts = [b"data: " + _dumps(event) + b"\n\n" for event in sent] + [b"data: [DONE]\n\n"] * done
    return Scripted(headers={"x-request-id": "req-stream"}, parts=parts, cut=cut, delay=delay)


def hashed_embedding(text: str, *, dimension: int) -> list[float]:
    """Return a vector of length one that depends on the words of `text` alone."""
    vector = [0.0] * dimension
    for word in text.lower().split() or [""]:
        vector[zlib.crc32(word.encode("utf-8", "replace")) % dimension] += 1.0
    length = sum(value * value for value in vector) ** 0.5
    return [value / length for value in vector]


class OpenAIServer:
    """The server, on a free port of the loopback.

    Args:
        answer: what every chat is answered with, or a function of the request's body.
        api_key: if given, other keys are refused with 401.
    """

    def __init__(self, *, answer: str | Callable[[Any], str] = DEFAULT_ANSWER, api_key: str | None = None) -> None:
        self.requests: list[Recorded] = []
        self.connections = 0
        self.hung_up = threading.Event()
        """Set once a client has closed its connection in the middle of a stream."""
        self._answer = answer
        self._api_key = api_key
        self._script: deque[Scripted] = deque()
        self._http = _HttpServer(("127.0.0.1", 0), _Connection)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def base_url(self) -> str:
        """The API's root."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def script(self, *replies: Scripted) -> None:
        """Answer the next requests with these replies, one each; then as usual."""
        self._script.extend(replies)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def reply(self, request: Recorded) -> Scripted:
        """Return what this request is answered with."""
        self.requests.append(request)
        with contextlib.suppress(IndexError):
            return self._script.popleft()
        if self._api_key is not None and request.headers.get("authorization") != f"Bearer {self._api_key}":
            return failure(401, message="Incorrect API key provided", code="invalid_api_key")
        if request.path == "/v1/chat/completions":
            return self._chat(request.body)
        if request.path == "/v1/embeddings":
            return self._embeddings(request.body)
        return failure(404, message="Unknown path")

    def _chat(self, body: Any) -> Scripted:
        text = self._answer if isinstance(self._answer, str) else self._answer(body)
        usage = _usage(sum(len(message["content"].split()) for message in body["messages"]), len(text.split()))
        if not body.get("stream"):
            return Scripted(body=_dumps({"choices": [_choice(text)], "usage": usage, "model": body["model"]}))
        words = [word + " " for word in text.split(" ")]
        words[-1] = words[-1][:-1]
        events: list[Any] = [*map(_delta, words), {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append({"choices": [], "usage": usage})
        return stream(*events)

    def _embeddings(self, body: Any) -> Scripted:
        dimension = body.get("dimensions") or DIMENSIONS.get(body["model"], DEFAULT_DIMENSION)
        if any(not text for text in body["input"]):
            return failure(400, message="'$.input' is invalid.")
        return embeddings(
            [
                {"object": "embedding", "index": index, "embedding": hashed_embedding(text, dimension=dimension)}
                for index, text in enumerate(body["input"])
            ]
        )


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64  # with the default of 5, calls that come at once wait a second for their connection
    owner: OpenAIServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are sent apart, and the second would wait 40 ms for the client to acknowledge the first.
    disable_nagle_algorithm = True
    server: _HttpServer

    def setup(self) -> None:
        super().setup()
        self.server.owner.connections += 1

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.owner.reply(Recorded(path=self.path, headers=headers, body=json.loads(content)))
        if reply.parts is None:
            time.sleep(reply.delay)
            self._head(reply, {"Content-Length": str(len(reply.body))})
            self.wfile.write(reply.body)
            self.close_connection = self.close_connection or reply.cut
            return
        self._head(reply, {"Transfer-Encoding": "chunked"}, media_type="text/event-stream")
        try:
            for part in reply.parts:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                self.wfile.flush()
                time.sleep(reply.delay)
            if reply.cut:
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.owner.hung_up.set()
            self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        """Keep the tests' output clean."""

    def _head(self, reply: Scripted, headers: Mapping[str, str], *, media_type: str = "application/json") -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Type": media_type, **reply.headers, **headers}.items():
            self.send_header(name, value)
        self.end_headers()


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _choice(text: str | None) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}


def _delta(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


def _usage(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
