"""Credentials of bots: sealed under the tenant's key before they are stored, opened only for the engine that needs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from minirag.errors import InvalidInputError, SecretError, SecretKeyMissingError
from minirag.interfaces import Storage, TenantScope
from minirag.interfaces.storage import Reader, Writer
from minirag.models.checks import check_text, clipped
from minirag.security.envelope import Vault

__all__ = ["Secrets", "check_credentials"]


def check_credentials(credentials: object) -> dict[str, str | None]:
    """Return credentials as a dict, or raise `InvalidInputError`, which names fields and never values.

    None stands for a credential that is to be removed.
    """
    if not isinstance(credentials, Mapping):
        raise InvalidInputError(f"credentials must be a mapping of names to str, not {type(credentials).__name__}")
    checked: dict[str, str | None] = {}
    for name, value in credentials.items():
        check_text("a credential's name", name, maximum=100)
        if value is not None and not isinstance(value, str):
            raise InvalidInputError(
                f"credential {clipped(name)} must be a str, or None to remove it, not {type(value).__name__}"
            )
        if value is not None:
            # Keys of several lines are fine; the value is not in the message of any fault that this can find.
            check_text(f"credential {clipped(name)}", value)
        checked[name] = value
    return checked


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
    def master_key_id(self) -> str | None:
        """The master key's id, or None without one."""
        return self._vault.master_key_id

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
        keys = writer.tenant_keys()
        if not keys:
            key = self._vault.new_tenant_key(tenant_id=scope.tenant_id)
            writer.put_tenant_key(key)
            keys = [key]
        sealed = {
            field: self._vault.seal(keys[0], tenant_id=scope.tenant_id, bot_id=bot_id, field=field, value=value)
            for field, value in credentials.items()
        }
        writer.put_secrets(bot_id, sealed)

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
