"""`ws.tenants`: which customers there are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from minirag._services.core import Core
from minirag.errors import InvalidInputError, TenantExistsError, TenantNotFoundError
from minirag.interfaces import TenantScope
from minirag.models.checks import check_text, clipped
from minirag.models.moving import ExportReport, ImportReport, MoveProgress
from minirag.models.tenants import Tenant
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
        return tenant

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

    def list(self) -> Sequence[Tenant]:
        """Return every tenant, sorted by slug."""
        self._core.check()
        with self._core.storage.directory() as directory:
            return [tenant for tenant in directory.tenants() if _SLUG.fullmatch(tenant.slug)]

    def update(self, slug: str, *, name: str = _UNSET, new_slug: str = _UNSET) -> Tenant:
        """Change a tenant's name or slug and return it.

        Raises:
            TenantNotFoundError: if there is none.
            TenantExistsError: if the new slug is taken.
        """
        changes: dict[str, Any] = {}
        if name is not _UNSET:
            changes["name"] = check_text("name", name, maximum=200)
        if new_slug is not _UNSET:
            changes["slug"] = check_slug(new_slug)
        changed = self.get(slug).model_copy(update={**changes, "updated_at": utc_now()})
        with self._core.storage.directory(write=True) as directory:
            directory.update_tenant(changed)
        return changed

    def delete(self, slug: str) -> None:
        """Delete a tenant with everything that belongs to it, and free its slug.

        Raises:
            TenantNotFoundError: if there is none.
        """
        tenant = self.get(slug)
        with self._core.storage.directory(write=True) as directory:
            directory.delete_tenant(tenant)
        self._core.partitions.forget(self._scope_of(tenant.id))
        self._core.engines.forget(tenant.id)

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
