"""A listener between the library and a model's server: it passes everything on and keeps what both said."""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

__all__ = ["Exchange", "Listening"]


@dataclass
class Exchange:
    """One request and its answer.

    Attributes:
        usage: what the server counted.
        left: set if the client closed the connection before the answer ended.
        ended: set when nothing more comes.
    """

    path: str
    body: dict[str, Any]
    usage: dict[str, Any] = field(default_factory=dict)
    left: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class Listening:
    """A server on the loopback in front of another one.

    Attributes:
        exchanges: every request so far.
    """

    def __init__(self, address: str) -> None:
        self.exchanges: list[Exchange] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(urlsplit(address).netloc))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def base_url(self) -> str:
        """What the library is given as `base_url`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self, upstream: str) -> type[BaseHTTPRequestHandler]:
        exchanges = self.exchanges

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                exchange = Exchange(self.path, json.loads(body))
                exchanges.append(exchange)
                connection = http.client.HTTPConnection(upstream)
                try:
                    connection.request("POST", self.path, body, {"Content-Type": "application/json"})
                    self._pass_on(connection.getresponse(), exchange)
                except (BrokenPipeError, ConnectionResetError):
                    exchange.left.set()
                finally:
                    connection.close()  # the server then stops writing
                    exchange.ended.set()

            def _pass_on(self, answer: http.client.HTTPResponse, exchange: Exchange) -> None:
                self.close_connection = True
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Connection", "close")
                self.end_headers()
                streamed = answer.headers["Content-Type"].startswith("text/event-stream")
                while piece := answer.readline() if streamed else answer.read():
                    found = piece.removeprefix(b"data: ").strip()
                    if found.startswith(b"{"):
                        exchange.usage = json.loads(found).get("usage") or exchange.usage
                    self.wfile.write(piece)
                    self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler
