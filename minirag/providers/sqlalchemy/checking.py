"""Checks of the database: the file itself, and each tenant's rows, in batches of bounded size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import numpy as np

from minirag.errors import StorageBusyError, StorageError
from minirag.interfaces.upkeep import SHOWN_IDS, StoredFault, Tell
from minirag.providers.sqlalchemy import check_statements as c
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy.changes import COUNTERS
from minirag.providers.sqlalchemy.check_log import replay_faults
from minirag.providers.sqlalchemy.check_texts import text_faults
from minirag.providers.sqlalchemy.fields import declared_fields
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["Begin", "bad_vectors", "check_tenant", "space_of"]

Begin = Callable[[], AbstractContextManager[Transaction]]
"""Begins a read transaction of the tenant."""

_BATCH: Final = 4_096
_LENGTH_TOLERANCE: Final = 1e-4
"""How far a vector's length may be from one. Rounding to float32 moves it by some 1e-7."""

_FROM_BACKUP: Final = "restore a backup"
_CUT: Final = "its document is cut and embedded anew from the stored text"


def check_tenant(begin: Begin, *, deep: bool, tell: Tell) -> Iterator[StoredFault]:
    """Yield what is wrong with a tenant's rows: its texts first, then bot by bot, each in one view."""
    try:
        with begin() as transaction:
            bots = transaction.rows(s.BOTS)
        if deep:
            yield from text_faults(begin, {row.id: row.name for row in bots}, tell)
    except StorageError as problem:
        yield _unreadable(problem)
        return
    for row in bots:
        try:
            with begin() as transaction:
                if transaction.row(s.BOT_BY_ID, id=row.id) is not None:
                    yield from _bot_faults(transaction, row, deep=deep, tell=tell)
        except StorageError as problem:
            yield _unreadable(problem, row)


def _unreadable(problem: StorageError, bot: Any = None) -> StoredFault:
    if isinstance(problem, StorageBusyError):
        raise problem
    where = {} if bot is None else {"bot_id": bot.id, "bot": bot.name}
    return StoredFault("pages", f"rows cannot be read: {problem}", _FROM_BACKUP, repairable=False, **where)


def _bot_faults(transaction: Transaction, bot: Any, *, deep: bool, tell: Tell) -> Iterator[StoredFault]:
    tell("bots", 1)

    def fault(kind: Any, what: str, remedy: str, *, repairable: bool, count: int = 1, ids: Any = ()) -> StoredFault:
        shown = tuple(map(str, ids))
        return StoredFault(kind, what, remedy, repairable, bot_id=bot.id, bot=bot.name, ids=shown, count=count)

    def found(finding: c.Finding, **parameters: Any) -> tuple[int, list[Any]]:
        count, first = finding
        number = transaction.value(count, bot_id=bot.id, **parameters)
        return number, [row[0] for row in transaction.rows(first, bot_id=bot.id, **parameters)] if number else []

    space, dimension, wrong = space_of(transaction, bot)
    if wrong is not None:
        what, remedy = wrong
        yield fault("bot", what, remedy, repairable=remedy != _FROM_BACKUP)
    for kind, finding, what, remedy in (
        ("version_missing", c.VERSION_MISSING, "{} without its current version", "add it again, or " + _FROM_BACKUP),
        ("chunk_count", c.CHUNK_COUNT, "{} with another number of chunks than it was cut into", _CUT),
    ):
        count, ids = found(finding)
        if count:
            repairable = kind == "chunk_count"
            yield fault(
                kind, what.format(_many(count, "document")), remedy, repairable=repairable, count=count, ids=ids
            )
    for kind, finding, what, remedy in (
        ("chunk_span", c.CHUNK_SPAN, "{} outside its document's text", _CUT),
        ("vector_missing", c.VECTOR_MISSING, "{} without a vector of the bot's embedding space", _CUT),
        ("vector_leftover", c.VECTOR_LEFTOVER, "{} without a chunk, or of another embedding space", "dropped"),
    ):
        thing = "vector" if kind == "vector_leftover" else "chunk"
        count, ids = found(finding, space=space)
        if count:
            yield fault(kind, what.format(_many(count, thing)), remedy, repairable=True, count=count, ids=ids)
    if deep and dimension is not None:
        count, ids = 0, []
        for keys in bad_vectors(transaction, bot.id, space, dimension, tell):
            count += len(keys)
            ids += keys[: SHOWN_IDS - len(ids)]
        if count:
            what = f"{_many(count, 'vector')} of a wrong length, not finite, or not of length one"
            yield fault("vector_invalid", what, _CUT, repairable=True, count=count, ids=ids)
    declared = json.dumps(declared_fields(transaction, bot.id) if dimension is not None else ())
    count = sum(
        transaction.value(each, bot_id=bot.id, fields=declared) for each in (c.FIELDS_MISSING, c.FIELDS_LEFTOVER)
    )
    if count and dimension is not None:
        what = f"{_many(count, 'row')} of the filterable fields are not what the metadata say"
        yield fault("fields", what, "they are written anew from the metadata", repairable=True, count=count)
    log = transaction.row(s.BOT_LOG, bot_id=bot.id)
    wrong_counters = _counter_faults(transaction, bot.id, log, tell)
    if wrong_counters:
        what = f"counters are not what the rows add up to: {', '.join(wrong_counters)}"
        yield fault("counters", what, "they are counted anew", repairable=True, ids=wrong_counters)
    remedy = "the log is written anew, and every index is built anew"
    broken = _log_fault(transaction, bot.id, log)
    if broken is not None:
        yield fault("log", f"the change log {broken}", remedy, repairable=True)
    elif deep:
        count, keys = replay_faults(transaction, bot.id)
        if count:
            what = f"the change log gives other chunks than there are: {_many(count, 'key')} differ"
            yield fault("log_replay", what, remedy, repairable=True, count=count, ids=keys)


def space_of(transaction: Transaction, bot: Any) -> tuple[str, int | None, tuple[str, str] | None]:
    """Return the fingerprint that the bot's vectors should have, their dimension if known, and what is wrong with its row.

    What is wrong comes with a remedy. If fingerprint and space disagree, the one that there are vectors of is right.
    """
    try:
        record = m.to_bot(bot)
    except (ValueError, TypeError, KeyError, AttributeError):
        return bot.fingerprint, None, ("its settings cannot be read", _FROM_BACKUP)
    true = record.space.fingerprint
    if true != bot.fingerprint:
        if transaction.row(c.HAS_SPACE, bot_id=bot.id, space=bot.fingerprint) is not None:
            return bot.fingerprint, None, ("its embedding space is not that of its vectors", _FROM_BACKUP)
        what = "its fingerprint is not that of its embedding space"
        return true, record.space.dimension, (what, "the fingerprint is written anew")
    if record.profile.name != bot.name:
        return true, record.space.dimension, ("its settings carry another name", "the name is written anew")
    return true, record.space.dimension, None


def bad_vectors(transaction: Transaction, bot_id: str, space: str, dimension: int, tell: Tell) -> Iterator[list[int]]:
    """Yield the keys of vectors that are no unit vectors of this dimension, a batch at a time. A vector of zeros is one."""
    after = 0
    while rows := transaction.rows(c.VECTORS_PAGE, bot_id=bot_id, space=space, after=after, limit=_BATCH):
        after = rows[-1].chunk_key
        tell("vectors", len(rows))
        whole = [row for row in rows if isinstance(row.vector, bytes) and len(row.vector) == 4 * dimension]
        bad = {row.chunk_key for row in rows} - {row.chunk_key for row in whole} if len(whole) < len(rows) else set()
        if whole:
            matrix = m.to_vectors([row.vector for row in whole])
            with np.errstate(invalid="ignore", over="ignore"):
                lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
            right = (np.abs(lengths - 1.0) <= _LENGTH_TOLERANCE) | (lengths == 0.0)
            bad |= {whole[place].chunk_key for place in np.flatnonzero(~right)}
        if bad:
            yield sorted(bad)


def _counter_faults(transaction: Transaction, bot_id: str, log: Any, tell: Tell) -> list[str]:
    """Return the names of counters that are wrong."""
    counted = transaction.row(c.COUNTERS_FROM_ROWS, bot_id=bot_id)
    assert counted is not None
    tell("documents", counted.documents)
    tell("chunks", counted.chunks)
    if log is None:
        return []
    wrong = [name for name in COUNTERS if getattr(log, name) != getattr(counted, name)]
    return [*wrong, "last_key"] if log.last_key < counted.last_key else wrong


def _log_fault(transaction: Transaction, bot_id: str, log: Any) -> str | None:
    if log is None:
        return "has lost its head"
    facts = transaction.row(c.LOG_FACTS, bot_id=bot_id)
    assert facts is not None
    if facts.first != 1 or facts.rows != facts.last:
        return f"has gaps: {facts.rows} rows up to {facts.last}"
    if facts.last != log.sequence:
        return f"ends at {facts.last}, where the bot says {log.sequence}"
    if (transaction.value(s.NONCE, bot_id=bot_id, sequence=facts.last) or 0) != log.nonce:
        return "ends in another nonce than the bot says"
    if facts.without_nonce:
        return "has rows without a nonce"
    if facts.cut_short:
        return "has rows whose keys were cut short"
    return None


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"
