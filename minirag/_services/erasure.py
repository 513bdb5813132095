"""Erasure: one transaction takes rows away and notes that it did; `purging` then frees their bytes and looks for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag._services import audit
from minirag._services.core import BotContext, Core
from minirag._services.purging import finish
from minirag._services.scrubbing import Passages, scrub_chats
from minirag._services.sources import find_source
from minirag.errors import AmbiguousKeyError, DocumentNotFoundError, SourceNotFoundError
from minirag.interfaces import TenantScope
from minirag.interfaces.erasing import ErasureRecord, HeldVersion
from minirag.interfaces.records import DocumentState
from minirag.interfaces.storage import Reader, Writer
from minirag.interfaces.traces import TraceCollector
from minirag.models.checks import clipped
from minirag.models.erasures import ErasureKind, ErasureReceipt, HandlingOfChats
from minirag.models.metadata import encode_metadata
from minirag.models.tenants import Source, Tenant
from minirag.types import new_id, utc_now

if TYPE_CHECKING:
    from minirag.types import Keys

__all__ = ["erase_bot", "erase_documents", "erase_source", "erase_tenant"]

_SHOWN: Final = 20
_AT_ONCE: Final = 500


def erase_documents(
    bot: BotContext, keys: Sequence[str], source: str | Source | None, *, chats: HandlingOfChats
) -> ErasureReceipt:
    """Destroy every version of the documents of these keys, of those too that were removed before.

    Raises:
        DocumentNotFoundError: naming the first key of which there is neither document nor version; nothing is erased then.
        AmbiguousKeyError: if several sources hold a key.
    """
    with bot.core.storage.write(bot.scope) as writer:
        bot.record(writer)
        source_id = None if source is None else _source_id(bot, writer, source)
        versions = _versions_of_keys(bot, writer, keys, source_id)
        record = _erase(bot, writer, "document", versions, chats=chats)
        audit.record(writer, bot.principal, "document.erased", *sorted({each.document_id for each in versions}))
    return finish(bot.core, bot.scope, record)


def erase_source(bot: BotContext, source: str | Source, *, chats: HandlingOfChats) -> ErasureReceipt:
    """Destroy a source, one that was removed before too, with every version of its documents.

    Raises:
        SourceNotFoundError: if the bot has none such, nor any text of one of this id.
    """
    with bot.core.storage.write(bot.scope) as writer:
        bot.record(writer)
        source_id = _source_id(bot, writer, source)
        versions = writer.held_versions(bot.bot_id, source_id=source_id)
        stored = writer.source(bot.bot_id, source_id)
        record = _erase(bot, writer, "source", versions, source=stored, source_id=source_id, chats=chats)
        audit.record(writer, bot.principal, "source.erased", source_id)
    return finish(bot.core, bot.scope, record)


def erase_bot(bot: BotContext) -> ErasureReceipt:
    """Destroy a bot with all that belongs to it."""
    with bot.core.storage.write(bot.scope) as writer:
        bot.record(writer)
        gone = _Gone()
        gone.take_bot(writer, bot.bot_id)
        calls = _calls(writer, bot.bot_id)
        writer.delete_bot(bot.bot_id)
        gone.counts["usage_rows"] = calls - _calls(writer, bot.bot_id)
        record = gone.record("bot", bot.scope, bot.bot_id, [bot.bot_id], kept=gone.copies(writer))
        writer.put_erasure(record)
        audit.record(writer, bot.principal, "bot.erased", bot.bot_id)
    return finish(bot.core, bot.scope, record)


def erase_tenant(core: Core, scope: TenantScope, tenant: Tenant) -> ErasureReceipt:
    """Destroy a tenant with all that belongs to it; its slug is free at once."""
    gone = _Gone()
    with core.storage.read(scope) as reader:
        for bot in reader.bots():
            gone.take_bot(reader, bot.id)
            gone.count("bots", 1)
        gone.count("usage_rows", _calls(reader, None))
        users = reader.users()
        gone.count("users", len(users))
        gone.count("tokens", len(reader.tokens()))
        gone.count("keys", len(keys := reader.tenant_keys()))
        gone.take_texts([key.wrapped for key in keys])
        gone.take_texts([text for user in users for text in (user.email, user.password_hash)])
    gone.take_texts([tenant.name])
    record = gone.record("tenant", scope, None, [tenant.id])
    with core.storage.directory(write=True) as directory:
        directory.delete_tenant(tenant)
        directory.put_erasure(record)
    return finish(core, scope, record)


@dataclass(slots=True)
class _Gone:
    """What is to go: traces of it, and how much it is."""

    traces: TraceCollector = field(default_factory=TraceCollector)
    passages: Passages = field(default_factory=Passages)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("documents", "versions", "chunks", "vectors", "messages", "credentials"), 0
        )
    )
    hashes: set[bytes] = field(default_factory=set)
    texts: dict[int, set[bytes]] = field(default_factory=dict)
    keys: set[int] = field(default_factory=set)

    def count(self, what: str, number: int) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def take_texts(self, texts: Iterable[str | None]) -> None:
        for text in texts:
            if text:
                self.traces.add_text(text)

    def take_versions(self, reader: Reader, versions: Iterable[HeldVersion], *, passages: bool = True) -> None:
        for version in versions:
            text = reader.text(version.id) or ""
            self.take_texts([text, version.title, version.key])
            self.texts.setdefault(len(text), set()).add(_digest(text))
            if passages:
                self.passages.add(text)
            self.count("versions", 1)

    def take_documents(self, reader: Reader, bot_id: str, document_ids: Sequence[str]) -> None:
        """Take the chunks of documents, and their vectors in every space."""
        keys: set[int] = set()
        for batch in reader.vectors_of_documents(bot_id, document_ids):
            for key, name, vector in batch:
                keys.add(key)
                self.hashes.add(bytes(name))
                self.traces.add_vector(bytes(vector))
            self.count("vectors", len(batch))
        self.keys |= keys
        self.count("chunks", len(keys))
        self.count("documents", len(document_ids))

    def take_bot(self, reader: Reader, bot_id: str) -> None:
        """Take everything of a bot, in batches."""
        record = reader.bot_by_id(bot_id)
        assert record is not None
        self.take_texts([record.profile.system_prompt])
        self.take_versions(reader, reader.held_versions(bot_id), passages=False)
        after: str | None = None
        while documents := reader.documents(bot_id, after=after, limit=_AT_ONCE):
            self.take_documents(reader, bot_id, [document.id for document in documents])
            self.take_texts(encode_metadata(document.metadata) for document in documents)
            after = documents[-1].id
        for source in reader.sources(bot_id):
            self.take_texts([source.locator, source.name, source.text, source.error])
            self.count("sources", 1)
        for batch in reader.messages_of_bot(bot_id):
            for _, message in batch:
                self.take_texts([message.text, *(citation.quote for citation in message.citations)])
            self.count("messages", len(batch))
        for secret in reader.secrets(bot_id):
            self.take_texts([secret.ciphertext])
            self.count("credentials", 1)

    def copies(self, reader: Reader) -> int:
        """Return how many documents that are there share a chunk or a whole text with what went."""
        holders = reader.documents_holding(self.hashes)
        for document_id, version_id in reader.versions_of_length([length for length in self.texts if length]):
            text = reader.text(version_id) or ""
            if _digest(text) in self.texts.get(len(text), ()):
                holders.add(document_id)
        return len(holders)

    def record(
        self,
        kind: ErasureKind,
        scope: TenantScope,
        bot_id: str | None,
        subjects: Sequence[str],
        *,
        sequence: int = 0,
        kept: int = 0,
    ) -> ErasureRecord:
        """Return the record of an erasure that is begun."""
        traces = self.traces.traces()
        receipt = ErasureReceipt(
            id=new_id(),
            kind=kind,
            status="pending",
            cause="its bytes are not freed yet; call workspace.erasures.resume()",
            tenant=scope.tenant_id,
            bot_id=bot_id,
            subjects=tuple(subjects[:_SHOWN]),
            counts=self.counts,
            kept_copies=kept,
            requested_at=utc_now(),
            traces=len(traces),
        )
        keys: Keys = np.array(sorted(self.keys), "<i8")
        return ErasureRecord(receipt, bot_id, sequence, keys=keys.tobytes(), traces=traces.to_bytes())


def _erase(
    bot: BotContext,
    writer: Writer,
    kind: ErasureKind,
    versions: Sequence[HeldVersion],
    *,
    chats: HandlingOfChats,
    source: Source | None = None,
    source_id: str | None = None,
) -> ErasureRecord:
    """Delete versions and what is left of their documents, scrub chats, and note it, in the caller's transaction."""
    gone = _Gone()
    gone.take_versions(writer, versions)
    states = _present(writer, versions)
    present = [state.id for state in states]
    gone.take_texts(encode_metadata(state.metadata) for state in states)
    gone.take_documents(writer, bot.bot_id, present)
    if source is not None:
        gone.take_texts([source.locator, source.name, source.text, source.error])
        gone.count("sources", 1)
        writer.delete_source(bot.bot_id, source.id)
    else:
        writer.remove_documents(bot.bot_id, present)
        gone.take_texts(_clear_sources(bot, writer, versions, gone.texts))
    writer.erase_versions(bot.bot_id, [version.id for version in versions])
    ids, documents = {version.id for version in versions}, {version.document_id for version in versions}
    scrubbed, texts = scrub_chats(writer, bot.bot_id, gone.passages, versions=ids, documents=documents, chats=chats)
    gone.count("messages", scrubbed)
    if chats == "scrub":
        gone.take_texts(texts)
    subjects = sorted(documents) if source_id is None else [source_id]
    sequence, kept = writer.position(bot.bot_id).sequence, gone.copies(writer)
    record = gone.record(kind, bot.scope, bot.bot_id, subjects, sequence=sequence, kept=kept)
    writer.put_erasure(record)
    return record


def _present(reader: Reader, versions: Iterable[HeldVersion]) -> list[DocumentState]:
    """Return the documents of these versions that were not removed before."""
    names: dict[str, set[str]] = {}
    for version in versions:
        names.setdefault(version.source_id, set()).add(version.key)
    found: list[DocumentState] = []
    for source_id, keys in names.items():
        ordered = sorted(keys)
        for start in range(0, len(ordered), _AT_ONCE):
            some = ordered[start : start + _AT_ONCE]
            found += reader.states(source_id, some, limit=len(some))
    return found


def _clear_sources(
    bot: BotContext, writer: Writer, versions: Iterable[HeldVersion], texts: dict[int, set[bytes]]
) -> list[str]:
    """Take what sources hold of erased documents: a text that waits to be read again, a message; return what it was."""
    keys: dict[str, set[str]] = {}
    for version in versions:
        keys.setdefault(version.source_id, set()).add(version.key)
    gone: list[str] = []
    for source_id, names in keys.items():
        source = writer.source(bot.bot_id, source_id)
        if source is None:
            continue
        changes: dict[str, None] = {}
        if source.text is not None and _digest(source.text) in texts.get(len(source.text), ()):
            changes["text"] = None
            gone.append(source.text)
        if source.error is not None and any(name in source.error for name in names):
            changes["error"] = None
            gone.append(source.error)
        if changes:
            writer.put_source(source.model_copy(update={**changes, "updated_at": utc_now()}))
    return gone


def _source_id(bot: BotContext, reader: Reader, wanted: str | Source) -> str:
    """Return the id of a source, or of one that was removed and whose texts are still there."""
    try:
        return find_source(bot, reader, wanted).id
    except SourceNotFoundError:
        source_id = wanted.id if isinstance(wanted, Source) else wanted
        if isinstance(source_id, str) and reader.held_versions(bot.bot_id, source_id=source_id):
            return source_id
        raise


def _versions_of_keys(bot: BotContext, reader: Reader, keys: Sequence[str], source_id: str | None) -> list[HeldVersion]:
    by_key: dict[str, list[HeldVersion]] = {key: [] for key in keys}
    for version in reader.held_versions(bot.bot_id, source_id=source_id, keys=keys) if keys else ():
        by_key[version.key].append(version)
    for key, found in by_key.items():
        places = {version.source_id for version in found}
        if not places:
            raise DocumentNotFoundError(
                f"bot {bot.name!r} has no document {clipped(key, 200)}, nor a text of one that was removed"
            )
        if len(places) > 1:
            raise AmbiguousKeyError(
                f"key {clipped(key, 200)} is in {len(places)} sources, of which some may have been removed; name one with "
                f"source=, by its name or id: {', '.join(sorted(map(repr, places))[:5])}"
            )
    return [version for found in by_key.values() for version in found]


def _calls(reader: Reader, bot_id: str | None) -> int:
    return sum(row.calls for row in reader.usage(bot_id))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
