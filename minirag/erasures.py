"""`ws.erasures`: what was destroyed beyond recovery in a workspace, and what of it is left to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minirag._services.core import Core
from minirag._services.purging import finish, shown_receipt
from minirag.errors import NotFoundError
from minirag.interfaces import TenantScope
from minirag.models.checks import check_text, clipped
from minirag.models.erasures import ErasureReceipt

__all__ = ["Erasures"]


class Erasures:
    """The receipts of all erasures of a workspace; they outlive the bots and tenants that they are about."""

    def __init__(self, core: Core, scope_of: Callable[[str], TenantScope]) -> None:
        self._core = core
        self._scope_of = scope_of

    def list(self) -> Sequence[ErasureReceipt]:
        """Return every receipt, newest first."""
        self._core.check()
        with self._core.storage.directory() as directory:
            records = directory.erasures()
            slugs = {tenant.id: tenant.slug for tenant in directory.tenants()}
        return [shown_receipt(record.receipt, slugs) for record in reversed(records)]

    def get(self, erasure_id: str) -> ErasureReceipt:
        """Return the receipt of this id.

        Raises:
            NotFoundError: if there is none.
        """
        name = check_text("erasure_id", erasure_id, maximum=100)
        self._core.check()
        with self._core.storage.directory() as directory:
            records = directory.erasures(erasure_id=name)
            slugs = {tenant.id: tenant.slug for tenant in directory.tenants()}
        if not records:
            raise NotFoundError(f"there is no erasure {clipped(name)}; workspace.erasures.list() shows them")
        return shown_receipt(records[0].receipt, slugs)

    def resume(self) -> Sequence[ErasureReceipt]:
        """Go on with every erasure that is pending, oldest first, and return their receipts as they are now.

        It finishes what a killed process began, and what another process held up. It may be called at any time, and by
        several at once.
        """
        self._core.check()
        with self._core.storage.directory() as directory:
            records = directory.erasures(pending=True)
        return [finish(self._core, self._scope_of(record.receipt.tenant), record) for record in records]

    def __repr__(self) -> str:
        return "<erasures of the workspace>"
