"""How a storage checks, mends and copies itself, and what it tells of itself then."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from minirag.errors import StorageError
from minirag.interfaces.scope import TenantScope
from minirag.models.verification import FaultKind

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SHOWN_IDS", "StoredFault", "Tell", "Upkeep", "ignore"]

SHOWN_IDS = 20
"""How many ids a fault lists; its `count` is always exact."""

Tell: TypeAlias = Callable[[str, int], None]
"""Takes how many of what were checked just now, such as `("chunks", 4096)`."""


def ignore(what: str, number: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class StoredFault:
    """One kind of fault in one bot, in a tenant, or in the database as a whole.

    Attributes:
        what: what is wrong, without any text of a document.
        remedy: what `Storage.repair` does about it, or what is to be done by hand.
        repairable: whether `Storage.repair` mends it, or lets the next ingestion mend it.
        ids: the first of what is concerned.
        tenant_id: whose rows they are, where a fault of the whole database is about one tenant's.
    """

    kind: FaultKind
    what: str
    remedy: str
    repairable: bool
    bot_id: str | None = None
    bot: str | None = None
    tenant_id: str | None = None
    ids: tuple[str, ...] = ()
    count: int = 1


class Upkeep(ABC):  # noqa: B024 - a part of `Storage`, which is abstract; a storage need not be able to do this
    """What a storage can do with itself as a whole. A storage that leaves a method as it is says that it cannot."""

    remote: bool = False
    """Whether it asks a server: searches then wait for it, and more of them go on at once."""

    def verify(self, scope: TenantScope | None, *, deep: bool = True, tell: Tell = ignore) -> Iterator[StoredFault]:
        """Yield what is wrong with a tenant's rows; without a scope, with the database itself: file, schema, references.

        It reads in batches, each in one view, and changes nothing. What it meets that cannot be read is a fault as well.

        Args:
            deep: also read every text, vector and log row.
            tell: takes how much was checked: `bots`, `documents`, `chunks`, `versions`, `vectors`.

        Raises:
            StorageError: if this storage cannot check itself.
        """
        del scope, deep, tell
        raise StorageError(f"the storage {type(self).__name__} cannot check itself; use the tools of its database")

    def repair(self, scope: TenantScope | None, fault: StoredFault) -> None:
        """Mend a fault that `verify` yielded for this scope, in one transaction that finds out anew what is wrong.

        What only an ingestion can mend is marked so that the next one does. What cannot be derived is left as it is.

        Raises:
            StorageError: if this storage cannot repair itself.
        """
        del scope, fault
        raise StorageError(f"the storage {type(self).__name__} cannot repair itself; use the tools of its database")

    def backup(self, folder: Path) -> None:
        """Write the database, as it is at one moment, into an empty folder, at which the same provider opens it.

        Others may write meanwhile; of what they commit during the copy nothing or a beginning is in it. It is on the disk
        when this returns; after an error the folder may hold a part of it.

        Raises:
            StorageError: if it cannot be written, or this storage cannot copy itself.
        """
        del folder
        raise StorageError(f"the storage {type(self).__name__} cannot copy itself; use the tools of its database")
