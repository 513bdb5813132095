"""`KeyRotation`: what changing a key did."""

from __future__ import annotations

from minirag.models.base import Model

__all__ = ["KeyRotation"]


class KeyRotation(Model):
    """What changing a key did.

    Attributes:
        key_id: the id of the key that counts now; None for a tenant that has none. Keys themselves are never shown.
        former_key_ids: the keys that it replaced.
        tenants: how many tenants were looked at.
        rewrapped: how many data keys, or of one tenant's change how many credentials, were sealed anew.
        resumed: whether it finished a change that was begun before.
    """

    key_id: str | None
    former_key_ids: tuple[str, ...]
    tenants: int
    rewrapped: int
    resumed: bool
