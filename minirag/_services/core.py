"""`Core`: what every use case of a workspace stands on, and the contexts of a tenant and of a bot."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from minirag._services.turns import Turns
from minirag.errors import BotNotFoundError, ForkedWorkspaceError, WorkspaceClosedError
from minirag.interfaces import Storage, TenantScope
from minirag.interfaces.fetcher import Fetcher
from minirag.interfaces.keyword_index import KeywordIndex
from minirag.interfaces.records import SearchState
from minirag.interfaces.storage import Reader
from minirag.models.tenants import BotProfile, BotRecord, Tenant

if TYPE_CHECKING:
    from minirag._services.engines import Engines
    from minirag._services.indexing import Partitions
    from minirag._services.maintenance import Maintenance
    from minirag._services.secrets import Secrets

__all__ = ["BotContext", "Core", "Probed", "TenantContext"]


_REMEMBERED: Final = 100_000


class Probed:
    """Which models this process has found to be the ones that a bot's vectors come from: the last 100,000 asked for."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, name: tuple[str, str, str]) -> bool:
        return name in self._names

    def add(self, name: tuple[str, str, str]) -> None:
        """Remember a tenant id, a bot id and the fingerprint of its embedding space."""
        with self._lock:
            self._names[name] = None
            if len(self._names) > _REMEMBERED:
                self._names.popitem(last=False)


@dataclass(slots=True)
class Core:
    """The parts of one open workspace. Only `workspace` makes it."""

    storage: Storage
    partitions: Partitions
    maintenance: Maintenance
    keyword_index: KeywordIndex
    engines: Engines
    secrets: Secrets
    fetcher: Fetcher
    turns: Turns
    location: str
    probed: Probed = field(default_factory=Probed)
    pid: int = field(default_factory=os.getpid)
    closed: bool = False

    def check(self) -> None:
        """Raise if the workspace was closed, or opened by the process that forked this one."""
        if self.pid != os.getpid():
            raise ForkedWorkspaceError(
                f"workspace {self.location!r} was opened in process {self.pid}; after a fork, open it again in this one"
            )
        if self.closed:
            raise WorkspaceClosedError(f"workspace {self.location!r} was closed; open it again to go on")


@dataclass(frozen=True, slots=True)
class TenantContext:
    """A resolved tenant: the scope, and the core it is good for."""

    core: Core
    scope: TenantScope
    tenant: Tenant


@dataclass(slots=True)
class BotContext:
    """A bot of a resolved tenant. Its record is read anew by each use case, since others may change it.

    Attributes:
        seen: the record as the last search met it: what the next one may begin with, if it makes sure afterwards.
    """

    core: Core
    scope: TenantScope
    bot_id: str
    name: str
    seen: BotRecord | None = None

    def record(self, reader: Reader) -> BotRecord:
        """Return the bot as it is stored now.

        Raises:
            BotNotFoundError: if it was deleted.
        """
        return reader.bot_by_id(self.bot_id) or self._missing()

    def state(self, reader: Reader) -> SearchState:
        """Return what a search must know of the bot. Its record may be shared with other searches: it stays in `_services`.

        Raises:
            BotNotFoundError: if it was deleted.
        """
        return reader.search_state(self.bot_id) or self._missing()

    def _missing(self) -> NoReturn:
        raise BotNotFoundError(f"bot {self.name!r} does not exist (any more); tenant.bots.list() shows those there are")

    def load(self) -> BotRecord:
        """Return the bot as it is stored now, in a read transaction of its own."""
        self.core.check()
        with self.core.storage.read(self.scope) as reader:
            return self.record(reader)

    def profile(self) -> BotProfile:
        """Return the bot's settings as they are stored now."""
        return self.load().profile
