"""The stored texts: every block is there, whole, and together they are what was taken in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from minirag.interfaces.upkeep import SHOWN_IDS, StoredFault, Tell
from minirag.providers.sqlalchemy import check_statements as c
from minirag.providers.sqlalchemy.tables import BLOCK_SIZE
from minirag.providers.sqlalchemy.transaction import Transaction

__all__ = ["intact_documents", "text_faults"]

_VERSIONS: Final = 1_000
_BLOCKS: Final = 256


@dataclass(slots=True)
class _Text:
    """A version's text as far as it was read."""

    characters: int = 0
    blocks: int = 0
    torn: bool = False
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, number: int, data: object) -> None:
        """Take the next block. All but the last hold exactly `BLOCK_SIZE` code points."""
        if not isinstance(data, bytes) or number != self.blocks or self.characters != number * BLOCK_SIZE:
            self.torn = True
            return
        try:
            self.characters += len(data.decode())
        except UnicodeDecodeError:
            self.torn = True
        self.blocks += 1
        self.digest.update(data)

    def is_whole(self, characters: int, text_hash: bytes | None) -> bool:
        """Return whether it has this length and, if one is known, this hash."""
        whole = not self.torn and self.characters == characters
        return whole and (text_hash is None or self.digest.digest() == text_hash)


def text_faults(
    begin: Callable[[], AbstractContextManager[Transaction]], bots: Mapping[str, str], tell: Tell
) -> Iterator[StoredFault]:
    """Yield a fault for each bot with damaged texts. A batch of versions and its texts are read in one view.

    The hash of an old version is not stored: of these only the lengths are compared.
    """
    found: dict[tuple[str, bool], tuple[int, list[str]]] = {}
    after = ""
    while True:
        with begin() as transaction:
            versions = transaction.rows(c.VERSIONS_PAGE, after=after, limit=_VERSIONS)
            if not versions:
                break
            texts = _texts(transaction, after, versions[-1].id, {row.id for row in versions})
        after = versions[-1].id
        tell("versions", len(versions))
        for row in versions:
            current = row.document_id is not None
            whole = texts[row.id].is_whole(row.characters, row.text_hash)
            if not whole or (current and row.document_characters != row.characters):
                count, ids = found.get((row.bot_id, current), (0, []))
                shown = [*ids, row.document_id if current else row.id] if len(ids) < SHOWN_IDS else ids
                found[(row.bot_id, current)] = count + 1, shown
    for (bot_id, current), (count, ids) in sorted(found.items()):
        texts_of = f"{count:,} {'document' if current else 'old version'}{'s' * (count != 1)}"
        yield StoredFault(
            "text",
            f"the text of {texts_of} is not what was taken in",
            "add it again, or restore a backup" if current else "restore a backup",
            repairable=False,
            bot_id=bot_id,
            bot=bots.get(bot_id),
            ids=tuple(ids),
            count=count,
        )


def intact_documents(transaction: Transaction, bot_id: str, document_ids: Sequence[str]) -> list[str]:
    """Return those of the documents whose stored text is what was taken in."""
    intact = []
    for row in transaction.rows(c.DOCUMENTS_PAGE, bot_id=bot_id, ids=json.dumps(list(document_ids))):
        texts = _texts(transaction, "", row.version_id, {row.version_id}, first=row.version_id)
        if texts[row.version_id].is_whole(row.characters, row.text_hash):
            intact.append(row.id)
    return intact


def _texts(
    transaction: Transaction, after: str, last: str, wanted: Iterable[str], *, first: str | None = None
) -> dict[str, _Text]:
    """Return the texts of versions with ids above `after`, or from `first`, up to `last`."""
    texts = {version: _Text() for version in wanted}
    # Above every block of `after`, or below every block of `first`: numbers start at 0.
    place = (after, 1 << 62) if first is None else (first, -1)
    while True:
        blocks = transaction.rows(
            c.BLOCKS_PAGE, after_version=place[0], after_number=place[1], last_version=last, limit=_BLOCKS
        )
        if not blocks:
            return texts
        for block in blocks:
            if block.version_id in texts:
                texts[block.version_id].add(block.number, block.data)
        place = (blocks[-1].version_id, blocks[-1].number)
