"""The models and tools that bots name in their profiles, made on first use and shared within the workspace."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from minirag.errors import (
    EmbedderNotAvailableError,
    EmbeddingSpaceMismatchError,
    InvalidInputError,
    ProviderNotFoundError,
)
from minirag.interfaces import LLM, Chunker, Embedder, Parser, ProviderContext, ProviderKind, Reranker
from minirag.models.checks import clipped
from minirag.models.tenants import INSTANCE, BotProfile, BotRecord, ProviderRef

if TYPE_CHECKING:
    from minirag._services.core import BotContext

__all__ = ["Engines", "ParserChoice", "ProviderSource"]

T = TypeVar("T")
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
    """Makes providers once, keeps them for the life of the workspace, and closes those it made."""

    def __init__(self, providers: ProviderSource, parse_ref: Callable[[ProviderKind, object], ProviderRef]) -> None:
        self._providers = providers
        self._parse_ref = parse_ref
        self._parsers: dict[tuple[str, str | None], tuple[str, Parser] | None] = {}
        self._made: dict[str, Any] = {}
        self._given: dict[tuple[str, str], Any] = {}
        self._lock = threading.RLock()

    def refer(self, kind: ProviderKind, value: object) -> ProviderRef:
        """Return the reference to store for what an application wrote or gave; an instance is remembered."""
        interface = _KINDS[kind]
        if isinstance(value, interface):
            name = _instance_name(kind, value)
            with self._lock:
                self._given[(kind, name)] = value
            return ProviderRef(provider=INSTANCE, options={"name": name})
        if not isinstance(value, str | Mapping | ProviderRef):
            raise InvalidInputError(
                f"{kind}={clipped(value)}: give a provider's name such as 'name:model', a mapping "
                f"{{'provider': ..., 'options': {{...}}}}, or an instance of minirag.interfaces.{interface.__name__}"
            )
        return self._parse_ref(kind, value)

    def embedder_of(self, ref: ProviderRef, credentials: Mapping[str, str]) -> Embedder:
        """Return the embedder a reference stands for.

        Raises:
            EmbedderNotAvailableError: if it was an instance that this workspace was not given.
        """
        try:
            return cast("Embedder", self._engine("embedder", ref, credentials))
        except LookupError:
            raise EmbedderNotAvailableError(
                f"this bot was made with an embedder instance, {ref.options.get('name')!r}, that this process was not "
                "given; pass it to Workspace.open(embedder=...) or tenant.bot(name, create=True, embedder=...)"
            ) from None

    def embedder(self, bot: BotContext, record: BotRecord) -> Embedder:
        """Return the bot's embedder, whose vectors can be compared with those stored.

        Raises:
            EmbedderNotAvailableError: if it was an instance that this workspace was not given.
            EmbeddingSpaceMismatchError: if it makes vectors of another space than the bot was made with.
        """
        embedder = self.embedder_of(record.profile.embedder, self._credentials(bot, record))
        if embedder.space != record.space:
            raise EmbeddingSpaceMismatchError(
                f"bot {record.profile.name!r} holds vectors of {record.space}, but its embedder now makes "
                f"{embedder.space}; they cannot be compared. Use the embedder it was made with, or move the bot to the "
                "new one with bot.reembed(...)"
            )
        return embedder

    def llm(self, bot: BotContext, record: BotRecord) -> LLM:
        """Return the model that answers for the bot."""
        return cast("LLM", self._named("llm", record.profile.llm, self._credentials(bot, record)))

    def reranker(self, bot: BotContext, record: BotRecord) -> Reranker | None:
        """Return the bot's reranker, if it has one."""
        ref = record.profile.reranker
        return None if ref is None else cast("Reranker", self._named("reranker", ref, self._credentials(bot, record)))

    def chunker(self, ref: ProviderRef) -> Chunker:
        """Return the chunker a reference stands for."""
        return cast("Chunker", self._named("chunker", ref, {}))

    def check(self, profile: BotProfile, credentials: Mapping[str, str]) -> None:
        """Make every engine a profile names, so that a wrong name or option is an error now and not at the first use."""
        self._named("llm", profile.llm, credentials)
        self._named("chunker", profile.chunker, {})
        if profile.reranker is not None:
            self._named("reranker", profile.reranker, credentials)

    def parser(self, extension: str, media_type: str | None) -> tuple[str, Parser] | None:
        """Return the name and the parser of a file extension or media type, or None if there is none."""
        asked = (extension, media_type)
        if asked not in self._parsers:
            choice = self._providers.parser_for(extension, media_type)
            self._parsers[asked] = (
                None
                if choice is None
                else (choice.name, cast("Parser", self._engine("parser", ProviderRef(provider=choice.name), {})))
            )
        return self._parsers[asked]

    def close(self) -> None:
        """Close every provider made here; never one that the application gave."""
        with self._lock:
            made, self._made = list(self._made.values()), {}
            self._given.clear()
        for engine in made:
            close = getattr(engine, "close", None)
            if close is not None:
                close()

    async def aclose(self) -> None:
        """Close what providers hold in this event loop."""
        with self._lock:
            made = list(self._made.values())
        for engine in made:
            close = getattr(engine, "aclose", None)
            if close is not None:
                await close()

    def _named(self, kind: ProviderKind, ref: ProviderRef, credentials: Mapping[str, str]) -> object:
        try:
            return self._engine(kind, ref, credentials)
        except LookupError:
            raise ProviderNotFoundError(
                f"this bot was made with a {kind} instance, {ref.options.get('name')!r}, that this process was not "
                f"given; pass it again with bot.update({kind}=...)"
            ) from None

    def _engine(self, kind: ProviderKind, ref: ProviderRef, credentials: Mapping[str, str]) -> object:
        if ref.provider == INSTANCE:
            return self._given[(kind, str(ref.options.get("name")))]
        secret = hashlib.sha256(json.dumps(dict(credentials), sort_keys=True).encode()).hexdigest()
        name = json.dumps([kind, ref.provider, ref.options, secret], sort_keys=True, default=str)
        with self._lock:
            engine = self._made.get(name)
            if engine is None:
                engine = self._providers.create(kind, ref, ProviderContext(credentials=dict(credentials)))
                self._made[name] = engine
            return engine

    @staticmethod
    def _credentials(bot: BotContext, record: BotRecord) -> Mapping[str, str]:
        if not record.profile.credential_fields:
            return {}
        return bot.core.secrets.open(bot.scope, bot.bot_id)


def _instance_name(kind: ProviderKind, value: Any) -> str:
    if kind == "embedder":
        return str(value.space.fingerprint)
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else type(value).__qualname__
