"""`Workspace`: the composition root. The only place where registry, services and security meet."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast

from minirag._services.core import Core, TenantContext
from minirag._services.engines import Engines
from minirag._services.fetching import check_policy, make_fetcher
from minirag._services.indexing import Partitions
from minirag._services.last_uses import LastUses
from minirag._services.locations import (
    check_cache_dir,
    check_in_memory,
    check_location,
    default_index,
    derived_folder,
    given_keys,
    open_vault,
    shown,
)
from minirag._services.maintenance import Maintenance
from minirag._services.password_work import PasswordWork
from minirag._services.profiles import Defaults
from minirag._services.secrets import Secrets
from minirag._services.signing_in import authenticate, sign_in
from minirag._services.snapshots import SnapshotFolder
from minirag._services.steps import Steps, run
from minirag._services.turns import Turns
from minirag.config import WorkspaceConfig, config_from, config_from_environment
from minirag.erasures import Erasures
from minirag.errors import InvalidInputError, TenantNotFoundError
from minirag.interfaces import (
    LLM,
    Chunker,
    Embedder,
    KeywordIndex,
    ProviderContext,
    Reranker,
    Storage,
    VectorIndex,
)
from minirag.interfaces.scope import mint_scope
from minirag.models.checks import check_choice, check_flag, check_integer, check_text, clipped
from minirag.models.prices import Prices, check_prices
from minirag.models.tenants import INSTANCE, ProviderRef
from minirag.models.urls import UrlPolicy
from minirag.plugins.registry import Registry, parse_ref
from minirag.security.envelope import SecretKey, Vault
from minirag.session import TenantSession
from minirag.tenants import Tenants
from minirag.upkeep import WorkspaceUpkeep

__all__ = ["Workspace"]

T = TypeVar("T")
Named = str | Mapping[str, Any] | ProviderRef
_DURABILITIES: tuple[Literal["normal", "full"], ...] = ("normal", "full")


class Workspace(WorkspaceUpkeep):
    """A place that holds tenants, and the engines they share. It has no data methods: `tenant(slug)` gives a session.

    Threads may share it. Close it when done, or use it as a context manager. After a fork, open it again.

    Attributes:
        tenants: which customers there are.
        erasures: receipts of what was destroyed beyond recovery.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        index: VectorIndex,
        embedder: Named | Embedder,
        llm: Named | LLM | None = None,
        reranker: Named | Reranker | None = None,
        chunker: Named | Chunker | None = None,
        secret_key: SecretKey | Vault | None = None,
        memory_budget: int | None = None,
        url_policy: UrlPolicy | Mapping[str, Any] | None = None,
        plugins: Iterable[object] | None = None,
        env_credentials: bool = False,
        prices: Prices | Mapping[str, Any] | str | os.PathLike[str] | None = None,
        registry: Registry | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        location: str = "(parts)",
    ) -> None:
        """Compose a workspace from ready-made parts, which it does not close; `open` makes parts of its own.

        Args:
            storage, index: as made by their providers.
            embedder, llm, reranker, chunker: what new bots get: a provider's name, or an instance.
            secret_key: the master key, needed where bots have credentials; while it is being changed, the new and the old one.
            memory_budget: bytes that loaded indexes may take; None for no limit.
            url_policy: which URLs may be read.
            plugins: None for every installed plugin, else those to load.
            env_credentials: whether bots without credentials use those in the environment, as `open` says.
            prices: what models cost, as `open` says.
            registry: a registry to share, instead of `plugins`.
            cache_dir: the folder of files derived from the database, such as snapshots of indexes; None for none.
            location: for messages.
        """
        for name, part, interface in (("storage", storage, Storage), ("index", index, VectorIndex)):
            if not isinstance(part, interface):
                raise InvalidInputError(
                    f"{name} must be an instance of minirag.interfaces.{interface.__name__}, not {clipped(part)}; "
                    "Workspace.open(folder) makes one"
                )
        if memory_budget is not None:
            check_integer("memory_budget", memory_budget, minimum=1, maximum=2**62)
        if registry is not None and not isinstance(registry, Registry):
            raise InvalidInputError(
                f"registry must be a Registry, such as workspace.providers, not {clipped(registry)}"
            )
        check_text("location", location, maximum=4_000)
        self._registry = registry if registry is not None else Registry.discover(plugins)
        self._owned: list[Any] = []
        check_flag("env_credentials", env_credentials)
        policy = check_policy(url_policy)
        environment = os.environ if env_credentials else None
        engines = Engines(self._registry, parse_ref, environment=environment, url_policy=policy)
        vault = secret_key if isinstance(secret_key, Vault) else Vault(*given_keys(secret_key))
        keywords = _make_keyword_index()
        cache = check_cache_dir(cache_dir)
        snapshots = None
        if cache is not None:
            snapshots = SnapshotFolder(Path(cache), storage.workspace_id, read_only=storage.read_only)
        turns = Turns(remote=storage.remote or index.remote)
        partitions = Partitions(index, keywords, budget=memory_budget, snapshots=snapshots, turns=turns)
        self._core = Core(
            storage=storage,
            partitions=partitions,
            maintenance=Maintenance(partitions, storage),
            keyword_index=keywords,
            engines=engines,
            secrets=Secrets(storage, vault),
            fetcher=make_fetcher(policy),
            turns=turns,
            passwords=PasswordWork(),
            last_uses=LastUses(storage),
            location=shown(location),
            prices=check_prices(prices),
        )
        self._defaults = Defaults(
            llm=engines.refer("llm", llm if llm is not None else "extractive"),
            embedder=engines.refer("embedder", embedder),
            chunker=engines.refer("chunker", chunker if chunker is not None else "recursive"),
            reranker=None if reranker is None else engines.refer("reranker", reranker),
        )
        for kind in ("llm", "embedder", "chunker", "reranker"):
            ref = getattr(self._defaults, kind)
            if ref is not None and ref.provider != INSTANCE:
                self._registry.find(kind, ref.provider)
        self._scope_of = mint_scope
        self.tenants = Tenants(self._core, mint_scope)
        self.erasures = Erasures(self._core, mint_scope)

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
    ) -> Workspace:
        """Open the workspace at a folder or database URL, made if there is none.

        Args:
            location: a folder, which then holds everything, an SQLAlchemy URL, or `":memory:"`, for a new workspace in the
                memory of this process that leaves no file and is gone when it is closed.
            storage: the database provider; `"sqlalchemy"`.
            index: the vector index provider; `"faiss"`, and for a PostgreSQL database that may be written `"pgvector"` in the same one.
            embedder: what makes the vectors of new bots; `"minilm"`, the bundled one.
            llm: what answers for new bots; `"extractive"`, which composes answers of the documents' sentences.
            reranker: what orders the best hits of new bots anew; none.
            secret_key: the master key of stored credentials; a folder makes and keeps its own. While it is being changed, a
                list of the new and the old one.
            cache_dir: where files derived from the database lie, if not in the folder's `index/`; for a database
                URL by default in the user's cache folder.
            memory_budget: bytes that loaded indexes may take, least recently used first out; None for no limit.
            durability: `"normal"`: what was acknowledged survives the death of the process; `"full"`: loss of power too.
            url_policy: which URLs may be read, such as `{"allow": ["127.0.0.1:8000"]}`.
            plugins: None for every installed plugin, else the names of those to load.
            env_credentials: whether a bot without credentials of its own uses the provider's variable of the process, such as
                `OPENAI_API_KEY`. Never sent to a `base_url` that the bot names itself.
            prices: US dollars for a million tokens of models, such as `{"openai:gpt-4o-mini": {"input": 0.15, "output": 0.60}}`
                or `{"ollama:*": {"input": 0, "output": 0}}`, before those that are shipped; or the path of a JSON file of them.
            read_only: refuse to write; the workspace must exist.

        Raises:
            InvalidInputError: naming the wrong argument.
            StorageError: if the database cannot be opened, is damaged, or was written by a newer release.
            SecretKeyMismatchError: if the given key is not the one in the folder or of the stored secrets.
        """
        place = check_location(location)
        check_flag("read_only", read_only)
        check_choice("durability", durability, _DURABILITIES)
        cache = check_cache_dir(cache_dir)
        check_in_memory(place, read_only=read_only, durability=durability, cache_dir=cache)
        known_prices = check_prices(prices)
        registry = Registry.discover(plugins)
        settings = {"durability": durability, "read_only": read_only, "cache_dir": cache}
        context = ProviderContext(location=place, settings=settings)
        owned: list[Any] = []
        try:
            database = _part(registry, "storage", storage if storage is not None else "sqlalchemy", context, owned)
            vectors = _part(
                registry,
                "vector_index",
                index if index is not None else default_index(place, read_only=read_only),
                context,
                owned,
            )
            workspace = cls(
                storage=database,
                index=vectors,
                embedder=embedder if embedder is not None else "minilm",
                llm=llm,
                reranker=reranker,
                secret_key=open_vault(place, database, secret_key),
                memory_budget=memory_budget,
                url_policy=url_policy,
                env_credentials=env_credentials,
                prices=known_prices,
                registry=registry,
                cache_dir=derived_folder(place, cache, database.workspace_id),
                location=place,
            )
        except BaseException:
            for part in reversed(owned):
                part.close()
            raise
        workspace._owned = owned
        return workspace

    @classmethod
    def from_config(cls, settings: Mapping[str, Any] | str | os.PathLike[str] | WorkspaceConfig) -> Workspace:
        """Open the workspace that a mapping or a TOML file (its table `minirag`, or all of it) describes.

        Raises:
            ConfigurationError: naming the setting that is unknown or wrong.
        """
        return cls.open(**config_from(settings).keywords())

    @classmethod
    def from_env(cls) -> Workspace:
        """Open the workspace that environment variables describe: `MINIRAG_WORKSPACE`, and others beside it.

        Raises:
            ConfigurationError: naming the variable that is missing or wrong.
        """
        return cls.open(**config_from_environment(os.environ).keywords())

    @property
    def location(self) -> str:
        """The folder or database URL, without a password."""
        return self._core.location

    @property
    def providers(self) -> Registry:
        """The providers that can be named here, and the plugins that could not be loaded."""
        return self._registry

    def tenant(self, slug: str, create: bool = False) -> TenantSession:  # noqa: FBT001, FBT002 - the public contract
        """Return a session of one tenant; every data call starts from it.

        Raises:
            TenantNotFoundError: if there is none and `create` is False.
        """
        check_flag("create", create)
        self._core.check()
        try:
            tenant = self.tenants.get(slug)
        except TenantNotFoundError:
            if not create:
                raise
            tenant = self.tenants._ensure(slug)
        return TenantSession(TenantContext(self._core, mint_scope(tenant.id), tenant), self._defaults)

    def login(self, tenant: str, email: str, password: str) -> TenantSession:
        """Return a session that acts on behalf of a person, whose role counts as it stands at each call.

        From the fifth wrong password on a person waits before any is taken again: 1, 2, 4 seconds and so on, at most 15 minutes.

        Raises:
            AuthenticationError: if anything of it is wrong, or too many wrong passwords came before; it does not say which.
            TenantSuspendedError: if they are right, but the tenant is closed.
        """
        return run(self._login_steps(tenant, email, password))

    def _login_steps(self, tenant: str, email: str, password: str) -> Steps[TenantSession]:
        """Return the steps of `login`, for either face."""
        context = yield from sign_in(self._core, mint_scope, tenant, email, password)
        return TenantSession(context, self._defaults)

    def authenticate(self, token: str) -> TenantSession:
        """Return a session that acts on behalf of a token's person, as far as the token's scope and their role allow.

        Args:
            token: as `tenant.tokens.create`, `session.issue_token` or `tenants.bootstrap` made it, of whatever tenant.

        Raises:
            AuthenticationError: if it is no token, was never made here, was revoked, or has expired.
            TenantSuspendedError: if its tenant is closed.
        """
        return TenantSession(authenticate(self._core, mint_scope, token), self._defaults)

    def close(self) -> None:
        """Close what this workspace made. Closing twice is closing once; any later call raises `WorkspaceClosedError`."""
        if self._core.closed:
            return
        self._core.closed = True
        if self._core.pid != os.getpid():
            # Connections and engines belong to the process that was forked; closing them here would end them there.
            return
        self._core.passwords.close()
        self._core.last_uses.close()
        self._core.maintenance.close()
        self._core.partitions.clear()
        self._core.engines.close()
        for part in reversed(self._owned):
            part.close()

    async def _aclose_engines(self) -> None:
        """Close what engines hold in this event loop; for the asynchronous face, before `close`."""
        if not self._core.closed:
            await self._core.engines.aclose()

    def __enter__(self) -> Self:
        self._core.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if core is not None and not core.closed and core.pid == os.getpid() and self._owned:
            warnings.warn(f"workspace {core.location!r} was never closed", ResourceWarning, stacklevel=2, source=self)
            self.close()

    def __repr__(self) -> str:
        state = " (closed)" if self._core.closed else ""
        return f"<Workspace {self._core.location!r}{state}>"

    def __reduce__(self) -> Any:
        raise InvalidInputError(
            "a Workspace cannot be pickled: it holds database connections; open it again in the other process"
        )


def _part(
    registry: Registry,
    kind: Literal["storage", "vector_index"],
    value: object,
    context: ProviderContext,
    owned: list[Any],
) -> Any:
    """Return a part that was given, or one made by name, which is then owned."""
    if isinstance(value, Storage | VectorIndex):
        return value
    made = registry.create(kind, parse_ref(kind, value), context)
    owned.append(made)
    return made


def _make_keyword_index() -> KeywordIndex:
    from importlib import import_module

    return cast("KeywordIndex", import_module("minirag.providers.bm25.index").create(None, ProviderContext()))
