"""A search through every byte below a folder, which shares nothing with the library's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["RUN", "found_in", "needles_of_texts", "needles_of_vectors"]

RUN = 8
"""So many values of a vector in a row are too many."""


def needles_of_texts(texts: Iterable[str]) -> dict[bytes, str]:
    """Return what to look for, in three encodings, by what it is called."""
    return {
        text.encode(encoding): f"{text[:40]!r} in {encoding}"
        for text in texts
        for encoding in ("utf-8", "utf-16-le", "utf-16-be")
    }


def needles_of_vectors(vectors: Iterable[NDArray[np.float32]]) -> dict[bytes, str]:
    """Return every run of eight values."""
    return {
        vector[start : start + RUN].astype("<f4").tobytes(): f"values {start} to {start + RUN} of vector {number}"
        for number, vector in enumerate(vectors)
        for start in range(len(vector) - RUN + 1)
    }


def found_in(folder: Path, needles: dict[bytes, str]) -> list[str]:
    """Return what was found where, in any file, hidden ones and those of SQLite too."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = _bytes_of(path)
        found += [f"{name} in {path.relative_to(folder)}" for needle, name in needles.items() if needle in data]
    return found


_opened: list[int] = []


def _bytes_of(path: Path) -> bytes:
    """Return a file's bytes. A descriptor of SQLite's files stays open: to close it would take the locks of this process away."""
    if ".sqlite3" not in path.name or os.name != "posix":
        return path.read_bytes()
    _opened.append(os.open(path, os.O_RDONLY))
    return os.pread(_opened[-1], path.stat().st_size + 1, 0)
