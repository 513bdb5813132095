"""The state machine fails on workspaces that are wrong in ways it must see."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from minirag._services.engines import Engines
from minirag._services.indexing import Partitions
from minirag.aio.bot import AsyncBot
from minirag.errors import EmbeddingSpaceMismatchError
from minirag.interfaces.scope import mint_scope
from minirag.models.filters import And
from minirag.providers.sqlalchemy.changes import BotChanges
from minirag.providers.sqlalchemy.reader import SqlAlchemyReader
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.providers.sqlalchemy.writer import SqlAlchemyWriter
from minirag.testing.machine import WorkspaceMachine, run_workspace_machine

Patch = Callable[[pytest.MonkeyPatch], None]
PROGRAMMES = 120


def removals_are_not_logged(patch: pytest.MonkeyPatch) -> None:
    """Break the change log: what goes without a successor leaves no row, so that no index hears of it."""
    log = BotChanges.log

    def only_additions(self: BotChanges, *, removed: Any, added: Any) -> None:
        if len(added):
            log(self, removed=removed, added=added)

    patch.setattr(BotChanges, "log", only_additions)


def filters_are_dropped(patch: pytest.MonkeyPatch) -> None:
    """Break search: a filter of three or more conditions allows everything."""
    for name in ("allowed", "allowed_if_few", "matching"):
        right = getattr(SqlAlchemyReader, name)

        def loose(
            self: SqlAlchemyReader, bot_id: str, where: Any, *given: Any, right: Any = right, **named: Any
        ) -> Any:
            everything = repr(where).count("Condition(") > 2
            return right(self, bot_id, And(()) if everything else where, *given, **named)

        patch.setattr(SqlAlchemyReader, name, loose)


def partitions_do_not_follow(patch: pytest.MonkeyPatch) -> None:
    """Break the indexes: a partition that is loaded stays as it is, whatever was written since."""
    level = Partitions._level

    def once(self: Partitions, reader: Any, bot_id: str, name: Any, *given: Any, **named: Any) -> Any:
        loaded = self._loaded.get(name)
        return loaded.partition if loaded is not None else level(self, reader, bot_id, name, *given, **named)

    patch.setattr(Partitions, "_level", once)


def evidence_is_anybodys(patch: pytest.MonkeyPatch) -> None:
    """Break isolation: a text is read by its version's id in whichever tenant it lies."""
    text, read = SqlAlchemyReader.text, SqlAlchemyStorage.read
    storages: list[SqlAlchemyStorage] = []

    def watched(self: SqlAlchemyStorage, scope: Any) -> Any:
        storages[:] = [self]
        return read(self, scope)

    def anywhere(self: SqlAlchemyReader, version_id: str, start: int = 0, end: int | None = None) -> str | None:
        found = text(self, version_id, start, end)
        if found is not None or not storages:
            return found
        storage = storages[0]
        with storage.directory() as directory:
            scopes = [mint_scope(tenant.id) for tenant in directory.tenants()]
        for scope in scopes:
            with read(storage, scope) as reader:
                if (found := text(reader, version_id, start, end)) is not None:  # type: ignore[arg-type]  # it is one
                    return found
        return None

    patch.setattr(SqlAlchemyStorage, "read", watched)
    patch.setattr(SqlAlchemyReader, "text", anywhere)


def messages_name_the_neighbours(patch: pytest.MonkeyPatch) -> None:
    """Break isolation: a message about a missing bot is helpful with another tenant's settings."""
    from minirag import session

    find, seen = session.find_bot, set()

    def helpful(context: Any, name: Any) -> Any:
        try:
            record = find(context, name)
        except Exception as problem:
            raise type(problem)(f"{problem}; did you mean one of {sorted(seen)}?") from None
        seen.add(record.profile.system_prompt)
        return record

    patch.setattr(session, "find_bot", helpful)


def fusion_uses_old_postings(patch: pytest.MonkeyPatch) -> None:
    """Break hybrid search: its keyword half is that of the first search, so its ranks are of chunks long gone."""
    keyword, first = Partitions.keyword, {}

    def stale(self: Partitions, reader: Any, scope: Any, bot: Any, **named: Any) -> Any:
        partition = keyword(self, reader, scope, bot, **named)
        kept = first.setdefault((id(self), bot.id), partition._state)  # type: ignore[attr-defined]  # of the built-in index
        partition._state = kept  # type: ignore[attr-defined]  # of the built-in index
        return partition

    patch.setattr(Partitions, "keyword", stale)


def stale_documents_stay_stale(patch: pytest.MonkeyPatch) -> None:
    """Break the counters: a document that needed no cutting is not stale any more, but is still counted."""
    update = SqlAlchemyWriter.update_document

    def uncounted(self: SqlAlchemyWriter, document_id: str, **facts: Any) -> None:
        load = BotChanges.load

        def kept(transaction: Any, bot_id: str) -> BotChanges:
            changes = load(transaction, bot_id)
            changes.counters["stale"] += 1
            return changes

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(BotChanges, "load", kept)
            update(self, document_id, **facts)

    patch.setattr(SqlAlchemyWriter, "update_document", uncounted)


def chunks_begin_one_too_late(patch: pytest.MonkeyPatch) -> None:
    """Break hits: the text of a chunk is not that of its span where the span does not begin the document."""
    hydrate = SqlAlchemyReader.hydrate

    def shifted(self: SqlAlchemyReader, bot_id: str, keys: Any) -> Any:
        rows = hydrate(self, bot_id, keys)
        return {key: row._replace(text=row.text[1:]) if row.start else row for key, row in rows.items()}

    patch.setattr(SqlAlchemyReader, "hydrate", shifted)


def embedders_are_shared_wrongly(patch: pytest.MonkeyPatch) -> None:
    """Break vectors: what is stored is of the text before, as if an embedder had mixed up its rows."""
    embedder = Engines.embedder

    def mixed(self: Engines, bot: Any, record: Any) -> Any:
        right = embedder(self, bot, record)
        embed = type(right).embed

        def rolled(texts: Any, *, purpose: Any) -> Any:
            return np.roll(embed(right, texts, purpose=purpose), int(purpose == "document"), axis=0)

        right.embed = rolled  # type: ignore[method-assign]  # to spoil this one
        return right

    patch.setattr(Engines, "embedder", mixed)


def the_log_remembers_everybody(patch: pytest.MonkeyPatch) -> None:
    """Break isolation: a debug line of one tenant's search shows what bots were asked for before, by whomever."""
    from minirag import session

    find, seen = session.find_bot, set()

    def chatty(context: Any, name: Any) -> Any:
        logging.getLogger("minirag.session").debug("a bot is looked for, after %s", sorted(seen))
        record = find(context, name)
        seen.add(record.profile.system_prompt)
        return record

    patch.setattr(session, "find_bot", chatty)


def awaited_hits_are_anybodys(patch: pytest.MonkeyPatch) -> None:
    """Break isolation on the asynchronous face alone: hits are kept by question, whoever asked it."""
    search, kept = AsyncBot.search, {}

    async def hasty(self: AsyncBot, query: str, **named: Any) -> Any:
        if (key := (query, repr(named))) not in kept:
            kept[key] = await search(self, query, **named)
        return kept[key]

    patch.setattr(AsyncBot, "search", hasty)


WRONG: list[Patch] = [
    removals_are_not_logged,
    filters_are_dropped,
    partitions_do_not_follow,
    evidence_is_anybodys,
    messages_name_the_neighbours,
    the_log_remembers_everybody,
    fusion_uses_old_postings,
    stale_documents_stay_stale,
    chunks_begin_one_too_late,
    embedders_are_shared_wrongly,
    awaited_hits_are_anybodys,
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_a_wrong_workspace_is_found_out(wrong: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine fails on it, within so many programmes that it would be hard to miss."""

    class Machine(WorkspaceMachine):
        heard: ClassVar[set[str]] = set()

    wrong(monkeypatch)
    found: tuple[type[BaseException], ...] = (AssertionError, pytest.fail.Exception)
    if wrong is embedders_are_shared_wrongly:
        found += (EmbeddingSpaceMismatchError,)  # the library's own probe of stored vectors may come first
    with pytest.raises(found):
        run_workspace_machine(Machine, programmes=PROGRAMMES)
