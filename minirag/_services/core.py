"""`Core`: what every use case of a workspace stands on, and the contexts of a tenant and of a bot."""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from minirag._services.admission import admit, suspended
from minirag._services.turns import Turns
from minirag.errors import BotNotFoundError, ForkedWorkspaceError, WorkspaceClosedError
from minirag.interfaces import Storage, TenantScope
from minirag.interfaces.fetcher import Fetcher
from minirag.interfaces.keyword_index import KeywordIndex
from minirag.interfaces.records import SearchState
from minirag.interfaces.storage import Reader
from minirag.models.prices import Prices
from minirag.models.principals import APPLICATION, Principal
from minirag.models.tenants import BotProfile, BotRecord, Tenant
from minirag.types import utc_now

if TYPE_CHECKING:
    from minirag._services.engines import Engines
    from minirag._services.indexing import Partitions
    from minirag._services.last_uses import LastUses
    from minirag._services.maintenance import Maintenance
    from minirag._services.password_work import PasswordWork
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
    passwords: PasswordWork
    last_uses: LastUses
    location: str
    clock: Callable[[], dt.datetime] = utc_now
    prices: Prices = field(default_factory=Prices)
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
    """A resolved tenant: the scope, the core it is good for, and on whose behalf it is used."""

    core: Core
    scope: TenantScope
    tenant: Tenant
    principal: Principal = APPLICATION

    def allow(self, action: str) -> Principal:
        """Return on whose behalf the tenant is used, as that stands now, if it may do this; raises as `admit` does."""
        return admit(self.core, self.scope, self.principal, action)

    def bot(self, record: BotRecord) -> BotContext:
        """Return a bot of the tenant, used on the same behalf."""
        return BotContext(self.core, self.scope, record.id, record.profile.name, self.principal)

    def sees(self, bot_id: str) -> bool:
        """Return whether a bot is one that the principal may know of: a token may have been made for another one."""
        return self.principal.bot_id in (None, bot_id)


@dataclass(slots=True)
class BotContext:
    """A bot of a resolved tenant. Its record is read anew by each use case, since others may change it.

    Attributes:
        principal: on whose behalf it is used.
        upkeep: whether it is used for the upkeep of the workspace, which goes on while the tenant is closed.
        seen: the record as the last search met it: what the next one may begin with, if it makes sure afterwards.
    """

    core: Core
    scope: TenantScope
    bot_id: str
    name: str
    principal: Principal = APPLICATION
    upkeep: bool = False
    seen: BotRecord | None = None

    def allow(self, action: str) -> Principal:
        """Return on whose behalf the bot is used, as that stands now, if it may do this; raises as `admit` does.

        Raises:
            BotNotFoundError: if it acts with a token that was made for another bot.
        """
        if self.upkeep:
            self.core.check()
            return self.principal
        if self.principal.bot_id not in (None, self.bot_id):
            self._missing()
        return admit(self.core, self.scope, self.principal, action)

    def allow_search(self) -> None:
        """Raise if the bot may not be searched.

        For the application nothing is read for it: what a search must know of the bot (`state`) says whether the tenant is closed.
        """
        if self.principal.kind == "application":
            self.core.check()
        else:
            self.allow("search")

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
            TenantSuspendedError: if the tenant is closed.
        """
        state = reader.search_state(self.bot_id) or self._missing()
        if state.suspended:
            self.seen = None  # so that the next search does not embed its query first
            raise suspended()
        return state

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
