"""Every statement there is, built once. Those on a tenant's table come from the helpers in `scoping`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    Integer,
    Select,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from minirag.models.filters import Filter
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.access import SUSPENDED_AT
from minirag.providers.sqlalchemy.filters import filter_clause
from minirag.providers.sqlalchemy.forms import each_integer, either
from minirag.providers.sqlalchemy.scoping import (
    add,
    at,
    driver_insert,
    driver_rewrite,
    equals,
    erase,
    held,
    listed,
    listed_keys,
    pairs,
    rewrite,
    scoped,
    upsert,
    values,
)

# fmt: off
__all__ = [
    "ADD_BOT_LOG", "ADD_TENANT", "ANY_TENANT_KEY", "BLOCKS", "BLOCKS_OF_VERSIONS", "BOTS",
    "BOT_BY_ID", "BOT_BY_NAME", "BOT_LOG", "CHAT", "CHATS", "CHATS_OF_USER", "CHUNKS_OF_DOCUMENTS", "COUNT_SOURCES",
    "CURRENT_DOCUMENTS", "DELETE_BOT", "DELETE_CHAT", "DELETE_CHUNKS", "DELETE_DOCUMENTS", "DELETE_SECRETS",
    "DELETE_SOURCE", "DELETE_TENANT", "DELETE_TENANT_KEY", "DELETE_VERSIONS", "DOCUMENTS_BY_ID", "DOCUMENTS_WITH_KEY",
    "DOCUMENT_BY_ID", "DOCUMENT_IDS_OF_SOURCE", "DOCUMENT_WITH_KEY", "HITS", "INDEX_TEXTS_OF_KEYS",
    "INDEX_TEXTS_PAGE", "INSERT_BLOCKS", "INSERT_CHUNKS", "INSERT_DOCUMENTS", "INSERT_EMBEDDINGS", "INSERT_LOG",
    "INSERT_VERSIONS", "LAST_MESSAGE_NUMBER", "LOG", "MARK_STALE", "MESSAGES", "MESSAGE_NUMBER", "NONCE",
    "ORDER", "PUT_BOT", "PUT_CHAT", "PUT_MESSAGE", "PUT_SECRET", "PUT_SETTING", "PUT_SOURCE", "PUT_TENANT_KEY",
    "REPLACE_DOCUMENTS", "RETITLE_VERSION", "SEARCH_STATE", "SECRETS", "SETTING", "SOURCE", "SOURCES",
    "SOURCE_AT", "SPACE_OF_BOT", "STATES_OF_KEYS", "STATES_PAGE", "STATES_PAGE_BY_STALE", "TENANTS", "TENANT_BY_SLUG",
    "TENANT_KEYS", "UPDATE_BOT_LOG", "UPDATE_DOCUMENT", "UPDATE_TENANT",
    "VECTORS_BY_HASH", "VECTORS_OF_KEYS", "VECTORS_PAGE", "VERSION",
    "VERSIONS", "VERSIONS_OF_DOCUMENTS", "VERSION_LENGTH", "count_documents", "documents_page",
]
# fmt: on


_BOT_IDS: Final = scoped(t.bots.c.id, of=(t.bots,))
"""The tenant's bots: lets a lookup without a bot use an index that begins with it, one seek a bot."""

# ---------------------------------------------------------------- the directory
TENANTS: Final = select(t.tenants).order_by(t.tenants.c.slug)
TENANT_BY_SLUG: Final = select(t.tenants).where(equals(t.tenants.c.slug))
ADD_TENANT: Final = add(t.tenants)
UPDATE_TENANT: Final = (
    update(t.tenants)
    .where(equals(t.tenants.c.id, "tenant"))
    .values({name: bindparam(f"new_{name}") for name in ("slug", "name", "updated_at")})
)
DELETE_TENANT: Final = delete(t.tenants).where(equals(t.tenants.c.id, "tenant"))
SETTING: Final = select(t.settings.c.value).where(equals(t.settings.c.name))
PUT_SETTING: Final = upsert(t.settings)
ANY_TENANT_KEY: Final = select(t.tenant_keys.c.id).limit(1)

# ---------------------------------------------------------------- bots
BOTS: Final = scoped(t.bots).order_by(t.bots.c.name)
BOT_BY_NAME: Final = scoped(t.bots).where(equals(t.bots.c.name))
BOT_BY_ID: Final = scoped(t.bots).where(equals(t.bots.c.id))
PUT_BOT: Final = upsert(t.bots, fixed=("created_at",))
DELETE_BOT: Final = erase(t.bots).where(equals(t.bots.c.id, "bot_id"))
BOT_LOG: Final = scoped(t.bot_logs).where(equals(t.bot_logs.c.bot_id))
ADD_BOT_LOG: Final = (
    insert(t.bot_logs).values(values(t.bot_logs)).on_conflict_do_nothing(index_elements=list(t.bot_logs.primary_key))
)
SEARCH_STATE: Final = scoped(
    t.bots.c.id,
    t.bots.c.profile,
    t.bots.c.space,
    t.bots.c.created_at,
    t.bots.c.updated_at,
    t.bot_logs.c.sequence,
    t.bot_logs.c.nonce,
    t.bot_logs.c.words,
    t.bot_logs.c.known_words,
    SUSPENDED_AT,
    of=(t.bots, t.bot_logs),
).where(equals(t.bots.c.id, "bot_id"), equals(t.bot_logs.c.bot_id))
UPDATE_BOT_LOG: Final = rewrite(
    t.bot_logs,
    "sequence", "nonce", "documents", "chunks", "characters", "words", "known_words", "stale", "last_key",
).where(at(t.bot_logs.c.bot_id))  # fmt: skip

# ---------------------------------------------------------------- sources
SOURCES: Final = scoped(t.sources).where(equals(t.sources.c.bot_id)).order_by(t.sources.c.created_at, t.sources.c.id)
SOURCE: Final = scoped(t.sources).where(equals(t.sources.c.bot_id), equals(t.sources.c.id))
SOURCE_AT: Final = scoped(t.sources).where(
    equals(t.sources.c.bot_id), equals(t.sources.c.kind), equals(t.sources.c.locator)
)
COUNT_SOURCES: Final = scoped(func.count(), of=(t.sources,)).where(equals(t.sources.c.bot_id))
PUT_SOURCE: Final = upsert(t.sources, fixed=("created_at",))
DELETE_SOURCE: Final = erase(t.sources).where(equals(t.sources.c.bot_id), equals(t.sources.c.id))

# ---------------------------------------------------------------- chats, usage, secrets
CHATS: Final = (
    scoped(t.chats)
    .where(equals(t.chats.c.bot_id), t.chats.c.id < bindparam("before"))
    .order_by(t.chats.c.id.desc())
    .limit(bindparam("limit"))
)
CHATS_OF_USER: Final = CHATS.where(equals(t.chats.c.user_id))
CHAT: Final = scoped(t.chats).where(equals(t.chats.c.bot_id), equals(t.chats.c.id))
PUT_CHAT: Final = upsert(t.chats, fixed=("bot_id", "user_id", "created_at"))
DELETE_CHAT: Final = erase(t.chats).where(equals(t.chats.c.bot_id), equals(t.chats.c.id))
MESSAGES: Final = (
    scoped(t.messages)
    .where(equals(t.messages.c.chat_id))
    .order_by(t.messages.c.number.desc())
    .limit(bindparam("limit"))
)
MESSAGE_NUMBER: Final = scoped(t.messages.c.number, of=(t.messages,)).where(
    equals(t.messages.c.chat_id), equals(t.messages.c.id)
)
LAST_MESSAGE_NUMBER: Final = scoped(func.max(t.messages.c.number), of=(t.messages,)).where(equals(t.messages.c.chat_id))
PUT_MESSAGE: Final = upsert(t.messages)
TENANT_KEYS: Final = scoped(t.tenant_keys).order_by(t.tenant_keys.c.created_at.desc(), t.tenant_keys.c.id.desc())
PUT_TENANT_KEY: Final = upsert(t.tenant_keys, fixed=("created_at",))
DELETE_TENANT_KEY: Final = erase(t.tenant_keys).where(equals(t.tenant_keys.c.id))
SECRETS: Final = scoped(t.secrets).where(equals(t.secrets.c.bot_id)).order_by(t.secrets.c.field)
PUT_SECRET: Final = upsert(t.secrets)
DELETE_SECRETS: Final = erase(t.secrets).where(equals(t.secrets.c.bot_id), t.secrets.c.field.in_(listed("fields")))

# ---------------------------------------------------------------- documents
_DOCUMENT_SOURCE: Final = (
    (t.sources.c.tenant_id == t.documents.c.tenant_id)
    & (t.sources.c.bot_id == t.documents.c.bot_id)
    & (t.sources.c.id == t.documents.c.source_id)
)
_DOCUMENTS: Final = scoped(t.documents, t.sources.c.name.label("source_name"), of=(t.documents, t.sources)).where(
    _DOCUMENT_SOURCE, equals(t.documents.c.bot_id)
)


def _narrowed(statement: Select[Any], *, by_source: bool, where: Filter | None) -> Select[Any]:
    if by_source:
        statement = statement.where(equals(t.documents.c.source_id))
    if where is not None:
        statement = statement.where(filter_clause(where, document=t.documents, source=t.sources, chunk=None))
    return statement


@lru_cache(maxsize=64)
def documents_page(*, by_source: bool, where: Filter | None = None) -> Select[Any]:
    """Return the query of documents with an id above `after`, at most `limit`; `where` comes from `filters.parameterized`."""
    page = _narrowed(_DOCUMENTS, by_source=by_source, where=where)
    return page.where(t.documents.c.id > bindparam("after")).order_by(t.documents.c.id).limit(bindparam("limit"))


@lru_cache(maxsize=64)
def count_documents(*, by_source: bool, where: Filter | None = None) -> Select[Any]:
    """Return the query of the number of documents; `where` comes from `filters.parameterized`."""
    return _narrowed(
        scoped(func.count(), of=(t.documents, t.sources)).where(_DOCUMENT_SOURCE, equals(t.documents.c.bot_id)),
        by_source=by_source,
        where=where,
    )


DOCUMENTS_WITH_KEY: Final = _DOCUMENTS.where(equals(t.documents.c.key)).order_by(t.sources.c.name, t.documents.c.id)
DOCUMENT_WITH_KEY: Final = _DOCUMENTS.where(equals(t.documents.c.source_id), equals(t.documents.c.key))
DOCUMENT_BY_ID: Final = scoped(t.documents).where(t.documents.c.bot_id.in_(_BOT_IDS), equals(t.documents.c.id))
DOCUMENTS_BY_ID: Final = (
    scoped(t.documents)
    .where(equals(t.documents.c.bot_id), t.documents.c.id.in_(listed("ids")))
    .order_by(t.documents.c.id)
)
DOCUMENT_IDS_OF_SOURCE: Final = scoped(t.documents.c.id, of=(t.documents,)).where(
    equals(t.documents.c.bot_id), equals(t.documents.c.source_id)
)
_WANTED, _IS_WANTED = pairs("keys", t.documents.c.source_id, t.documents.c.key)
CURRENT_DOCUMENTS: Final = scoped(t.documents).select_from(_WANTED).where(equals(t.documents.c.bot_id), _IS_WANTED)
_BOT_OF_SOURCE: Final = (
    scoped(t.sources.c.bot_id, of=(t.sources,))
    .where(t.sources.c.bot_id.in_(_BOT_IDS), equals(t.sources.c.id, "source_id"))
    .scalar_subquery()
)
_STATES: Final = (
    scoped(t.documents)
    .where(t.documents.c.bot_id == _BOT_OF_SOURCE, equals(t.documents.c.source_id))
    .order_by(t.documents.c.key)
)
STATES_OF_KEYS: Final = _STATES.where(t.documents.c.key.in_(listed("keys")))
STATES_PAGE: Final = _STATES.where(t.documents.c.key > bindparam("after")).limit(bindparam("limit"))
STATES_PAGE_BY_STALE: Final = STATES_PAGE.where(equals(t.documents.c.stale))
UPDATE_DOCUMENT: Final = rewrite(t.documents, "title", "metadata_json", "raw_hash", "stale", "updated_at").where(
    at(t.documents.c.bot_id), at(t.documents.c.id)
)
_LASTING_COLUMNS: Final = {"tenant_id", "bot_id", "id", "source_id", "key", "added_at"}
_REPLACED_COLUMNS: Final = tuple(c.key for c in t.documents.c if c.key not in _LASTING_COLUMNS)
"""The columns of `documents` that a new version changes, in the table's order."""
DELETE_DOCUMENTS: Final = erase(t.documents).where(equals(t.documents.c.bot_id), t.documents.c.id.in_(listed("ids")))
MARK_STALE: Final = (
    update(t.documents).where(held(t.documents), at(t.documents.c.bot_id), ~t.documents.c.stale).values(stale=true())
)

# ---------------------------------------------------------------- versions and texts
_CURRENT: Final = (
    scoped(t.documents.c.id, of=(t.documents,))
    .where(
        t.documents.c.bot_id == t.document_versions.c.bot_id,
        t.documents.c.id == t.document_versions.c.document_id,
        t.documents.c.version_id == t.document_versions.c.id,
    )
    .correlate(t.document_versions)
    .exists()
    .label("current")
)
VERSION: Final = scoped(t.document_versions, _CURRENT, of=(t.document_versions,)).where(
    equals(t.document_versions.c.id)
)
VERSIONS: Final = (
    scoped(t.document_versions, _CURRENT, of=(t.document_versions,))
    .where(equals(t.document_versions.c.document_id))
    .order_by(t.document_versions.c.created_at.desc(), t.document_versions.c.id.desc())
)
VERSIONS_OF_DOCUMENTS: Final = (
    scoped(t.document_versions.c.document_id, t.document_versions.c.id, _CURRENT, of=(t.document_versions,))
    .where(t.document_versions.c.document_id.in_(listed("ids")))
    .order_by(
        t.document_versions.c.document_id, t.document_versions.c.created_at.desc(), t.document_versions.c.id.desc()
    )
)
VERSION_LENGTH: Final = scoped(t.document_versions.c.characters, of=(t.document_versions,)).where(
    equals(t.document_versions.c.id)
)
RETITLE_VERSION: Final = rewrite(t.document_versions, "title").where(at(t.document_versions.c.id))
DELETE_VERSIONS: Final = erase(t.document_versions).where(t.document_versions.c.id.in_(listed("ids")))
BLOCKS: Final = (
    scoped(t.text_blocks.c.text, of=(t.text_blocks,))
    .where(equals(t.text_blocks.c.version_id), t.text_blocks.c.number.between(bindparam("first"), bindparam("last")))
    .order_by(t.text_blocks.c.number)
)
_BLOCKS, _IS_BLOCK = pairs("blocks", t.text_blocks.c.version_id, t.text_blocks.c.number)
BLOCKS_OF_VERSIONS: Final = (
    scoped(t.text_blocks.c.version_id, t.text_blocks.c.number, t.text_blocks.c.text, of=(t.text_blocks,))
    .select_from(_BLOCKS)
    .where(_IS_BLOCK)
)

# ---------------------------------------------------------------- chunks
_CHUNK_DOCUMENT: Final = (
    (t.documents.c.tenant_id == t.chunks.c.tenant_id)
    & (t.documents.c.bot_id == t.chunks.c.bot_id)
    & (t.documents.c.id == t.chunks.c.document_id)
)
_OF_CHUNKS: Final = (t.chunks, t.documents, t.sources)
_CHUNK_ROWS: Final = (_CHUNK_DOCUMENT, _DOCUMENT_SOURCE, equals(t.chunks.c.bot_id))
_THESE_CHUNKS: Final = t.chunks.c.key.in_(listed_keys("keys"))
_CHUNK_BLOCKS: Final = (
    held(t.text_blocks)
    & (t.text_blocks.c.version_id == t.documents.c.version_id)
    & t.text_blocks.c.number.between(t.chunks.c.start // t.BLOCK_SIZE, (t.chunks.c.end - 1) // t.BLOCK_SIZE)
)
HITS: Final = (
    scoped(
        t.chunks.c.key,
        t.chunks.c.start,
        t.chunks.c.end,
        t.chunks.c.page,
        t.chunks.c.metadata_json,
        t.documents.c.id,
        t.documents.c.key,
        t.documents.c.title,
        t.documents.c.metadata_json,
        t.documents.c.version_id,
        t.documents.c.source_id,
        t.sources.c.name,
        t.text_blocks.c.text,
        of=_OF_CHUNKS,
    )
    .select_from(
        t.chunks.join(t.documents, _CHUNK_DOCUMENT)
        .join(t.sources, _DOCUMENT_SOURCE)
        .outerjoin(t.text_blocks, _CHUNK_BLOCKS)
    )
    .where(equals(t.chunks.c.bot_id), _THESE_CHUNKS)
    .order_by(t.chunks.c.key, t.text_blocks.c.number)
)
"""A row for each chunk and block of text that holds a part of it, by key and block."""
ORDER: Final = scoped(
    t.chunks.c.key.label("chunk_key"),
    t.sources.c.name.label("source_name"),
    t.documents.c.key,
    t.chunks.c.start,
    of=_OF_CHUNKS,
).where(*_CHUNK_ROWS, _THESE_CHUNKS)
_INDEX_TEXTS: Final = scoped(
    t.chunks.c.key,
    t.chunks.c.start,
    t.chunks.c.end,
    t.documents.c.version_id,
    t.documents.c.title,
    t.documents.c.language,
    of=(t.chunks, t.documents),
).where(_CHUNK_DOCUMENT, equals(t.chunks.c.bot_id)).order_by(t.chunks.c.key)  # fmt: skip
INDEX_TEXTS_PAGE: Final = _INDEX_TEXTS.where(t.chunks.c.key > bindparam("after")).limit(bindparam("limit"))
INDEX_TEXTS_OF_KEYS: Final = _INDEX_TEXTS.where(_THESE_CHUNKS)
CHUNKS_OF_DOCUMENTS: Final = scoped(t.chunks.c.document_id, t.chunks.c.key, of=(t.chunks,)).where(
    equals(t.chunks.c.bot_id), t.chunks.c.document_id.in_(listed("ids"))
)
DELETE_CHUNKS: Final = erase(t.chunks).where(equals(t.chunks.c.bot_id), t.chunks.c.document_id.in_(listed("ids")))

# ---------------------------------------------------------------- embeddings
SPACE_OF_BOT: Final = scoped(t.bots.c.fingerprint, of=(t.bots,)).where(equals(t.bots.c.id, "bot_id")).scalar_subquery()
_VECTORS: Final = (
    scoped(t.embeddings.c.chunk_key, t.embeddings.c.vector, of=(t.embeddings,))
    .where(equals(t.embeddings.c.bot_id), t.embeddings.c.space == SPACE_OF_BOT)
    .order_by(t.embeddings.c.chunk_key)
)
VECTORS_PAGE: Final = _VECTORS.where(t.embeddings.c.chunk_key > bindparam("after")).limit(bindparam("limit"))
VECTORS_OF_KEYS: Final = _VECTORS.where(t.embeddings.c.chunk_key.in_(listed_keys("keys")))
_START: Final = each_integer("starts").table_valued("value").c.value
_BEGINNING: Final = either(_START, cast(_START, Integer))
VECTORS_BY_HASH: Final = select(t.embeddings.c.content_hash, t.embeddings.c.vector).where(
    # Told as a plain equality, SQLite would put the parameter for the column in the next line, and not use the index.
    held(t.embeddings).is_(true()),
    func.substr(t.embeddings.c.tenant_id, literal_column("-4"))
    == func.substr(bindparam("scope"), literal_column("-4")),
    # All hashes come as one string of bytes, and where each begins.
    func.substr(t.embeddings.c.content_hash, literal_column("1"), literal_column("6")).in_(
        select(func.substr(bindparam("hashes"), _BEGINNING, literal_column("6")))
    ),
    equals(t.embeddings.c.space),
)

# ---------------------------------------------------------------- the change log
LOG: Final = (
    scoped(t.change_log)
    .where(equals(t.change_log.c.bot_id), t.change_log.c.sequence > bindparam("after"))
    .order_by(t.change_log.c.sequence)
    .limit(bindparam("limit"))
)
NONCE: Final = scoped(t.change_log.c.nonce, of=(t.change_log,)).where(
    equals(t.change_log.c.bot_id), equals(t.change_log.c.sequence)
)

# ---------------------------------------------------------------- what every document writes
INSERT_DOCUMENTS: Final = driver_insert(t.documents)
REPLACE_DOCUMENTS: Final = driver_rewrite(t.documents, *_REPLACED_COLUMNS)
INSERT_VERSIONS: Final = driver_insert(t.document_versions)
INSERT_BLOCKS: Final = driver_insert(t.text_blocks)
INSERT_CHUNKS: Final = driver_insert(t.chunks)
INSERT_EMBEDDINGS: Final = driver_insert(t.embeddings)
INSERT_LOG: Final = driver_insert(t.change_log)
