"""`Bot`: a knowledge base of one tenant, and everything one does with it.

What only some calls need is imported by these: a process that searches once starts sooner.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Literal, overload

from minirag._services.audit import record
from minirag._services.conversations import Conversations
from minirag._services.core import BotContext, Core
from minirag._services.evidence import Evidence
from minirag._services.ingestion import add, ingest
from minirag._services.maintenance import optimize, statistics
from minirag._services.multi_search import search_many
from minirag._services.profiles import change_bot
from minirag._services.progress import choose_progress
from minirag._services.reporting import ProgressCallback, ReembedCallback
from minirag._services.retrieval import check_request, search
from minirag._services.steps import events, run
from minirag.chat import Chat, Chats
from minirag.documents import Documents
from minirag.errors import InvalidInputError
from minirag.interfaces import TenantScope
from minirag.models.answers import Answer, AnswerEvent, Citation
from minirag.models.checks import check_flag, check_integer, clipped
from minirag.models.erasures import ErasureReceipt
from minirag.models.principals import APPLICATION, Principal
from minirag.models.reports import BotStats, EvaluationReport, IngestReport, ReembedReport
from minirag.models.search import SearchResults
from minirag.models.tenants import BotProfile, BotRecord, Source
from minirag.sources import Sources
from minirag.types import SearchMode

__all__ = ["Bot"]


class Bot:
    """A knowledge base: documents go in, hits and cited answers come out. Threads may share it.

    Attributes:
        sources: where documents come from.
        documents: what was taken in.
        chats: conversations that are kept.
    """

    def __init__(self, core: Core, scope: TenantScope, record: BotRecord, principal: Principal = APPLICATION) -> None:
        self._context = BotContext(core, scope, record.id, record.profile.name, principal)
        self._record = record
        self.sources = Sources(self._context)
        self.documents = Documents(self._context)
        self.chats = Chats(self._context)

    @property
    def id(self) -> str:
        """The bot's id in its tenant."""
        return self._context.bot_id

    @property
    def name(self) -> str:
        """The bot's name in its tenant."""
        return self._record.profile.name

    @property
    def profile(self) -> BotProfile:
        """The bot's settings as this object last saw them; no I/O."""
        return self._record.profile

    def update(self, **profile: Any) -> BotProfile:
        """Change settings and return the profile; a changed chunker or language takes effect at the next `ingest()`.

        Args:
            **profile: fields of `BotProfile`, and `credentials`: a mapping of names to str, or to None to remove one.

        Raises:
            InvalidInputError: naming an unknown field or a wrong value.
            EmbeddingSpaceMismatchError: if another embedder is named, whose vectors cannot be compared with the stored.
        """
        if not profile:
            raise InvalidInputError("update() was given nothing; name a setting, such as system_prompt='...'")
        self._renew(change_bot(self._context, profile))
        return self.profile

    def _renew(self, record: BotRecord) -> None:
        self._record = record

    def add(
        self, *inputs: Any, source: str | Source | None = None, progress: ProgressCallback | bool | None = None
    ) -> IngestReport:
        """Register and read what is given, and return what happened.

        Args:
            *inputs: paths of files and folders, http(s) URLs, `DocumentInput`s, or iterables of these, which are
                consumed once and lazily.
            source: the text source that `DocumentInput`s go to, by default `"inline"`.
            progress: a callable that gets `IngestProgress` steps; by default a bar in a terminal or notebook.

        Raises:
            SourceNotFoundError: if a path does not exist; nothing was read.
            InvalidInputError: if an argument is of no use; nothing was read.
            IngestError: if the caller's iterable raised; its `report` lists what was committed.
        """
        return run(add(self._context, inputs, source=source, progress=choose_progress(progress)))

    def ingest(self, *, progress: ProgressCallback | bool | None = None) -> IngestReport:
        """Read every source again whose `refresh` is due, cut stale documents anew, and return what happened."""
        return run(ingest(self._context, None, progress=choose_progress(progress)))

    def reembed(
        self,
        embedder: Any,
        rechunk: bool = False,  # noqa: FBT001, FBT002 - the name and place are part of the contract
        *,
        progress: ReembedCallback | bool | None = None,
    ) -> ReembedReport:
        """Move the bot to another embedder and return what happened; searches go on all the time.

        New vectors are made beside the old ones, then one transaction swaps them. A call that was killed or failed is
        taken up again by the next one, and until the swap the bot is as it was. With the embedder that the bot has,
        and whose vectors are those stored, nothing is embedded and left-over vectors of other spaces are dropped.

        Args:
            embedder: a provider's name, a mapping, or an instance of `minirag.interfaces.Embedder`.
            rechunk: cut every document anew after the move, as the new embedder counts tokens.
            progress: a callable that gets `ReembedProgress` steps; by default a bar in a terminal or notebook.

        Raises:
            InvalidInputError: if an argument is of no use.
            ConflictError: if another call moved the bot elsewhere meanwhile.
        """
        callback = choose_progress(progress)
        from minirag._services.reembedding import reembed

        record, report = run(reembed(self._context, embedder, rechunk=rechunk, progress=callback))
        self._renew(record)
        return report

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        mode: SearchMode = "hybrid",
        exact: bool = False,
    ) -> SearchResults:
        """Return the best hits, best first: exactly min(k, chunks that `where` allows).

        Args:
            query: what to look for.
            k: how many hits, from 1 to 10,000.
            where: a filter over metadata, such as `{"lang": "en", "year": {"$gte": 2020}}`.
            mode: `"hybrid"`; `"dense"`: nearest vectors; `"keyword"`: BM25, and then only chunks with a query term.
            exact: score every allowed chunk.

        Raises:
            InvalidInputError, FilterError: naming the wrong argument.
        """
        return run(search(self._context, check_request(query, k=k, where=where, mode=mode, exact=exact)))

    def search_many(
        self,
        queries: Sequence[str],
        *,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        mode: SearchMode = "hybrid",
        exact: bool = False,
    ) -> list[SearchResults]:
        """Return one result a query, as `search` would; queries are embedded in batches."""
        return run(search_many(self._context, queries, k=k, where=where, mode=mode, exact=exact))

    def ask(self, question: str, *, k: int = 8, where: Mapping[str, Any] | None = None) -> Answer:
        """Return an answer with exact citations, or an abstention if the documents support none.

        The extractive answerer cites every statement; a model is told to, and what it left uncited stays so.

        Args:
            question: in any language.
            k: how many chunks are considered.
            where: a filter over metadata.
        """
        from minirag._services.answering import answer

        return run(answer(self._context, question, k=k, where=where))

    def stream(
        self, question: str, *, k: int = 8, where: Mapping[str, Any] | None = None
    ) -> Generator[AnswerEvent, None, None]:
        """Yield an answer as events: `sources`, `delta`s, `citation`s, `usage`, and at last one `done` or `error`."""
        from minirag._services.answering import answer_events

        return events(answer_events(self._context, question, k=k, where=where))

    def chat(self, chat_id: str | None = None) -> Chat:
        """Return a new conversation, or the one of this id.

        Raises:
            ChatNotFoundError: if the bot has no chat of this id.
        """
        conversations = Conversations(self._context)
        return Chat(self._context, conversations.start() if chat_id is None else conversations.get(chat_id))

    def open(self, citation: Citation, before: int = 0, after: int = 0) -> str:
        """Return a citation's quote from the stored text, with so many code points around it.

        Works for a citation that was stored by the application and loaded again.

        Raises:
            EvidenceGoneError: if the text was erased, or is another tenant's.
        """
        if not isinstance(citation, Citation):
            raise InvalidInputError(f"open() takes a Citation, not {clipped(citation)}")
        check_integer("before", before)
        check_integer("after", after)
        bound = citation._bind(Evidence(self._context.core, self._context.scope, self._context.principal))
        # Not bound.open(): the asynchronous face's citations are awaited there.
        return Citation.open(bound, before, after)

    def stats(self) -> BotStats:
        """Return how large the bot is, and where its indexes stand; loads none of them."""
        return statistics(self._context)

    def optimize(self, wait: bool = True) -> BotStats:  # noqa: FBT001, FBT002 - the public contract
        """Finish pending index work, and return the bot's statistics.

        Searches are right without it: it builds the faster engine of a large bot now instead of beside later searches, and
        keeps what a new process begins with.

        Args:
            wait: False to have it done in the background.

        Raises:
            StorageError: if a file cannot be written.
        """
        return optimize(self._context, wait=check_flag("wait", wait))

    def evaluate(self, queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]]) -> EvaluationReport:
        """Return nDCG@10, recall@100 and MRR@10 of each search mode over judged queries.

        Args:
            queries: texts by query id.
            qrels: by query id, grades (0: not relevant) by document key.
        """
        from minirag._services.evaluation import evaluate

        return run(evaluate(self._context, queries, qrels))

    @overload
    def delete(self, erase: Literal[False] = False) -> None: ...  # noqa: FBT002 - as below
    @overload
    def delete(self, erase: Literal[True]) -> ErasureReceipt: ...
    def delete(self, erase: bool = False) -> ErasureReceipt | None:  # noqa: FBT001, FBT002 - the public contract
        """Delete the bot with its sources, documents, chats and credentials.

        Args:
            erase: destroy all of it beyond recovery, and return the receipt.
        """
        self._context.allow("bots.delete")
        if check_flag("erase", erase):
            from minirag._services.erasure import erase_bot

            return erase_bot(self._context)
        core = self._context.core
        with core.storage.write(self._context.scope) as writer:
            self._context.record(writer)
            writer.delete_bot(self.id)
            record(writer, self._context.principal, "bot.deleted", self.id)
        core.partitions.forget(self._context.scope, self.id)
        core.engines.forget(self._context.scope.tenant_id, self.id)
        return None

    def __repr__(self) -> str:
        return f"<Bot {self.name!r}: {self.profile.llm} over {self._record.space}>"

    def __reduce__(self) -> Any:
        raise InvalidInputError(
            "a Bot cannot be pickled: it holds database connections; open the workspace again there"
        )
