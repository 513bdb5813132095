"""Reports of what a call did."""

from __future__ import annotations

from typing import Any, Literal

from minirag.errors import IngestError
from minirag.models.base import Model, html_table

__all__ = [
    "REPORT_LIMIT",
    "BotStats",
    "EvaluationReport",
    "IngestEntry",
    "IngestProgress",
    "IngestReport",
    "ReembedProgress",
    "ReembedReport",
]

REPORT_LIMIT = 1_000
"""How many entries of each status an `IngestReport` lists; its `counts` are always exact."""

EntryStatus = Literal["added", "updated", "unchanged", "removed", "skipped", "failed"]


class IngestEntry(Model):
    """What happened to one document.

    Attributes:
        reason: why it was skipped or failed.
        chunks: how many chunks it has now.
    """

    source_id: str
    key: str
    status: EntryStatus
    reason: str | None = None
    chunks: int = 0


class IngestProgress(Model):
    """One step of an ingestion, for a progress callback.

    Attributes:
        stage: `read` when a document was taken up, `committed` when those in `keys` were made durable, `finished`.
        done: documents dealt with so far.
        total: documents there will be, where that is known.
        keys: the documents' keys that this step committed.
    """

    stage: Literal["read", "committed", "finished"]
    done: int
    total: int | None = None
    chunks: int = 0
    keys: tuple[str, ...] = ()


class IngestReport(Model):
    """What an ingestion did: entries by status, exact up to 1,000 each; `counts` are always exact.

    Attributes:
        chunks: chunks written.
        embedded_texts: texts that were sent to the embedder.
        warnings: what a reader should know, such as a key given twice.
    """

    added: tuple[IngestEntry, ...] = ()
    updated: tuple[IngestEntry, ...] = ()
    unchanged: tuple[IngestEntry, ...] = ()
    removed: tuple[IngestEntry, ...] = ()
    skipped: tuple[IngestEntry, ...] = ()
    failed: tuple[IngestEntry, ...] = ()
    warnings: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    chunks: int = 0
    embedded_texts: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.counts.get("failed", 0) == 0

    def raise_for_failures(self) -> None:
        """Raise `IngestError` naming the first failures, if there were any."""
        if not self.ok:
            first = "; ".join(f"{entry.key}: {entry.reason}" for entry in self.failed[:3])
            count = self.counts["failed"]
            raise IngestError(f"{count} document{'s' * (count != 1)} failed: {first}", report=self)

    def __str__(self) -> str:
        parts = [f"{number} {status}" for status, number in self.counts.items() if number]
        return f"{', '.join(parts) or 'nothing to do'}; {self.chunks} chunk{'s' * (self.chunks != 1)}, {self.seconds:.1f} s"

    def __repr__(self) -> str:
        return f"IngestReport({self})"

    def _repr_html_(self) -> str:
        order = (self.failed, self.skipped, self.added, self.updated, self.removed, self.unchanged)
        entries = [entry for group in order for entry in group]
        rows: list[list[object]] = [[e.status, e.key, e.chunks or "", e.reason or ""] for e in entries[:50]]
        more = f" (the first 50 of {len(entries)})" if len(entries) > 50 else ""
        return html_table(["status", "key", "chunks", "reason"], rows, caption=f"{self}{more}")


class ReembedProgress(Model):
    """One step of a bot's move to another embedder, for a progress callback.

    Attributes:
        stage: `embedded` when a batch of vectors was made durable, `finished`.
        done: chunks that have a vector in the new space.
        total: chunks there are, as far as is known.
    """

    stage: Literal["embedded", "finished"]
    done: int
    total: int


class ReembedReport(Model):
    """What a move to another embedder did.

    Attributes:
        space: the embedding space that the bot is in now.
        moved: False if its vectors were those of the given embedder already.
        chunks: chunks the bot has now.
        long_chunks: of these, how many are longer than `max_tokens`: the model reads only their beginning.
        max_tokens: the longest text the embedder reads, in its own tokens, where it says so.
        embedded_texts: texts that were sent to the embedder; of a move that was taken up again, by this call.
        reused_vectors: chunks whose vector the tenant had already.
        dropped_vectors: vectors of other spaces that were deleted.
        rechunked: with `rechunk=True`, what cutting the documents anew did.
    """

    space: str
    moved: bool
    chunks: int
    long_chunks: int = 0
    max_tokens: int | None = None
    embedded_texts: int = 0
    reused_vectors: int = 0
    dropped_vectors: int = 0
    rechunked: IngestReport | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        head = f"moved to {self.space}" if self.moved else f"stays in {self.space}"
        parts = [f"{self.embedded_texts:,} texts embedded"]
        parts += [f"{self.reused_vectors:,} vectors reused"] if self.reused_vectors else []
        parts += [f"{self.long_chunks:,} longer than {self.max_tokens:,} tokens"] if self.long_chunks else []
        parts += [f"cut anew: {self.rechunked}"] if self.rechunked is not None else []
        return f"{head}; {self.chunks:,} chunk{'s' * (self.chunks != 1)}, {', '.join(parts)}, {self.seconds:.1f} s"

    def __repr__(self) -> str:
        return f"ReembedReport({self})"

    def _repr_html_(self) -> str:
        rows: list[list[object]] = [[name, value] for name, value in self.model_dump(exclude={"rechunked"}).items()]
        if self.rechunked is not None:
            rows.append(["rechunked", str(self.rechunked)])
        return html_table(["", ""], rows, caption="re-embedding")


class BotStats(Model):
    """How large a bot is, and where its indexes stand.

    Attributes:
        characters: canonical text of all current versions, in code points.
        sequence: the position of the bot's change log.
        stale: documents that a changed chunker or language will cut anew.
        vector_bytes: what the stored vectors take, 4 bytes a number.
        engine: how nearest vectors are found: `"exact"`, or the name of a faster engine; None while they are not loaded.
        indexed: the log position that the loaded vectors stand at; None while they are not loaded.
        pending: entries of the loaded indexes that `optimize()` would settle.
        memory_bytes: what the loaded indexes take.
        snapshot_bytes: what the files take that the indexes begin with in another process.
    """

    documents: int
    chunks: int
    characters: int
    sources: int
    sequence: int
    stale: int
    space: str
    dimension: int
    vector_bytes: int = 0
    engine: str | None = None
    indexed: int | None = None
    pending: int = 0
    memory_bytes: int = 0
    snapshot_bytes: int = 0

    def _repr_html_(self) -> str:
        return html_table(["", ""], [[name, value] for name, value in self.model_dump().items()])


class EvaluationReport(Model):
    """Retrieval quality over judged queries.

    Attributes:
        metrics: by search mode, then by metric: nDCG@10, recall@100, MRR@10, in [0, 1].
        queries: judged queries that were run.
        skipped_documents: documents left out because they were empty.
    """

    metrics: dict[str, dict[str, float]]
    queries: int
    documents: int
    skipped_documents: int = 0
    unjudged_queries: int = 0
    seconds: dict[str, float] = {}
    settings: dict[str, Any] = {}

    def __str__(self) -> str:
        names = list(next(iter(self.metrics.values()), {}))
        head = "mode".ljust(9) + "".join(name.rjust(12) for name in names)
        lines = [
            mode.ljust(9) + "".join(f"{values[name]:12.3f}" for name in names) for mode, values in self.metrics.items()
        ]
        return "\n".join([head, *lines])

    def _repr_html_(self) -> str:
        names = list(next(iter(self.metrics.values()), {}))
        rows: list[list[object]] = [[mode, *(f"{v[name]:.3f}" for name in names)] for mode, v in self.metrics.items()]
        return html_table(["mode", *names], rows, caption=f"{self.queries} queries, {self.documents} documents")
