"""Vectors brought to length one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from minirag.types import Matrix

__all__ = ["unit_vectors"]


def unit_vectors(vectors: npt.NDArray[np.floating]) -> Matrix:
    """Return the rows at length one, float32; a row of zeros, as of a text without words, becomes the first unit vector."""
    rows: Matrix = np.array(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1)
    rows[lengths == 0.0, 0] = 1.0
    rows /= np.where(lengths == 0.0, 1.0, lengths)[:, np.newaxis]
    return rows
