"""Reading a database's file beside SQLite, without taking its locks away.

POSIX gives up all locks that a process holds on a file as soon as the process closes any descriptor of it, also one that was
opened to read alone. SQLite's own locks would be gone, and another process could take the file for unused. So a descriptor that was opened
beside SQLite stays open until the last of this process's databases in that file is closed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["begin_use", "blocks_of", "end_use"]

_BLOCK: Final = 1 << 18
_READ: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(slots=True)
class _Use:
    """Who uses a file in this process: how many databases, and the descriptor beside them, if there is one."""

    databases: int = 0
    descriptor: int | None = None


_uses: dict[tuple[int, int, int], _Use] = {}
_lock = threading.Lock()


def begin_use(file: Path) -> tuple[int, int, int]:
    """Count a database in that was opened in a file; returns what `end_use` takes."""
    name = _name(file)
    with _lock:
        _uses.setdefault(name, _Use()).databases += 1
    return name


def end_use(name: tuple[int, int, int]) -> None:
    """Count a database out whose connections are closed."""
    with _lock:
        use = _uses.get(name)
        if use is None or name[0] != os.getpid():
            return
        use.databases -= 1
        if use.databases <= 0:
            del _uses[name]
            if use.descriptor is not None:
                os.close(use.descriptor)


def blocks_of(file: Path) -> Iterator[bytes]:
    """Yield the bytes of a file that this process has open as a database."""
    if os.name != "posix":  # where closing takes no locks
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK):
                yield block
        return
    with _lock:
        use = _uses.setdefault(_name(file), _Use())
        if use.descriptor is None:
            use.descriptor = os.open(file, _READ)
        descriptor = use.descriptor
    place = 0
    while block := os.pread(descriptor, _BLOCK, place):
        place += len(block)
        yield block


def _name(file: Path) -> tuple[int, int, int]:
    status = file.stat()
    return os.getpid(), status.st_dev, status.st_ino
