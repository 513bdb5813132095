"""Vectors of several embedding spaces side by side: which chunks lack one, writing them, dropping those of other spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import Select, and_, bindparam, exists, func, or_, true, tuple_, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import insert

from minirag.errors import InvalidEmbeddingError
from minirag.interfaces.records import ChunkText
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.changes import BotChanges
from minirag.providers.sqlalchemy.mapping import to_vectors
from minirag.providers.sqlalchemy.scoping import (
    as_list,
    as_lists,
    at,
    equals,
    erase,
    held,
    listed_keys,
    rewrite,
    scoped,
)
from minirag.providers.sqlalchemy.statements import SPACE_OF_BOT
from minirag.providers.sqlalchemy.tables import KNOWN_WORDS_SCALE
from minirag.providers.sqlalchemy.transaction import Transaction

if TYPE_CHECKING:
    from minirag.types import Matrix, Vector

__all__ = [
    "COUNT_VECTORS",
    "CURRENT_VERSIONS",
    "DROP_EMBEDDINGS",
    "MARK_RECUT",
    "lacking_vectors",
    "put_embeddings",
    "put_familiarity",
    "sample_texts",
]

_Slices = Callable[[Iterable[tuple[str, int, int]]], list[str]]
_DOCUMENTS_PER_STATEMENT: Final = 10_000

_own = t.embeddings.alias("own")
_other = t.embeddings.alias("other")


def _of_chunk(vectors: Any, space: Any) -> Any:
    """Return the condition that a row of vectors is a chunk's, in one space."""
    return and_(
        held(vectors),
        vectors.c.bot_id == t.chunks.c.bot_id,
        vectors.c.chunk_key == t.chunks.c.key,
        vectors.c.space == space,
    )


def _texts_of_chunks(*columns: Any) -> Select[Any]:
    """Return the query of the bot's chunks, by key, with what their texts are cut from and with columns of their vectors."""
    document = and_(t.documents.c.bot_id == t.chunks.c.bot_id, t.documents.c.id == t.chunks.c.document_id)
    return (
        scoped(
            t.chunks.c.key,
            t.chunks.c.start,
            t.chunks.c.end,
            t.documents.c.version_id,
            t.documents.c.title,
            *columns,
            of=(t.chunks, t.documents),
        )
        .join_from(t.chunks, t.documents, document)
        .where(equals(t.chunks.c.bot_id))
        .order_by(t.chunks.c.key)
    )


_LACKING: Final = (
    _texts_of_chunks(_own.c.content_hash)
    .outerjoin(_own, _of_chunk(_own, SPACE_OF_BOT))
    .where(
        t.chunks.c.key > bindparam("after"),
        ~exists().where(_of_chunk(_other, bindparam("space"))).correlate(t.chunks),
    )
    .limit(bindparam("limit"))
)
_SAMPLE: Final = (
    _texts_of_chunks(_own.c.content_hash, _own.c.vector)
    .join(_own, _of_chunk(_own, func.coalesce(bindparam("space"), SPACE_OF_BOT)))
    .where(t.chunks.c.key.in_(listed_keys("keys")))
)
_KEYS: Final = scoped(t.embeddings.c.chunk_key, of=(t.embeddings,)).where(
    equals(t.embeddings.c.bot_id), t.embeddings.c.space == func.coalesce(bindparam("space"), SPACE_OF_BOT)
)
_FIRST_KEY: Final = (
    _KEYS.where(t.embeddings.c.chunk_key >= bindparam("from")).order_by(t.embeddings.c.chunk_key).limit(1)
)
_LAST_KEY: Final = _KEYS.order_by(t.embeddings.c.chunk_key.desc()).limit(1)
_PRESENT: Final = scoped(t.chunks.c.key, of=(t.chunks,)).where(
    equals(t.chunks.c.bot_id), t.chunks.c.key.in_(listed_keys("keys"))
)
COUNT_VECTORS: Final = scoped(func.count(), of=(t.embeddings,)).where(
    equals(t.embeddings.c.bot_id), equals(t.embeddings.c.space)
)
CURRENT_VERSIONS: Final = (
    scoped(t.documents.c.id, t.documents.c.version_id, t.documents.c.characters, of=(t.documents,))
    .where(equals(t.documents.c.bot_id), t.documents.c.id > bindparam("after"))
    .order_by(t.documents.c.id)
    .limit(bindparam("limit"))
)
_INSERT: Final = str(insert(t.embeddings).on_conflict_do_nothing().compile(dialect=sqlite.dialect(paramstyle="qmark")))
_OTHER_SPACES: Final[Select[Any]] = (
    scoped(t.embeddings.c.chunk_key, t.embeddings.c.space, of=(t.embeddings,))
    .where(equals(t.embeddings.c.bot_id), t.embeddings.c.space != bindparam("keep_space"))
    .limit(bindparam("limit"))
)
DROP_EMBEDDINGS: Final = erase(t.embeddings).where(
    equals(t.embeddings.c.bot_id), tuple_(t.embeddings.c.chunk_key, t.embeddings.c.space).in_(_OTHER_SPACES)
)
MARK_RECUT: Final = (
    update(t.documents).where(held(t.documents), at(t.documents.c.bot_id)).values(stale=true(), version_hash=b"")
)
_NO_FAMILIARITY: Final = (
    update(t.documents)
    .where(held(t.documents), at(t.documents.c.bot_id), or_(t.documents.c.words != 0, t.documents.c.known_words != 0))
    .values(words=0, known_words=0)
)
_FAMILIARITY: Final = rewrite(t.documents, "words", "known_words").where(at(t.documents.c.bot_id), at(t.documents.c.id))
_SUMS: Final = scoped(
    func.coalesce(func.sum(t.documents.c.words), 0).label("words"),
    func.coalesce(func.sum(t.documents.c.known_words), 0).label("known_words"),
    of=(t.documents,),
).where(equals(t.documents.c.bot_id))


def lacking_vectors(
    transaction: Transaction, slices: _Slices, bot_id: str, space: str, *, after: int, limit: int
) -> list[ChunkText]:
    """Return the bot's chunks above a key that have no vector in a space."""
    return _texts(slices, transaction.rows(_LACKING, bot_id=bot_id, space=space, after=after, limit=limit))


def sample_texts(
    transaction: Transaction, slices: _Slices, bot_id: str, limit: int, space: str | None
) -> list[tuple[ChunkText, Vector]]:
    """Return the oldest and the newest chunk of a space, and those nearest above even steps between their keys."""
    given = {"bot_id": bot_id, "space": space}
    last = transaction.value(_LAST_KEY, **given)
    if last is None or limit < 1:
        return []
    first = transaction.value(_FIRST_KEY, **given, **{"from": 0})
    steps = max(1, limit - 1)
    wanted = [first + (last - first) * step // steps for step in range(min(limit, steps + 1))]
    keys = {transaction.value(_FIRST_KEY, **given, **{"from": key}) for key in wanted}
    rows = transaction.rows(_SAMPLE, **given, keys=as_list(sorted(keys)))
    vectors = to_vectors([row.vector for row in rows]) if rows else ()
    return list(zip(_texts(slices, rows), vectors, strict=True))


def _texts(slices: _Slices, rows: Sequence[Any]) -> list[ChunkText]:
    texts = slices((row.version_id, row.start, row.end) for row in rows)
    return [
        ChunkText(key=row.key, text=text, title=row.title, content_hash=row.content_hash)
        for row, text in zip(rows, texts, strict=True)
    ]


def put_embeddings(
    transaction: Transaction,
    bot_id: str,
    space: str,
    *,
    keys: Sequence[int],
    content_hashes: Sequence[bytes],
    vectors: Matrix,
) -> int:
    """Store vectors of a space for those keys that are chunks of the bot; return how many these are."""
    if vectors.ndim != 2 or not len(keys) == len(content_hashes) == len(vectors):
        raise InvalidEmbeddingError(f"{len(keys)} chunks need as many vectors; the array's shape is {vectors.shape}")
    present: set[int] = set()
    for some in as_lists([int(key) for key in keys]):
        present.update(row.key for row in transaction.rows(_PRESENT, bot_id=bot_id, keys=some))
    stored = np.ascontiguousarray(vectors, "<f4")
    rows = [
        (transaction.tenant_id, bot_id, int(key), space, content_hash, vector.tobytes())
        for key, content_hash, vector in zip(keys, content_hashes, stored, strict=True)
        if key in present
    ]
    transaction.insert(_INSERT, rows)
    return len(rows)


def put_familiarity(transaction: Transaction, bot_id: str, documents: Mapping[str, tuple[int, float]]) -> None:
    """Write how much of each document an embedder knows, and their sums."""
    changes = BotChanges.load(transaction, bot_id)
    transaction.run(_NO_FAMILIARITY, at_bot_id=bot_id)
    rows = [
        {
            "at_bot_id": bot_id,
            "at_id": document_id,
            "new_words": words,
            "new_known_words": round(known * KNOWN_WORDS_SCALE),
        }
        for document_id, (words, known) in documents.items()
        if words
    ]
    for start in range(0, len(rows), _DOCUMENTS_PER_STATEMENT):
        transaction.many(_FAMILIARITY, rows[start : start + _DOCUMENTS_PER_STATEMENT])
    sums = transaction.row(_SUMS, bot_id=bot_id)
    assert sums is not None
    changes.counters.update(words=sums.words, known_words=sums.known_words)
    changes.save()
