"""Which IP addresses are public, and which of a host's addresses may be connected to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from minirag.errors import BlockedAddressError

if TYPE_CHECKING:
    from minirag.models.urls import UrlPolicy

__all__ = ["allowed_addresses", "is_public"]

# Written down rather than taken from `ipaddress.is_global`, whose answer changed between Python's patch releases.
# Source: the IANA registries of special-purpose IPv4 and IPv6 addresses.
_CLOSED_IPV4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # public by its number, but the host of every Azure machine
        "169.254.0.0/16",  # link-local, with the clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, with broadcast
    )
)
# Everything outside 2000::/3 is closed: loopback, link-local, unique local, multicast, IPv4-mapped and the rest.
_OPEN_IPV6: Final = ipaddress.IPv6Network("2000::/3")
_CLOSED_IPV6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, with Teredo, which embeds IPv4 addresses
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which embeds IPv4 addresses
        "3fff::/20",  # documentation
    )
)
# The one embedding that is followed: on networks without IPv4, DNS gives every IPv4 host an address of this form.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.scope_id is not None:
            return False
        if parsed not in _NAT64:
            return parsed in _OPEN_IPV6 and not any(parsed in network for network in _CLOSED_IPV6)
        parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFF_FFFF)
    return not any(parsed in network for network in _CLOSED_IPV4)


def allowed_addresses(host: str, *, port: int, resolved: Iterable[tuple[Any, ...]], policy: UrlPolicy) -> list[str]:
    """Return the addresses of `host` to connect to, in the resolver's order.

    Args:
        resolved: what `getaddrinfo` returned for the host.

    Raises:
        BlockedAddressError: one of them is not public and `policy` does not name the host.
    """
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in resolved))
    # One closed address is enough: a name that mixes public and private ones is a known way around such checks.
    if not policy.allows(host, port=port) and not all(is_public(address) for address in addresses):
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise BlockedAddressError(
            f"{shown} is not a public address and is not read. If it is meant, open it with "
            f"url_policy={{'allow': [{shown!r}]}}"
        )
    return addresses
