"""A new file that is there whole or not at all: written beside its place, brought to the disk, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from minirag.errors import ConflictError, InvalidInputError, StorageError
from minirag.models.checks import check_text, clipped
from minirag.security.disk import sync_folder

__all__ = ["checked_path", "new_file"]


def checked_path(path: object) -> Path:
    """Return where a file is or is to be, as an absolute path."""
    if not isinstance(path, str | os.PathLike):
        raise InvalidInputError(f"path must be the path of a file, not {clipped(path)}")
    text = check_text("path", os.fspath(path), maximum=4_000)
    if "://" in text:
        raise InvalidInputError(f"path {clipped(text)} is a URL; give the path of a file")
    try:
        place = Path(text).expanduser().absolute()
        place.exists()  # which a name that is too long makes fail
    except (OSError, RuntimeError) as problem:
        raise InvalidInputError(
            f"path {clipped(text)} cannot be a file: {getattr(problem, 'strerror', problem)}"
        ) from problem
    return place


@contextmanager
def new_file(target: Path, *, before: Callable[[], None]) -> Iterator[IO[bytes]]:
    """Open a file for a block, which only its owner may read; it is at its place when the block has ended.

    Args:
        target: as `checked_path` returns it; nothing may be there.
        before: what is done when all is written, right before the file gets its name.

    Raises:
        ConflictError: if there is something at `target`.
        StorageError: if it cannot be written; nothing is left then.
    """
    if os.path.lexists(target):
        raise _taken(target)
    if not target.name or not target.parent.is_dir():
        raise InvalidInputError(f"path {clipped(str(target))} lies in a folder that does not exist; make that first")
    aside = target.with_name(f".{target.name}.{secrets.token_hex(6)}.partial")
    try:
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if os.path.lexists(target):
                raise _taken(target)
            before()
            aside.rename(target)
        except BaseException:
            with suppress(OSError):
                aside.unlink()
            raise
        sync_folder(target.parent)
    except OSError as problem:
        raise StorageError(
            f"the file at path {clipped(str(target))} cannot be written: {problem.strerror}; nothing was left there"
        ) from problem


def _taken(target: Path) -> ConflictError:
    return ConflictError(
        f"path {clipped(str(target))} exists already; an export overwrites nothing, choose another path"
    )
