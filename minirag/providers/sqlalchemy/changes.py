"""A bot's change log and counters, as one write transaction carries them on."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from minirag.errors import BotNotFoundError
from minirag.providers.sqlalchemy import statements as s
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["COUNTERS", "BotChanges"]

COUNTERS: Final = ("documents", "chunks", "characters", "words", "known_words", "stale")
"""What `stats` and `familiarity` tell without reading a document."""

_DOCUMENT_SHARES: Final = ("chunks", "characters", "words", "known_words", "stale")
_KEY_EPOCH_MS: Final = 1_735_689_600_000  # 2025-01-01
_KEY_RANDOM_BITS: Final = 22
_LARGEST: Final = 2**63 - 1


class BotChanges:
    """Log rows and counters of one bot, kept in memory until `save`.

    The bot's row in `bot_logs` is read and written inside SQLite's write lock, so the sequence has no gaps and follows the
    order of commits.
    """

    def __init__(self, transaction: Transaction, row: Any) -> None:
        self._transaction = transaction
        self._tenant_id: str = row.tenant_id
        self._bot_id: str = row.bot_id
        self._sequence: int = row.sequence
        self._nonce: int = row.nonce
        self._last_key: int = row.last_key
        self._keys_begun = False
        self._log: list[tuple[Sequence[int], Sequence[int]]] = []
        self.counters: dict[str, int] = {name: getattr(row, name) for name in COUNTERS}

    @classmethod
    def load(cls, transaction: Transaction, bot_id: str) -> BotChanges:
        """Return the bot's changes, none yet.

        Raises:
            BotNotFoundError: if the tenant has no such bot.
        """
        row = transaction.row(s.BOT_LOG, bot_id=bot_id)
        if row is None:
            raise BotNotFoundError(f"there is no bot with the id {bot_id!r}")
        return cls(transaction, row)

    def new_keys(self, count: int) -> range:
        """Return `count` new chunk keys, consecutive and above every key the bot ever had.

        The high 41 bits of a transaction's first key are milliseconds since 2025, so that chunks written together lie
        together in the table's tree; its low 22 bits are random, so that two bots do not count alike. The transaction's
        other keys follow it. If the clock stands still or goes back, keys go on from the last one: none is ever used
        twice.
        """
        first = self._last_key + 1
        if not self._keys_begun:
            low = int.from_bytes(os.urandom(4)) >> (32 - _KEY_RANDOM_BITS)
            by_time = (time.time_ns() // 1_000_000 - _KEY_EPOCH_MS) << _KEY_RANDOM_BITS | low
            first, self._keys_begun = max(by_time, first), True
        if count:
            self._last_key = first + count - 1
        return range(first, first + count)

    def chunk_keys(self, document_ids: Sequence[str]) -> dict[str, list[int]]:
        """Return the present chunk keys of each document, in ascending order."""
        keys: dict[str, list[int]] = {document_id: [] for document_id in document_ids}
        rows = self._transaction.rows(s.CHUNKS_OF_DOCUMENTS, bot_id=self._bot_id, ids=json.dumps(list(keys)))
        for row in rows:
            keys[row.document_id].append(row.key)
        for each in keys.values():
            each.sort()
        return keys

    def log(self, *, removed: Sequence[int], added: Sequence[int]) -> None:
        """Append a row to the log; `save` gives it the next sequence and a new random nonce."""
        self._log.append((removed, added))

    def subtract(self, document: Any) -> None:
        """Take a document's row, as it stands in the table, out of the counters."""
        self.counters["documents"] -= 1
        for name in _DOCUMENT_SHARES:
            self.counters[name] -= getattr(document, name)

    def add(self, *, chunks: int, characters: int, words: int, known_words: int) -> None:
        """Count a new document."""
        self.counters["documents"] += 1
        self.counters["chunks"] += chunks
        self.counters["characters"] += characters
        self.counters["words"] += words
        self.counters["known_words"] += known_words

    def save(self) -> None:
        """Write the log rows and the counters."""
        if self._log:
            random = np.frombuffer(os.urandom(8 * len(self._log)), "<i8") & _LARGEST
            nonces = np.maximum(random, 1).tolist()
            rows = [
                (self._tenant_id, self._bot_id, sequence, nonce, _blob(removed), _blob(added))
                for sequence, (nonce, (removed, added)) in enumerate(
                    zip(nonces, self._log, strict=True), start=self._sequence + 1
                )
            ]
            self._sequence += len(rows)
            self._nonce = nonces[-1]
            self._transaction.insert(s.INSERT_LOG, rows)
            self._log = []
        values: dict[str, Any] = {f"new_{name}": value for name, value in self.counters.items()}
        values |= {"new_sequence": self._sequence, "new_nonce": self._nonce, "new_last_key": self._last_key}
        self._transaction.run(s.UPDATE_BOT_LOG, at_bot_id=self._bot_id, **values)


def _blob(keys: Sequence[int]) -> bytes:
    """Return chunk keys in their stored form, little-endian int64."""
    return struct.pack(f"<{len(keys)}q", *keys)
