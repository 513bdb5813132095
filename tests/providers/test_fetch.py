"""Reading URLs: what is read, and every known way around the address check."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import httpcore
import pytest

from minirag.errors import BlockedAddressError, FetchError, InvalidInputError
from minirag.interfaces.fetcher import Fetched
from minirag.models.urls import UrlPolicy
from minirag.providers.http.fetch import create_fetcher
from tests.servers.page_server import Page, PageServer

BOTH = pytest.mark.parametrize("way", ["sync", "async"])
Resolver = Callable[[dict[str, list[list[str]]]], list[str]]


@pytest.fixture
def server() -> Iterator[PageServer]:
    """A web server on the loopback, with one page."""
    with PageServer() as running:
        running.pages["/"] = Page(b"<p>secret page</p>")
        yield running


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """A function that fakes name resolution: for each look-up of a host the next of its lists of addresses.

    It returns the list of names looked up. Addresses resolve to themselves.
    """
    real = socket.getaddrinfo

    def install(names: dict[str, list[list[str]]]) -> list[str]:
        asked: list[str] = []

        def fake(host: Any, port: Any, *arguments: Any, **keywords: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if name not in names:
                return real(host, port, *arguments, **keywords)
            asked.append(name)
            answers = names[name]
            addresses = answers.pop(0) if len(answers) > 1 else answers[0]
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "unknown")
            return [entry for address in addresses for entry in real(address, port, *arguments, **keywords)]

        monkeypatch.setattr(socket, "getaddrinfo", fake)
        return asked

    return install


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that are connected to; nothing really is, and every connection fails."""
    addresses: list[str] = []

    def refuse(self: Any, host: str, *arguments: Any, **keywords: Any) -> Any:
        addresses.append(host)
        raise httpcore.ConnectError("refused")

    async def arefuse(self: Any, host: str, *arguments: Any, **keywords: Any) -> Any:
        refuse(self, host)

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", refuse)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", arefuse)
    return addresses


def fetch(url: str, *, way: str, **policy: Any) -> Fetched:
    """Return a page under a policy."""
    fetcher = create_fetcher(UrlPolicy(**{"timeout": 5.0, **policy}))
    return fetcher.fetch(url) if way == "sync" else asyncio.run(fetcher.afetch(url))


@BOTH
def test_page_comes_with_what_the_server_says_of_it(server: PageServer, way: str) -> None:
    """Bytes, type, charset and the server's names for the page's state."""
    headers = {"Content-Type": 'Text/HTML; Charset="ISO-8859-1"', "ETag": '"v1"', "Last-Modified": "yesterday"}
    server.pages["/a?b=1"] = Page(b"caf\xe9", headers=headers)
    page = fetch(server.url("/x/../a?b=1#top"), way=way, allow=[server.root])
    assert page == Fetched(server.url("/a?b=1"), b"caf\xe9", "text/html", "iso-8859-1", '"v1"', "yesterday")


@BOTH
def test_request_names_itself_and_nothing_of_the_process(
    server: PageServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """No proxy, cookie or credential goes along; the host header names the URL's host."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    fetch(server.url(), way=way, allow=[server.root])
    ((_, headers),) = server.requests
    assert headers["host"] == server.root
    assert headers["user-agent"] == "MiniRAG"
    assert not {"cookie", "authorization", "referer"} & headers.keys()


@BOTH
def test_redirects_are_followed(server: PageServer, way: str) -> None:
    """The page says where it was found; relative targets count from the redirecting page."""
    server.redirect("/a/b", to="../c")
    server.redirect("/c", to=server.url(), status=308)
    assert fetch(server.url("/a/b"), way=way, allow=[server.root]).url == server.url()


@BOTH
def test_redirects_are_bounded(server: PageServer, way: str) -> None:
    """A circle of redirects ends."""
    server.redirect("/loop", to="/loop")
    with pytest.raises(FetchError, match="max_redirects=3"):
        fetch(server.url("/loop"), way=way, allow=[server.root], max_redirects=3)
    assert len(server.requests) == 4


SPELLINGS = [
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://017700000001:{port}/",
    "http://127.255.255.254:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]:{port}/",
    "http://１２７.０.０.１:{port}/",
    "http://127。0。0。1:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fe80::1]/",
    "http://10.0.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://100.100.100.200/",
    "http://255.255.255.255/",
    "http://224.0.0.1/",
    "https://127.0.0.1:{port}/",
]


@BOTH
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_closed_addresses_are_refused_in_any_spelling(server: PageServer, way: str, spelling: str) -> None:
    """However an address is written, nothing is sent to it."""
    with pytest.raises(BlockedAddressError, match="allow"):
        fetch(spelling.format(port=server.port), way=way)
    assert server.requests == []


@BOTH
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_closed_addresses_are_refused_after_a_redirect(server: PageServer, way: str, spelling: str) -> None:
    """A redirect from an allowed page opens no other address, nor another port of the same one."""
    with PageServer() as inner:
        inner.pages["/"] = Page(b"inner")
        server.redirect("/out", to=spelling.format(port=inner.port))
        with pytest.raises(FetchError):
            fetch(server.url("/out"), way=way, allow=[server.root])
        assert inner.requests == []


@BOTH
@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:6379/_", "http://a:b@c/", "http://[/"]
)
def test_redirects_lead_to_the_web_only(server: PageServer, way: str, target: str) -> None:
    """Another scheme, or no host, ends the visit."""
    server.redirect("/out", to=target)
    with pytest.raises(FetchError, match="not an http or https URL"):
        fetch(server.url("/out"), way=way, allow=[server.root])


@BOTH
@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/", "http://me:pw@127.0.0.1/", "http://a\\@127.0.0.1/"])
def test_what_is_no_web_address_is_wrong_input(way: str, url: str) -> None:
    """A wrong argument is told as such."""
    with pytest.raises(InvalidInputError):
        fetch(url, way=way)


@BOTH
@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["10.1.2.3"], ["::1"], ["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "93.184.216.34"]]
)
def test_names_of_closed_addresses_are_refused(
    resolver: Resolver, connected: list[str], way: str, addresses: list[str]
) -> None:
    """One closed address among several is enough."""
    resolver({"pages.example": [addresses]})
    with pytest.raises(BlockedAddressError, match=r"pages\.example:80"):
        fetch("http://pages.example/", way=way)
    assert connected == []


@BOTH
def test_rebinding_gains_nothing(resolver: Resolver, connected: list[str], way: str) -> None:
    """A name is looked up once, and what was checked is what is connected to."""
    asked = resolver({"pages.example": [["93.184.216.34"], ["127.0.0.1"]]})
    with pytest.raises(FetchError, match="could not be reached"):
        fetch("http://pages.example/", way=way)
    assert asked == ["pages.example"]
    assert connected == ["93.184.216.34"]


@BOTH
def test_every_address_of_a_name_is_tried(resolver: Resolver, connected: list[str], way: str) -> None:
    """A host that is down at one address may be up at the next."""
    resolver({"pages.example": [["2606:2800:220:1::1", "93.184.216.34"]]})
    with pytest.raises(FetchError, match="could not be reached"):
        fetch("http://pages.example/", way=way)
    assert connected == ["2606:2800:220:1::1", "93.184.216.34"]


@BOTH
def test_an_allowed_name_may_be_private(server: PageServer, resolver: Resolver, way: str) -> None:
    """`allow` opens a name at a port, whatever it resolves to, and asks there for that name."""
    resolver({"wiki.internal": [["127.0.0.1"]]})
    root = f"wiki.internal:{server.port}"
    assert fetch(f"http://{root}/", way=way, allow=[root]).data == b"<p>secret page</p>"
    assert server.requests[0][1]["host"] == root


@BOTH
def test_an_allowed_address_is_not_an_allowed_name(server: PageServer, resolver: Resolver, way: str) -> None:
    """Who opens `127.0.0.1` opens it under this name only: a stranger's name that leads there stays closed."""
    resolver({"stranger.example": [["127.0.0.1"]]})
    with pytest.raises(BlockedAddressError):
        fetch(f"http://stranger.example:{server.port}/", way=way, allow=[server.root])
    assert server.requests == []


@BOTH
def test_unknown_names_are_fetch_errors(resolver: Resolver, way: str) -> None:
    """A name without an address cannot be reached."""
    resolver({"nowhere.example": [[]]})
    with pytest.raises(FetchError, match="could not be reached"):
        fetch("http://nowhere.example/", way=way)


@BOTH
@pytest.mark.parametrize("length", [None, -1, 5], ids=["true length", "no length", "false length"])
def test_size_is_bounded(server: PageServer, way: str, length: int | None) -> None:
    """A page that is too large is refused, whatever it says of its length."""
    server.pages["/large"] = Page(b"x" * 3000, length=length)
    if length == 5:
        assert fetch(server.url("/large"), way=way, allow=[server.root], max_bytes=2000).data == b"xxxxx"
        return
    with pytest.raises(FetchError, match="max_bytes=2000"):
        fetch(server.url("/large"), way=way, allow=[server.root], max_bytes=2000)


@BOTH
def test_gzip_is_unpacked(server: PageServer, way: str) -> None:
    """Compressed pages come decompressed, also in several members."""
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    server.pages["/gzip"] = Page(gzip.compress(b"one ") + gzip.compress(b"two"), headers=headers)
    assert fetch(server.url("/gzip"), way=way, allow=[server.root]).data == b"one two"


@BOTH
@pytest.mark.parametrize(
    ("body", "encoding", "match"),
    [
        (gzip.compress(bytes(50_000_000)), "gzip", "max_bytes"),
        (gzip.compress(gzip.compress(bytes(50_000_000))), "gzip, gzip", "was not asked for"),
        (b"\x0b\x00", "br", "was not asked for"),
        (b"no gzip at all", "gzip", "not valid gzip"),
        (gzip.compress(os.urandom(5000))[:-2000], "gzip", "cut off"),
    ],
    ids=["bomb", "nested bomb", "brotli", "garbage", "cut"],
)
def test_compression_is_bounded(server: PageServer, way: str, body: bytes, encoding: str, match: str) -> None:
    """A bomb is refused before it is unpacked; other encodings are refused."""
    server.pages["/z"] = Page(body, headers={"Content-Type": "text/plain", "Content-Encoding": encoding})
    with pytest.raises(FetchError, match=match):
        fetch(server.url("/z"), way=way, allow=[server.root], max_bytes=1_000_000)


def test_a_bomb_is_never_unpacked(server: PageServer) -> None:
    """Memory stays near the limit, however much a small download would become."""
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    server.pages["/bomb"] = Page(gzip.compress(bytes(50_000_000)), headers=headers)
    tracemalloc.start()
    try:
        with pytest.raises(FetchError, match="max_bytes"):
            fetch(server.url("/bomb"), way="sync", allow=[server.root], max_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@BOTH
@pytest.mark.parametrize("page", [Page(b"x" * 1000, drip=0.05), Page(drip_head=0.05)], ids=["body", "headers"])
def test_a_slow_drip_ends_with_the_timeout(server: PageServer, way: str, page: Page) -> None:
    """A byte now and then does not keep a visit alive, nor do headers that never end."""
    server.pages["/slow"] = page
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"within 0\.5 s"):
        fetch(server.url("/slow"), way=way, allow=[server.root], timeout=0.5)
    assert time.monotonic() - started < 3


@BOTH
def test_redirects_share_one_timeout(server: PageServer, way: str) -> None:
    """Each hop does not begin a new time."""
    for hop in range(5):
        server.pages[f"/{hop}"] = Page(status=302, headers={"Location": f"/{hop + 1}"}, delay=0.15)
    server.pages["/5"] = Page(b"x")
    with pytest.raises(FetchError, match=r"within 0\.4 s"):
        fetch(server.url("/0"), way=way, allow=[server.root], timeout=0.4)


@BOTH
@pytest.mark.parametrize(
    ("media_type", "taken"),
    [
        ("text/html", True),
        ("text/markdown; charset=utf-8", True),
        ("application/pdf", True),
        ("application/json", True),
        ("", True),
        ("image/png", False),
        ("video/mp4", False),
        ("application/x-msdownload", False),
    ],
)
def test_only_documents_are_read(server: PageServer, way: str, media_type: str, taken: bool) -> None:
    """Other types are refused before their body is read; a page without a type is read."""
    server.pages["/typed"] = Page(b"x", headers={"Content-Type": media_type} if media_type else {})
    if taken:
        assert fetch(server.url("/typed"), way=way, allow=[server.root]).data == b"x"
        return
    with pytest.raises(FetchError, match="media_types"):
        fetch(server.url("/typed"), way=way, allow=[server.root])


@BOTH
@pytest.mark.parametrize("status", [204, 206, 300, 304, 401, 404, 500])
def test_other_statuses_are_errors(server: PageServer, way: str, status: int) -> None:
    """Only a whole page is a page."""
    server.pages["/status"] = Page(status=status)
    with pytest.raises(FetchError, match=f"status {status}"):
        fetch(server.url("/status"), way=way, allow=[server.root])


@BOTH
def test_a_page_that_breaks_off_is_an_error(server: PageServer, way: str) -> None:
    """Fewer bytes than announced are not a page."""
    server.pages["/cut"] = Page(b"half", length=10)
    with pytest.raises(FetchError, match="broke off"):
        fetch(server.url("/cut"), way=way, allow=[server.root])


@BOTH
def test_messages_hold_no_query(server: PageServer, way: str) -> None:
    """A query may hold a token."""
    with pytest.raises(FetchError) as caught:
        fetch(server.url("/missing?token=canary"), way=way, allow=[server.root])
    assert "canary" not in str(caught.value)
    assert f"{server.root}/missing" in str(caught.value)


@BOTH
def test_switched_off_means_off(server: PageServer, way: str) -> None:
    """`enabled=False` reads nothing, allowed or not."""
    with pytest.raises(FetchError, match="switches URLs off"):
        fetch(server.url(), way=way, allow=[server.root], enabled=False)
    assert server.requests == []


def test_policy_may_be_a_mapping(server: PageServer) -> None:
    """What `url_policy=` takes makes a fetcher; nothing means the default."""
    assert create_fetcher({"allow": [server.root]}).fetch(server.url()).data
    with pytest.raises(BlockedAddressError):
        create_fetcher().fetch(server.url())
