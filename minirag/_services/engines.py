"""The models and tools that bots name in their profiles, made on first use and shared within the workspace."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol, cast

from minirag._services.secrets import EngineCredentials
from minirag.errors import (
    EmbedderNotAvailableError,
    EmbeddingSpaceMismatchError,
    InvalidInputError,
    ProviderNotFoundError,
)
from minirag.interfaces import LLM, Chunker, Embedder, Parser, ProviderContext, ProviderKind, Reranker
from minirag.models.checks import clipped
from minirag.models.credentials import credentials_of
from minirag.models.index import EmbeddingSpace
from minirag.models.tenants import INSTANCE, BotProfile, BotRecord, ProviderRef
from minirag.models.urls import UrlPolicy

if TYPE_CHECKING:
    from minirag._services.core import BotContext

__all__ = ["Engines", "ParserChoice", "ProviderSource"]

_SERVER = "base_url"
_KINDS: Mapping[str, type[Any]] = {"embedder": Embedder, "llm": LLM, "reranker": Reranker, "chunker": Chunker}


class ParserChoice(Protocol):
    """A registered parser, as the registry describes it."""

    @property
    def name(self) -> str: ...


class ProviderSource(Protocol):
    """What the registry offers the services."""

    def create(self, kind: ProviderKind, ref: ProviderRef, context: ProviderContext) -> object:
        """Return a new provider."""
        ...

    def parser_for(self, extension: str, media_type: str | None = None) -> ParserChoice | None:
        """Return the parser of a file extension or media type, or None."""
        ...


class Engines:
    """Makes providers once, keeps them for the life of the workspace, and closes those it made.

    A provider that is made with a bot's credentials is that bot's alone; one made without is shared. Instances that
    an application gave for a tenant's bot are never another tenant's.
    """

    def __init__(
        self,
        providers: ProviderSource,
        parse_ref: Callable[[ProviderKind, object], ProviderRef],
        *,
        environment: Mapping[str, str] | None = None,
        url_policy: UrlPolicy | None = None,
    ) -> None:
        """Make engines from `providers`.

        Args:
            environment: variables that credentials come from where a bot has none; None if it must have its own.
            url_policy: where engines may connect whose server a tenant's own people set.
        """
        self._providers = providers
        self._parse_ref = parse_ref
        self._environment = environment
        self._url_policy = url_policy or UrlPolicy()
        self._defaults: set[str] = set()
        self._parsers: dict[tuple[str, str | None], tuple[str, Parser] | None] = {}
        self._made: dict[str, Any] = {}
        self._given: dict[tuple[str | None, str, str], Any] = {}
        self._lock = threading.RLock()

    def refer(self, kind: ProviderKind, value: object, *, tenant_id: str | None = None) -> ProviderRef:
        """Return the reference to store for what an application wrote or gave.

        An instance is remembered for the tenant it was given for, or for all if it is the workspace's default.
        """
        interface = _KINDS[kind]
        if isinstance(value, interface):
            name = _instance_name(kind, value)
            with self._lock:
                self._given[(tenant_id, kind, name)] = value
            return ProviderRef(provider=INSTANCE, options={"name": name})
        if not isinstance(value, str | Mapping | ProviderRef):
            raise InvalidInputError(
                f"{kind}={clipped(value)}: give a provider's name such as 'name:model', a mapping "
                f"{{'provider': ..., 'options': {{...}}}}, or an instance of minirag.interfaces.{interface.__name__}"
            )
        ref = self._parse_ref(kind, value)
        if tenant_id is None:
            self._defaults.add(_name(kind, ref))
        return ref

    def check(
        self, profile: BotProfile, kinds: Iterable[ProviderKind], credentials: Mapping[str, str], tenant_id: str
    ) -> EmbeddingSpace | None:
        """Make engines that a profile names, so that a fault is an error now; return the space of the embedder's vectors.

        None is returned where `kinds` has no embedder.
        """
        space: EmbeddingSpace | None = None
        with closing(_Trial(self, credentials, tenant_id)) as trial:
            for kind in kinds:
                ref = getattr(profile, kind)
                if ref is not None:
                    engine = trial.engine(kind, ref)
                    space = engine.space if kind == "embedder" else space
        return space

    def embedder(self, bot: BotContext, record: BotRecord) -> Embedder:
        """Return the bot's embedder, whose vectors can be compared with those stored.

        Raises:
            EmbedderNotAvailableError: if it was an instance that this workspace was not given.
            EmbeddingSpaceMismatchError: if it makes vectors of another space than the bot was made with.
        """
        embedder = self.candidate(record.profile.embedder, bot, record)
        if not record.space.matches(embedder.space):
            raise EmbeddingSpaceMismatchError(
                f"bot {record.profile.name!r} holds vectors of {record.space}, but its embedder now makes "
                f"{embedder.space}; they cannot be compared. Use the embedder it was made with, or move the bot to "
                "another one with bot.reembed(embedder)"
            )
        return embedder

    def candidate(self, ref: ProviderRef, bot: BotContext, record: BotRecord) -> Embedder:
        """Return an embedder that the bot may be moved to, made with the bot's credentials."""
        return cast("Embedder", self._engine("embedder", ref, bot, record))

    def llm(self, bot: BotContext, record: BotRecord) -> LLM:
        """Return the model that answers for the bot."""
        return cast("LLM", self._engine("llm", record.profile.llm, bot, record))

    def reranker(self, bot: BotContext, record: BotRecord) -> Reranker | None:
        """Return the bot's reranker, if it has one."""
        ref = record.profile.reranker
        return None if ref is None else cast("Reranker", self._engine("reranker", ref, bot, record))

    def chunker(self, bot: BotContext, record: BotRecord) -> Chunker:
        """Return the bot's chunker."""
        return cast("Chunker", self._engine("chunker", record.profile.chunker, bot, record))

    def parser(self, extension: str, media_type: str | None) -> tuple[str, Parser] | None:
        """Return the name and the parser of a file extension or media type, or None if there is none."""
        asked = (extension, media_type)
        with self._lock:
            if asked not in self._parsers:
                choice = self._providers.parser_for(extension, media_type)
                ref = ProviderRef(provider=choice.name) if choice is not None else None
                self._parsers[asked] = None if ref is None else (ref.provider, self._shared("parser", ref))
            return self._parsers[asked]

    def close(self) -> None:
        """Close every provider made here; never one that the application gave."""
        with self._lock:
            made, self._made = list(self._made.values()), {}
            self._given.clear()
            self._parsers.clear()
        for engine in made:
            _close(engine)

    def forget(self, tenant_id: str, bot_id: str | None = None) -> None:
        """Close what was made with the credentials of a deleted bot, or of a whole tenant, whose instances go too."""
        owner = f"{tenant_id}/" if bot_id is None else f"{tenant_id}/{bot_id}/"
        with self._lock:
            made = [self._made.pop(name) for name in list(self._made) if name.startswith(owner)]
            if bot_id is None:
                self._given = {name: given for name, given in self._given.items() if name[0] != tenant_id}
        for engine in made:
            _close(engine)

    async def aclose(self) -> None:
        """Close what providers hold in this event loop."""
        with self._lock:
            made = list(self._made.values())
        for engine in made:
            close = getattr(engine, "aclose", None)
            if close is not None:
                await close()

    def given(self, kind: ProviderKind, ref: ProviderRef, tenant_id: str) -> Any:
        """Return the instance a reference stands for, the tenant's own or the workspace's.

        Raises:
            EmbedderNotAvailableError, ProviderNotFoundError: if this workspace was not given it.
        """
        name = str(ref.options.get("name"))
        with self._lock:
            for owner in (tenant_id, None):
                if (owner, kind, name) in self._given:
                    return self._given[(owner, kind, name)]
        message = f"this bot was made with {kind} instance {name!r}, which this process was not given; pass it to "
        if kind == "embedder":
            raise EmbedderNotAvailableError(
                message + "Workspace.open(embedder=...) or to tenant.bot(name, create=True, embedder=...)"
            )
        raise ProviderNotFoundError(message + f"tenant.bot(name, create=True, {kind}=...)")

    def create(self, kind: ProviderKind, ref: ProviderRef, credentials: Mapping[str, str]) -> Any:
        """Return a new provider, which its caller closes. Of a bot's credentials it is given those for all and its own.

        The process's own credentials go to servers that the workspace chose, and to the vendors' own, but to no server that
        a bot names: whoever may set a bot's `base_url` could read them there.
        """
        environment = self._environment
        if environment is None or (_SERVER in ref.options and _name(kind, ref) not in self._defaults):
            environment = {}
        context = ProviderContext(
            credentials=EngineCredentials(kind, credentials),
            environment=environment,
            url_policy=self._url_policy if ref.guarded else None,
        )
        return self._providers.create(kind, ref, context)

    def _shared(self, kind: ProviderKind, ref: ProviderRef) -> Any:
        return self._kept(_name(kind, ref), lambda: self.create(kind, ref, {}))

    def _engine(self, kind: ProviderKind, ref: ProviderRef, bot: BotContext, record: BotRecord) -> Any:
        if ref.provider == INSTANCE:
            return self.given(kind, ref, bot.scope.tenant_id)
        if not credentials_of(kind, record.profile.credential_fields):
            return self._shared(kind, ref)
        # A changed credential changes the record's time, and with it the name.
        owner = f"{bot.scope.tenant_id}/{bot.bot_id}/{record.updated_at.isoformat()}"
        sealed = bot.core.secrets.sealed(bot.scope, bot.bot_id, record.profile.credential_fields)
        return self._kept(f"{owner}/{_name(kind, ref)}", lambda: self.create(kind, ref, sealed))

    def _kept(self, name: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            engine = self._made.get(name)
            if engine is None:
                engine = self._made[name] = make()
            return engine


class _Trial:
    """Engines made to see whether they can be, and closed again."""

    def __init__(self, engines: Engines, credentials: Mapping[str, str], tenant_id: str) -> None:
        self._engines = engines
        self._credentials = credentials
        self._tenant_id = tenant_id
        self._made: list[Any] = []

    def engine(self, kind: ProviderKind, ref: ProviderRef) -> Any:
        if ref.provider == INSTANCE:
            return self._engines.given(kind, ref, self._tenant_id)
        made = self._engines.create(kind, ref, self._credentials)
        self._made.append(made)
        return made

    def close(self) -> None:
        for engine in self._made:
            _close(engine)


def _close(engine: Any) -> None:
    close = getattr(engine, "close", None)
    if close is not None:
        close()


def _name(kind: ProviderKind, ref: ProviderRef) -> str:
    return json.dumps([kind, ref.provider, ref.options, ref.guarded], sort_keys=True, default=str)


def _instance_name(kind: ProviderKind, value: Any) -> str:
    if kind == "embedder":
        return str(value.space.fingerprint)
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else type(value).__qualname__
