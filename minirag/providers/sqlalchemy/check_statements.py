"""The statements of checks and repairs. Those on a tenant's rows come from the helpers in `scoping`, as all others do."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Select,
    Table,
    and_,
    bindparam,
    case,
    cast,
    except_,
    false,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    type_coerce,
)

from minirag.interfaces.upkeep import SHOWN_IDS
from minirag.providers.sqlalchemy import fields as f
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.forms import either
from minirag.providers.sqlalchemy.scoping import (
    at,
    driver_insert,
    equals,
    erase,
    held,
    listed,
    listed_keys,
    rewrite,
    scoped,
)

# fmt: off
__all__ = [
    "BLOCKS_PAGE", "CHUNKS_PAGE", "CHUNK_COUNT", "CHUNK_SPAN", "COUNTERS_FROM_ROWS", "CREATED",
    "DELETE_LOG", "DELETE_OTHER_SPACES", "DELETE_VECTORS", "DOCUMENTS_OF_CHUNKS", "DOCUMENTS_PAGE", "FIELDS_LEFTOVER", "FIELDS_MISSING", "FOREIGN_KEY_CHECK",
    "FORGET_VERSIONS", "HAS_SPACE", "INSERT_BOT_LOG", "LOG_FACTS", "LOG_PAGE", "MARK_DOCUMENTS", "PUT_FINGERPRINT",
    "PUT_PROFILE", "REVISION", "STATISTICS_ROWS", "VECTORS_PAGE", "VECTOR_LEFTOVER", "VECTOR_MISSING", "VERSIONS_PAGE",
    "VERSION_MISSING", "Finding", "finding", "orphans", "orphans_of_no_bot",
]
# fmt: on

Finding = tuple[Select[Any], Select[Any]]
"""A query of how many rows are at fault, and one of the first of them."""


def finding(statement: Select[Any]) -> Finding:
    """Return both queries of what a query of ids finds."""
    return select(func.count()).select_from(statement.subquery()), statement.limit(SHOWN_IDS)


# ---------------------------------------------------------------- the file
FOREIGN_KEY_CHECK: Final = text('SELECT DISTINCT "table" AS child, parent FROM pragma_foreign_key_check')
REVISION: Final = text("SELECT version_num FROM alembic_version")
CREATED: Final = text("SELECT name FROM sqlite_master WHERE type IN ('table', 'index')")
STATISTICS_ROWS: Final = text("SELECT tbl, idx, stat FROM sqlite_stat1")


def orphans(table: Table, key: ForeignKeyConstraint) -> Select[Any]:
    """Return the query of how many rows of each tenant have lost what a foreign key leads to. Not held to a tenant."""
    parent = key.referred_table
    reached = select(literal(1)).where(*(each.column == each.parent for each in key.elements)).correlate(table)
    owner = table.c.tenant_id
    return (
        select(owner, func.count().label("orphans"))
        .where(~reached.select_from(parent).exists())
        .group_by(owner)
        .order_by(owner)
    )


def orphans_of_no_bot(table: Table) -> Select[Any]:
    """Return the query of how many rows of each tenant have lost their very bot. Not held to a tenant."""
    owner = table.c.tenant_id
    bot = select(literal(1)).where(t.bots.c.tenant_id == owner, t.bots.c.id == table.c.bot_id).correlate(table)
    return select(owner, func.count().label("orphans")).where(~bot.exists()).group_by(owner).order_by(owner)


# ---------------------------------------------------------------- texts, of the whole tenant
VERSIONS_PAGE: Final = (
    scoped(
        t.document_versions.c.id,
        t.document_versions.c.bot_id,
        t.document_versions.c.characters,
        t.documents.c.id.label("document_id"),
        t.documents.c.characters.label("document_characters"),
        t.documents.c.text_hash,
        of=(t.document_versions,),
    )
    .select_from(
        t.document_versions.outerjoin(
            t.documents,
            and_(
                held(t.documents),
                t.documents.c.bot_id == t.document_versions.c.bot_id,
                t.documents.c.id == t.document_versions.c.document_id,
                t.documents.c.version_id == t.document_versions.c.id,
            ),
        )
    )
    .where(t.document_versions.c.id > bindparam("after"))
    .order_by(t.document_versions.c.id)
    .limit(bindparam("limit"))
)
BLOCKS_PAGE: Final = (
    scoped(
        t.text_blocks.c.version_id,
        t.text_blocks.c.number,
        # As bytes: damaged text need not be text any more.
        either(cast(t.text_blocks.c.text, LargeBinary), func.convert_to(t.text_blocks.c.text, "UTF8")).label("data"),
        of=(t.text_blocks,),
    )
    .where(
        tuple_(t.text_blocks.c.version_id, t.text_blocks.c.number)
        > tuple_(bindparam("after_version"), bindparam("after_number")),
        t.text_blocks.c.version_id <= bindparam("last_version"),
    )
    .order_by(t.text_blocks.c.version_id, t.text_blocks.c.number)
    .limit(bindparam("limit"))
)

# ---------------------------------------------------------------- a bot's documents and chunks
_CHUNKS: Final = (held(t.chunks), equals(t.chunks.c.bot_id))

_ITS_VERSION: Final = (
    scoped(t.document_versions.c.id, of=(t.document_versions,))
    .where(
        t.document_versions.c.id == t.documents.c.version_id,
        t.document_versions.c.bot_id == t.documents.c.bot_id,
        t.document_versions.c.document_id == t.documents.c.id,
    )
    .correlate(t.documents)
    .exists()
)
VERSION_MISSING: Final = finding(
    scoped(t.documents.c.id, of=(t.documents,)).where(equals(t.documents.c.bot_id), ~_ITS_VERSION)
)
_CHUNKS_THERE: Final = (
    scoped(func.count(), of=(t.chunks,))
    .where(t.chunks.c.bot_id == t.documents.c.bot_id, t.chunks.c.document_id == t.documents.c.id)
    .correlate(t.documents)
    .scalar_subquery()
)
CHUNK_COUNT: Final = finding(
    scoped(t.documents.c.id, of=(t.documents,)).where(
        equals(t.documents.c.bot_id), t.documents.c.chunks != _CHUNKS_THERE
    )
)
CHUNK_SPAN: Final = finding(
    scoped(t.chunks.c.key, of=(t.chunks, t.documents)).where(
        equals(t.chunks.c.bot_id),
        t.documents.c.bot_id == t.chunks.c.bot_id,
        t.documents.c.id == t.chunks.c.document_id,
        or_(t.chunks.c.start < 0, t.chunks.c.end <= t.chunks.c.start, t.chunks.c.end > t.documents.c.characters),
    )
)
_ITS_VECTOR: Final = (
    scoped(t.embeddings.c.chunk_key, of=(t.embeddings,))
    .where(
        t.embeddings.c.bot_id == t.chunks.c.bot_id,
        t.embeddings.c.chunk_key == t.chunks.c.key,
        equals(t.embeddings.c.space),
    )
    .correlate(t.chunks)
    .exists()
)
VECTOR_MISSING: Final = finding(scoped(t.chunks.c.key, of=(t.chunks,)).where(equals(t.chunks.c.bot_id), ~_ITS_VECTOR))
_ITS_CHUNK: Final = (
    scoped(t.chunks.c.key, of=(t.chunks,))
    .where(t.chunks.c.bot_id == t.embeddings.c.bot_id, t.chunks.c.key == t.embeddings.c.chunk_key)
    .correlate(t.embeddings)
    .exists()
)
VECTOR_LEFTOVER: Final = finding(
    scoped(t.embeddings.c.chunk_key, of=(t.embeddings,)).where(
        equals(t.embeddings.c.bot_id), or_(t.embeddings.c.space != bindparam("space"), ~_ITS_CHUNK)
    )
)
HAS_SPACE: Final = (
    scoped(t.embeddings.c.chunk_key, of=(t.embeddings,))
    .where(equals(t.embeddings.c.bot_id), equals(t.embeddings.c.space))
    .limit(1)
)
VECTORS_PAGE: Final = (
    scoped(t.embeddings.c.chunk_key, t.embeddings.c.vector, of=(t.embeddings,))
    .where(
        equals(t.embeddings.c.bot_id),
        equals(t.embeddings.c.space),
        t.embeddings.c.chunk_key > bindparam("after"),
    )
    .order_by(t.embeddings.c.chunk_key)
    .limit(bindparam("limit"))
)
CHUNKS_PAGE: Final = (
    scoped(t.chunks.c.key, of=(t.chunks,))
    .where(equals(t.chunks.c.bot_id), t.chunks.c.key > bindparam("after"))
    .order_by(t.chunks.c.key)
    .limit(bindparam("limit"))
)
DOCUMENTS_PAGE: Final = (
    scoped(
        t.documents.c.id,
        t.documents.c.version_id,
        t.documents.c.text_hash,
        t.documents.c.characters,
        of=(t.documents,),
    )
    .where(equals(t.documents.c.bot_id), t.documents.c.id.in_(listed("ids")))
    .order_by(t.documents.c.id)
)
DOCUMENTS_OF_CHUNKS: Final = (
    scoped(t.chunks.c.document_id, of=(t.chunks,))
    .where(equals(t.chunks.c.bot_id), t.chunks.c.key.in_(listed_keys("keys")))
    .distinct()
)

_FIELDS: Final = scoped(f.chunk_fields).where(equals(f.chunk_fields.c.bot_id))
# SQLite knows no parentheses around a part of a compound query.
_RIGHT_FIELDS: Final = select(*f.SHOULD_HOLD.subquery().c)
FIELDS_MISSING: Final = select(func.count()).select_from(except_(_RIGHT_FIELDS, _FIELDS).subquery())
FIELDS_LEFTOVER: Final = select(func.count()).select_from(except_(_FIELDS, _RIGHT_FIELDS).subquery())


# ---------------------------------------------------------------- log and counters
def _counted(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Return of how many rows a condition holds."""
    return func.coalesce(either(func.sum(condition), func.sum(case((condition, 1), else_=0))), 0)


LOG_FACTS: Final = scoped(
    func.count().label("rows"),
    func.coalesce(func.min(t.change_log.c.sequence), 1).label("first"),
    func.coalesce(func.max(t.change_log.c.sequence), 0).label("last"),
    _counted(t.change_log.c.nonce == 0).label("without_nonce"),
    _counted(or_(func.length(t.change_log.c.removed) % 8 != 0, func.length(t.change_log.c.added) % 8 != 0)).label(
        "cut_short"
    ),
    of=(t.change_log,),
).where(equals(t.change_log.c.bot_id))
LOG_PAGE: Final = (
    scoped(t.change_log.c.sequence, t.change_log.c.removed, t.change_log.c.added, of=(t.change_log,))
    .where(equals(t.change_log.c.bot_id), t.change_log.c.sequence > bindparam("after"))
    .order_by(t.change_log.c.sequence)
    .limit(bindparam("limit"))
)


def _as_number(column: ColumnElement[Any]) -> ColumnElement[int]:
    """Return a number or truth value as a number, else a sum of truth values would be one itself."""
    return either(type_coerce(column, BigInteger), cast(column, Integer))


COUNTERS_FROM_ROWS: Final = scoped(
    func.count().label("documents"),
    *(
        func.coalesce(func.sum(_as_number(t.documents.c[name])), 0).label(name)
        for name in ("chunks", "characters", "words", "known_words", "stale")
    ),
    select(func.coalesce(func.max(t.chunks.c.key), 0)).where(*_CHUNKS).scalar_subquery().label("last_key"),
    of=(t.documents,),
).where(equals(t.documents.c.bot_id))

# ---------------------------------------------------------------- repairs
DELETE_OTHER_SPACES: Final = erase(t.embeddings).where(
    equals(t.embeddings.c.bot_id), or_(t.embeddings.c.space != bindparam("space_kept"), ~_ITS_CHUNK)
)
DELETE_VECTORS: Final = erase(t.embeddings).where(
    equals(t.embeddings.c.bot_id), t.embeddings.c.chunk_key.in_(listed_keys("keys"))
)
MARK_DOCUMENTS: Final = (
    t.documents.update()
    .where(held(t.documents), at(t.documents.c.bot_id), t.documents.c.id.in_(listed("ids")))
    .values(version_hash=b"", stale=true())
)
"""Without its version's hash a document is not taken for unchanged: it is cut and embedded anew from its stored text."""
FORGET_VERSIONS: Final = (
    t.documents.update()
    .where(held(t.documents), at(t.documents.c.bot_id), t.documents.c.id.in_(listed("ids")))
    .values(version_hash=b"", raw_hash=None, stale=false())
)
"""Without hashes a document is not taken for unchanged when its source is read, and its stored text is not cut anew."""
PUT_FINGERPRINT: Final = rewrite(t.bots, "fingerprint").where(at(t.bots.c.id))
PUT_PROFILE: Final = rewrite(t.bots, "profile").where(at(t.bots.c.id))
INSERT_BOT_LOG: Final = driver_insert(t.bot_logs)
DELETE_LOG: Final = erase(t.change_log).where(equals(t.change_log.c.bot_id))
