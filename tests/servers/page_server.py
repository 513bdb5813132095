"""A local web server whose pages are set by the test, over HTTP or HTTPS."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["Page", "PageServer"]


@dataclass(frozen=True)
class Page:
    """What is sent for a path.

    Attributes:
        delay: seconds before the answer begins.
        drip: seconds between single bytes of the body.
        drip_head: seconds between single bytes of an endless header, sent in place of the page.
        length: the `Content-Length` to claim instead of the true one; a negative one claims none.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/html; charset=UTF-8"})
    delay: float = 0.0
    drip: float = 0.0
    drip_head: float = 0.0
    length: int | None = None


class PageServer:
    """The server, on a free port of the loopback. `requests` are the paths asked for, with their headers."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._http = _HttpServer(("127.0.0.1", 0), _Connection)
        self._http.owner = self
        if ssl_context is not None:
            self._http.socket = ssl_context.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        """The port."""
        return int(self._http.server_address[1])

    @property
    def root(self) -> str:
        """Host and port, as a policy's `allow` takes them."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/") -> str:
        """Return a page's address over HTTP."""
        return f"http://{self.root}{path}"

    def redirect(self, path: str, *, to: str, status: int = 302) -> None:
        """Let `path` lead elsewhere."""
        self.pages[path] = Page(status=status, headers={"Location": to})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    owner: PageServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Connection(BaseHTTPRequestHandler):
    server: _HttpServer

    def do_GET(self) -> None:
        self.server.owner.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        page = self.server.owner.pages.get(self.path, Page(status=404))
        time.sleep(page.delay)
        with contextlib.suppress(OSError):
            if page.drip_head:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
                self._drip(b"x" * 1000, pause=page.drip_head)
                return
            self.send_response(page.status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            length = len(page.body) if page.length is None else page.length
            if length >= 0:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            if page.drip:
                self._drip(page.body, pause=page.drip)
            else:
                self.wfile.write(page.body)

    def _drip(self, content: bytes, *, pause: float) -> None:
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(pause)

    def log_message(self, *arguments: Any) -> None:
        """Keep the tests' output clean."""
