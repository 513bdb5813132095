"""Tokens: what an application sends instead of a password. Only their hashes are stored."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import secrets
from typing import Final

__all__ = ["hash_token", "new_token", "parse_token", "same_hash", "shown_prefix"]

_MARK: Final = "mrag"
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_IDS: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyz")
_ID_LENGTH: Final = 16
_SECRET_BITS: Final = 256
_SECRET_LENGTH: Final = 43
"""62^43 is just above 2^256."""
_SUM_LENGTH: Final = 6
"""62^6 is above 2^32."""
_LENGTH: Final = len(_MARK) + _ID_LENGTH + _SECRET_LENGTH + _SUM_LENGTH + 2


def new_token(token_id: str) -> str:
    """Return a new token `mrag_<id>_<secret><checksum>`, 71 characters of letters, digits and underscores.

    The secret is 256 random bits. The checksum is a CRC-32 of all before it: a scanner of leaked texts can tell a token from
    what only looks like one, and a mistyped one is refused without asking the database.
    """
    body = f"{shown_prefix(token_id)}_{_letters(secrets.randbits(_SECRET_BITS), _SECRET_LENGTH)}"
    return body + _checksum(body)


def shown_prefix(token_id: str) -> str:
    """Return what a listing shows of a token: its mark and its id, by which a leaked one is found, and none of its secret."""
    return f"{_MARK}_{token_id}"


def parse_token(text: str) -> str | None:
    """Return the id that a token names, or None of what is none: mistyped, cut off, or something else. Any str will do."""
    if len(text) != _LENGTH or not text.isascii():
        return None
    mark, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    if mark != _MARK or len(token_id) != _ID_LENGTH or not _IDS.issuperset(token_id) or not secret.isalnum():
        return None
    return token_id if _checksum(text[:-_SUM_LENGTH]) == text[-_SUM_LENGTH:] else None


def hash_token(token: str) -> bytes:
    """Return the SHA-256 of a token: what is stored. A slow hash would add nothing, since 256 random bits are never guessed."""
    return hashlib.sha256(token.encode()).digest()


def same_hash(one: bytes, other: bytes) -> bool:
    """Return whether two hashes are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def _checksum(body: str) -> str:
    return _letters(binascii.crc32(body.encode()), _SUM_LENGTH)


def _letters(number: int, length: int) -> str:
    """Return a number in base 62, filled up with zeros."""
    letters = []
    for _ in range(length):
        number, rest = divmod(number, 62)
        letters.append(_ALPHABET[rest])
    return "".join(reversed(letters))
