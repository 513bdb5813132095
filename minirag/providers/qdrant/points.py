"""How vectors and positions lie in a collection: ids, payloads, and the conditions under which they are found."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from minirag.types import Keys

__all__ = ["INDEXED", "Owner", "key_of"]

INDEXED: Final = ("tenant", "bot", "position_tenant", "position_bot")
"""The fields of payloads that conditions name. Vectors have the first two, positions the others."""

_KEY_BITS: Final = 64
_KEY_MASK: Final = (1 << _KEY_BITS) - 1


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose vectors they are, in one collection."""

    tenant: str
    bot: str

    @property
    def payload(self) -> dict[str, str]:
        """What is stored beside each vector."""
        return {"tenant": self.tenant, "bot": self.bot}

    @property
    def position_payload(self) -> dict[str, str]:
        """What is stored beside the position, which no search for vectors meets."""
        return {"position_tenant": self.tenant, "position_bot": self.bot}

    @property
    def position_id(self) -> str:
        """The id of the point that says where the log stands."""
        return str(uuid.UUID(bytes=self._digest("position")))

    def ids(self, keys: Keys) -> list[str]:
        """Return the ids of vectors: half is of the tenant and the bot, so that equal keys of two bots are two points."""
        owner = int.from_bytes(self._digest("vectors")[:8]) << _KEY_BITS
        return [str(uuid.UUID(int=owner | key & _KEY_MASK)) for key in keys.tolist()]

    def conditions(self, ids: Sequence[str] | None = None) -> Any:
        """Return the filter of this bot's vectors, or of some of them."""
        from qdrant_client import models

        must: list[Any] = [
            models.FieldCondition(key="tenant", match=models.MatchValue(value=self.tenant)),
            models.FieldCondition(key="bot", match=models.MatchValue(value=self.bot)),
        ]
        if ids is not None:
            must.append(models.HasIdCondition(has_id=list(ids)))
        return models.Filter(must=must)

    def _digest(self, kind: str) -> bytes:
        return hashlib.sha256(f"{kind}\0{self.tenant}\0{self.bot}".encode()).digest()[:16]


def key_of(point_id: Any) -> int:
    """Return the key of a vector's id."""
    return int(np.uint64(uuid.UUID(str(point_id)).int & _KEY_MASK).astype(np.int64))
