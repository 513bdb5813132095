"""The normal form of URLs, and the policy's entries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirag.errors import InvalidInputError
from minirag.models.urls import UrlPolicy, display_url, normalize_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com/#top", "http://example.com/"),
        ("http://example.com/a/./b/../c", "http://example.com/a/c"),
        ("http://example.com/a/..", "http://example.com/"),
        ("http://example.com/../../a", "http://example.com/a"),
        ("http://example.com/a/b/.", "http://example.com/a/b/"),
        ("http://example.com/a/%2e%2e/b", "http://example.com/b"),
        ("http://example.com//a//b", "http://example.com//a//b"),
        ("http://example.com/%7euser/%c3%a9", "http://example.com/~user/%C3%A9"),
        ("http://example.com/é?q=ü", "http://example.com/%C3%A9?q=%C3%BC"),
        ("http://example.com/100%", "http://example.com/100%25"),
        ("http://example.com?b=1&a=2", "http://example.com/?b=1&a=2"),
        ("http://example.com/?", "http://example.com/"),
        ("http://example.com./", "http://example.com/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://straße.example/", "http://xn--strae-oqa.example/"),
        ("http://１２７。０。０。１/", "http://127.0.0.1/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://0177.0.0.01/", "http://127.0.0.1/"),
        ("http://[0:0:0:0:0:0:0:1]:8000/", "http://[::1]:8000/"),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
    ],
)
def test_spellings_of_one_url_share_a_form(url: str, expected: str) -> None:
    """Case, ports, dots, escapes, names and addresses."""
    normal = normalize_url(url)
    assert normal == expected
    assert normalize_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://exam ple.com/",
        "http://example.com/a\tb",
        "http://example.com/\r\nHost: x",
        "http://example.com/\x00",
        "http://example.com/\ud800",
        "http://example.com:port/",
        "http://example.com:65536/",
        "http://example.com:0/",
        "http://ex%61mple.com/",
        "http://[::1/",
        "http://[::1%25eth0]/",
        "http://[v1.x]/",
        "http://256.0.0.1/",
        "http://1.2.3.4.5/",
        "http://0x100000000/",
        "http://08.0.0.1/",
        "http://a..b/",
        "http://-a.example/",
        f"http://{'a' * 64}.example/",
        "http://\u200b/",
        "http://[127.0.0.1]/",
        f"http://example.com/{'a' * 9000}",
        5,
        None,
        b"http://example.com/",
    ],
)
def test_what_is_no_url_is_refused(url: Any) -> None:
    """The error is ours and shows no password."""
    with pytest.raises(InvalidInputError) as caught:
        normalize_url(url)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=40), st.sampled_from(["http://example.com/", "http://", "https://127.0.0.1"]))
def test_any_text_has_a_stable_form_or_is_refused(text: str, start: str) -> None:
    """Normalising twice changes nothing; no text raises anything but our error."""
    try:
        normal = normalize_url(start + text)
    except InvalidInputError:
        return
    assert normalize_url(normal) == normal
    assert normal.isascii()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:secret@example.com/a?token=secret#secret", "https://example.com/a"),
        ("http://example.com", "http://example.com"),
        ("secret@example.com/a", "example.com/a"),
    ],
)
def test_shown_urls_hold_no_secrets(url: str, expected: str) -> None:
    """User, password, query and fragment are left out."""
    assert display_url(url) == expected


@pytest.mark.parametrize(
    ("entry", "host", "port", "allowed"),
    [
        ("127.0.0.1:8000", "127.0.0.1", 8000, True),
        ("127.0.0.1:8000", "127.0.0.1", 8001, False),
        ("127.0.0.1:8000", "127.0.0.2", 8000, False),
        ("LocalHost:8000", "localhost", 8000, True),
        ("127.0.0.1:8000", "localhost", 8000, False),
        ("wiki.internal", "wiki.internal", 443, True),
        ("wiki.internal", "wiki.internal", 80, True),
        ("wiki.internal", "wiki.internal", 8080, False),
        ("[::1]:8000", "::1", 8000, True),
        ("[0::1]", "::1", 80, True),
        ("internal", "evil.internal", 80, False),
    ],
)
def test_entries_open_one_host_and_port(entry: str, host: str, port: int, allowed: bool) -> None:
    """An entry matches the host as the URL names it, never a part of it."""
    assert UrlPolicy(allow=[entry]).allows(host, port=port) is allowed


@pytest.mark.parametrize(
    "settings",
    [
        {"allow": ["http://host/"]},
        {"allow": ["host/path"]},
        {"allow": ["user@host"]},
        {"allow": [""]},
        {"allow": "127.0.0.1:8000"},
        {"allow": ["10.0.0.0/8"]},
        {"max_bytes": 0},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"max_redirects": -1},
        {"allowed": []},
    ],
)
def test_wrong_policies_are_refused(settings: dict[str, Any]) -> None:
    """A policy that is not understood is an error, never an open door."""
    with pytest.raises(InvalidInputError, match="UrlPolicy"):
        UrlPolicy(**settings)
