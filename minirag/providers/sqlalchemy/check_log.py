"""The change log replayed from its beginning, and compared with the chunks there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from minirag.interfaces.upkeep import SHOWN_IDS
from minirag.providers.sqlalchemy import check_statements as c
from minirag.providers.sqlalchemy import mapping as m
from minirag.providers.sqlalchemy.transaction import Transaction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.types import Keys

__all__ = ["present_keys", "replay_faults"]

_ROWS: Final = 1_000
_KEYS: Final = 65_536
_EVENTS: Final = 1 << 20


def replay_faults(transaction: Transaction, bot_id: str) -> tuple[int, list[int]]:
    """Return how many chunks the log has and there are not, or the other way, and the first of their keys.

    A key is never used twice, so a chunk is present if it came once more than it went: order does not matter, and what
    must be kept in memory is the present keys and one batch.
    """
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    batch: list[tuple[Keys, int]] = []
    events, after = 0, 0
    while rows := transaction.rows(c.LOG_PAGE, bot_id=bot_id, after=after, limit=_ROWS):
        after = rows[-1].sequence
        for row in rows:
            batch += ((m.to_keys(row.removed), -1), (m.to_keys(row.added), 1))
            events += (len(row.removed) + len(row.added)) // 8
        if events >= _EVENTS:
            keys, counts = _merged(keys, counts, batch)
            batch, events = [], 0
    keys, counts = _merged(keys, counts, batch)
    differing = np.union1d(keys[counts != 1], np.setxor1d(keys, present_keys(transaction, bot_id), assume_unique=True))
    return len(differing), differing[:SHOWN_IDS].tolist()


def present_keys(transaction: Transaction, bot_id: str) -> Keys:
    """Return the keys of the bot's chunks, sorted."""
    parts, after = [np.empty(0, np.int64)], 0
    while rows := transaction.rows(c.CHUNKS_PAGE, bot_id=bot_id, after=after, limit=_KEYS):
        parts.append(np.fromiter((row[0] for row in rows), np.int64, len(rows)))
        after = rows[-1][0]
    return np.concatenate(parts)


def _merged(keys: Keys, counts: NDArray[np.int64], batch: list[tuple[Keys, int]]) -> tuple[Keys, NDArray[np.int64]]:
    """Return the keys that came more or less often than they went, sorted, and how much more often."""
    everything = np.concatenate([keys, *(some for some, _ in batch)])
    weights = np.concatenate([counts, *(np.full(len(some), sign, np.int64) for some, sign in batch)])
    unique, places = np.unique(everything, return_inverse=True)
    sums = np.zeros(len(unique), np.int64)
    np.add.at(sums, places, weights)
    return unique[sums != 0], sums[sums != 0]
