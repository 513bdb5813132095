"""Repairs of what can be derived, each in one write transaction that finds out anew what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import text
from sqlalchemy.schema import CreateIndex

from minirag.interfaces.upkeep import StoredFault
from minirag.models.verification import FaultKind
from minirag.providers.sqlalchemy import check_statements as c
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy import tables as t
from minirag.providers.sqlalchemy.changes import COUNTERS, BotChanges
from minirag.providers.sqlalchemy.check_file import missing_indexes
from minirag.providers.sqlalchemy.check_log import present_keys
from minirag.providers.sqlalchemy.check_texts import intact_documents
from minirag.providers.sqlalchemy.checking import bad_vectors, space_of
from minirag.providers.sqlalchemy.fields import refill_bot
from minirag.providers.sqlalchemy.planner import write_statistics
from minirag.providers.sqlalchemy.scoping import as_lists
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["repair_file", "repair_rows"]

_AT_ONCE: Final = 500
_LOG_ROWS: Final = 10_000


def repair_file(transaction: Transaction, fault: StoredFault) -> None:
    """Mend a fault of the file itself: statistics, missing indexes, indexes that do not fit their tables."""
    if fault.kind == "statistics":
        transaction.use(write_statistics)
    elif fault.kind == "schema":
        wanted = set(missing_indexes(transaction))
        indexes = [index for table in t.metadata.tables.values() for index in table.indexes if index.name in wanted]
        transaction.use(lambda connection: [connection.execute(CreateIndex(index)) for index in indexes])
    elif fault.kind == "pages" and fault.repairable:
        transaction.run(text("REINDEX"))


def repair_rows(transaction: Transaction, fault: StoredFault) -> None:
    """Mend a fault of a bot's rows, or let the next ingestion mend it. Mended twice is mended once."""
    mend = _REPAIRS.get(fault.kind)
    if mend is None or fault.bot_id is None:
        return
    bot = transaction.row(s.BOT_BY_ID, id=fault.bot_id)
    if bot is not None:
        mend(transaction, bot)


def _mend_bot(transaction: Transaction, bot: Any) -> None:
    space, _, wrong = space_of(transaction, bot)
    if wrong is None:
        return
    transaction.run(c.PUT_FINGERPRINT, at_id=bot.id, new_fingerprint=space)
    try:
        record = m.to_bot(bot)
    except (ValueError, TypeError, KeyError, AttributeError):
        return
    profile = record.profile.model_copy(update={"name": bot.name}).model_dump_json()
    transaction.run(c.PUT_PROFILE, at_id=bot.id, new_profile=profile)


def _mend_texts(transaction: Transaction, bot: Any) -> None:
    """Make the next reading of each damaged document replace it; until then its text is not cut anew."""
    after = ""
    while rows := transaction.rows(
        s.documents_page(by_source=False, where=None), bot_id=bot.id, after=after, limit=_AT_ONCE
    ):
        after = rows[-1].id
        ids = [row.id for row in rows]
        damaged = sorted(set(ids) - set(intact_documents(transaction, bot.id, ids)))
        if damaged:
            transaction.run(c.FORGET_VERSIONS, at_bot_id=bot.id, ids=json.dumps(damaged))
    _mend_counters(transaction, bot)


def _mend_leftover_vectors(transaction: Transaction, bot: Any) -> None:
    space, _, _ = space_of(transaction, bot)
    orphans = [row[0] for row in transaction.rows(c.VECTOR_LEFTOVER[1].limit(None), bot_id=bot.id, space=space)]
    if orphans:
        transaction.run(c.DELETE_OTHER_SPACES, bot_id=bot.id, space_kept=space)
        _log_anew(transaction, bot, orphans)


def _mend_bad_vectors(transaction: Transaction, bot: Any) -> None:
    space, dimension, _ = space_of(transaction, bot)
    if dimension is None:
        return
    bad = [
        key for keys in bad_vectors(transaction, bot.id, space, dimension, lambda _what, _number: None) for key in keys
    ]
    for some in as_lists(bad):
        transaction.run(c.DELETE_VECTORS, bot_id=bot.id, keys=some)
    if bad:
        _log_anew(transaction, bot, bad)
        _mend_missing_vectors(transaction, bot)


def _mend_missing_vectors(transaction: Transaction, bot: Any) -> None:
    space, _, _ = space_of(transaction, bot)
    keys = [row[0] for row in transaction.rows(c.VECTOR_MISSING[1].limit(None), bot_id=bot.id, space=space)]
    _cut_anew(transaction, bot, _documents_of(transaction, bot, keys))


def _mend_spans(transaction: Transaction, bot: Any) -> None:
    keys = [row[0] for row in transaction.rows(c.CHUNK_SPAN[1].limit(None), bot_id=bot.id)]
    _cut_anew(transaction, bot, _documents_of(transaction, bot, keys))


def _mend_chunk_counts(transaction: Transaction, bot: Any) -> None:
    _cut_anew(transaction, bot, [row[0] for row in transaction.rows(c.CHUNK_COUNT[1].limit(None), bot_id=bot.id)])


def _documents_of(transaction: Transaction, bot: Any, keys: Sequence[int]) -> list[str]:
    ids: set[str] = set()
    for some in as_lists(keys):
        ids |= {row[0] for row in transaction.rows(c.DOCUMENTS_OF_CHUNKS, bot_id=bot.id, keys=some)}
    return sorted(ids)


def _cut_anew(transaction: Transaction, bot: Any, document_ids: Sequence[str]) -> None:
    """Mark documents to be cut and embedded anew from their stored text, but none whose text is damaged."""
    for start in range(0, len(document_ids), _AT_ONCE):
        intact = intact_documents(transaction, bot.id, document_ids[start : start + _AT_ONCE])
        if intact:
            transaction.run(c.MARK_DOCUMENTS, at_bot_id=bot.id, ids=json.dumps(intact))
    if document_ids:
        _mend_counters(transaction, bot)


def _mend_counters(transaction: Transaction, bot: Any) -> None:
    counted = transaction.row(c.COUNTERS_FROM_ROWS, bot_id=bot.id)
    log = transaction.row(s.BOT_LOG, bot_id=bot.id)
    if counted is None or log is None:
        return
    values = {f"new_{name}": getattr(counted, name) for name in COUNTERS}
    values |= {"new_sequence": log.sequence, "new_nonce": log.nonce}
    transaction.run(s.UPDATE_BOT_LOG, at_bot_id=bot.id, new_last_key=max(log.last_key, counted.last_key), **values)


def _log_anew(transaction: Transaction, bot: Any, keys: Sequence[int]) -> None:
    """Log that vectors changed, so that every index asks for these keys again."""
    if transaction.row(s.BOT_LOG, bot_id=bot.id) is None:
        return  # the log is written anew as a whole
    changes = BotChanges.load(transaction, bot.id)
    # Named on both sides: a vector without a chunk never came by the log, and so must not go by it either.
    changes.log(removed=keys, added=keys)
    changes.save()


def _mend_log(transaction: Transaction, bot: Any) -> None:
    """Write the log anew: as many empty rows as there were, with new nonces, and one that brings every present chunk.

    No index stands at any of its nonces, so each is built anew; and its sequence does not go back.
    """
    log = transaction.row(s.BOT_LOG, bot_id=bot.id)
    if log is None:
        empty: dict[str, Any] = dict.fromkeys((*COUNTERS, "sequence", "nonce", "last_key"), 0)
        transaction.run(s.ADD_BOT_LOG, bot_id=bot.id, **empty)
        log = transaction.row(s.BOT_LOG, bot_id=bot.id)
        assert log is not None
    facts = transaction.row(c.LOG_FACTS, bot_id=bot.id)
    assert facts is not None
    last = max(log.sequence, facts.last, 0)
    transaction.run(c.DELETE_LOG, bot_id=bot.id)
    for start in range(1, last + 1, _LOG_ROWS):
        numbers = range(start, min(start + _LOG_ROWS, last + 1))
        transaction.insert(
            s.INSERT_LOG, [(transaction.tenant_id, bot.id, number, _nonce(), b"", b"") for number in numbers]
        )
    nonce = _nonce()
    added = np.ascontiguousarray(present_keys(transaction, bot.id), "<i8").tobytes()
    transaction.insert(s.INSERT_LOG, [(transaction.tenant_id, bot.id, last + 1, nonce, b"", added)])
    values: dict[str, Any] = {f"new_{name}": getattr(log, name) for name in (*COUNTERS, "last_key")}
    transaction.run(s.UPDATE_BOT_LOG, at_bot_id=bot.id, new_sequence=last + 1, new_nonce=nonce, **values)
    _mend_counters(transaction, bot)


def _nonce() -> int:
    """Return a new random nonce of 63 bits that is not 0."""
    return (int.from_bytes(os.urandom(8)) >> 1) or 1


def _mend_fields(transaction: Transaction, bot: Any) -> None:
    refill_bot(transaction, bot.id)


_REPAIRS: Final[dict[FaultKind, Callable[[Transaction, Any], None]]] = {
    "bot": _mend_bot,
    "text": _mend_texts,
    "version_missing": _mend_texts,
    "vector_leftover": _mend_leftover_vectors,
    "vector_invalid": _mend_bad_vectors,
    "vector_missing": _mend_missing_vectors,
    "chunk_span": _mend_spans,
    "chunk_count": _mend_chunk_counts,
    "fields": _mend_fields,
    "counters": _mend_counters,
    "log": _mend_log,
    "log_replay": _mend_log,
}
