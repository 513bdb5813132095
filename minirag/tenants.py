"""`ws.tenants`: which customers there are."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, overload

from minirag._services.audit import record_of_tenant
from minirag._services.core import Core
from minirag._services.signing_in import bootstrap
from minirag._services.steps import Steps, run
from minirag.errors import InvalidInputError, TenantExistsError, TenantNotFoundError
from minirag.interfaces import TenantScope
from minirag.models.checks import check_flag, check_text, clipped
from minirag.models.erasures import ErasureReceipt
from minirag.models.keys import KeyRotation
from minirag.models.limits import Limits, check_limits
from minirag.models.moving import ExportReport, ImportReport, MoveProgress
from minirag.models.people import Bootstrap
from minirag.models.tenants import Tenant, TenantCounts
from minirag.types import new_id, utc_now

__all__ = ["Tenants"]

_SLUG: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_UNSET: Final[Any] = object()


class Tenants:
    """The tenants of a workspace. A slug is 1 to 63 lower-case letters, digits and inner hyphens."""

    def __init__(self, core: Core, scope_of: Callable[[str], TenantScope]) -> None:
        self._core = core
        self._scope_of = scope_of

    def create(self, slug: str, name: str | None = None) -> Tenant:
        """Add a tenant and return it; its name is the slug unless another is given.

        Raises:
            TenantExistsError: if the slug is taken.
        """
        now = utc_now()
        shown = check_slug(slug) if name is None else check_text("name", name, maximum=200)
        tenant = Tenant(id=new_id(), slug=check_slug(slug), name=shown, created_at=now, updated_at=now)
        self._core.check()
        with self._core.storage.directory(write=True) as directory:
            directory.insert_tenant(tenant)
            record_of_tenant(directory, tenant, "tenant.created")
        return tenant

    def bootstrap(self, slug: str, name: str | None, owner_email: str, owner_password: str) -> Bootstrap:
        """Add a tenant with an owner and a token of theirs: all of it, or nothing.

        Args:
            slug, name: as in `create`.
            owner_email, owner_password: as in `tenant.users.create`.

        Returns:
            `tenant`, `owner`, and `token`, which is shown this once and may do everything.

        Raises:
            TenantExistsError: if the slug is taken.
        """
        return run(self._bootstrap_steps(slug, name, owner_email, owner_password))

    def _bootstrap_steps(self, slug: str, name: str | None, owner_email: str, owner_password: str) -> Steps[Bootstrap]:
        """Return the steps of `bootstrap`, for either face."""
        shown = check_slug(slug) if name is None else check_text("name", name, maximum=200)
        return bootstrap(self._core, check_slug(slug), shown, owner_email, owner_password)

    def _ensure(self, slug: str) -> Tenant:
        """Return the tenant of this slug, made if there is none, whoever else may be making it."""
        try:
            return self.create(slug)
        except TenantExistsError:
            return self.get(slug)

    def get(self, slug: str) -> Tenant:
        """Return the tenant of this slug.

        Raises:
            TenantNotFoundError: if there is none.
        """
        text = check_slug(slug)
        self._core.check()
        with self._core.storage.directory() as directory:
            tenant = directory.tenant(text)
        if tenant is None:
            raise TenantNotFoundError(f"no tenant {text!r}; make it with workspace.tenants.create({text!r})")
        return tenant

    def list(self, *, counts: bool = False) -> Sequence[Tenant]:
        """Return every tenant, sorted by slug; suspended ones too.

        Args:
            counts: also give each tenant's `counts`, in two queries more whatever the number of tenants.
        """
        check_flag("counts", counts)
        self._core.check()
        with self._core.storage.directory() as directory:
            tenants = [tenant for tenant in directory.tenants() if _SLUG.fullmatch(tenant.slug)]
            if not counts:
                return tenants
            held = directory.tenant_counts()
        return [tenant.model_copy(update={"counts": held.get(tenant.id, TenantCounts())}) for tenant in tenants]

    def update(
        self,
        slug: str,
        *,
        name: str = _UNSET,
        new_slug: str = _UNSET,
        limits: Limits | Mapping[str, Any] | None = _UNSET,
    ) -> Tenant:
        """Change a tenant's name, slug or limits and return it.

        Args:
            limits: what it may hold and spend at most, in place of the limits it had; None for no limits. Such as
                `{"documents": 1000, "requests": {"day": 500}, "cost": {"month": 20}}`.

        Raises:
            TenantNotFoundError: if there is none.
            TenantExistsError: if the new slug is taken.
        """
        changes: dict[str, Any] = {}
        if name is not _UNSET:
            changes["name"] = check_text("name", name, maximum=200)
        if new_slug is not _UNSET:
            changes["slug"] = check_slug(new_slug)
        checked = None if limits is _UNSET else check_limits(limits)
        changed = self.get(slug).model_copy(update={**changes, "updated_at": utc_now()})
        with self._core.storage.directory(write=True) as directory:
            directory.update_tenant(changed)
            if checked is not None:
                directory.put_limits(changed, checked)
            record_of_tenant(directory, changed, "tenant.updated")
        return changed

    def limits(self, slug: str) -> Limits:
        """Return what a tenant may hold and spend at most; `tenant.usage.limits()` says how much of it is used.

        Raises:
            TenantNotFoundError: if there is none.
        """
        tenant = self.get(slug)
        with self._core.storage.read(self._scope_of(tenant.id)) as reader:
            return reader.limits() or Limits()

    def suspend(self, slug: str) -> Tenant:
        """Close a tenant and return it; nothing of it is lost. Suspending it again changes nothing.

        From then on every call of any session of it is a `TenantSuspendedError`, in every process: of people, of tokens and
        of the application itself. What `workspace` and `workspace.tenants` do with it goes on.

        Raises:
            TenantNotFoundError: if there is none.
        """
        return self._set_suspended(slug, utc_now())

    def resume(self, slug: str) -> Tenant:
        """Open a suspended tenant again and return it. Of one that is open it changes nothing.

        Raises:
            TenantNotFoundError: if there is none.
        """
        return self._set_suspended(slug, None)

    def _set_suspended(self, slug: str, at: dt.datetime | None) -> Tenant:
        tenant = self.get(slug)
        if (tenant.suspended_at is None) is (at is None):
            return tenant
        with self._core.storage.directory(write=True) as directory:
            directory.suspend_tenant(tenant, at)
            record_of_tenant(directory, tenant, "tenant.resumed" if at is None else "tenant.suspended")
        return self.get(slug)

    @overload
    def delete(self, slug: str, erase: Literal[False] = False) -> None: ...  # noqa: FBT002 - as below
    @overload
    def delete(self, slug: str, erase: Literal[True]) -> ErasureReceipt: ...
    def delete(self, slug: str, erase: bool = False) -> ErasureReceipt | None:  # noqa: FBT001, FBT002 - the public contract
        """Delete a tenant with everything that belongs to it, and free its slug.

        Args:
            erase: destroy all of it beyond recovery, and return the receipt.

        Raises:
            TenantNotFoundError: if there is none.
        """
        check_flag("erase", erase)
        tenant = self.get(slug)
        if erase:
            from minirag._services.erasure import erase_tenant

            return erase_tenant(self._core, self._scope_of(tenant.id), tenant)
        with self._core.storage.directory(write=True) as directory:
            directory.delete_tenant(tenant)
        self._core.partitions.forget(self._scope_of(tenant.id))
        self._core.engines.forget(tenant.id)
        return None

    def rotate_key(self, slug: str) -> KeyRotation:
        """Give a tenant a new data key and seal its bots' credentials with it; others may read and write meanwhile.

        Cut short, it can be called again and goes on. A tenant without credentials has no key, and gets none.

        Raises:
            TenantNotFoundError: if there is none.
            SecretKeyMissingError, SecretKeyMismatchError: if the master key is not there, or another one.
            SecretError: if a stored credential cannot be opened; set or remove it first.
        """
        from minirag._services.rotation import rotate_tenant_key

        tenant = self.get(slug)
        return rotate_tenant_key(self._core, self._scope_of(tenant.id))

    def export(
        self,
        slug: str,
        path: str | os.PathLike[str],
        *,
        passphrase: str | None = None,
        progress: Callable[[MoveProgress], None] | bool | None = None,
    ) -> ExportReport:
        """Write a tenant with all that belongs to it into a new file, as it is at one moment; others may write meanwhile.

        Args:
            path: where; nothing may be there.
            passphrase: takes credentials along, sealed under it; without one they are left out.
            progress: called with each step; None for a bar where one can be seen, False for none.

        Raises:
            TenantNotFoundError: if there is none.
            ConflictError: if there is something at `path`.
            StorageError: if it cannot be written; nothing is left then.
        """
        from minirag._services.exporting import export_tenant

        tenant = self.get(slug)
        scope = self._scope_of(tenant.id)
        return export_tenant(self._core, scope, tenant, path, passphrase=passphrase, progress=progress)

    def import_(
        self,
        path: str | os.PathLike[str],
        *,
        slug: str | None = None,
        passphrase: str | None = None,
        progress: Callable[[MoveProgress], None] | bool | None = None,
    ) -> ImportReport:
        """Add the tenant that `export` wrote, of whatever storage, whole or not at all. Nothing is embedded anew.

        Args:
            slug: another slug than the one it had.
            passphrase: what its credentials were sealed under; without it they are left out.
            progress: called with each step; None for a bar where one can be seen, False for none.

        Raises:
            ArchiveError: if the file is damaged, of another format version, or no archive.
            TenantExistsError: if the slug is taken.
            SecretError: if the passphrase is another one.
        """
        from minirag._services.importing import import_tenant

        return import_tenant(
            self._core, self._scope_of, path, check_slug, slug=slug, passphrase=passphrase, progress=progress
        )

    def __repr__(self) -> str:
        return "<tenants of the workspace>"


def check_slug(slug: object) -> str:
    """Return a slug that follows the rules, else raise `InvalidInputError`."""
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug):
        raise InvalidInputError(
            f"slug {clipped(slug)} must be a str of 1 to 63 lower-case letters, digits and inner hyphens, such as 'acme'"
        )
    return slug
