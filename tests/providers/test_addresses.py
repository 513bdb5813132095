"""Which addresses belong to the public internet."""

from __future__ import annotations

import pytest

from minirag.providers.http.addresses import is_public


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("8.8.8.8", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::808:808", True),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::808:808", False),
        ("168.63.129.16", False),
        ("192.0.0.192", False),
        ("198.19.0.1", False),
        ("203.0.113.7", False),
        ("240.0.0.1", False),
        ("100.127.255.255", False),
        ("100.128.0.1", True),
        ("2001:0:7f00:1::", False),
        ("2001:db8::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:8.8.8.8", False),
        ("fe80::1%1", False),
        ("3fff::1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    """Only the public internet is public."""
    assert is_public(address) is public
