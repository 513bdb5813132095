"""Changing the master key and tenants' data keys, while others read and write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from minirag._services.audit import record
from minirag._services.core import Core
from minirag._services.locations import key_file
from minirag._services.secrets import MASTER_KEY_ID
from minirag.errors import InvalidInputError, SecretKeyMissingError
from minirag.interfaces import TenantScope
from minirag.models.keys import KeyRotation
from minirag.models.principals import APPLICATION
from minirag.security.envelope import MasterKey, generate_secret_key
from minirag.security.key_file import load_key_file, replace_key_file

__all__ = ["rotate_master_key", "rotate_tenant_key"]


def rotate_master_key(core: Core, scope_of: Callable[[str], TenantScope]) -> KeyRotation:
    """Wrap every tenant's data key with a new master key.

    First everybody is told: the new key is put in front of the old one, in the folder's key file and in the settings. Whoever
    makes a data key reads the setting while the tenant is held, so after that each tenant can be taken in turn, and no data
    key escapes. Only then is the old key forgotten. Cut short anywhere, both keys are there, and the next call goes on.
    """
    core.check()
    file = key_file(core.location)
    if file is not None and not file.exists():
        file = None
    resumed, former = _announce(core, file)
    vault = core.secrets.vault
    vault.refresh()
    tenants = wrapped = 0
    with core.storage.directory() as directory:
        everybody = directory.tenants()
    for tenant in everybody:
        tenants += 1
        scope = scope_of(tenant.id)
        with core.storage.read(scope) as reader:
            if all(key.master_key_id == vault.master_key_id for key in reader.tenant_keys()):
                continue
        with core.storage.write(scope) as writer:
            for key in writer.tenant_keys():
                if key.master_key_id != vault.master_key_id:
                    writer.put_tenant_key(vault.rewrap(key, tenant_id=tenant.id))
                    wrapped += 1
            record(writer, APPLICATION, "keys.rotated", tenant.id)
    if file is not None:
        with core.storage.directory(write=True):
            replace_key_file(file, load_key_file(file)[:1])
        vault.refresh()
    return KeyRotation(
        key_id=vault.master_key_id, former_key_ids=former, tenants=tenants, rewrapped=wrapped, resumed=resumed
    )


def _announce(core: Core, file: Path | None) -> tuple[bool, tuple[str, ...]]:
    """Make the new key the one that wraps from now on; return whether that was done before, and the former keys' ids."""
    vault = core.secrets.vault
    if vault.master_key_id is None:
        raise SecretKeyMissingError("there is no master key to change; the workspace was opened without one")
    # The write transaction keeps two that change the key at one time from each making a key of their own.
    with core.storage.directory(write=True) as directory:
        if file is not None:
            keys = load_key_file(file)
            resumed = len(keys) > 1
            if not resumed:
                keys = (MasterKey(generate_secret_key()), *keys)
                replace_key_file(file, keys)
            newest, former = keys[0].id, tuple(key.id for key in keys[1:])
        else:
            newest, former = vault.master_key_id, vault.former_key_ids
            if not former:
                raise InvalidInputError(
                    "the workspace knows one master key only; open it with secret_key=[new, old], where new is made by "
                    "minirag.generate_secret_key(), in every process, and call this again"
                )
            resumed = directory.setting(MASTER_KEY_ID) == newest
        directory.put_setting(MASTER_KEY_ID, newest)
    return resumed, former


def rotate_tenant_key(core: Core, scope: TenantScope) -> KeyRotation:
    """Give the tenant a new data key, seal its credentials with it, and delete the former ones.

    Cut short, both keys are there, and the next call goes on with the newest.
    """
    core.check()
    secrets = core.secrets
    with core.storage.write(scope) as writer:
        keys = writer.tenant_keys()
        if not keys:
            return KeyRotation(key_id=None, former_key_ids=(), tenants=1, rewrapped=0, resumed=False)
        resumed = len(keys) > 1
        newest = keys[0] if resumed else secrets.add_tenant_key(writer, scope)
        former = tuple(key.id for key in keys if key.id != newest.id)
        bots = [bot.id for bot in writer.bots()]
    sealed = 0
    for bot_id in bots:
        with core.storage.write(scope) as writer:
            sealed += secrets.reseal(writer, scope, bot_id)
    with core.storage.write(scope) as writer:
        # Credentials stored since then were sealed with the newest key; those of a bot made anew meanwhile as well.
        sealed += sum(secrets.reseal(writer, scope, bot.id) for bot in writer.bots())
        for key_id in former:
            writer.delete_tenant_key(key_id)
        record(writer, APPLICATION, "keys.rotated", newest.id)
    return KeyRotation(key_id=newest.id, former_key_ids=former, tenants=1, rewrapped=sealed, resumed=resumed)
