"""Credentials under a passphrase, as they travel in an archive: a key that Argon2id derives, and Fernet."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any, Final

from minirag.errors import InvalidInputError, SecretError
from minirag.models.base import Model

__all__ = ["SealedBox", "open_box", "seal_box"]

_SALT: Final = 16
_KEY: Final = 32
_PASSES: Final = 3
_KIBIBYTES: Final = 65_536
_LANES: Final = 4
"""What RFC 9106 recommends where memory is scarce."""
_MOST_PASSES: Final = 16
_MOST_KIBIBYTES: Final = 1_048_576
_MOST_LANES: Final = 16


class SealedBox(Model):
    """What is needed to open it with the passphrase: all of it may be read by anybody.

    Attributes:
        salt: 16 random bytes, hexadecimal.
        passes, kibibytes, lanes: the cost of Argon2id (version 1.3, a key of 32 bytes).
        token: a Fernet token of JSON.
    """

    salt: str
    passes: int
    kibibytes: int
    lanes: int
    token: str


def seal_box(passphrase: str, content: Mapping[str, Any]) -> SealedBox:
    """Return the content, which is JSON, sealed with a passphrase."""
    from cryptography.fernet import Fernet

    salt = os.urandom(_SALT)
    key = _derived(passphrase, salt, passes=_PASSES, kibibytes=_KIBIBYTES, lanes=_LANES)
    token = Fernet(key).encrypt(json.dumps(content).encode()).decode()
    return SealedBox(salt=salt.hex(), passes=_PASSES, kibibytes=_KIBIBYTES, lanes=_LANES, token=token)


def open_box(passphrase: str, box: SealedBox) -> Any:
    """Return what was sealed.

    Raises:
        SecretError: if the passphrase is another one, or the box is damaged.
        InvalidInputError: if the box asks for more work than is reasonable, or makes no sense.
    """
    from cryptography.fernet import Fernet, InvalidToken

    most = {"passes": _MOST_PASSES, "kibibytes": _MOST_KIBIBYTES, "lanes": _MOST_LANES}
    costs = {name: getattr(box, name) for name in most}
    if any(not 1 <= cost <= most[name] for name, cost in costs.items()) or box.kibibytes < 8 * box.lanes:
        raise InvalidInputError(f"the cost of the passphrase's key, {costs}, is beyond what is reasonable: {most}")
    try:
        salt = bytes.fromhex(box.salt)
    except ValueError:
        salt = b""
    if len(salt) != _SALT:
        raise InvalidInputError(f"the salt of the passphrase's key must be {_SALT} bytes, hexadecimal")
    key = _derived(passphrase, salt, passes=box.passes, kibibytes=box.kibibytes, lanes=box.lanes)
    try:
        return json.loads(Fernet(key).decrypt(box.token.encode()))
    except (InvalidToken, ValueError):
        # The cause is left out: an error of the JSON decoder holds the plaintext.
        raise SecretError(
            "the credentials cannot be opened: this is not the passphrase they were sealed with"
        ) from None


def _derived(passphrase: str, salt: bytes, *, passes: int, kibibytes: int, lanes: int) -> bytes:
    from argon2.low_level import Type, hash_secret_raw

    raw = hash_secret_raw(
        passphrase.encode(),
        salt,
        time_cost=passes,
        memory_cost=kibibytes,
        parallelism=lanes,
        hash_len=_KEY,
        type=Type.ID,
    )
    return base64.urlsafe_b64encode(raw)
