"""Bringing what was written to the disk."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["sync_folder"]


def sync_folder(folder: Path) -> None:
    """Make new and changed names in a folder survive loss of power."""
    if os.name != "posix":  # Windows opens no folders, and writes their entries with the file
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
