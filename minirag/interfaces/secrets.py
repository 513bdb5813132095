"""What a storage's reader and writer do with data keys and credentials, all of them sealed: parts of `Reader` and `Writer`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

from minirag.interfaces.records import SecretRecord, TenantKey

__all__ = ["SecretReader", "SecretWriter"]


class SecretReader(ABC):
    """Reads a tenant's sealed keys and credentials; part of `Reader`."""

    @abstractmethod
    def tenant_keys(self) -> list[TenantKey]:
        """Return the tenant's wrapped data keys, newest first."""

    @abstractmethod
    def secrets(self, bot_id: str) -> list[SecretRecord]:
        """Return the bot's encrypted credentials, sorted by field."""


class SecretWriter(ABC):
    """Writes a tenant's sealed keys and credentials; part of `Writer`."""

    @abstractmethod
    def put_tenant_key(self, key: TenantKey) -> None:
        """Insert a wrapped data key, or write it anew as another master key wraps it."""

    @abstractmethod
    def put_secrets(self, bot_id: str, secrets: Mapping[str, str]) -> None:
        """Replace the bot's credentials: ciphertext by field. A field of the mapping that exists is overwritten, others stay."""

    @abstractmethod
    def delete_secrets(self, bot_id: str, fields: Collection[str]) -> None:
        """Delete credentials by field."""

    @abstractmethod
    def delete_tenant_key(self, key_id: str) -> None:
        """Delete a data key. What was sealed with it can never be opened again."""
