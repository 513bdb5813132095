"""What the storage's suite looks at: a tenant's whole view, every read and every write with given ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minirag.errors import MiniRAGError
from minirag.interfaces.storage import Reader, Writer
from minirag.models.filters import Condition
from minirag.testing.storage_world import Customer, draft, new_bot
from minirag.types import new_id

if TYPE_CHECKING:
    from minirag.types import Keys

__all__ = ["foreign_reads", "foreign_writes", "in_thread", "interrupted", "outcome", "view", "write_draft"]

T = TypeVar("T")


class _Interruption(BaseException):
    """Ends a block; nothing else raises it, and nothing but `interrupted` catches it."""


@contextmanager
def interrupted(block: AbstractContextManager[T]) -> Iterator[T]:
    """Enter a block, and end it with an exception after what is done in it."""
    try:
        with block as inner:
            yield inner
            raise _Interruption
    except _Interruption:
        return


def in_thread(work: Callable[[], object]) -> None:
    """Do something in another thread, and raise what it raises."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result(timeout=60)


def write_draft(writer: Writer, customer: Customer, key: str, text: str) -> str | None:
    """Write a document inside a transaction, without remembering its version."""
    space = customer.bot.space.fingerprint
    return writer.write_version(customer.bot.id, draft(customer, key, text), space=space, keep_versions=None)


def view(reader: Reader, customer: Customer) -> dict[str, Any]:
    """Return everything of a customer that a reader shows, in values that can be compared."""
    bot_id = customer.bot.id
    documents = reader.documents(bot_id)
    keys = np.concatenate([np.empty(0, np.int64), *(keys for keys, _ in reader.vectors(bot_id))])
    versions = [row for document in documents for row in reader.versions(document.id)]
    return {
        "bots": reader.bots(),
        "sources": reader.sources(bot_id),
        "documents": documents,
        "states": reader.states(customer.source.id),
        "versions": versions,
        "texts": [reader.text(row.id) for row in versions],
        "vectors": {
            key: row.tolist()
            for keys, rows in reader.vectors(bot_id)
            for key, row in zip(keys.tolist(), rows, strict=True)
        },
        "index_texts": [text for batch in reader.index_texts(bot_id) for text in batch],
        "lacking": reader.lacking_vectors(bot_id, "s"),
        "hits": reader.hydrate(bot_id, keys),
        "position": reader.position(bot_id),
        "log": [
            (row.sequence, row.nonce, row.removed.tolist(), row.added.tolist()) for row in reader.log(bot_id, after=0)
        ],
        "stats": reader.stats(bot_id) if reader.bot_by_id(bot_id) else None,
        "familiarity": reader.familiarity(bot_id),
        "search_state": reader.search_state(bot_id),
        "chats": reader.chats(bot_id),
        "messages": reader.messages(customer.chat.id),
        "usage": reader.usage(),
        "events": reader.usage_events(),
        "audit": reader.audit_events(),
        "keys": reader.tenant_keys(),
        "secrets": reader.secrets(bot_id),
    }


def foreign_reads(keys: Keys) -> dict[str, Callable[[Reader, Mapping[str, str]], object]]:
    """Return every read that takes an id, by name; `keys` are those of chunks that the ids' bot may hold."""
    anything = Condition(field="$key", operator="$exists", value=True)
    space = new_bot("any").space.fingerprint
    return {
        "bot_by_id": lambda r, ids: r.bot_by_id(ids["bot"]),
        "sources": lambda r, ids: r.sources(ids["bot"]),
        "source": lambda r, ids: r.source(ids["bot"], ids["source"]),
        "source_at": lambda r, ids: r.source_at(ids["bot"], "text", "inline"),
        "chats": lambda r, ids: r.chats(ids["bot"]),
        "chat": lambda r, ids: r.chat(ids["bot"], ids["chat"]),
        "messages": lambda r, ids: r.messages(ids["chat"]),
        "usage": lambda r, ids: r.usage(ids["bot"]),
        "usage_events": lambda r, ids: r.usage_events(ids["bot"]),
        "secrets": lambda r, ids: r.secrets(ids["bot"]),
        "documents": lambda r, ids: r.documents(ids["bot"]),
        "documents of a source": lambda r, ids: r.documents(ids["bot"], source_id=ids["source"], where=anything),
        "documents_with_key": lambda r, ids: r.documents_with_key(ids["bot"], "note"),
        "documents_with_key of a source": lambda r, ids: r.documents_with_key(
            ids["bot"], "note", source_id=ids["source"]
        ),
        "count_documents": lambda r, ids: r.count_documents(ids["bot"]),
        "count_documents where": lambda r, ids: r.count_documents(ids["bot"], where=anything),
        "states": lambda r, ids: r.states(ids["source"]),
        "states of keys": lambda r, ids: r.states(ids["source"], ["note"]),
        "version": lambda r, ids: r.version(ids["version"]),
        "versions": lambda r, ids: r.versions(ids["document"]),
        "text": lambda r, ids: r.text(ids["version"]),
        "sample_texts": lambda r, ids: r.sample_texts(ids["bot"], 3),
        "sample_texts of a space": lambda r, ids: r.sample_texts(ids["bot"], 3, space="s"),
        "lacking_vectors": lambda r, ids: r.lacking_vectors(ids["bot"], "s"),
        "count_vectors": lambda r, ids: r.count_vectors(ids["bot"], space),
        "current_versions": lambda r, ids: r.current_versions(ids["bot"]),
        "stored_versions": lambda r, ids: list(r.stored_versions(ids["bot"])),
        "stored_documents": lambda r, ids: list(r.stored_documents(ids["bot"])),
        "stats": lambda r, ids: r.stats(ids["bot"]),
        "familiarity": lambda r, ids: r.familiarity(ids["bot"]),
        "search_state": lambda r, ids: r.search_state(ids["bot"]),
        "position": lambda r, ids: r.position(ids["bot"]),
        "nonce_at": lambda r, ids: r.nonce_at(ids["bot"], 1),
        "log": lambda r, ids: r.log(ids["bot"], after=0),
        "vectors": lambda r, ids: list(r.vectors(ids["bot"])),
        "vectors of keys": lambda r, ids: list(r.vectors(ids["bot"], keys)),
        "index_texts": lambda r, ids: list(r.index_texts(ids["bot"])),
        "index_texts of keys": lambda r, ids: list(r.index_texts(ids["bot"], keys)),
        "allowed": lambda r, ids: r.allowed(ids["bot"], anything).tolist(),
        "allowed_if_few": lambda r, ids: (
            r.allowed_if_few(ids["bot"], Condition("$key", "$eq", "note"), limit=9) is None
            or len(r.allowed_if_few(ids["bot"], Condition("$key", "$eq", "note"), limit=9))
        ),
        "matching": lambda r, ids: [key for key, is_in in r.matching(ids["bot"], anything, keys).items() if is_in],
        "order": lambda r, ids: r.order(ids["bot"], keys),
        "hydrate": lambda r, ids: r.hydrate(ids["bot"], keys),
    }


def foreign_writes(
    mine: Customer, theirs: Customer, document_id: str, keys: Keys
) -> dict[str, Callable[[Writer], object]]:
    """Return every write, by name, with ids of `theirs` and the keys of their chunks; the writer is one of `mine`."""
    bot_id = theirs.bot.id
    chunks, hashes, vectors = keys.tolist(), [b"h"] * len(keys), np.ones((len(keys), 2), np.float32)
    planned = draft(theirs, "note", "Overwritten from outside.")
    mixed = draft(theirs, "other", "Into their source.")
    return {
        "put_bot": lambda w: w.put_bot(theirs.bot.model_copy(update={"profile": mine.bot.profile})),
        "delete_bot": lambda w: w.delete_bot(bot_id),
        "put_source": lambda w: w.put_source(theirs.source.model_copy(update={"name": "taken"})),
        "delete_source": lambda w: w.delete_source(bot_id, theirs.source.id),
        "put_chat": lambda w: w.put_chat(theirs.chat.model_copy(update={"title": "taken"})),
        "delete_chat": lambda w: w.delete_chat(bot_id, theirs.chat.id),
        "put_message": lambda w: w.put_message(theirs.chat.id, theirs.message.model_copy(update={"text": "taken"})),
        "put a new message": lambda w: w.put_message(
            theirs.chat.id, theirs.message.model_copy(update={"id": new_id()})
        ),
        "put_usage": lambda w: w.put_usage(theirs.event.model_copy(update={"input_tokens": 9})),
        "put_secrets": lambda w: w.put_secrets(bot_id, {"api_key": "taken"}),
        "delete_tenant_key": lambda w: w.delete_tenant_key(theirs.key.id),
        "delete_secrets": lambda w: w.delete_secrets(bot_id, ["api_key"]),
        "write_versions": lambda w: w.write_versions(bot_id, [planned], space="s", keep_versions=0),
        "write_versions of the own bot into their source": lambda w: w.write_versions(
            mine.bot.id, [planned, mixed], space="s", keep_versions=0
        ),
        "update_document": lambda w: w.update_document(document_id, title="taken", metadata={}, raw_hash=None),
        "remove_documents": lambda w: w.remove_documents(bot_id, [document_id]),
        "remove_documents of the own bot": lambda w: w.remove_documents(mine.bot.id, [document_id]),
        "mark_stale": lambda w: w.mark_stale(bot_id),
        "mark_stale to be cut anew": lambda w: w.mark_stale(bot_id, recut=True),
        "put_embeddings": lambda w: w.put_embeddings(bot_id, "s", chunks, hashes, vectors),
        "put_embeddings of the own bot": lambda w: w.put_embeddings(mine.bot.id, "s", chunks, hashes, vectors),
        "drop_embeddings": lambda w: w.drop_embeddings(bot_id, keep_space="s", limit=1_000),
        "put_familiarity": lambda w: w.put_familiarity(bot_id, {document_id: (1, 1.0)}),
    }


def outcome(
    call: Callable[[Reader, Mapping[str, str]], object], reader: Reader, ids: Mapping[str, str]
) -> tuple[str, str]:
    """Return what a read gives or raises, with the ids struck out so that outcomes can be compared."""
    try:
        kind, shown = "value", repr(call(reader, ids))
    except MiniRAGError as problem:
        kind, shown = type(problem).__name__, str(problem)
    for name, each in ids.items():
        shown = shown.replace(each, f"<{name}>")
    return kind, shown
