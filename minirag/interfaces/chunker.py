"""`Chunker`: where to cut a text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from minirag.interfaces.parser import ParsedDocument
from minirag.types import MetadataValue

__all__ = ["ChunkSpan", "Chunker", "TextMeasure"]

TextMeasure: TypeAlias = Callable[[str], int]
"""Counts a text's tokens: the embedder's own count, or a documented estimate."""


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """One chunk: code points `start` to `end` of the canonical text.

    Attributes:
        metadata: what is known of this part, such as `{"headings": ["Returns", "Laptops"]}`.
    """

    start: int
    end: int
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


class Chunker(ABC):
    """Cuts texts into chunks by offsets; it never makes text of its own.

    C1. Every chunk is `0 <= start < end <= len(text)` and holds something other than white space.
    C2. Chunks are in order of their start, and no two are the same span.
    C3. Every character that is not white space lies in a chunk.
    C4. The same text, spans and options give the same chunks.
    C5. Any Unicode is taken, and time grows in proportion to the text's length.
    """

    revision: str = "1"
    """Changed when the same text may be cut otherwise; documents are then cut anew."""

    @abstractmethod
    def split(self, document: ParsedDocument, measure: TextMeasure) -> Sequence[ChunkSpan]:
        """Return where to cut `document.text`, which is never blank."""
