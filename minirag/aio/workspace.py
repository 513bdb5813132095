"""`AsyncWorkspace` and `AsyncTenantSession`: the same names as the synchronous face, awaited."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

from minirag.aio.accounting import AsyncAuditLog, AsyncUsageLedger
from minirag.aio.bot import AsyncBot
from minirag.aio.erasures import AsyncErasures
from minirag.aio.people import AsyncTokens, AsyncUsers
from minirag.aio.runner import Runner
from minirag.config import WorkspaceConfig
from minirag.errors import InvalidInputError, WorkspaceStateError
from minirag.interfaces import LLM, Embedder, Reranker, Storage, VectorIndex
from minirag.models.erasures import ErasureReceipt
from minirag.models.keys import KeyRotation
from minirag.models.limits import Limits
from minirag.models.moving import ExportReport, ImportReport, MoveProgress
from minirag.models.people import ApiToken, Bootstrap
from minirag.models.prices import Prices
from minirag.models.principals import Principal
from minirag.models.search import SearchResults
from minirag.models.tenants import BotProfile, Tenant
from minirag.models.urls import UrlPolicy
from minirag.models.verification import BackupReport, RepairReport, VerifyProgress, VerifyReport
from minirag.plugins.registry import Registry
from minirag.security.envelope import SecretKey
from minirag.session import TenantSession
from minirag.tenants import _UNSET
from minirag.types import SearchMode
from minirag.workspace import Named, Workspace

__all__ = ["AsyncBots", "AsyncTenantSession", "AsyncTenants", "AsyncWorkspace"]

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

    @overload
    async def delete(self, name: str, erase: Literal[False] = False) -> None: ...  # noqa: FBT002 - as below
    @overload
    async def delete(self, name: str, erase: Literal[True]) -> ErasureReceipt: ...
    async def delete(self, name: str, erase: bool = False) -> ErasureReceipt | None:  # noqa: FBT001, FBT002 - as in `Bots`
        """Delete a bot with everything that belongs to it; see `Bots.delete`."""
        delete: Any = self._bots.delete
        receipt: ErasureReceipt | None = await self._runner.call(delete, name, erase)
        return receipt

    def __repr__(self) -> str:
        return repr(self._bots)


class AsyncTenantSession:
    """One tenant's side of a workspace, awaited; see `TenantSession`. `tenant`, `bots`, `usage`, `audit` are plain attributes."""

    def __init__(self, session: TenantSession, runner: Runner) -> None:
        self._session = session
        self._runner = runner
        self.tenant: Tenant = session.tenant
        self.principal: Principal = session.principal
        self.bots = AsyncBots(session, runner)
        self.usage = AsyncUsageLedger(session, runner)
        self.audit = AsyncAuditLog(session, runner)
        self.users = AsyncUsers(session, runner)
        self.tokens = AsyncTokens(session, runner)

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

    async def issue_token(self, *, name: str = "", expires_in: float | dt.timedelta = 43_200) -> ApiToken:
        """Make a session token for the person who signed in; see `TenantSession.issue_token`."""
        return await self._runner.call(self._session.issue_token, name=name, expires_in=expires_in)

    async def change_password(self, old: str, new: str) -> None:
        """Give the person who signed in another password; see `TenantSession.change_password`."""
        await self._runner.run(self._session._change_password_steps(old, new))

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

    async def bootstrap(self, slug: str, name: str | None, owner_email: str, owner_password: str) -> Bootstrap:
        """Add a tenant with an owner and a token of theirs: all of it, or nothing; see `Tenants.bootstrap`."""
        workspace = self._workspace
        steps = await workspace._call(lambda ws: ws.tenants._bootstrap_steps(slug, name, owner_email, owner_password))
        return await workspace._runner.run(steps)

    async def get(self, slug: str) -> Tenant:
        """Return the tenant of this slug; see `Tenants.get`."""
        return await self._workspace._call(lambda ws: ws.tenants.get(slug))

    async def list(self, *, counts: bool = False) -> Sequence[Tenant]:
        """Return every tenant, sorted by slug; see `Tenants.list`."""
        return await self._workspace._call(lambda ws: ws.tenants.list(counts=counts))

    async def update(
        self,
        slug: str,
        *,
        name: str = _UNSET,
        new_slug: str = _UNSET,
        limits: Limits | Mapping[str, Any] | None = _UNSET,
    ) -> Tenant:
        """Change a tenant's name, slug or limits and return it; see `Tenants.update`."""
        return await self._workspace._call(
            lambda ws: ws.tenants.update(slug, name=name, new_slug=new_slug, limits=limits)
        )

    async def limits(self, slug: str) -> Limits:
        """Return what a tenant may hold and spend at most; see `Tenants.limits`."""
        return await self._workspace._call(lambda ws: ws.tenants.limits(slug))

    async def suspend(self, slug: str) -> Tenant:
        """Close a tenant and return it; see `Tenants.suspend`."""
        return await self._workspace._call(lambda ws: ws.tenants.suspend(slug))

    async def resume(self, slug: str) -> Tenant:
        """Open a suspended tenant again and return it; see `Tenants.resume`."""
        return await self._workspace._call(lambda ws: ws.tenants.resume(slug))

    @overload
    async def delete(self, slug: str, erase: Literal[False] = False) -> None: ...  # noqa: FBT002 - as below
    @overload
    async def delete(self, slug: str, erase: Literal[True]) -> ErasureReceipt: ...
    async def delete(self, slug: str, erase: bool = False) -> ErasureReceipt | None:  # noqa: FBT001, FBT002 - as in `Tenants`
        """Delete a tenant with everything that belongs to it; see `Tenants.delete`."""

        def delete(ws: Workspace) -> ErasureReceipt | None:
            return ws.tenants.delete(slug, erase)  # type: ignore[call-overload,no-any-return]  # either value

        return await self._workspace._call(delete)

    async def rotate_key(self, slug: str) -> KeyRotation:
        """Give a tenant a new data key and seal its credentials with it; see `Tenants.rotate_key`."""
        return await self._workspace._call(lambda ws: ws.tenants.rotate_key(slug))

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
        self.erasures = AsyncErasures(self._call)

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
        secret_key: SecretKey | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        memory_budget: int | None = None,
        durability: Literal["normal", "full"] = "normal",
        url_policy: UrlPolicy | Mapping[str, Any] | None = None,
        plugins: Iterable[object] | None = None,
        env_credentials: bool = False,
        prices: Prices | Mapping[str, Any] | str | os.PathLike[str] | None = None,
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
                prices=prices,
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

    async def login(self, tenant: str, email: str, password: str) -> AsyncTenantSession:
        """Return a session that acts on behalf of a person; see `Workspace.login`. The password is hashed beside the event loop."""
        steps = await self._call(lambda ws: ws._login_steps(tenant, email, password))
        return AsyncTenantSession(await self._runner.run(steps), self._runner)

    async def authenticate(self, token: str) -> AsyncTenantSession:
        """Return a session that acts on behalf of a token's person; see `Workspace.authenticate`."""
        return AsyncTenantSession(await self._call(lambda ws: ws.authenticate(token)), self._runner)

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

    async def rotate_master_key(self) -> KeyRotation:
        """Change the master key that wraps every tenant's data key; see `Workspace.rotate_master_key`."""
        return await self._call(lambda ws: ws.rotate_master_key())

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
