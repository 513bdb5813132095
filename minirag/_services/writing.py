"""The batch in hand: planned documents are embedded and committed, whole versions at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag._services import audit
from minirag._services.core import BotContext
from minirag._services.embedding import embed
from minirag._services.identity import SAMPLE_TEXTS, assure, compare
from minirag._services.ledger import Ledger
from minirag._services.limits import over_quota
from minirag._services.planning import Plan, Planner, Touch, Unchanged
from minirag._services.profiles import CUT_BY
from minirag._services.reading import Incoming, UnreadableError
from minirag._services.reporting import ReportBuilder
from minirag._services.steps import Steps
from minirag.errors import BudgetExceededError, InvalidDocumentError, MiniRAGError, ParseError, ProviderRequestError
from minirag.interfaces import Embedder
from minirag.interfaces.records import DocumentState, VersionDraft
from minirag.interfaces.storage import Reader, Writer
from minirag.models.tenants import BotRecord, Source

if TYPE_CHECKING:
    from minirag.types import Vector

__all__ = ["DocumentWriter"]

_GATHER_DOCUMENTS: Final = 1_024
_GATHER_BYTES: Final = 8 * 1024 * 1024
_COMMIT_DOCUMENTS: Final = 4_096
_COMMIT_BYTES: Final = 8 * 1024 * 1024
_COMMIT_SECONDS: Final = 0.5
_PATIENCE: Final = 5
_NOT_FOUND: Final = 404

Name = tuple[str, str]
"""A document's identity in its bot: source id and key."""


class DocumentWriter:
    """Takes documents in, in bounded batches.

    Documents are gathered until there are enough to ask the storage for their states at once, then planned one by one,
    and embedded as soon as one batch of the embedder is full. They are committed when half a second has gone by since the
    first of them began to be embedded: after each batch of a slow embedder, after many of a fast one. A killed process
    loses at most what was embedded meanwhile.

    A `problem` is an error that the embedder met when it was to be probed; it is raised when there is something to embed.
    """

    def __init__(
        self,
        bot: BotContext,
        record: BotRecord,
        embedder: Embedder,
        report: ReportBuilder,
        *,
        problem: MiniRAGError | None = None,
    ) -> None:
        self._bot = bot
        self._record = record
        self._embedder = embedder
        self._report = report
        self._problem = problem
        self._planner = Planner(bot, record, embedder)
        self._gathered: dict[Name, Incoming] = {}
        self._gathered_bytes = 0
        self._planned: dict[Name, Plan | Touch] = {}
        self._planned_texts = 0
        self._ready: dict[Name, Plan | Touch] = {}
        self._bytes = 0
        self._vectors: dict[bytes, Vector] = {}
        self._began = 0.0
        self._new_sources: dict[str, Source] = {}
        self._stored_sources: dict[str, Source] = {}
        self._also: Callable[[Writer], None] | None = None
        self._noted = False

    def introduce(self, source: Source) -> None:
        """Take note of a source that is to be written with the first documents."""
        self._new_sources[source.id] = source

    def stored(self, source: Source) -> Source:
        """Return the source as it is stored: another writer may have been the first to make one at its place."""
        return self._stored_sources.get(source.id, source)

    def put_sources(self, writer: Writer) -> bool:
        """Write the sources that were introduced; return whether another writer's is there in place of one."""
        taken = False
        for source in self._new_sources.values():
            present = writer.source_at(source.bot_id, source.kind, source.locator)
            if present is None:
                writer.put_source(source)
                audit.record(writer, self._bot.principal, "source.added", source.id)
            elif present.id != source.id:
                self._stored_sources[source.id], taken = present, True
        return taken

    def take(self, incoming: Incoming) -> Steps[None]:
        """Take one document in; it is committed when a batch is full, at the latest by `flush`."""
        incoming.source = self.stored(incoming.source)
        name = (incoming.source.id, incoming.key)
        if name in self._gathered:
            self._gathered_bytes -= self._gathered.pop(name).size
        self._gathered[name] = incoming
        self._gathered_bytes += incoming.size
        if len(self._gathered) >= _GATHER_DOCUMENTS or self._gathered_bytes >= _GATHER_BYTES:
            yield from self._plan()

    def flush(self, also: Callable[[Writer], None] | None = None) -> Steps[bool]:
        """Commit everything that was taken in.

        What `also` does is done in the transaction that writes the last batch, if there is something to write; returned is
        whether it was.
        """
        yield from self._plan()
        self._also = also
        try:
            yield from self._commit()
            return self._also is None
        finally:
            self._also = None

    def _plan(self) -> Steps[None]:
        gathered, self._gathered, self._gathered_bytes = self._gathered, {}, 0
        if any(name in self._planned or name in self._ready for name in gathered):
            yield from self._commit()
        states = self._states(gathered)
        for name, incoming in gathered.items():
            self._consider(name, incoming, states.get(name))
            if self._planned_texts >= max(1, self._embedder.batch_size):
                yield from self._make_ready()
            late = self._ready and time.monotonic() - self._began >= _COMMIT_SECONDS
            if late or len(self._planned) + len(self._ready) >= _COMMIT_DOCUMENTS or self._bytes >= _COMMIT_BYTES:
                yield from self._commit()

    def _consider(self, name: Name, incoming: Incoming, state: DocumentState | None) -> None:
        source_id, key = name
        try:
            plan = self._planner.plan(incoming, state)
        except UnreadableError as problem:
            self._report.note(source_id, key, "skipped", reason=str(problem))
        except (ParseError, InvalidDocumentError) as problem:
            self._report.note(source_id, key, "failed", reason=str(problem))
        else:
            if incoming.parsed is None and isinstance(plan, Plan):
                for warning in plan.parsed.warnings:
                    self._report.warn(f"{key}: {warning}")
            if isinstance(plan, Unchanged):
                self._report.note(source_id, key, "unchanged", chunks=plan.state.chunks)
            else:
                self._planned[name] = plan
                self._bytes += incoming.size
                self._planned_texts += len(plan.texts) if isinstance(plan, Plan) else 0

    def _states(self, names: Iterable[Name]) -> dict[Name, DocumentState]:
        self._bot.allow("documents.add")
        if all(source_id in self._new_sources for source_id, _ in names):
            return {}
        with self._bot.core.storage.read(self._bot.scope) as reader:
            return self._read_states(reader, names)

    def _read_states(self, reader: Reader, names: Iterable[Name]) -> dict[Name, DocumentState]:
        by_source: dict[str, list[str]] = {}
        for source_id, key in names:
            if source_id in self._new_sources:
                continue
            by_source.setdefault(source_id, []).append(key)
        return {
            (source_id, state.key): state
            for source_id, keys in by_source.items()
            for state in reader.states(source_id, keys, limit=len(keys))
        }

    def _commit(self) -> Steps[None]:
        """Embed what is new and write the batch; a document that another writer changed meanwhile is planned again."""
        for _ in range(_PATIENCE):
            yield from self._make_ready()
            space = self._record.space
            late = self._write()
            if self._record.space != space:
                yield from self._follow()
            if not late:
                self._vectors = {}
                return
            states = self._states(late)
            for name, incoming in late.items():
                self._consider(name, incoming, states.get(name))
        for source_id, key in self._planned:
            reason = "other writers changed it again and again; add it once more"
            self._report.note(source_id, key, "failed", reason=reason)
        self._planned, self._planned_texts, self._bytes, self._vectors = {}, 0, 0, {}

    def _follow(self) -> Steps[None]:
        """Go on with the embedder that the bot was moved to while this batch was embedded."""
        self._vectors = {}
        self._embedder = self._bot.core.engines.embedder(self._bot, self._record)
        self._problem = yield from assure(self._bot, self._record, self._embedder)
        self._planner = Planner(self._bot, self._record, self._embedder)

    def _make_ready(self) -> Steps[None]:
        """Get the planned documents' vectors. If that fails, those that have theirs already are written."""
        planned, self._planned, self._planned_texts = self._planned, {}, 0
        if not self._ready:
            self._began = time.monotonic()
        if any(isinstance(plan, Plan) for plan in planned.values()):
            with self._bot.core.storage.read(self._bot.scope) as reader:
                self._leave_out(reader, planned, before=self._ready.values())
        try:
            yield from self._get_vectors(planned)
        except Exception:
            self._write()
            raise
        self._ready |= planned

    def _get_vectors(self, planned: dict[Name, Plan | Touch]) -> Steps[None]:
        """Get a vector for each content hash, embedding only those the tenant has not got yet.

        If the embedder refuses a batch for what is in it, its documents are tried one by one, and those refused again
        leave the batch as failed, one alone in its batch too: it must not stop those after it.
        """
        plans = {name: plan for name, plan in planned.items() if isinstance(plan, Plan)}
        texts = {
            chunk.content_hash: text
            for plan in plans.values()
            for chunk, text in zip(plan.chunks, plan.texts, strict=True)
            if chunk.content_hash not in self._vectors
        }
        if not texts:
            return
        found = yield from self._stored(texts)
        self._vectors |= found
        missing = {name: text for name, text in texts.items() if name not in found} if found else texts
        try:
            yield from self._embed(missing)
        except BudgetExceededError as problem:
            for name, plan in plans.items():
                if any(chunk.content_hash not in self._vectors for chunk in plan.chunks):
                    del planned[name]
                    self._report.note(*name, "failed", reason=str(problem))
        except ProviderRequestError as problem:
            if problem.status == _NOT_FOUND:
                raise  # the model's name or the server's address is wrong, and no document at fault
            for name, plan in plans.items():
                own = {c.content_hash: missing[c.content_hash] for c in plan.chunks if c.content_hash in missing}
                try:
                    yield from self._embed({each: text for each, text in own.items() if each not in self._vectors})
                except ProviderRequestError as problem:
                    del planned[name]
                    self._report.note(*name, "failed", reason=f"the embedder refused it: {problem}")

    def _stored(self, texts: Mapping[bytes, str]) -> Steps[dict[bytes, Vector]]:
        """Return the vectors that the tenant has already, if they are such as the bot's embedder makes."""
        with self._bot.core.storage.read(self._bot.scope) as reader:
            found: dict[bytes, Vector] = dict(reader.vectors_by_hash(self._record.space.fingerprint, texts))
            # A bot without chunks has no vectors of its own to be compared: what is found now is of other bots.
            unproved = bool(found) and reader.stats(self._bot.bot_id).chunks == 0
        if unproved:
            some = {texts[name]: vector for name, vector in list(found.items())[:SAMPLE_TEXTS]}
            report = yield from compare(self._bot, self._embedder, some)
            if report is not None and not report.same:
                return {}
        return found

    def _embed(self, texts: dict[bytes, str]) -> Steps[None]:
        if texts and self._problem is not None:
            raise self._problem
        if texts:
            matrix = yield from embed(
                self._embedder, list(texts.values()), purpose="document", ledger=Ledger(self._bot)
            )
            self._report.embedded_texts += len(texts)
            self._vectors.update(zip(texts, matrix, strict=True))

    def _write(self) -> dict[Name, Incoming]:
        """Write what is ready in one transaction; return the documents that must be planned again.

        These are the ones that another writer changed since they were planned, and all if the bot was moved to other vectors.
        """
        planned, self._ready, self._bytes = self._ready, {}, 0
        if not planned:
            return {}
        self._bot.allow("documents.add")
        with self._bot.core.storage.write(self._bot.scope) as writer:
            record = self._bot.record(writer)
            if self.put_sources(writer):
                self._new_sources = {}
                for plan in planned.values():
                    plan.incoming.source = self.stored(plan.incoming.source)
                return {(plan.incoming.source.id, plan.incoming.key): plan.incoming for plan in planned.values()}
            if record.space != self._record.space:
                self._record = record
                return {name: plan.incoming for name, plan in planned.items()}
            late = self._moved(writer, record, planned)
            ready = {name: plan for name, plan in planned.items() if name not in late}
            self._leave_out(writer, ready)
            plans = [(name, plan) for name, plan in ready.items() if isinstance(plan, Plan)]
            touches = [(name, touch) for name, touch in ready.items() if isinstance(touch, Touch)]
            versions = (
                writer.write_versions(
                    record.id,
                    self._drafts([plan for _, plan in plans]),
                    space=record.space.fingerprint,
                    keep_versions=record.profile.keep_versions,
                )
                if plans
                else []
            )
            if any(versions) and not self._noted:
                audit.record(writer, self._bot.principal, "documents.added", record.id)
            for _, touch in touches:
                writer.update_document(
                    touch.state.id, title=touch.title, metadata=touch.metadata, raw_hash=touch.raw_hash
                )
            if self._also is not None:
                self._also(writer)
        self._noted = self._noted or any(versions)
        self._also = None
        self._new_sources = {}
        committed: list[str] = []
        for (name, plan), version in zip(plans, versions, strict=True):
            if version is None:
                late.add(name)
                continue
            self._report.note(*name, "added" if plan.state is None else "updated", chunks=len(plan.chunks))
            self._report.chunks += len(plan.chunks)
            committed.append(name[1])
        for name, touch in touches:
            self._report.note(*name, touch.status, chunks=touch.state.chunks)
            committed.append(name[1])
        self._report.committed(tuple(committed))
        return {name: planned[name].incoming for name in late}

    def _leave_out(
        self, reader: Reader, planned: dict[Name, Plan | Touch], *, before: Iterable[Plan | Touch] = ()
    ) -> None:
        """Take out of what is planned the documents that the tenant's limits leave no room for, and report them as failed."""
        for name, reason in zip(list(planned), over_quota(reader, before, planned.values()), strict=True):
            if reason is not None:
                del planned[name]
                self._report.note(*name, "failed", reason=reason)

    def _drafts(self, plans: Sequence[Plan]) -> list[VersionDraft]:
        """Return the versions with their vectors, which are slices of one matrix."""
        matrix = np.stack([self._vectors[chunk.content_hash] for plan in plans for chunk in plan.chunks])
        drafts, start = [], 0
        for plan in plans:
            end = start + len(plan.chunks)
            drafts.append(plan.draft(matrix[start:end]))
            start = end
        return drafts

    def _moved(self, writer: Writer, record: BotRecord, planned: dict[Name, Plan | Touch]) -> set[Name]:
        """Return the documents that must be planned again; those whose source is gone leave the batch as failed."""
        for source_id in {source_id for source_id, _ in planned} - self._new_sources.keys():
            if writer.source(record.id, source_id) is None:
                for name in [name for name in planned if name[0] == source_id]:
                    del planned[name]
                    self._report.note(*name, "failed", reason="its source was removed while it was read; add it again")
        before, now = self._record.profile, record.profile
        self._record = record
        if any(getattr(before, setting) != getattr(now, setting) for setting in CUT_BY):
            self._planner = Planner(self._bot, record, self._embedder)
            return set(planned)
        # A version checks by itself what it replaces; a touch must not give its title and hash to another version.
        touched = {name: touch for name, touch in planned.items() if isinstance(touch, Touch)}
        states = self._read_states(writer, touched)
        return {
            name
            for name, touch in touched.items()
            if name not in states or states[name].version_id != touch.state.version_id
        }
