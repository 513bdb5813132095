"""`TenantScope`: the proof that a tenant was resolved, without which no data can be reached."""

from __future__ import annotations

from typing import Any, Final, NoReturn

__all__ = ["TenantScope"]

_MINT: Final = object()


class TenantScope:
    """Opaque proof that the workspace resolved a tenant.

    Storage and indexes take a scope instead of a tenant's id, so a query without a tenant cannot be written.
    Only the workspace (and `minirag.testing`) mints scopes; applications get sessions.
    """

    __slots__ = ("_tenant_id",)

    _tenant_id: str

    def __init__(self, tenant_id: str, proof: object = None) -> None:
        if proof is not _MINT:
            raise TypeError("a TenantScope is made by the workspace; use workspace.tenant(slug)")
        object.__setattr__(self, "_tenant_id", tenant_id)

    @property
    def tenant_id(self) -> str:
        """The tenant's id, for providers to put into every statement."""
        return self._tenant_id

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a TenantScope cannot be changed")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TenantScope) and other.tenant_id == self.tenant_id

    def __hash__(self) -> int:
        return hash(self._tenant_id)

    def __repr__(self) -> str:
        return "TenantScope(…)"

    def __reduce__(self) -> Any:
        raise TypeError("a TenantScope cannot be pickled; open the workspace in the other process")


def mint_scope(tenant_id: str) -> TenantScope:
    """Return the scope of a tenant that was just looked up. For `workspace` and `testing` alone."""
    return TenantScope(tenant_id, _MINT)
