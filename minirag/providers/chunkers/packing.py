"""Neighbouring pieces into chunks of a given size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from minirag.providers.chunkers.cutting import Piece

__all__ = ["Group", "SectionEnd", "pack"]

Group: TypeAlias = tuple[int, int]
"""A chunk as a range of pieces: `pieces[begin:end]`."""
SectionEnd: TypeAlias = Callable[[int, int, int], bool]
"""Whether a chunk that began with piece `begin` and holds `tokens` ends before the heading `pieces[index]`."""


def pack(pieces: Sequence[Piece], *, size: int, overlap: int, tiny: int, section_ends: SectionEnd) -> list[Group]:
    """Return the pieces in groups of at most `size` tokens where pieces allow it, each repeating up to `overlap`.

    A heading stays with what follows it. A group of fewer than `tiny` tokens joins the one before it or shares with it.
    """
    groups = _greedy(pieces, size - overlap, section_ends)
    groups = _without_tiny(pieces, groups, size - overlap, tiny)
    return _overlapping(pieces, groups, overlap) if overlap else groups


def _greedy(pieces: Sequence[Piece], size: int, section_ends: SectionEnd) -> list[Group]:
    groups: list[Group] = []
    begin = tokens = 0
    for index, piece in enumerate(pieces):
        full = tokens + piece.tokens > size
        if index > begin and (full or (piece.level and section_ends(begin, index, tokens))):
            end = index
            while end - 1 > begin and pieces[end - 1].level:
                end -= 1
            carried = sum(moved.tokens for moved in pieces[end:index])
            if pieces[end - 1].level or carried + piece.tokens > size:
                end, carried = index, 0
            groups.append((begin, end))
            begin, tokens = end, carried
        tokens += piece.tokens
    if begin < len(pieces):
        groups.append((begin, len(pieces)))
    return groups


def _without_tiny(pieces: Sequence[Piece], groups: list[Group], size: int, tiny: int) -> list[Group]:
    kept: list[Group] = []
    for begin, end in groups:
        tokens = _tokens(pieces, begin, end)
        if not kept or tokens >= tiny:
            kept.append((begin, end))
            continue
        before = kept[-1][0]
        together = _tokens(pieces, before, begin) + tokens
        if together <= size:
            kept[-1] = (before, end)
        elif pieces[begin].level:
            kept.append((begin, end))
        else:
            middle = _fairest(pieces, before, begin, together)
            kept[-1:] = [(before, middle), (middle, end)]
    return kept


def _fairest(pieces: Sequence[Piece], before: int, begin: int, together: int) -> int:
    """Return where to part two groups so that they are of nearly one size; a heading does not end the first."""
    best, best_difference = begin, together
    left = _tokens(pieces, before, begin)
    for middle in range(begin, before, -1):
        if abs(together - 2 * left) < best_difference and not pieces[middle - 1].level:
            best, best_difference = middle, abs(together - 2 * left)
        left -= pieces[middle - 1].tokens
    return best


def _overlapping(pieces: Sequence[Piece], groups: list[Group], overlap: int) -> list[Group]:
    extended: list[Group] = []
    for begin, end in groups:
        first, room = begin, overlap
        floor = extended[-1][0] + 1 if extended else begin
        while first > floor and pieces[first - 1].tokens <= room:
            first -= 1
            room -= pieces[first].tokens
        extended.append((first, end))
    return extended


def _tokens(pieces: Sequence[Piece], begin: int, end: int) -> int:
    return sum(piece.tokens for piece in pieces[begin:end])
