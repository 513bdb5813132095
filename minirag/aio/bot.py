"""`AsyncBot` and what hangs on it: sources, documents, conversations."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, TypeVar, overload

from minirag._services.answering import EventSteps, answer, answer_events
from minirag._services.core import BotContext
from minirag._services.evaluation import evaluate
from minirag._services.ingestion import add, ingest
from minirag._services.multi_search import search_many
from minirag._services.progress import choose_progress
from minirag._services.reembedding import reembed
from minirag._services.reporting import ProgressCallback, ReembedCallback
from minirag._services.retrieval import check_request, search
from minirag.aio.answers import AsyncAnswer, AsyncAnswerEvent, AsyncMessage, Binder
from minirag.aio.runner import Runner
from minirag.bot import Bot
from minirag.chat import Chat
from minirag.documents import Documents
from minirag.errors import InvalidInputError
from minirag.models.answers import Citation
from minirag.models.chats import ChatRecord
from minirag.models.documents import Document, DocumentVersion
from minirag.models.erasures import ErasureReceipt, HandlingOfChats
from minirag.models.reports import BotStats, EvaluationReport, IngestReport, ReembedReport
from minirag.models.search import SearchResults
from minirag.models.tenants import BotProfile, Source
from minirag.sources import _UNSET, Sources
from minirag.types import SearchMode

__all__ = ["AsyncBot", "AsyncChat", "AsyncChats", "AsyncDocuments", "AsyncSources", "each"]

T = TypeVar("T")
_BATCH = 100


async def each(runner: Runner, make: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """Yield what a blocking iterator yields, taken in batches off the event loop."""
    iterator = await runner.call(make)
    while batch := await runner.call(lambda: list(islice(iterator, _BATCH))):
        for item in batch:
            yield item


class AsyncSources:
    """The sources of a bot; see `Sources`."""

    def __init__(self, sources: Sources, runner: Runner) -> None:
        self._sources = sources
        self._runner = runner

    async def add(
        self,
        location: str | os.PathLike[str] | None = None,
        *,
        text: str | None = None,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        refresh: float | dt.timedelta | None = None,
    ) -> Source:
        """Register a source and return it; see `Sources.add`."""
        return await self._runner.call(
            self._sources.add, location, text=text, name=name, metadata=metadata, refresh=refresh
        )

    async def ingest(self, source: str | Source, *, progress: ProgressCallback | bool | None = None) -> IngestReport:
        """Read one source now and return what happened; see `Sources.ingest`."""
        return await self._runner.run(await self._runner.call(self._sources._ingest_steps, source, progress))

    async def get(self, source: str | Source) -> Source:
        """Return the source of this id, name, path or URL; see `Sources.get`."""
        return await self._runner.call(self._sources.get, source)

    async def list(self) -> Sequence[Source]:
        """Return all sources, oldest first."""
        return await self._runner.call(self._sources.list)

    async def update(
        self,
        source: str | Source,
        *,
        name: str = _UNSET,
        metadata: Mapping[str, Any] = _UNSET,
        refresh: float | dt.timedelta | None = _UNSET,
    ) -> Source:
        """Return the source with a new name, metadata or refresh; see `Sources.update`."""
        return await self._runner.call(self._sources.update, source, name=name, metadata=metadata, refresh=refresh)

    @overload
    async def remove(self, source: str | Source, erase: Literal[False] = False) -> int: ...  # noqa: FBT002 - as below
    @overload
    async def remove(
        self, source: str | Source, erase: Literal[True], *, chats: HandlingOfChats = "scrub"
    ) -> ErasureReceipt: ...
    async def remove(
        self,
        source: str | Source,
        erase: bool = False,  # noqa: FBT001, FBT002 - as in `Sources`
        *,
        chats: HandlingOfChats = "scrub",
    ) -> int | ErasureReceipt:
        """Remove a source with its documents, and return how many there were, or a receipt; see `Sources.remove`."""
        remove: Any = self._sources.remove
        removed: int | ErasureReceipt = await self._runner.call(remove, source, erase, chats=chats)
        return removed

    def __repr__(self) -> str:
        return repr(self._sources)


class AsyncDocuments:
    """The documents of a bot; see `Documents`."""

    def __init__(self, documents: Documents, runner: Runner) -> None:
        self._documents = documents
        self._runner = runner

    async def get(self, key: str, *, source: str | Source | None = None) -> Document:
        """Return the document of this key; see `Documents.get`."""
        return await self._runner.call(self._documents.get, key, source=source)

    def list(
        self, *, source: str | Source | None = None, where: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Document]:
        """Yield documents, oldest first; see `Documents.list`."""
        return each(self._runner, lambda: self._documents.list(source=source, where=where))

    async def count(self, *, source: str | Source | None = None, where: Mapping[str, Any] | None = None) -> int:
        """Return how many documents there are; see `Documents.count`."""
        return await self._runner.call(self._documents.count, source=source, where=where)

    async def text(self, key: str, *, version_id: str | None = None, source: str | Source | None = None) -> str:
        """Return a document's canonical text; see `Documents.text`."""
        return await self._runner.call(self._documents.text, key, version_id=version_id, source=source)

    async def versions(self, key: str, *, source: str | Source | None = None) -> Sequence[DocumentVersion]:
        """Return the document's versions, newest first; see `Documents.versions`."""
        return await self._runner.call(self._documents.versions, key, source=source)

    @overload
    async def remove(self, *keys: str, source: str | Source | None = None, erase: Literal[False] = False) -> int: ...
    @overload
    async def remove(
        self,
        *keys: str,
        source: str | Source | None = None,
        erase: Literal[True],
        chats: HandlingOfChats = "scrub",
    ) -> ErasureReceipt: ...
    async def remove(
        self,
        *keys: str,
        source: str | Source | None = None,
        erase: bool = False,
        chats: HandlingOfChats = "scrub",
    ) -> int | ErasureReceipt:
        """End the search of documents and return how many there were, or a receipt; see `Documents.remove`."""
        remove: Any = self._documents.remove
        removed: int | ErasureReceipt = await self._runner.call(remove, *keys, source=source, erase=erase, chats=chats)
        return removed

    def __repr__(self) -> str:
        return repr(self._documents)


class AsyncChat:
    """A conversation with a bot; see `Chat`."""

    def __init__(self, chat: Chat, runner: Runner) -> None:
        self._chat = chat
        self._runner = runner
        self._binder = Binder(runner)

    @property
    def id(self) -> str:
        """The chat's id, for `bot.chat(chat_id)`."""
        return self._chat.id

    async def messages(self) -> Sequence[AsyncMessage]:
        """Return every message so far, in order. Here it is a method, since it reads from the workspace."""
        found = await self._runner.call(lambda: self._chat.messages)
        return [self._binder.message(message) for message in found]

    async def send(self, question: str) -> AsyncAnswer:
        """Return the answer to the next question; see `Chat.send`."""
        return self._binder.answer(await self._runner.run(answer(self._chat._context, question, chat_id=self.id)))

    def stream(self, question: str) -> AsyncGenerator[AsyncAnswerEvent, None]:
        """Yield the answer to the next question as events; see `Chat.stream`."""
        return _events(self._runner, self._binder, answer_events(self._chat._context, question, chat_id=self.id))

    async def delete(self) -> None:
        """Delete the chat and its messages."""
        await self._runner.call(self._chat.delete)

    def __repr__(self) -> str:
        return f"<AsyncChat {self.id} with bot {self._chat._context.name!r}>"


class AsyncChats:
    """The conversations of a bot; see `Chats`."""

    def __init__(self, bot: Bot, runner: Runner) -> None:
        self._chats = bot.chats
        self._runner = runner

    async def get(self, chat_id: str) -> AsyncChat:
        """Return the chat of this id; see `Chats.get`."""
        return AsyncChat(await self._runner.call(self._chats.get, chat_id), self._runner)

    def list(self) -> AsyncIterator[ChatRecord]:
        """Yield chats, newest first."""
        return each(self._runner, self._chats.list)

    async def delete(self, chat_id: str) -> None:
        """Delete a chat and its messages."""
        await self._runner.call(self._chats.delete, chat_id)

    def __repr__(self) -> str:
        return repr(self._chats)


class AsyncBot:
    """A knowledge base, awaited; see `Bot`. `profile`, `sources`, `documents` and `chats` are plain attributes."""

    def __init__(self, bot: Bot, runner: Runner) -> None:
        self._bot = bot
        self._runner = runner
        self._binder = Binder(runner)
        self.sources = AsyncSources(bot.sources, runner)
        self.documents = AsyncDocuments(bot.documents, runner)
        self.chats = AsyncChats(bot, runner)

    @property
    def id(self) -> str:
        """The bot's id in its tenant."""
        return self._bot.id

    @property
    def name(self) -> str:
        """The bot's name in its tenant."""
        return self._bot.name

    @property
    def profile(self) -> BotProfile:
        """The bot's settings as this object last saw them; no I/O."""
        return self._bot.profile

    @property
    def _context(self) -> BotContext:
        return self._bot._context

    async def update(self, **profile: Any) -> BotProfile:
        """Change settings and return the profile; see `Bot.update`."""
        return await self._runner.call(self._bot.update, **profile)

    async def add(
        self, *inputs: Any, source: str | Source | None = None, progress: ProgressCallback | bool | None = None
    ) -> IngestReport:
        """Register and read what is given, asynchronous iterables too; see `Bot.add`.

        Cancelling stops after the batch in hand; what was committed stays. `progress` is called in one of the
        workspace's threads, and so is a plain iterable.
        """
        return await self._runner.run(add(self._context, inputs, source=source, progress=choose_progress(progress)))

    async def ingest(self, *, progress: ProgressCallback | bool | None = None) -> IngestReport:
        """Read every source again that is due; see `Bot.ingest`."""
        return await self._runner.run(ingest(self._context, None, progress=choose_progress(progress)))

    async def reembed(
        self,
        embedder: Any,
        rechunk: bool = False,  # noqa: FBT001, FBT002 - as in `Bot`
        *,
        progress: ReembedCallback | bool | None = None,
    ) -> ReembedReport:
        """Move the bot to another embedder; see `Bot.reembed`. Cancelling stops after the batch in hand."""
        callback = choose_progress(progress)
        record, report = await self._runner.run(reembed(self._context, embedder, rechunk=rechunk, progress=callback))
        self._bot._renew(record)
        return report

    async def search(
        self,
        query: str,
        *,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        mode: SearchMode = "hybrid",
        exact: bool = False,
    ) -> SearchResults:
        """Return the best hits, best first; see `Bot.search`."""
        request = check_request(query, k=k, where=where, mode=mode, exact=exact)
        return await self._runner.run(search(self._context, request))

    async def search_many(
        self,
        queries: Sequence[str],
        *,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        mode: SearchMode = "hybrid",
        exact: bool = False,
    ) -> list[SearchResults]:
        """Return one result a query; see `Bot.search_many`."""
        return await self._runner.run(search_many(self._context, queries, k=k, where=where, mode=mode, exact=exact))

    async def ask(self, question: str, *, k: int = 8, where: Mapping[str, Any] | None = None) -> AsyncAnswer:
        """Return an answer with exact citations, or an abstention; see `Bot.ask`."""
        return self._binder.answer(await self._runner.run(answer(self._context, question, k=k, where=where)))

    def stream(
        self, question: str, *, k: int = 8, where: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[AsyncAnswerEvent, None]:
        """Yield an answer as events; see `Bot.stream`."""
        return _events(self._runner, self._binder, answer_events(self._context, question, k=k, where=where))

    async def chat(self, chat_id: str | None = None) -> AsyncChat:
        """Return a new conversation, or the one of this id; see `Bot.chat`."""
        return AsyncChat(await self._runner.call(self._bot.chat, chat_id), self._runner)

    async def open(self, citation: Citation, before: int = 0, after: int = 0) -> str:
        """Return a citation's quote with code points around it; see `Bot.open`."""
        return await self._runner.call(self._bot.open, citation, before, after)

    async def stats(self) -> BotStats:
        """Return how large the bot is, and where its indexes stand; loads none of them."""
        return await self._runner.call(self._bot.stats)

    async def optimize(self, wait: bool = True) -> BotStats:  # noqa: FBT001, FBT002 - the public contract
        """Finish pending index work, and return the bot's statistics; see `Bot.optimize`."""
        return await self._runner.call(self._bot.optimize, wait)

    async def evaluate(self, queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]]) -> EvaluationReport:
        """Return nDCG@10, recall@100 and MRR@10 of each search mode; see `Bot.evaluate`."""
        return await self._runner.run(evaluate(self._context, queries, qrels))

    @overload
    async def delete(self, erase: Literal[False] = False) -> None: ...  # noqa: FBT002 - as below
    @overload
    async def delete(self, erase: Literal[True]) -> ErasureReceipt: ...
    async def delete(self, erase: bool = False) -> ErasureReceipt | None:  # noqa: FBT001, FBT002 - as in `Bot`
        """Delete the bot with everything that belongs to it; see `Bot.delete`."""
        delete: Any = self._bot.delete
        receipt: ErasureReceipt | None = await self._runner.call(delete, erase)
        return receipt

    def __repr__(self) -> str:
        return f"<AsyncBot {self.name!r}>"

    def __reduce__(self) -> Any:
        raise InvalidInputError(
            "an AsyncBot cannot be pickled: it holds database connections; open the workspace again there"
        )


async def _events(runner: Runner, binder: Binder, steps: EventSteps) -> AsyncGenerator[AsyncAnswerEvent, None]:
    events = runner.events(steps)
    try:
        async for event in events:
            yield binder.event(event)
    finally:
        await events.aclose()
