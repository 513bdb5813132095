"""`AsyncWorkspace` and `AsyncTenantSession`: the same names as the synchronous face, awaited."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from minirag.aio.bot import AsyncBot, each
from minirag.aio.runner import Runner
from minirag.bot import Bot
from minirag.config import WorkspaceConfig
from minirag.errors import InvalidInputError, WorkspaceStateError
from minirag.interfaces import LLM, Embedder, Reranker, Storage, VectorIndex
from minirag.models.moving import ExportReport, ImportReport, MoveProgress
from minirag.models.search import SearchResults
from minirag.models.tenants import BotProfile, Tenant
from minirag.models.urls import UrlPolicy
from minirag.models.usage import UsageEvent, UsageTotal
from minirag.models.verification import BackupReport, RepairReport, VerifyProgress, VerifyReport
from minirag.plugins.registry import Registry
from minirag.session import TenantSession
from minirag.tenants import _UNSET
from minirag.types import SearchMode
from minirag.workspace import Named, Workspace

__all__ = ["AsyncBots", "AsyncTenantSession", "AsyncTenants", "AsyncUsageLedger", "AsyncWorkspace"]

T = TypeVar("T")


class AsyncBots:
    """The bots of a tenant; see `Bots`."""

    def __init__(self, session: TenantSession, runner: Runner) -> None:
        self._bots = session.bots
        self._runner = runner

    async def create(self, name: str, **profile: Any) -> AsyncBot:
        """Return the bot of this name, made if there is none; see `Bots.create`."""
        return AsyncBot(await self._runner.call(self._bots.create, name, **profile), self._runner)

    async def get(self, name: str) -> AsyncBot:
        """Return the bot of this name; see `Bots.get`."""
        return AsyncBot(await self._runner.call(self._bots.get, name), self._runner)

    async def list(self) -> Sequence[BotProfile]:
        """Return the settings of every bot, sorted by name."""
        return await self._runner.call(self._bots.list)

    async def update(self, name: str, **profile: Any) -> BotProfile:
        """Change a bot's settings and return its profile; see `Bots.update`."""
        return await self._runner.call(self._bots.update, name, **profile)

    async def delete(self, name: str) -> None:
        """Delete a bot with everything that belongs to it."""
        await self._runner.call(self._bots.delete, name)

    def __repr__(self) -> str:
        return repr(self._bots)


class AsyncUsageLedger:
    """A tenant's provider calls; see `UsageLedger`."""

    def __init__(self, session: TenantSession, runner: Runner) -> None:
        self._usage = session.usage
        self._runner = runner

    async def total(self, *, bot: AsyncBot | None = None) -> UsageTotal:
        """Return the calls summed up by kind and model."""
        return await self._runner.call(self._usage.total, bot=_plain(bot))

    def events(self, *, bot: AsyncBot | None = None) -> AsyncIterator[UsageEvent]:
        """Yield single calls, newest first."""
        return each(self._runner, lambda: self._usage.events(bot=_plain(bot)))

    def __repr__(self) -> str:
        return repr(self._usage)


class AsyncTenantSession:
    """One tenant's side of a workspace, awaited; see `TenantSession`. `tenant`, `bots`, `usage` are plain attributes."""

    def __init__(self, session: TenantSession, runner: Runner) -> None:
        self._session = session
        self._runner = runner
        self.tenant: Tenant = session.tenant
        self.bots = AsyncBots(session, runner)
        self.usage = AsyncUsageLedger(session, runner)

    async def bot(self, name: str, create: bool = False, **profile: Any) -> AsyncBot:  # noqa: FBT001, FBT002 - the public contract
        """Return the bot of this name; see `TenantSession.bot`."""
        return AsyncBot(await self._runner.call(self._session.bot, name, create, **profile), self._runner)

    async def search(
        self,
        query: str,
        *,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        mode: SearchMode = "hybrid",
        exact: bool = False,
    ) -> SearchResults:
        """Return the best hits of all the tenant's bots; see `TenantSession.search`."""
        steps = await self._runner.call(self._session._search_steps, query, k=k, where=where, mode=mode, exact=exact)
        return await self._runner.run(steps)

    def __repr__(self) -> str:
        return f"<AsyncTenantSession {self.tenant.slug!r}>"

    def __reduce__(self) -> Any:
        raise InvalidInputError(
            "an AsyncTenantSession cannot be pickled: it holds database connections; open the workspace again there"
        )


class AsyncTenants:
    """The tenants of a workspace; see `Tenants`."""

    def __init__(self, workspace: AsyncWorkspace) -> None:
        self._workspace = workspace

    async def create(self, slug: str, name: str | None = None) -> Tenant:
        """Add a tenant and return it; see `Tenants.create`."""
        return await self._workspace._call(lambda ws: ws.tenants.create(slug, name))

    async def get(self, slug: str) -> Tenant:
        """Return the tenant of this slug; see `Tenants.get`."""
        return await self._workspace._call(lambda ws: ws.tenants.get(slug))

    async def list(self) -> Sequence[Tenant]:
        """Return every tenant, sorted by slug."""
        return await self._workspace._call(lambda ws: ws.tenants.list())

    async def update(self, slug: str, *, name: str = _UNSET, new_slug: str = _UNSET) -> Tenant:
        """Change a tenant's name or slug and return it; see `Tenants.update`."""
        return await self._workspace._call(lambda ws: ws.tenants.update(slug, name=name, new_slug=new_slug))

    async def delete(self, slug: str) -> None:
        """Delete a tenant with everything that belongs to it."""
        await self._workspace._call(lambda ws: ws.tenants.delete(slug))

    async def export(
        self,
        slug: str,
        path: str | os.PathLike[str],
        *,
        passphrase: str | None = None,
        progress: Callable[[MoveProgress], None] | bool | None = None,
    ) -> ExportReport:
        """Write a tenant with all that belongs to it into a new file; see `Tenants.export`."""
        return await self._workspace._call(
            lambda ws: ws.tenants.export(slug, path, passphrase=passphrase, progress=progress)
        )

    async def import_(
        self,
        path: str | os.PathLike[str],
        *,
        slug: str | None = None,
        passphrase: str | None = None,
        progress: Callable[[MoveProgress], None] | bool | None = None,
    ) -> ImportReport:
        """Add the tenant that `export` wrote, whole or not at all; see `Tenants.import_`."""
        return await self._workspace._call(
            lambda ws: ws.tenants.import_(path, slug=slug, passphrase=passphrase, progress=progress)
        )

    def __repr__(self) -> str:
        return "<tenants of the workspace>"


class AsyncWorkspace:
    """A workspace on an event loop; see `Workspace`. `open` is a plain call: await its result, or use `async with`."""

    def __init__(self, make: Callable[[], Workspace]) -> None:
        self._make = make
        self._making = threading.Lock()
        self._workspace: Workspace | None = None
        self._runner = Runner()
        self.tenants = AsyncTenants(self)

    @classmethod
    def open(
        cls,
        location: str | os.PathLike[str],
        *,
        storage: Named | Storage | None = None,
        index: Named | VectorIndex | None = None,
        embedder: Named | Embedder | None = None,
        llm: Named | LLM | None = None,
        reranker: Named | Reranker | None = None,
        secret_key: str | bytes | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        memory_budget: int | None = None,
        durability: Literal["normal", "full"] = "normal",
        url_policy: UrlPolicy | Mapping[str, Any] | None = None,
        plugins: Iterable[object] | None = None,
        env_credentials: bool = False,
        read_only: bool = False,
    ) -> AsyncWorkspace:
        """Return a workspace that opens when it is awaited or entered; the options are those of `Workspace.open`."""
        return cls(
            lambda: Workspace.open(
                location,
                storage=storage,
                index=index,
                embedder=embedder,
                llm=llm,
                reranker=reranker,
                secret_key=secret_key,
                cache_dir=cache_dir,
                memory_budget=memory_budget,
                durability=durability,
                url_policy=url_policy,
                plugins=plugins,
                env_credentials=env_credentials,
                read_only=read_only,
            )
        )

    @classmethod
    def from_config(cls, settings: Mapping[str, Any] | str | os.PathLike[str] | WorkspaceConfig) -> AsyncWorkspace:
        """Return the workspace that a mapping or a TOML file describes; see `Workspace.from_config`."""
        return cls(lambda: Workspace.from_config(settings))

    @classmethod
    def from_env(cls) -> AsyncWorkspace:
        """Return the workspace that environment variables describe; see `Workspace.from_env`."""
        return cls(Workspace.from_env)

    async def tenant(self, slug: str, create: bool = False) -> AsyncTenantSession:  # noqa: FBT001, FBT002 - the public contract
        """Return a session of one tenant; see `Workspace.tenant`."""
        return AsyncTenantSession(await self._call(lambda ws: ws.tenant(slug, create)), self._runner)

    async def verify(
        self,
        *,
        deep: bool = True,
        models: bool = False,
        progress: Callable[[VerifyProgress], None] | bool | None = None,
    ) -> VerifyReport:
        """Return what is wrong with anything stored; see `Workspace.verify`."""
        steps = await self._call(lambda ws: ws._verify_steps(deep=deep, models=models, progress=progress))
        return await self._runner.run(steps)

    async def repair(self, *, progress: Callable[[VerifyProgress], None] | bool | None = None) -> RepairReport:
        """Mend what can be derived from what is left; see `Workspace.repair`."""
        steps = await self._call(lambda ws: ws._repair_steps(progress=progress))
        return await self._runner.run(steps)

    async def backup(self, path: str | os.PathLike[str], *, include_key: bool = False) -> BackupReport:
        """Copy everything, as it is at one moment, into a new folder; see `Workspace.backup`."""
        return await self._call(lambda ws: ws.backup(path, include_key=include_key))

    @property
    def location(self) -> str:
        """The folder or database URL, without a password; known once the workspace is open."""
        return self._ready().location

    @property
    def providers(self) -> Registry:
        """The providers that can be named here; known once the workspace is open."""
        return self._ready().providers

    async def close(self) -> None:
        """Close the workspace and its threads; see `Workspace.close`."""
        if self._runner.usable:
            if self._workspace is not None:
                await self._workspace._aclose_engines()
                await self._runner.call(self._workspace.close)
            await asyncio.to_thread(self._runner.close)

    def _ready(self) -> Workspace:
        if self._workspace is None:
            raise WorkspaceStateError("the workspace is not open yet; await it, or enter it with 'async with'")
        return self._workspace

    async def _call(self, function: Callable[[Workspace], T]) -> T:
        workspace = await self._opened()
        return await self._runner.call(function, workspace)

    async def _opened(self) -> Workspace:
        if self._workspace is None:
            await self._runner.call(self._open_once)
        return self._ready()

    def _open_once(self) -> None:
        # Several tasks may be the first to use it at once.
        with self._making:
            if self._workspace is None:
                self._workspace = self._make()

    def __await__(self) -> Generator[Any, None, AsyncWorkspace]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return (
            f"<Async{repr(self._workspace)[1:]}" if self._workspace is not None else "<AsyncWorkspace (not open yet)>"
        )

    def __reduce__(self) -> Any:
        raise InvalidInputError(
            "an AsyncWorkspace cannot be pickled: it holds database connections; open it again in the other process"
        )


def _plain(bot: AsyncBot | None) -> Bot | None:
    return bot._bot if isinstance(bot, AsyncBot) else bot
