"""The batch in hand: planned documents are embedded and committed, whole versions at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag._services.core import BotContext
from minirag._services.embedding import embed
from minirag._services.ledger import Ledger
from minirag._services.planning import Plan, Planner, Touch, Unchanged
from minirag._services.profiles import CUT_BY
from minirag._services.reading import Incoming, UnreadableError
from minirag._services.reporting import ReportBuilder
from minirag._services.steps import Steps
from minirag.errors import (
    EmbeddingSpaceMismatchError,
    InvalidDocumentError,
    ParseError,
    ProviderRequestError,
)
from minirag.interfaces import Embedder
from minirag.interfaces.records import DocumentState
from minirag.interfaces.storage import Reader, Writer
from minirag.models.tenants import BotRecord

if TYPE_CHECKING:
    from minirag.types import Vector

__all__ = ["DocumentWriter"]

_GATHER_DOCUMENTS: Final = 256
_GATHER_BYTES: Final = 8 * 1024 * 1024
_COMMIT_DOCUMENTS: Final = 512
_COMMIT_BYTES: Final = 8 * 1024 * 1024
_PATIENCE: Final = 5
_NOT_FOUND: Final = 404

Name = tuple[str, str]
"""A document's identity in its bot: source id and key."""


class DocumentWriter:
    """Takes documents in, in bounded batches.

    Documents are gathered until there are enough to ask the storage for their states at once, then planned one by one,
    then embedded and committed as soon as one batch of the embedder is full: a killed process loses at most that.
    """

    def __init__(self, bot: BotContext, record: BotRecord, embedder: Embedder, report: ReportBuilder) -> None:
        self._bot = bot
        self._record = record
        self._embedder = embedder
        self._report = report
        self._planner = Planner(bot, record, embedder)
        self._gathered: dict[Name, Incoming] = {}
        self._gathered_bytes = 0
        self._planned: dict[Name, Plan | Touch] = {}
        self._planned_bytes = 0
        self._planned_texts = 0

    def take(self, incoming: Incoming) -> Steps[None]:
        """Take one document in; it is committed when a batch is full, at the latest by `flush`."""
        name = (incoming.source.id, incoming.key)
        if name in self._gathered:
            self._gathered_bytes -= self._gathered.pop(name).size
        self._gathered[name] = incoming
        self._gathered_bytes += incoming.size
        if len(self._gathered) >= _GATHER_DOCUMENTS or self._gathered_bytes >= _GATHER_BYTES:
            yield from self._plan()

    def flush(self) -> Steps[None]:
        """Commit everything that was taken in."""
        yield from self._plan()
        yield from self._commit()

    def _plan(self) -> Steps[None]:
        gathered, self._gathered, self._gathered_bytes = self._gathered, {}, 0
        if any(name in self._planned for name in gathered):
            yield from self._commit()
        states = self._states(gathered)
        for name, incoming in gathered.items():
            self._consider(name, incoming, states.get(name))
            full = self._planned_texts >= max(1, self._embedder.batch_size)
            if full or len(self._planned) >= _COMMIT_DOCUMENTS or self._planned_bytes >= _COMMIT_BYTES:
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
                self._planned_bytes += incoming.size
                self._planned_texts += len(plan.texts) if isinstance(plan, Plan) else 0

    def _states(self, names: Iterable[Name]) -> dict[Name, DocumentState]:
        self._bot.core.check()
        with self._bot.core.storage.read(self._bot.scope) as reader:
            return self._read_states(reader, names)

    def _read_states(self, reader: Reader, names: Iterable[Name]) -> dict[Name, DocumentState]:
        by_source: dict[str, list[str]] = {}
        for source_id, key in names:
            by_source.setdefault(source_id, []).append(key)
        return {
            (source_id, state.key): state
            for source_id, keys in by_source.items()
            for state in reader.states(source_id, keys, limit=len(keys))
        }

    def _commit(self) -> Steps[None]:
        """Embed what is new and write the batch; a document that another writer changed meanwhile is planned again."""
        for _ in range(_PATIENCE):
            planned, self._planned, self._planned_bytes, self._planned_texts = self._planned, {}, 0, 0
            if not planned:
                return
            vectors = yield from self._vectors(planned)
            late = self._write(planned, vectors)
            if not late:
                return
            states = self._states(late)
            for name, incoming in late.items():
                self._consider(name, incoming, states.get(name))
        for source_id, key in self._planned:
            reason = "other writers changed it again and again; add it once more"
            self._report.note(source_id, key, "failed", reason=reason)
        self._planned, self._planned_bytes, self._planned_texts = {}, 0, 0

    def _vectors(self, planned: dict[Name, Plan | Touch]) -> Steps[dict[bytes, Vector]]:
        """Return a vector for each content hash, embedding only those the tenant has not got yet.

        If the embedder refuses a batch for what is in it, its documents are tried one by one, and those refused again
        leave the batch as failed, one alone in its batch too: it must not stop those after it.
        """
        plans = {name: plan for name, plan in planned.items() if isinstance(plan, Plan)}
        texts = {
            chunk.content_hash: text
            for plan in plans.values()
            for chunk, text in zip(plan.chunks, plan.texts, strict=True)
        }
        if not texts:
            return {}
        with self._bot.core.storage.read(self._bot.scope) as reader:
            vectors: dict[bytes, Vector] = dict(reader.vectors_by_hash(self._record.space.fingerprint, texts))
        missing = {name: text for name, text in texts.items() if name not in vectors}
        try:
            vectors |= yield from self._embed(missing)
        except ProviderRequestError as problem:
            if problem.status == _NOT_FOUND:
                raise  # the model's name or the server's address is wrong, and no document at fault
            for name, plan in plans.items():
                own = {c.content_hash: missing[c.content_hash] for c in plan.chunks if c.content_hash in missing}
                try:
                    vectors |= yield from self._embed(own)
                except ProviderRequestError as problem:
                    del planned[name]
                    self._report.note(*name, "failed", reason=f"the embedder refused it: {problem}")
        return vectors

    def _embed(self, texts: dict[bytes, str]) -> Steps[dict[bytes, Vector]]:
        if not texts:
            return {}
        matrix = yield from embed(self._embedder, list(texts.values()), purpose="document", ledger=Ledger(self._bot))
        self._report.embedded_texts += len(texts)
        return dict(zip(texts, matrix, strict=True))

    def _write(self, planned: dict[Name, Plan | Touch], vectors: dict[bytes, Vector]) -> dict[Name, Incoming]:
        """Write a batch in one transaction; return the documents that another writer changed since they were planned."""
        self._bot.core.check()
        with self._bot.core.storage.write(self._bot.scope) as writer:
            record = self._bot.record(writer)
            if record.space != self._record.space:
                raise EmbeddingSpaceMismatchError(
                    f"bot {record.profile.name!r} was moved to the vectors of {record.space} meanwhile; add the documents "
                    "again"
                )
            late = self._moved(writer, record, planned)
            ready = {name: plan for name, plan in planned.items() if name not in late}
            plans = [(name, plan) for name, plan in ready.items() if isinstance(plan, Plan)]
            touches = [(name, touch) for name, touch in ready.items() if isinstance(touch, Touch)]
            drafts = [plan.draft(np.stack([vectors[chunk.content_hash] for chunk in plan.chunks])) for _, plan in plans]
            versions = (
                writer.write_versions(
                    record.id, drafts, space=record.space.fingerprint, keep_versions=record.profile.keep_versions
                )
                if drafts
                else []
            )
            for _, touch in touches:
                writer.update_document(
                    touch.state.id, title=touch.title, metadata=touch.metadata, raw_hash=touch.raw_hash
                )
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

    def _moved(self, writer: Writer, record: BotRecord, planned: dict[Name, Plan | Touch]) -> set[Name]:
        """Return the documents that must be planned again; those whose source is gone leave the batch as failed."""
        for source_id in {source_id for source_id, _ in planned}:
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
