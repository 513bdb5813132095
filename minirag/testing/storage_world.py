"""`StorageWorld`: two tenants in one storage, whose names and texts collide wherever they can."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minirag.interfaces.records import ChunkDraft, TenantKey, VersionDraft
from minirag.interfaces.scope import TenantScope, mint_scope
from minirag.interfaces.storage import Storage
from minirag.models.answers import Citation
from minirag.models.chats import ChatRecord, Message
from minirag.models.index import EmbeddingSpace
from minirag.models.tenants import BotProfile, BotRecord, ProviderRef, Source, Tenant
from minirag.models.usage import UsageEvent
from minirag.types import MetadataValue, new_id, utc_now

if TYPE_CHECKING:
    from minirag.types import Keys, Matrix

__all__ = ["CHUNK", "Customer", "StorageWorld", "citation_of", "draft", "new_bot", "new_source", "vectors_of"]

DIMENSION = 8
CHUNK = 40


@dataclass(slots=True)
class Customer:
    """One tenant with a bot, a source, a chat, a credential and a usage event."""

    tenant: Tenant
    scope: TenantScope
    bot: BotRecord
    source: Source
    chat: ChatRecord
    message: Message
    event: UsageEvent
    key: TenantKey
    versions: dict[str, str] = field(default_factory=dict)
    """The current version's id by document key."""


class StorageWorld:
    """A storage with two customers. Both use the same names, so that only the scope tells them apart."""

    def __init__(self, make: Callable[..., Storage]) -> None:
        self._make = make
        self._opened: list[Storage] = []
        self.storage = self.open()
        self.acme = self._customer("acme")
        self.rival = self._customer("rival")

    def open(self, *, read_only: bool = False) -> Storage:
        """Return the storage, opened once more."""
        storage = self._make(read_only=read_only)
        self._opened.append(storage)
        return storage

    def close(self) -> None:
        """Close everything that was opened."""
        for storage in self._opened:
            storage.close()

    def write(
        self,
        customer: Customer,
        key: str,
        text: str,
        *,
        metadata: Mapping[str, MetadataValue] | None = None,
        title: str | None = "Title",
        keep_versions: int | None = None,
    ) -> str:
        """Write a document, new or anew, and return its version's id."""
        planned = draft(customer, key, text, metadata=metadata, title=title)
        with self.storage.write(customer.scope) as writer:
            version = writer.write_version(
                customer.bot.id, planned, space=customer.bot.space.fingerprint, keep_versions=keep_versions
            )
        assert version is not None, "S9: a version planned against the current one was refused"
        customer.versions[key] = version
        return version

    def keys(self, customer: Customer, storage: Storage | None = None) -> Keys:
        """Return the keys of the bot's chunks that have a vector, sorted."""
        with (storage or self.storage).read(customer.scope) as reader:
            parts = [keys for keys, _ in reader.vectors(customer.bot.id)]
        return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))

    def document_id(self, customer: Customer, key: str) -> str:
        """Return the id of the document of this key."""
        with self.storage.read(customer.scope) as reader:
            (document,) = reader.documents_with_key(customer.bot.id, key)
        return document.id

    def _customer(self, slug: str) -> Customer:
        now = utc_now()
        tenant = Tenant(id=new_id(), slug=slug, name=slug.title(), created_at=now, updated_at=now)
        bot = new_bot("support")
        source = new_source(bot.id)
        chat = ChatRecord(id=new_id(), bot_id=bot.id, title="Hello", created_at=now, updated_at=now)
        message = Message(id=new_id(), role="user", text=f"a question of {slug}", created_at=now)
        event = UsageEvent(
            id=new_id(), bot_id=bot.id, kind="llm", provider="p", model="m", status="done", input_tokens=3, started_at=now
        )  # fmt: skip
        key = TenantKey(id=new_id(), wrapped=f"wrapped for {slug}", master_key_id="k", created_at=now)
        customer = Customer(tenant, mint_scope(tenant.id), bot, source, chat, message, event, key)
        with self.storage.directory(write=True) as directory:
            directory.insert_tenant(tenant)
        with self.storage.write(customer.scope) as writer:
            writer.put_bot(bot)
            writer.put_source(source)
            writer.put_chat(chat)
            writer.put_message(chat.id, message)
            writer.put_usage(event)
            writer.put_tenant_key(key)
            writer.put_secrets(bot.id, {"api_key": f"ciphertext of {slug}"})
        self.write(customer, "note", f"A canary of {slug}. " * 5)
        return customer


def new_bot(name: str) -> BotRecord:
    """Return a bot that is stored nowhere yet."""
    now = utc_now()
    part = ProviderRef(provider="test")
    return BotRecord(
        id=new_id(),
        profile=BotProfile(name=name, llm=part, embedder=part, chunker=part),
        space=EmbeddingSpace(provider="test", model="m", dimension=DIMENSION),
        created_at=now,
        updated_at=now,
    )


def new_source(bot_id: str, *, locator: str = "inline", name: str = "inline") -> Source:
    """Return a source of texts that is stored nowhere yet."""
    now = utc_now()
    return Source(
        id=new_id(), bot_id=bot_id, kind="text", locator=locator, name=name,
        metadata={"since": dt.date(2024, 2, 29)}, created_at=now, updated_at=now,
    )  # fmt: skip


def draft(
    customer: Customer,
    key: str,
    text: str,
    *,
    metadata: Mapping[str, MetadataValue] | None = None,
    title: str | None = "Title",
    **changed: Any,
) -> VersionDraft:
    """Return a version planned against the current one, cut into chunks of 40 code points, two of them a page."""
    spans = [(start, min(start + CHUNK, len(text))) for start in range(0, len(text), CHUNK)]
    chunks = tuple(
        ChunkDraft(start, end, _hash(text[start:end]), page=start // (2 * CHUNK) + 1, metadata={"at": start})
        for start, end in spans
    )
    values: dict[str, Any] = {
        "source_id": customer.source.id,
        "key": key,
        "title": title,
        "metadata": metadata or {},
        "replaces": customer.versions.get(key),
        "media_type": "text/plain",
        "language": "en",
        "text": text,
        "text_hash": _hash(text),
        "version_hash": _hash(f"{text}/40"),
        "raw_hash": None,
        "chunker": "forty",
        "spans": "{}",
        "chunks": chunks,
        "vectors": vectors_of([text[start:end] for start, end in spans]),
        "words": len(text.split()),
        "known_words": len(text.split()) / 3,
    }
    return VersionDraft(**(values | changed))


def vectors_of(texts: list[str]) -> Matrix:
    """Return vectors of length one that depend on nothing but each text."""
    rows = np.empty((len(texts), DIMENSION), np.float32)
    for row, text in enumerate(texts):
        random = np.random.default_rng(int.from_bytes(_hash(text)[:8]))
        vector = random.standard_normal(DIMENSION)
        rows[row] = vector / np.linalg.norm(vector)
    return rows


def citation_of(customer: Customer, version_id: str) -> Citation:
    """Return a citation of the first letter of a version."""
    return Citation(
        marker="[1]", quote="A", key="note", bot="support", document_id=new_id(), version_id=version_id,
        source_id=customer.source.id, source_name="inline", title=None, start=0, end=1, page=None,
    )  # fmt: skip


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
