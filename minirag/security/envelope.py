"""Envelope encryption: credentials under a tenant's data key, that key under the workspace's master key.

Fernet (AES-128-CBC with HMAC-SHA-256) is the cipher of both. What is encrypted is a record that names what it belongs
to, and the name is checked when it is opened: a ciphertext copied to another tenant, bot or field is of no use there.
This is the only module that imports `cryptography`, and it does so when something is first sealed or opened.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from minirag.errors import InvalidInputError, SecretError, SecretKeyMismatchError, SecretKeyMissingError
from minirag.interfaces.records import TenantKey
from minirag.types import new_id, utc_now

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

__all__ = ["MasterKey", "SecretKey", "Vault", "generate_secret_key"]

SecretKey: TypeAlias = str | bytes | Sequence[str | bytes]
"""A master key as an application gives it, or several of them, the newest first."""

_FORM: Final = "v1"
"""The stored form `v1:<id of the tenant's key>:<Fernet token>`."""


def generate_secret_key() -> str:
    """Return a new random master key: 32 bytes as 44 characters of URL-safe base64. Keep it apart from the data."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


class MasterKey:
    """The key that wraps every tenant's data key. Neither its repr nor any message shows it."""

    __slots__ = ("__text", "id", "made_here")

    def __init__(self, key: str | bytes, *, place: str = "the secret key", made_here: bool = False) -> None:
        """Take a key as `generate_secret_key` makes it; `place` says in errors where it came from.

        Args:
            made_here: whether the workspace made it, and has it nowhere but in memory.

        Raises:
            SecretError: if it is none.
        """
        self.made_here: Final = made_here
        self.__text: Final = _checked_key(key, place)
        raw = base64.urlsafe_b64decode(self.__text)
        # A digest of 256 random bits tells nothing about them; the prefix keeps it apart from any other use of the key.
        self.id: Final = hashlib.sha256(b"minirag master key id\x00" + raw).hexdigest()[:16]
        """16 hexadecimal digits that name the key. They are stored beside what it wraps."""

    def cipher(self) -> Fernet:
        """Return the cipher of this key, for `Vault` alone."""
        return _cipher(self.__text)

    def line(self) -> bytes:
        """Return the key as a key file holds it, for such a file alone."""
        return f"{self.__text}\n".encode()

    def __repr__(self) -> str:
        return f"MasterKey(id={self.id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a MasterKey cannot be pickled or copied; give the other process the key itself")


class Vault:
    """Seals and opens credentials. Without a master key it opens nothing and says so.

    Args:
        keys: the master keys, the newest first; former ones open what they once wrapped.
        reload: returns the master keys there are now, the newest first: asked when a data key is met that none of those known
            wrapped, since another process may have changed the master key.
    """

    def __init__(self, *keys: MasterKey, reload: Callable[[], Sequence[MasterKey]] | None = None) -> None:
        self._keys = keys
        self._reload = reload

    @property
    def master_key_id(self) -> str | None:
        """The master key's id, or None without one."""
        return self._keys[0].id if self._keys else None

    @property
    def former_key_ids(self) -> tuple[str, ...]:
        """The ids of the other master keys."""
        return tuple(key.id for key in self._keys[1:])

    def refresh(self) -> None:
        """Read the master keys anew, where they can have changed."""
        if self._reload is not None and self._keys:
            self._keys = tuple(self._reload())

    def master_key_line(self) -> bytes | None:
        """Return the master key as a key file holds it, for such a file alone; None unless it is nowhere but here."""
        return self._keys[0].line() if self._keys and self._keys[0].made_here else None

    def new_tenant_key(self, *, tenant_id: str, master_key_id: str | None = None) -> TenantKey:
        """Return a new random data key for a tenant, wrapped by the master key of this id, else by the newest.

        Raises:
            SecretKeyMissingError: without a master key.
            SecretKeyMismatchError: if none of the master keys has this id.
        """
        master = self._present_master()
        if master_key_id is not None:
            master = self._known(master_key_id, "a new data key is to be")
        key_id = new_id()
        record = {"use": "tenant key", "tenant": tenant_id, "id": key_id, "key": generate_secret_key()}
        return TenantKey(
            id=key_id, wrapped=_encrypted(master.cipher(), record), master_key_id=master.id, created_at=utc_now()
        )

    def rewrap(self, tenant_key: TenantKey, *, tenant_id: str) -> TenantKey:
        """Return a tenant's data key as the master key wraps it, whichever known one wrapped it before.

        Raises:
            SecretKeyMissingError, SecretKeyMismatchError: if no master key is there, or none that wrapped it.
            SecretError: if the data key is not this tenant's.
        """
        master = self._present_master()
        record = self._unwrapped_record(tenant_key, tenant_id)
        return dataclasses.replace(tenant_key, wrapped=_encrypted(master.cipher(), record), master_key_id=master.id)

    def sealed_with(self, stored: str) -> str:
        """Return the id of the data key that a stored credential was sealed with."""
        return stored.split(":", 2)[1] if stored.count(":") > 1 else ""

    def seal(self, tenant_key: TenantKey, *, tenant_id: str, bot_id: str, field: str, value: str) -> str:
        """Return the stored form of a credential; only `open` with the same tenant, bot and field reads it.

        Raises:
            SecretKeyMissingError, SecretKeyMismatchError: if the master key is not there, or another one.
            SecretError: if the data key is not this tenant's.
        """
        if not isinstance(value, str):
            raise InvalidInputError(f"the credential {field!r} must be a str, not {type(value).__name__}")
        record = {"use": "credential", "tenant": tenant_id, "bot": bot_id, "field": field, "value": value}
        token = _encrypted(self._unwrapped(tenant_key, tenant_id), record)
        return f"{_FORM}:{tenant_key.id}:{token}"

    def open(self, tenant_keys: Iterable[TenantKey], stored: str, *, tenant_id: str, bot_id: str, field: str) -> str:
        """Return the credential that `seal` stored.

        Raises:
            SecretKeyMissingError, SecretKeyMismatchError: if the master key is not there, or another one.
            SecretError: if it belongs to another tenant, bot or field, its data key is gone, or it is damaged.
        """
        what = f"the credential {field!r}"
        form, _, rest = stored.partition(":")
        key_id, _, token = rest.partition(":")
        if form != _FORM or not token:
            raise SecretError(f"{what} is not stored in a form that this release reads ({_FORM!r}); set it again")
        tenant_key = next((key for key in tenant_keys if key.id == key_id), None)
        if tenant_key is None:
            raise SecretError(f"{what} was sealed with the data key {key_id!r}, which the tenant does not have")
        record = _decrypted(self._unwrapped(tenant_key, tenant_id), token, what)
        value = record.pop("value", None)
        if not isinstance(value, str) or record != {
            "use": "credential",
            "tenant": tenant_id,
            "bot": bot_id,
            "field": field,
        }:
            raise SecretError(f"{what} was sealed for another tenant, bot or field; set it again")
        return value

    def _unwrapped(self, tenant_key: TenantKey, tenant_id: str) -> Fernet:
        return _cipher(self._unwrapped_record(tenant_key, tenant_id)["key"])

    def _unwrapped_record(self, tenant_key: TenantKey, tenant_id: str) -> dict[str, str]:
        """Return the record of a data key, after it was found to be this tenant's."""
        what = f"the tenant's data key {tenant_key.id!r}"
        record = _decrypted(self._known(tenant_key.master_key_id, f"{what} was").cipher(), tenant_key.wrapped, what)
        key = record.pop("key", None)
        expected = {"use": "tenant key", "tenant": tenant_id, "id": tenant_key.id}
        if not isinstance(key, str) or record != expected:
            raise SecretError(f"{what} was made for another tenant")
        return {**expected, "key": key}

    def _known(self, key_id: str, what: str) -> MasterKey:
        """Return the master key of this id; `what` says in the error what it is about."""
        master = self._present_master()
        for _ in range(2):
            for known in self._keys:
                if known.id == key_id:
                    return known
            self.refresh()
        raise SecretKeyMismatchError(
            f"{what} wrapped by the master key {key_id!r}, but the workspace was opened with {master.id!r}; open it with"
            " the key it was made with, or, where the key was changed, with the new one"
        )

    def _present_master(self) -> MasterKey:
        if not self._keys:
            raise SecretKeyMissingError(
                "this needs the workspace's master key, and none was given or found; open the workspace with"
                " secret_key=… (minirag.generate_secret_key() makes one for a new workspace)"
            )
        return self._keys[0]


def _checked_key(key: object, place: str) -> str:
    remedy = "a key is 44 characters of URL-safe base64 for 32 bytes; minirag.generate_secret_key() makes one"
    if not isinstance(key, str | bytes):
        raise SecretError(f"{place} must be a str or bytes, not {type(key).__name__}; {remedy}")
    try:
        text = (key.decode("ascii") if isinstance(key, bytes) else key).strip()
        # Python's decoder skips what is not base64, so the result is compared with what was given.
        valid = len(text) == 44 and base64.urlsafe_b64encode(base64.urlsafe_b64decode(text)).decode() == text
    except ValueError:
        valid = False
    if not valid:
        raise SecretError(f"{place} is malformed or damaged; {remedy}")
    return text


def _cipher(key: str) -> Fernet:
    from cryptography.fernet import Fernet  # takes 0.1 s, and most runs of a program touch no credential

    return Fernet(key)


def _encrypted(cipher: Fernet, record: dict[str, str]) -> str:
    return cipher.encrypt(json.dumps(record).encode()).decode()


def _decrypted(cipher: Fernet, token: str, what: str) -> dict[str, object]:
    from cryptography.fernet import InvalidToken

    try:
        record = json.loads(cipher.decrypt(token.encode()))
    except (InvalidToken, ValueError):
        # The cause is left out: an error of the JSON decoder holds the plaintext.
        raise SecretError(f"{what} cannot be opened: it is damaged, or was made with another key") from None
    if not isinstance(record, dict):
        raise SecretError(f"{what} cannot be opened: it holds no record")
    return record
