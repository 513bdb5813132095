"""Passwords: which ones are taken, and their Argon2id hashes. The only module that makes `argon2` hash passwords."""

from __future__ import annotations

import base64
import os
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from minirag.errors import InvalidInputError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["LONGEST", "SHORTEST", "Cost", "Passwords", "check_password"]

SHORTEST: Final = 8
LONGEST: Final = 1_024
"""Code points. NIST SP 800-63B asks for at least 8, and for no upper limit below 64; this one bounds the work."""

_SALT: Final = 16
_DIGEST: Final = 32


@dataclass(frozen=True, slots=True)
class Cost:
    """What one hash costs: Argon2id with the second recommendation of RFC 9106, for where memory is scarce."""

    passes: int = 3
    kibibytes: int = 65_536
    lanes: int = 4


def check_password(value: object) -> str:
    """Return a password that may be set, else raise `InvalidInputError`, which never shows it."""
    if not isinstance(value, str):
        raise InvalidInputError(f"password must be a str, not {type(value).__name__}")
    if not SHORTEST <= len(value) <= LONGEST:
        raise InvalidInputError(
            f"password is {len(value):,} characters long; it must have {SHORTEST} to {LONGEST:,} of them"
        )
    if not value.strip() or "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInputError("password is blank, or holds a NUL or a lone surrogate; choose another one")
    return value


class Passwords:
    """Hashes and compares passwords at one cost.

    A password is normalised to NFKC first, as NIST SP 800-63B advises: keyboards write the same character in several ways.
    """

    def __init__(self, cost: Cost | None = None) -> None:
        self.cost = cost or Cost()
        self._ready: PasswordHasher | None = None

    def hash(self, password: str) -> str:
        """Return the encoded hash of a checked password, with a salt and the cost in it."""
        return self._hasher().hash(_bytes_of(password))

    def matches(self, stored: str | None, password: str) -> bool:
        """Return whether a password is the one of a stored hash; without one it takes the same time and is not.

        What could never have been set, such as a password that is too long, is compared as well: its answer takes no less
        time.
        """
        from argon2.exceptions import InvalidHashError, VerificationError

        # What is longer than any password is cut, so that work stays bounded; one more character makes it no password at all.
        content = _bytes_of(password[: LONGEST + 1])
        try:
            self._hasher().verify(self.dummy() if stored is None else stored, content)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None and len(password) <= LONGEST

    def is_outdated(self, stored: str) -> bool:
        """Return whether a hash was made at another cost than that of now."""
        from argon2.exceptions import InvalidHashError

        try:
            return self._hasher().check_needs_rehash(stored)
        except InvalidHashError:
            return True

    def dummy(self) -> str:
        """Return a hash of no password, at this cost: random bytes, so that making it takes no time that could be told."""
        salt, digest = (_base64(os.urandom(size)) for size in (_SALT, _DIGEST))
        cost = self.cost
        return f"$argon2id$v=19$m={cost.kibibytes},t={cost.passes},p={cost.lanes}${salt}${digest}"

    def _hasher(self) -> PasswordHasher:
        if self._ready is None:
            from argon2 import PasswordHasher

            self._ready = PasswordHasher(
                time_cost=self.cost.passes,
                memory_cost=self.cost.kibibytes,
                parallelism=self.cost.lanes,
                hash_len=_DIGEST,
                salt_len=_SALT,
            )
        return self._ready


def _bytes_of(password: str) -> bytes:
    # A lone surrogate cannot have been set, but it may be asked for.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode().rstrip("=")
