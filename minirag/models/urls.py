"""URLs as documents' addresses: their normal form, and which of them a workspace may read."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from pydantic import Field, field_validator

from minirag.errors import InvalidInputError
from minirag.models.base import InputModel

__all__ = ["UrlPolicy", "display_url", "normalize_url", "split_url"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_CHARACTERS = 8_000
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE = "/!$&'()*+,;=:@%"
_QUERY_SAFE = _PATH_SAFE + "?"
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class UrlPolicy(InputModel):
    """Which URLs a workspace may read, and how much of them.

    Only public addresses are read, whatever a host's name resolves to and wherever a redirect leads. `allow` opens
    single others.

    Attributes:
        enabled: whether URLs are read at all.
        allow: hosts whose address need not be public, as they stand in the URL: `"127.0.0.1:8000"`,
            `"wiki.example.internal:443"`. Without a port, ports 80 and 443 are meant.
        max_bytes: the largest page, in bytes, before and after decompression.
        timeout: seconds one URL may take altogether, redirects included.
        max_redirects: how many redirects are followed.
        media_types: what may be read, such as `"text/*"` or `"application/pdf"`. A page without a type is read.
    """

    enabled: bool = True
    allow: tuple[str, ...] = ()
    max_bytes: int = Field(default=20_000_000, ge=1)
    timeout: float = Field(default=20.0, gt=0, allow_inf_nan=False)
    max_redirects: int = Field(default=5, ge=0, le=50)
    media_types: tuple[str, ...] = (
        "text/*",
        "application/json",
        "application/ld+json",
        "application/x-ndjson",
        "application/xhtml+xml",
        "application/xml",
        "application/pdf",
        "application/vnd.openxmlformats-officedocument.*",
        "application/vnd.oasis.opendocument.*",
        "application/rtf",
        "application/epub+zip",
        "application/octet-stream",
        "binary/octet-stream",
    )

    @field_validator("allow")
    @classmethod
    def _normal_entries(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_allow_entry(entry) for entry in entries)

    def allows(self, host: str, *, port: int) -> bool:
        """Return whether `allow` names this host (in normal form, without brackets) and port."""
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{port}" in self.allow or (port in _DEFAULT_PORTS.values() and shown in self.allow)

    def takes(self, media_type: str | None) -> bool:
        """Return whether a page of this media type may be read."""
        if media_type is None:
            return True
        return any(
            media_type.startswith(known[:-1]) if known.endswith("*") else media_type == known
            for known in self.media_types
        )


def normalize_url(url: str) -> str:
    """Return the one form of `url` that all its spellings share.

    Scheme and host in lower case, the host as ASCII (IDNA) or as the usual form of its IP address, no default port, no
    fragment, no dot segments, `/` for an empty path, percent escapes only where needed and in upper case.

    Raises:
        InvalidInputError: not an http or https URL, or one that holds a user name or password.
    """
    parts = split_url(url)
    path = _without_dot_segments(_normal_escapes(parts.path or "/", safe=_PATH_SAFE))
    query = _normal_escapes(parts.query, safe=_QUERY_SAFE)
    host = _normal_host(parts.hostname or "", url=url)
    shown = f"[{host}]" if ":" in host else host
    port = parts.port
    authority = shown if port is None or port == _DEFAULT_PORTS[parts.scheme] else f"{shown}:{port}"
    return f"{parts.scheme}://{authority}{path}" + (f"?{query}" if query else "")


def display_url(url: str) -> str:
    """Return `url` without user name, password, query and fragment, which may hold secrets: for messages."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*:/*)?([^?#]*)", url)
    scheme, rest = (match[1] or "", match[2]) if match else ("", "")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{authority.rpartition('@')[2]}{slash}{path}"[:300]


def split_url(url: Any) -> SplitResult:
    """Return the parts of an http or https URL that has a host and names no user."""
    if not isinstance(url, str):
        raise InvalidInputError(f"a URL must be a str, not {type(url).__name__}")
    shown = display_url(url)
    if len(url) > _MAX_CHARACTERS:
        raise InvalidInputError(f"URL {shown!r}...: longer than {_MAX_CHARACTERS} characters")
    # `urlsplit` deletes tabs and line ends and other parsers read a backslash as a slash: what one program checks
    # would not be what another connects to.
    if any(character <= " " or character in "\\\x7f" or "\ud800" <= character <= "\udfff" for character in url):
        raise InvalidInputError(f"URL {shown!r}: holds white space, a backslash or a control character; escape it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise InvalidInputError(f"URL {shown!r}: its host or port cannot be read") from problem
    if parts.scheme not in _DEFAULT_PORTS:
        raise InvalidInputError(f"URL {shown!r}: must begin with http:// or https://")
    if "@" in parts.netloc:
        raise InvalidInputError(f"URL {shown!r}: must not hold a user name or password; leave them out")
    if ("[" in parts.netloc) != (":" in (parts.hostname or "")):
        raise InvalidInputError(f"URL {shown!r}: only an IPv6 address stands in brackets")
    if not parts.hostname or port == 0:
        raise InvalidInputError(f"URL {shown!r}: names no host, or port 0")
    return parts


def _allow_entry(entry: str) -> str:
    try:
        parts = split_url(f"http://{entry}")
    except InvalidInputError:
        parts = None
    if parts is None or parts.path or parts.query or parts.fragment:
        raise ValueError(f"{entry!r} is not a host and port such as '127.0.0.1:8000'")
    host = _normal_host(parts.hostname or "", url=entry)
    shown = f"[{host}]" if ":" in host else host
    return shown if parts.port is None else f"{shown}:{parts.port}"


def _normal_host(host: str, *, url: str) -> str:
    shown = display_url(url)
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError as problem:
            raise InvalidInputError(f"URL {shown!r}: its host is not an IPv6 address") from problem
        if address.scope_id is not None:
            raise InvalidInputError(f"URL {shown!r}: an address with a zone cannot be read")
        if address.ipv4_mapped is not None:
            # From 3.13 on Python writes the last part as an IPv4 address; the form must not depend on that.
            number = int(address.ipv4_mapped)
            return f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}"
        return address.compressed
    if not host.isascii():
        import idna

        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError as problem:
            raise InvalidInputError(f"URL {shown!r}: its host is not a valid name") from problem
    labels = host.lower().removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _usual_ipv4(labels, shown=shown)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidInputError(f"URL {shown!r}: its host is not a valid name")
    return ".".join(labels)


def _usual_ipv4(labels: list[str], *, shown: str) -> str:
    """Return an IPv4 address in four decimal numbers.

    Resolvers and browsers also take one to four numbers, each decimal, octal (`0177`) or hexadecimal (`0x7f`), the
    last of which fills the remaining bytes. Source: WHATWG URL standard, "IPv4 parser".
    """
    try:
        numbers = [_number(label) for label in labels]
        if len(numbers) > 4 or any(number > 255 for number in numbers[:-1]):
            raise ValueError("not an IPv4 address")
        high = sum(number << 8 * (3 - place) for place, number in enumerate(numbers[:-1]))
        if numbers[-1] >= 1 << 8 * (5 - len(numbers)):
            raise ValueError("not an IPv4 address")
        return str(ipaddress.IPv4Address(high + numbers[-1]))
    except ValueError as problem:
        raise InvalidInputError(f"URL {shown!r}: its host is neither a name nor an IPv4 address") from problem


def _number(label: str) -> int:
    if len(label) > 20:
        raise ValueError("not an IPv4 address")
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8) if label.startswith("0") else int(label)


def _normal_escapes(text: str, *, safe: str) -> str:
    def shorten(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else match[0].upper()

    whole = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)
    return quote(re.sub(r"%([0-9A-Fa-f]{2})", shorten, whole), safe=safe)


def _without_dot_segments(path: str) -> str:
    """Return an absolute path without `.` and `..`. Source: RFC 3986, section 5.2.4."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
