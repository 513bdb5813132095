"""Reading over HTTPS: the connection goes to a checked address, the certificate is the name's."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from minirag.errors import FetchError
from minirag.models.urls import UrlPolicy
from minirag.providers.http.fetch import HttpFetcher
from tests.servers.page_server import Page, PageServer

HOST = "pages.example"
BOTH = pytest.mark.parametrize("way", ["sync", "async"])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for one host, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def names() -> list[str | None]:
    """The names that clients asked the server's certificate for."""
    return []


@pytest.fixture
def server(certificate: Path, names: list[str | None], monkeypatch: pytest.MonkeyPatch) -> Iterator[PageServer]:
    """A web server over TLS; every `.example` name leads to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda connection, name, _: names.append(name)  # type: ignore[assignment]
    real = socket.getaddrinfo

    def resolve(host: Any, *arguments: Any, **keywords: Any) -> Any:
        return real("127.0.0.1" if str(host).endswith(".example") else host, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with PageServer(ssl_context=context) as running:
        running.pages["/"] = Page(b"over TLS")
        yield running


def fetch(host: str, server: PageServer, *, way: str, authority: Path | None) -> bytes:
    """Return the page at a host that the policy allows."""
    root = f"{host}:{server.port}"
    context = ssl.create_default_context(cafile=authority) if authority else None
    fetcher = HttpFetcher(UrlPolicy(allow=[root], timeout=5), ssl_context=context)
    url = f"https://{root}/"
    return (fetcher.fetch(url) if way == "sync" else asyncio.run(fetcher.afetch(url))).data


@BOTH
def test_certificate_is_asked_for_and_verified_by_name(
    server: PageServer, names: list[str | None], certificate: Path, way: str
) -> None:
    """Though an address is connected to, the name goes into the handshake and the host header."""
    assert fetch(HOST, server, way=way, authority=certificate) == b"over TLS"
    assert names == [HOST]
    assert server.requests[0][1]["host"] == f"{HOST}:{server.port}"


@BOTH
@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
def test_certificate_of_another_host_is_refused(server: PageServer, certificate: Path, way: str, host: str) -> None:
    """The server at the right address must still be the right host."""
    with pytest.raises(FetchError, match="certificate is not valid"):
        fetch(host, server, way=way, authority=certificate)
    assert server.requests == []


@BOTH
def test_unknown_authority_is_refused(server: PageServer, way: str) -> None:
    """By default only public authorities count."""
    with pytest.raises(FetchError, match="certificate is not valid"):
        fetch(HOST, server, way=way, authority=None)
    assert server.requests == []
