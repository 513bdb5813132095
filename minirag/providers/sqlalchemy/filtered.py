"""Reading by a filter: which of the bot's indexes names the fewest chunks, and what the whole filter says of these.

A statement is made once for each form of filter, whatever its values, and compiled once by the transaction.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import Select, bindparam, func, select

from minirag.models.filters import Filter
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.fields import CHUNK_DOCUMENT, declared_fields
from minirag.providers.sqlalchemy.filters import filter_clause, parameterized
from minirag.providers.sqlalchemy.forms import each_integer
from minirag.providers.sqlalchemy.narrowing import narrowings, probe
from minirag.providers.sqlalchemy.scoping import as_lists, equals, scoped
from minirag.providers.sqlalchemy.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minirag.types import Keys

__all__ = [
    "allowed",
    "allowed_if_few",
    "allowed_keys",
    "count",
    "count_documents",
    "count_narrowings",
    "documents_page",
    "matching",
    "matching_keys",
    "page",
]

_NO_LIMIT: Final = 2**31 - 1
_FEW: Final = 10_000
"""Up to so many chunks, looking each up takes less than a walk over all those of a bot that has many more."""


def matching(transaction: Transaction, bot_id: str, where: Filter, keys: Keys) -> dict[int, bool]:
    """Return, for each of the keys, whether a filter allows it; keys that are newer than what is read are left out."""
    form, parameters = parameterized(where)
    statement = matching_keys(form, declared_fields(transaction, bot_id))
    last = transaction.remembered(_LAST_KEY, bot_id=bot_id)
    found = dict.fromkeys(keys[keys <= last[0][0]].tolist() if last else (), False)
    for some in as_lists(keys.tolist()):
        found.update((key, True) for (key,) in transaction.tuples(statement, bot_id=bot_id, keys=some, **parameters))
    return found


def allowed(transaction: Transaction, bot_id: str, where: Filter) -> Keys:
    """Return the keys of the bot's chunks that a filter allows, sorted."""
    form, parameters = parameterized(where)
    fields, at = _narrowest(transaction, bot_id, form, parameters, limit=_FEW)
    rows = transaction.tuples(allowed_keys(form, fields, at), bot_id=bot_id, limit=_NO_LIMIT, **parameters)
    return _keys(rows)


def allowed_if_few(transaction: Transaction, bot_id: str, where: Filter, *, limit: int) -> Keys | None:
    """Return what `allowed` returns if an index shows that these are at most `limit`, else None."""
    form, parameters = parameterized(where)
    fields, at = _narrowest(transaction, bot_id, form, parameters, limit=limit)
    if at is None:
        return None
    return _keys(transaction.tuples(allowed_keys(form, fields, at), bot_id=bot_id, limit=_NO_LIMIT, **parameters))


def page(
    transaction: Transaction, bot_id: str, where: Filter, *, source_id: str | None, after: str, limit: int
) -> Sequence[Any]:
    """Return rows of documents that a filter allows, as `statements.documents_page` says."""
    form, parameters = parameterized(where)
    fields, at = _narrowest(transaction, bot_id, form, parameters, limit=_FEW)
    statement = documents_page(form, fields, at, by_source=source_id is not None)
    return transaction.rows(statement, bot_id=bot_id, source_id=source_id, after=after, limit=limit, **parameters)


def count(transaction: Transaction, bot_id: str, where: Filter, *, source_id: str | None) -> int:
    """Return how many documents a filter allows."""
    form, parameters = parameterized(where)
    fields, at = _narrowest(transaction, bot_id, form, parameters, limit=_FEW)
    statement = count_documents(form, fields, at, by_source=source_id is not None)
    return int(transaction.value(statement, bot_id=bot_id, source_id=source_id, **parameters))


def _keys(rows: list[tuple[Any, ...]]) -> Keys:
    return np.sort(np.fromiter((key for (key,) in rows), np.int64, len(rows)))


def _narrowest(
    transaction: Transaction, bot_id: str, form: Filter, parameters: dict[str, Any], *, limit: int
) -> tuple[tuple[str, ...], int | None]:
    """Return the bot's declared fields, and which of the filter's narrowings names the fewest chunks.

    None if each names more than `limit`, or there is none. Counting stops there, so that it costs little.
    """
    fields = declared_fields(transaction, bot_id)
    statement = count_narrowings(form, fields)
    if statement is None:
        return fields, None
    (counts,) = transaction.tuples(statement, bot_id=bot_id, limit=limit + 1, **parameters)
    at = int(np.argmin(counts))
    return fields, at if counts[at] <= limit else None


# ---------------------------------------------------------------- statements
_LAST_KEY: Final = scoped(t.bot_logs.c.last_key, of=(t.bot_logs,)).where(equals(t.bot_logs.c.bot_id))
"""The highest key that the bot has given to a chunk so far."""


@lru_cache(maxsize=64)
def count_narrowings(form: Filter, fields: tuple[str, ...]) -> Select[Any] | None:
    """Return the query of how many rows each narrowing has, none counted further than `limit`."""
    found = [
        select(func.count()).select_from(keys.limit(bindparam("limit")).subquery()).scalar_subquery()
        for keys in narrowings(form, fields)
    ]
    return select(*found) if found else None


@lru_cache(maxsize=64)
def matching_keys(form: Filter, fields: tuple[str, ...]) -> Select[Any]:
    """Return the query of those of the chunks `keys` that a filter allows."""
    given = each_integer("keys").table_valued("value", name="given")
    possible = select(given.c.value).where(probe(form, fields, given.c.value))
    return _allowed(form).where(t.chunks.c.key.in_(possible))


@lru_cache(maxsize=64)
def allowed_keys(form: Filter, fields: tuple[str, ...], at: int | None) -> Select[Any]:
    """Return the query of at most `limit` of the bot's chunks that a filter allows, found by its narrowing `at`."""
    keys = _allowed(form).limit(bindparam("limit"))
    return keys if at is None else keys.where(t.chunks.c.key.in_(narrowings(form, fields)[at]))


@lru_cache(maxsize=64)
def documents_page(form: Filter, fields: tuple[str, ...], at: int | None, *, by_source: bool) -> Select[Any]:
    """Return the query `statements.documents_page`, its documents found by the filter's narrowing `at`."""
    return _found_by(s.documents_page(by_source=by_source, where=form), form, fields, at)


@lru_cache(maxsize=64)
def count_documents(form: Filter, fields: tuple[str, ...], at: int | None, *, by_source: bool) -> Select[Any]:
    """Return the query `statements.count_documents`, its documents found by the filter's narrowing `at`."""
    return _found_by(s.count_documents(by_source=by_source, where=form), form, fields, at)


def _found_by(documents: Select[Any], form: Filter, fields: tuple[str, ...], at: int | None) -> Select[Any]:
    """Return a query of documents, all of which have chunks, held to those that a narrowing names a chunk of."""
    if at is None:
        return documents
    named = scoped(t.chunks.c.document_id, of=(t.chunks,)).where(
        equals(t.chunks.c.bot_id), t.chunks.c.key.in_(narrowings(form, fields)[at])
    )
    return documents.where(t.documents.c.id.in_(named))


def _allowed(form: Filter) -> Select[Any]:
    clause = filter_clause(form, document=t.documents, source=t.sources, chunk=t.chunks)
    return scoped(t.chunks.c.key, of=(t.documents, t.chunks)).where(
        equals(t.documents.c.bot_id), equals(t.chunks.c.bot_id), CHUNK_DOCUMENT, clause
    )
