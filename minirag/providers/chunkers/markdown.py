"""A chunker for texts with headings: sections stay apart, and each chunk knows its headings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from minirag.interfaces import Chunker, ChunkSpan, ParsedDocument, ProviderContext, TextMeasure
from minirag.models.headings import heading_path
from minirag.providers.chunkers.cutting import Piece, cut, structure, trimmed
from minirag.providers.chunkers.packing import pack
from minirag.providers.chunkers.recursive import SizeOptions

__all__ = ["MarkdownChunker", "create"]

_Path: TypeAlias = tuple[tuple[int, str], ...]


class MarkdownChunker(Chunker):
    """Cuts by sections. A chunk crosses a heading of its own level only where it would be tiny."""

    def __init__(self, options: SizeOptions | None = None) -> None:
        self._options = options or SizeOptions()

    def split(self, document: ParsedDocument, measure: TextMeasure) -> Sequence[ChunkSpan]:
        """Return chunks of at most `size` tokens; `metadata["headings"]` is the path of headings above all of a chunk."""
        size, overlap = self._options.size, self._options.overlap
        pieces = cut(document, structure(document), measure, size=size - overlap, fine=overlap or size)
        paths = _paths(pieces)

        def section_ends(begin: int, index: int, tokens: int) -> bool:
            if tokens < size // 8:
                return False
            base = paths[begin][-1][0] if paths[begin] else 0
            return pieces[index].level <= base or tokens >= size // 2

        groups = pack(pieces, size=size, overlap=overlap, tiny=size // 8, section_ends=section_ends)
        chunks: list[ChunkSpan] = []
        for begin, end in groups:
            start, stop = trimmed(document.text, pieces[begin].start, pieces[end - 1].end)
            headings = [title for _, title in _shared(pieces[begin:end], paths[begin:end]) if title]
            chunks.append(ChunkSpan(start, stop, {"headings": headings} if headings else {}))
        return chunks


def create(options: SizeOptions | None, context: ProviderContext) -> MarkdownChunker:  # noqa: ARG001 - the shape of every factory
    """Return the chunker for texts with headings."""
    return MarkdownChunker(options)


def _paths(pieces: Sequence[Piece]) -> list[_Path]:
    """Return each piece's headings, from the outermost to its own."""
    paths: list[_Path] = []
    path: _Path = ()
    for piece in pieces:
        if piece.level:
            path = heading_path(path, piece.level, piece.label)
        paths.append(path)
    return paths


def _shared(pieces: Sequence[Piece], paths: Sequence[_Path]) -> _Path:
    """Return the path that all text of a chunk has in common; headings without text of their own do not count."""
    of_text = [path for piece, path in zip(pieces, paths, strict=True) if not piece.level] or list(paths)
    shared = of_text[0]
    for path in of_text[1:]:
        while path[: len(shared)] != shared:
            shared = shared[:-1]
    return shared
