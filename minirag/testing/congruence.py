"""Congruence: the same random programme against workspaces of different parts, whose every result and error must be the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from minirag.bot import Bot
from minirag.chat import Chat
from minirag.errors import MiniRAGError
from minirag.models.answers import Answer
from minirag.models.documents import DocumentInput
from minirag.models.search import SearchResults
from minirag.types import SearchMode
from minirag.workspace import Workspace

__all__ = ["CongruenceError", "check_congruence"]

_WORDS: Final = ("kettle", "bridge", "harbour", "lantern", "invoice", "garden", "Zürich", "北京", "return", "42")
_TENANTS: Final = ("acme", "beta")
_BOTS: Final = ("support", "docs")
_SOURCES: Final = (None, "manual", "wiki")
_MODES: Final[tuple[SearchMode, ...]] = ("dense", "keyword", "hybrid")
_MISSING: Final = "there-is-none"
_CHUNKERS: Final = ("whole", {"provider": "recursive", "options": {"size": 60, "overlap": 10}}, "markdown")
_EMBEDDERS: Final = ({"provider": "hashing", "options": {"dimension": 32}}, "hashing", "hashing:there-is-none")


class CongruenceError(AssertionError):
    """Two workspaces gave different outcomes of the same call."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One call: what it is, for the message, and how a workspace makes it."""

    says: str
    make: Callable[[_Place], Any]


@dataclass(slots=True)
class _Place:
    """A workspace, and the chats that the programme has begun in it, by number."""

    workspace: Workspace
    chats: dict[tuple[str, str], Chat] = field(default_factory=dict)

    def bot(self, tenant: str, name: str) -> Bot:
        return self.workspace.tenant(tenant).bot(name)

    def chat(self, tenant: str, name: str) -> Chat:
        if (tenant, name) not in self.chats:
            self.chats[tenant, name] = self.bot(tenant, name).chat()
        return self.chats[tenant, name]


def check_congruence(*workspaces: Workspace, seed: int = 0, steps: int = 100) -> int:
    """Make the same calls in every workspace and compare what they return or raise; return how many calls were compared.

    The workspaces must be empty and have equal embedders. Searches are made with `exact=True`, since engines may differ
    in what they find otherwise; scores are compared to six decimals. Ids and times, which are never equal, are left out.

    Args:
        seed: of the programme; another one makes other calls.

    Raises:
        CongruenceError: naming the call, and both outcomes.
    """
    places = [_Place(workspace) for workspace in workspaces]
    count = 0
    for count, step in enumerate(_programme(random.Random(seed), steps), start=1):
        first, *others = (_outcome(step, place) for place in places)
        for place, other in zip(places[1:], others, strict=True):
            if other != first:
                raise CongruenceError(
                    f"call {count} of programme {seed}: {step.says}\n{places[0].workspace!r}: {first!r}\n"
                    f"{place.workspace!r}: {other!r}"
                )
    return count


def _outcome(step: _Step, place: _Place) -> Any:
    try:
        return _plain(step.make(place))
    except MiniRAGError as problem:
        return type(problem).__name__, str(problem)


def _plain(value: Any) -> Any:
    """Return what can be compared of a result."""
    if isinstance(value, SearchResults):
        return [(*_span(hit), hit.text, round(hit.score, 6), hit.title, hit.metadata, hit.bot) for hit in value]
    if isinstance(value, Answer):
        return value.text, [(cited.marker, cited.quote, *_span(cited)) for cited in value.citations], value.abstained
    return value


def _span(found: Any) -> tuple[Any, ...]:
    return found.source_name, found.key, found.start, found.end


def _programme(chance: random.Random, steps: int) -> Iterator[_Step]:
    for tenant in _TENANTS:
        yield _made_tenant(tenant)
        for name in _BOTS:
            yield _made_bot(tenant, name)
    for _ in range(steps):
        tenant, name = chance.choice(_TENANTS), chance.choice(_BOTS)
        yield chance.choices(_CALLS, weights=_WEIGHTS)[0](chance, tenant, name)
    for tenant in _TENANTS:
        for name in _BOTS:
            yield _listing(chance, tenant, name)
            yield _search(chance, tenant, name)


def _made_tenant(tenant: str) -> _Step:
    return _Step(f"tenant {tenant}", lambda place: place.workspace.tenant(tenant, create=True).tenant.slug)


def _made_bot(tenant: str, name: str) -> _Step:
    settings: dict[str, Any] = {"filterable": ("lang", "year")} if name == "docs" else {}
    return _Step(
        f"bot {tenant}/{name}",
        lambda place: place.workspace.tenant(tenant).bot(name, create=True, **settings).name,
    )


def _add(chance: random.Random, tenant: str, name: str) -> _Step:
    source = chance.choice(_SOURCES)
    documents = [
        DocumentInput(
            text=_text(chance),
            key=chance.choice("abcdefgh"),
            title=chance.choice((None, "Kettles", "Über Gärten")),
            metadata=_metadata(chance),
        )
        for _ in range(chance.randint(1, 5))
    ]

    def make(place: _Place) -> Any:
        report = place.bot(tenant, name).add(documents, source=source, progress=False)
        return report.counts, report.chunks, [(entry.key, entry.reason) for entry in report.failed]

    return _Step(f"{tenant}/{name}: add {[document.key for document in documents]} to {source}", make)


def _remove(chance: random.Random, tenant: str, name: str) -> _Step:
    key, source = chance.choice(("a", "b", "c", _MISSING)), chance.choice(_SOURCES)
    return _Step(
        f"{tenant}/{name}: remove {key} from {source}",
        lambda place: place.bot(tenant, name).documents.remove(key, source=source),
    )


def _get(chance: random.Random, tenant: str, name: str) -> _Step:
    key = chance.choice(("a", "b", "c", _MISSING))

    def make(place: _Place) -> Any:
        documents = place.bot(tenant, name).documents
        document = documents.get(key)
        return document.key, document.title, document.metadata, documents.text(key)

    return _Step(f"{tenant}/{name}: get {key}", make)


def _listing(chance: random.Random, tenant: str, name: str) -> _Step:
    where = _where(chance)

    def make(place: _Place) -> Any:
        documents = place.bot(tenant, name).documents
        listed = sorted((each.key, each.title or "", str(each.metadata)) for each in documents.list(where=where))
        return listed, documents.count()

    return _Step(f"{tenant}/{name}: list where {where}", make)


def _search(chance: random.Random, tenant: str, name: str) -> _Step:
    query, k, mode, where = (
        _text(chance, words=3),
        chance.choice((1, 3, 10, 100)),
        chance.choice(_MODES),
        _where(chance),
    )
    return _Step(
        f"{tenant}/{name}: search {query!r}, k={k}, mode={mode}, where={where}",
        lambda place: place.bot(tenant, name).search(query, k=k, mode=mode, where=where, exact=True),
    )


def _ask(chance: random.Random, tenant: str, name: str) -> _Step:
    question = _text(chance, words=4)
    return _Step(f"{tenant}/{name}: ask {question!r}", lambda place: place.bot(tenant, name).ask(question))


def _send(chance: random.Random, tenant: str, name: str) -> _Step:
    question = _text(chance, words=4)

    def make(place: _Place) -> Any:
        chat = place.chat(tenant, name)
        answer = chat.send(question)
        return _plain(answer), [(message.role, message.text) for message in chat.messages]

    return _Step(f"{tenant}/{name}: send {question!r}", make)


def _forget_source(chance: random.Random, tenant: str, name: str) -> _Step:
    source = chance.choice(("manual", "wiki", _MISSING))

    def make(place: _Place) -> Any:
        sources = place.bot(tenant, name).sources
        return sources.remove(sources.get(source))

    return _Step(f"{tenant}/{name}: remove source {source}", make)


def _update(chance: random.Random, tenant: str, name: str) -> _Step:
    settings = chance.choice(
        ({"chunker": chance.choice(_CHUNKERS)}, {"language": "de"}, {"filterable": ("tags",)}, {"language": _MISSING})
    )

    def make(place: _Place) -> Any:
        bot = place.bot(tenant, name)
        bot.update(**settings)
        stale = bot.stats().stale
        return stale, bot.ingest(progress=False).counts, _numbers(bot)

    return _Step(f"{tenant}/{name}: update {settings}", make)


def _reembed(chance: random.Random, tenant: str, name: str) -> _Step:
    embedder: Any = chance.choice(_EMBEDDERS)

    def make(place: _Place) -> Any:
        report = place.bot(tenant, name).reembed(embedder, progress=False)
        return report.moved, report.chunks, _numbers(place.bot(tenant, name))

    return _Step(f"{tenant}/{name}: reembed with {embedder}", make)


def _optimize(chance: random.Random, tenant: str, name: str) -> _Step:
    query = _text(chance, words=2)

    def make(place: _Place) -> Any:
        bot = place.bot(tenant, name)
        bot.optimize()
        return _numbers(bot), _plain(bot.search(query, mode="dense", exact=True))

    return _Step(f"{tenant}/{name}: optimize, and search {query!r}", make)


def _search_bots(chance: random.Random, tenant: str, name: str) -> _Step:
    del name
    query, where = _text(chance, words=3), _where(chance)
    return _Step(
        f"{tenant}: search {query!r} where {where}",
        lambda place: place.workspace.tenant(tenant).search(query, k=5, where=where),
    )


def _delete_bot(chance: random.Random, tenant: str, name: str) -> _Step:
    del chance

    def make(place: _Place) -> Any:
        session = place.workspace.tenant(tenant)
        session.bots.delete(name)
        place.chats.pop((tenant, name), None)
        left = [profile.name for profile in session.bots.list()]
        session.bot(name, create=True)
        return left, _numbers(session.bot(name))

    return _Step(f"{tenant}/{name}: delete, and make anew", make)


def _numbers(bot: Bot) -> tuple[int, ...]:
    stats = bot.stats()
    return stats.documents, stats.chunks, stats.characters, stats.sources, stats.stale, stats.dimension or 0


def _wrong(chance: random.Random, tenant: str, name: str) -> _Step:
    where: Any = chance.choice(({"year": {"$near": 3}}, {"$source": 5}, {"year": {"$gte": None}}, {"$bogus": 1}))
    return _Step(
        f"{tenant}/{name}: search where {where}", lambda place: place.bot(tenant, name).search("kettle", where=where)
    )


_CALLS: Final[Sequence[Callable[[random.Random, str, str], _Step]]] = (
    _add, _search, _remove, _get, _listing, _ask, _send, _forget_source, _wrong,
    _update, _reembed, _optimize, _search_bots, _delete_bot,
)  # fmt: skip
_WEIGHTS: Final = (30, 30, 8, 6, 8, 6, 4, 3, 2, 4, 2, 2, 4, 1)


def _text(chance: random.Random, words: int | None = None) -> str:
    return " ".join(chance.choices(_WORDS, k=words or chance.choice((1, 5, 20, 20, 200)))) + "."


def _metadata(chance: random.Random) -> dict[str, Any]:
    values = {"lang": ("en", "de", None), "year": (2019, 2020, 2020.5, True), "tags": (["a", "b"], [1, 2], "a")}
    return {name: chance.choice(of) for name, of in values.items() if chance.random() < 0.7}


def _where(chance: random.Random) -> dict[str, Any] | None:
    wheres: tuple[dict[str, Any] | None, ...] = (
        None, None, {"lang": "en"}, {"lang": None}, {"lang": {"$nin": ["en"]}}, {"year": {"$gte": 2020}}, {"year": True},
        {"tags": "a"}, {"tags": {"$in": [1, "b"]}}, {"tags": {"$exists": False}}, {"$key": {"$gt": "c"}},
        {"$source": "manual"}, {"$or": [{"lang": "de"}, {"year": {"$lt": 2020}}]}, {"$not": {"lang": "en"}},
    )  # fmt: skip
    return chance.choice(wheres)
