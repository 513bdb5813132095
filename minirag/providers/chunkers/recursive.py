"""The default chunker: paragraphs packed to a size, larger ones cut at sentences, lines, words, characters."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, model_validator

from minirag.interfaces import Chunker, ChunkSpan, ParsedDocument, ProviderContext, TextMeasure
from minirag.models.base import Model
from minirag.providers.chunkers.cutting import cut, structure, trimmed
from minirag.providers.chunkers.packing import pack

__all__ = ["RecursiveChunker", "SizeOptions", "create"]


class SizeOptions(Model):
    """How large chunks are.

    Attributes:
        size: the most tokens of a chunk, by the bot's embedder. The sizes of its parts are added up, which gives a few
            more than the whole has, so the default leaves room in an embedder of 256 tokens.
        overlap: how many tokens at most a chunk repeats of the one before it, in whole sentences.
    """

    size: int = Field(default=200, ge=1, le=100_000)
    overlap: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _overlap_is_smaller(self) -> SizeOptions:
        if self.overlap > self.size // 2:
            raise ValueError("overlap must not be more than half of size")
        return self


class RecursiveChunker(Chunker):
    """Cuts by structure. A chunk prefers to begin with a heading, and no grapheme is cut."""

    def __init__(self, options: SizeOptions | None = None) -> None:
        self._options = options or SizeOptions()

    def split(self, document: ParsedDocument, measure: TextMeasure) -> Sequence[ChunkSpan]:
        """Return chunks of at most `size` tokens."""
        size, overlap = self._options.size, self._options.overlap
        pieces = cut(document, structure(document), measure, size=size - overlap, fine=overlap or size)
        groups = pack(
            pieces,
            size=size,
            overlap=overlap,
            tiny=size // 4,
            section_ends=lambda _begin, _index, tokens: tokens >= size // 2,
        )
        return [ChunkSpan(*trimmed(document.text, pieces[begin].start, pieces[end - 1].end)) for begin, end in groups]


def create(options: SizeOptions | None, context: ProviderContext) -> RecursiveChunker:  # noqa: ARG001 - the shape of every factory
    """Return the default chunker."""
    return RecursiveChunker(options)
