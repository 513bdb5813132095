"""The master key's file in a workspace's folder: made once, however many processes try at the same time."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from minirag.errors import SecretError, SecretKeyMissingError
from minirag.security.disk import sync_folder
from minirag.security.envelope import MasterKey, generate_secret_key

__all__ = ["copy_key_file", "load_key_file", "load_or_create_key_file", "replace_key_file", "write_key_file"]

_logger: Final = logging.getLogger("minirag.security")
_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL}
)
"""What `link` says on file systems without hard links, such as exFAT and some network shares."""
_PATIENCE: Final = 2.0
"""Seconds to wait for another process that is writing the key where the file system has no hard links."""
_KEY_LENGTH: Final = 44
_LARGEST: Final = 1_000
"""Bytes that are read of a key file."""


def load_or_create_key_file(path: Path) -> tuple[MasterKey, ...]:
    """Return the keys in the file; if there is none, make one key with mode 0600.

    Processes that race agree: the file appears with its whole content or not at all, and the first one stays. Who makes
    it has brought file and folder entry to the disk before this returns.

    Raises:
        SecretError: if the file is damaged, or cannot be read or made.
    """
    try:
        if not path.exists():
            _create(path)
    except OSError as problem:
        raise SecretError(f"the key file {str(path)!r} cannot be made: {problem.strerror}") from problem
    deadline = time.monotonic() + _PATIENCE
    while _is_being_written(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    return load_key_file(path)


def copy_key_file(path: Path, target: Path) -> None:
    """Copy a key to a new file with mode 0600, and bring it to the disk.

    Raises:
        SecretError: if the file is damaged or cannot be read.
        OSError: if the copy cannot be written.
    """
    write_key_file(target, b"".join(key.line() for key in _read_keys(path)))


def write_key_file(target: Path, line: bytes) -> None:
    """Write a key that is in memory to a new file with mode 0600, and bring it to the disk.

    Raises:
        OSError: if it cannot be written.
    """
    _write_new(target, line)


def replace_key_file(path: Path, keys: Sequence[MasterKey]) -> None:
    """Put other keys into the file, the newest first. Whoever reads meanwhile sees the old ones or the new ones.

    Raises:
        SecretError: if it cannot be written; the old file is there still.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_new(aside, b"".join(key.line() for key in keys))
        try:
            aside.replace(path)
        except OSError:
            aside.unlink()
            raise
        sync_folder(path.parent)
    except OSError as problem:
        raise SecretError(f"the key file {str(path)!r} cannot be replaced: {problem.strerror}") from problem


def load_key_file(path: Path) -> tuple[MasterKey, ...]:
    """Return the keys in the file, the newest first: one, and while the master key is being changed the former one as well.

    A file that others may read is used, with a warning in the log of `minirag.security`: refusing it would lock people out
    of data restored from a backup or mounted by a container.

    Raises:
        SecretKeyMissingError: if there is no such file.
        SecretError: if it is damaged or cannot be read.
    """
    keys = _read_keys(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        _logger.warning("others may read the key file %s (mode %04o); run: chmod 600 %s", path, mode, path)
    return keys


def _read_keys(path: Path) -> tuple[MasterKey, ...]:
    place = f"the key file {str(path)!r}"
    try:
        with path.open("rb") as file:
            lines = file.read(_LARGEST).split()
    except FileNotFoundError:
        raise SecretKeyMissingError(f"there is no key file {str(path)!r}; restore it, or give secret_key=…") from None
    except OSError as problem:
        raise SecretError(f"{place} cannot be read: {problem.strerror}") from problem
    return tuple(MasterKey(line, place=place) for line in lines or [b""])


def _create(path: Path) -> None:
    content = f"{generate_secret_key()}\n".encode()
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _write_new(aside, content)
    try:
        # Unlike a rename, a link never replaces a file that another process put there first.
        os.link(aside, path)
    except FileExistsError:
        pass
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        with suppress(FileExistsError):
            _write_new(path, content)
    finally:
        aside.unlink()
    sync_folder(path.parent)


def _is_being_written(path: Path) -> bool:
    """Return whether the file is new and too short: without hard links it can be seen before it is whole."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return found.st_size < _KEY_LENGTH and abs(time.time() - found.st_mtime) < _PATIENCE
    return False


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
