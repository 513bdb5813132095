"""Credentials of bots: sealed under the tenant's key before they are stored, opened only for the engine that needs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from minirag.errors import InvalidInputError, SecretError, SecretKeyMissingError
from minirag.interfaces import Storage, TenantScope
from minirag.interfaces.records import TenantKey
from minirag.interfaces.storage import Reader, Writer
from minirag.models.checks import check_text, clipped
from minirag.models.credentials import check_credential_name, credentials_of
from minirag.security.envelope import Vault

__all__ = ["MASTER_KEY_ID", "EngineCredentials", "Secrets", "check_credentials"]

MASTER_KEY_ID: Final = "master_key_id"
"""The setting that names the master key which wraps new data keys."""


def check_credentials(credentials: object) -> dict[str, str | None]:
    """Return credentials as a dict, or raise `InvalidInputError`, which names fields and never values.

    None stands for a credential that is to be removed.
    """
    if not isinstance(credentials, Mapping):
        raise InvalidInputError(f"credentials must be a mapping of names to str, not {type(credentials).__name__}")
    checked: dict[str, str | None] = {}
    for name, value in credentials.items():
        check_credential_name(name)
        if value is not None and not isinstance(value, str):
            raise InvalidInputError(
                f"credential {clipped(name)} must be a str, or None to remove it, not {type(value).__name__}"
            )
        if value is not None:
            # Keys of several lines are fine; the value is not in the message of any fault that this can find.
            check_text(f"credential {clipped(name)}", value)
        checked[name] = value
    return checked


class EngineCredentials(Mapping[str, str]):
    """Those of a bot's credentials that one of its engines is given, under the names that the engine knows."""

    def __init__(self, engine: str, credentials: Mapping[str, str]) -> None:
        self._stored_names = credentials_of(engine, credentials)
        self._credentials = credentials

    def __getitem__(self, name: str) -> str:
        return self._credentials[self._stored_names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored_names)

    def __len__(self) -> int:
        return len(self._stored_names)

    def __repr__(self) -> str:
        return f"<credentials {', '.join(self._stored_names)}>"


class _SealedCredentials(Mapping[str, str]):
    """A bot's credentials by name, opened when one is first asked for: an engine that needs none needs no key."""

    def __init__(self, secrets: Secrets, scope: TenantScope, bot_id: str, fields: Sequence[str]) -> None:
        self._fields = tuple(fields)
        self._open = partial(secrets.open, scope, bot_id)
        self._opened: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        if name not in self._fields:
            raise KeyError(name)
        if self._opened is None:
            self._opened = self._open()
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"<credentials {', '.join(self._fields)}>"


class Secrets:
    """Seals and opens the credentials of a workspace's bots."""

    def __init__(self, storage: Storage, vault: Vault) -> None:
        self._storage = storage
        self._vault = vault

    @property
    def vault(self) -> Vault:
        """What seals and opens, for a change of keys."""
        return self._vault

    @property
    def master_key_id(self) -> str | None:
        """The master key's id, or None without one."""
        return self._vault.master_key_id

    def master_key_line(self) -> bytes | None:
        """Return the master key as a key file holds it, for a backup that is to have one; None unless it is nowhere but here."""
        return self._vault.master_key_line()

    def put(self, writer: Writer, scope: TenantScope, bot_id: str, changes: Mapping[str, str | None]) -> None:
        """Seal credentials, or remove those that are None, inside a write transaction.

        The tenant gets its data key when it first needs one.
        """
        removed = [field for field, value in changes.items() if value is None]
        if removed:
            writer.delete_secrets(bot_id, removed)
        credentials = {field: value for field, value in changes.items() if value is not None}
        if not credentials:
            return
        keys = writer.tenant_keys() or [self.add_tenant_key(writer, scope)]
        sealed = {
            field: self._vault.seal(keys[0], tenant_id=scope.tenant_id, bot_id=bot_id, field=field, value=value)
            for field, value in credentials.items()
        }
        writer.put_secrets(bot_id, sealed)

    def add_tenant_key(self, writer: Writer, scope: TenantScope) -> TenantKey:
        """Give the tenant a new data key, which is its newest then, inside a write transaction."""
        # Read while the tenant is held: whoever changes the master key says so first, and then takes each tenant in turn. So
        # this key is either wrapped by the new one, or is there for the change to wrap anew.
        with self._storage.directory() as directory:
            current = directory.setting(MASTER_KEY_ID)
        key = self._vault.new_tenant_key(tenant_id=scope.tenant_id, master_key_id=current)
        writer.put_tenant_key(key)
        return key

    def reseal(self, writer: Writer, scope: TenantScope, bot_id: str) -> int:
        """Seal those of the bot's credentials anew that were not sealed with the tenant's newest key; return how many."""
        keys = writer.tenant_keys()
        old = [record for record in writer.secrets(bot_id) if self._vault.sealed_with(record.ciphertext) != keys[0].id]
        opened = {
            record.field: self._vault.open(
                keys, record.ciphertext, tenant_id=scope.tenant_id, bot_id=bot_id, field=record.field
            )
            for record in old
        }
        self.put(writer, scope, bot_id, opened)
        return len(old)

    def sealed(self, scope: TenantScope, bot_id: str, fields: Sequence[str]) -> Mapping[str, str]:
        """Return the bot's credentials as a mapping that is opened when one is first asked for."""
        return _SealedCredentials(self, scope, bot_id, fields)

    def open(self, scope: TenantScope, bot_id: str) -> dict[str, str]:
        """Return the bot's credentials.

        Raises:
            SecretKeyMissingError: if there are some but no master key.
            SecretError: if one cannot be opened, or belongs to another tenant, bot or field.
        """
        with self._storage.read(scope) as reader:
            return self.opened(reader, scope, bot_id)

    def opened(self, reader: Reader, scope: TenantScope, bot_id: str) -> dict[str, str]:
        """Return the bot's credentials as a view has them; raises as `open` does."""
        records, keys = reader.secrets(bot_id), reader.tenant_keys()
        return {
            record.field: self._vault.open(
                keys, record.ciphertext, tenant_id=scope.tenant_id, bot_id=bot_id, field=record.field
            )
            for record in records
        }

    def faults(self, scope: TenantScope, bot_id: str) -> tuple[frozenset[str], dict[str, str]]:
        """Return the names of the bot's credentials, and why those that cannot be opened cannot.

        Raises:
            SecretKeyMissingError: if there are some but no master key.
        """
        with self._storage.read(scope) as reader:
            records, keys = reader.secrets(bot_id), reader.tenant_keys()
        faults: dict[str, str] = {}
        for record in records:
            try:
                self._vault.open(keys, record.ciphertext, tenant_id=scope.tenant_id, bot_id=bot_id, field=record.field)
            except SecretKeyMissingError:
                raise
            except SecretError as problem:
                faults[record.field] = str(problem)
        return frozenset(record.field for record in records), faults
