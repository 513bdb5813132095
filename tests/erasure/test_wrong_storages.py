"""Storages that erase wrongly fail `StorageConformance` by the clause they break."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from minirag.interfaces.erasing import ErasureRecord, Purge
from minirag.interfaces.storage import Directory
from minirag.interfaces.traces import Traces
from tests.testing import test_wrong_storages as suite
from tests.testing.test_wrong_storages import Wrong


class ErasesTheFirst(Wrong):
    """Breaks S33: of several versions one goes."""

    def spoil(self, reader: Any) -> None:
        right = getattr(reader, "erase_versions", None)
        reader.erase_versions = lambda bot_id, ids: right(bot_id, sorted(ids)[:1])


class ErasesQuietly(Wrong):
    """Breaks S33: the bot's log does not move."""

    def spoil(self, reader: Any) -> None:
        def erase_versions(bot_id: str, ids: Any) -> int:
            count = 0
            for each in ids:
                statement = text(
                    "DELETE FROM document_versions WHERE tenant_id = :scope AND bot_id = :bot AND id = :id"
                )
                count += reader._transaction.run(statement, bot=bot_id, id=each)
            return count

        reader.erase_versions = erase_versions


class KnowsOneSpace(Wrong):
    """Breaks S34: vectors of another space are not told."""

    def spoil(self, reader: Any) -> None:
        right = reader.vectors_of_documents
        reader.vectors_of_documents = lambda *given: (
            [row for row in rows if len(row[2]) == 32] for rows in right(*given)
        )


class SharesNothing(Wrong):
    """Breaks S35: nobody shares a chunk."""

    def spoil(self, reader: Any) -> None:
        reader.documents_holding = lambda hashes: set()


class ForgetsTheOldest(Wrong):
    """Breaks S36: the last erasure alone counts."""

    def spoil(self, reader: Any) -> None:
        right = getattr(reader, "put_erasure", None)

        def put_erasure(record: ErasureRecord) -> None:
            reader._transaction.run(text("DELETE FROM erasures"))
            assert right is not None
            right(record)

        reader.put_erasure = put_erasure


class GoesWithTheTenant(Wrong):
    """Breaks S36: what is deleted with the tenant is the record too."""

    @contextmanager
    def directory(self, *, write: bool = False) -> Iterator[Directory]:
        with super().directory(write=write) as directory:
            right = directory.delete_tenant

            def delete_tenant(tenant: Any) -> None:
                right(tenant)
                directory._transaction.run(text("DELETE FROM erasures"))  # type: ignore[attr-defined]

            directory.delete_tenant = delete_tenant  # type: ignore[method-assign]
            yield directory


class LeavesFiles(Wrong):
    """Breaks S37: says that all is done, and does nothing."""

    def purge(self, traces: Traces, record: ErasureRecord) -> Purge:
        return Purge(None, files=1, size=10**9)


class LooksAtNothing(Wrong):
    """Breaks S37: frees the bytes, and does not look."""

    def purge(self, traces: Traces, record: ErasureRecord) -> Purge:
        super().purge(traces, record)
        return Purge(None)


class HoldsNothing(Wrong):
    """Breaks S38: no row holds anything."""

    def held(self, traces: Traces) -> Traces:
        return traces.only(traces.nothing())


class HoldsEverything(Wrong):
    """Breaks S38: every trace is held by some row."""

    def held(self, traces: Traces) -> Traces:
        return traces


class KnowsOfNoReader(Wrong):
    """Breaks S45: says that no view from before is held."""

    def old_reads(self) -> str | None:
        return None


class AlwaysHasReaders(Wrong):
    """Breaks S45: tells of a view that has ended."""

    def old_reads(self) -> str | None:
        return "somebody reads"


@pytest.mark.parametrize(
    ("wrong", "clause"),
    [
        (ErasesTheFirst, 33),
        (ErasesQuietly, 33),
        (KnowsOneSpace, 34),
        (SharesNothing, 35),
        (ForgetsTheOldest, 36),
        (GoesWithTheTenant, 36),
        (LeavesFiles, 37),
        (LooksAtNothing, 37),
        (HoldsNothing, 38),
        (HoldsEverything, 38),
        (KnowsOfNoReader, 45),
        (AlwaysHasReaders, 45),
    ],
)
def test_a_storage_that_erases_wrongly(wrong: type[Wrong], clause: int, tmp_path: Path) -> None:
    """Of the tests of the clause that a storage breaks, at least one fails."""
    suite.test_wrong_storage_fails_by_its_clause(wrong, clause, tmp_path)
