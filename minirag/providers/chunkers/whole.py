"""A chunker that cuts nothing: for texts that are already of the right size."""

from __future__ import annotations

from collections.abc import Sequence

from minirag.interfaces import Chunker, ChunkSpan, ParsedDocument, ProviderContext, TextMeasure

__all__ = ["WholeChunker", "create"]


class WholeChunker(Chunker):
    """Makes one chunk of a document."""

    def split(self, document: ParsedDocument, measure: TextMeasure) -> Sequence[ChunkSpan]:  # noqa: ARG002 - nothing to measure
        """Return the text without the white space around it."""
        text = document.text
        start = len(text) - len(text.lstrip())
        end = len(text.rstrip())
        return [ChunkSpan(start, end)] if start < end else []


def create(options: None, context: ProviderContext) -> WholeChunker:  # noqa: ARG001 - the shape of every factory
    """Return the chunker that cuts nothing."""
    return WholeChunker()
