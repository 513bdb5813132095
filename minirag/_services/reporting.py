"""The report of an ingestion as it grows, and its progress callback."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, get_args

from minirag.models.reports import (
    REPORT_LIMIT,
    EntryStatus,
    IngestEntry,
    IngestProgress,
    IngestReport,
    ReembedProgress,
)

__all__ = ["ProgressCallback", "ReembedCallback", "ReportBuilder"]

ProgressCallback = Callable[[IngestProgress], None]
ReembedCallback = Callable[[ReembedProgress], None]
_STATUSES: tuple[EntryStatus, ...] = get_args(EntryStatus)
_MAXIMUM_WARNINGS = 1_000


class ReportBuilder:
    """Counts exactly, lists up to a limit, and tells the callback."""

    def __init__(self, progress: ProgressCallback | None) -> None:
        self._progress = progress
        self._entries: dict[EntryStatus, list[IngestEntry]] = {status: [] for status in _STATUSES}
        self._counts: dict[EntryStatus, int] = dict.fromkeys(_STATUSES, 0)
        self._warnings: list[str] = []
        self._began = time.perf_counter()
        self.chunks = 0
        self.embedded_texts = 0
        self.total: int | None = None
        self.failures: dict[str, str] = {}
        self._read = 0

    def note(
        self, source_id: str, key: str, status: EntryStatus, *, reason: str | None = None, chunks: int = 0
    ) -> None:
        """Enter what happened to one document."""
        self._counts[status] += 1
        if status == "failed" and source_id:
            self.failures.setdefault(source_id, f"{key}: {reason}")
        if len(self._entries[status]) < REPORT_LIMIT:
            entry = IngestEntry(source_id=source_id, key=key, status=status, reason=reason, chunks=chunks)
            self._entries[status].append(entry)

    def warn(self, message: str) -> None:
        """Enter a warning."""
        if len(self._warnings) < _MAXIMUM_WARNINGS:
            self._warnings.append(message)

    def read(self) -> None:
        """Tell the callback that a document was taken up."""
        self._read += 1
        if self._progress is not None:
            self._tell("read")

    def committed(self, keys: tuple[str, ...]) -> None:
        """Tell the callback which documents were made durable."""
        if self._progress is not None:
            self._tell("committed", keys)

    def finish(self) -> IngestReport:
        """Tell the callback that all is done, and return the report."""
        if self._progress is not None:
            self._tell("finished")
        return self.report()

    def report(self) -> IngestReport:
        """Return the report of what was done so far."""
        return IngestReport(
            **{status: tuple(entries) for status, entries in self._entries.items()},
            warnings=tuple(self._warnings),
            counts=dict(self._counts.items()),
            chunks=self.chunks,
            embedded_texts=self.embedded_texts,
            seconds=time.perf_counter() - self._began,
        )

    def _tell(self, stage: Literal["read", "committed", "finished"], keys: tuple[str, ...] = ()) -> None:
        assert self._progress is not None
        self._progress(
            IngestProgress(
                stage=stage,
                done=min(self._read, sum(self._counts.values())),
                total=self.total,
                chunks=self.chunks,
                keys=keys,
            )
        )
