"""Where a workspace is: its folder or database, its master key, and the folder of what is derived."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

from minirag.errors import InvalidInputError, SecretKeyMismatchError
from minirag.interfaces import Storage
from minirag.models.checks import check_text, clipped
from minirag.security.envelope import MasterKey
from minirag.security.key_file import load_key_file, load_or_create_key_file

__all__ = ["check_cache_dir", "check_location", "default_index", "derived_folder", "master_key", "shown"]

_PASSWORD: Final = re.compile(r"(://[^/@:]*):[^/]*@")


def check_location(location: object) -> str:
    """Return a folder's absolute path or a database URL.

    Raises:
        InvalidInputError: for what can be neither.
    """
    if not isinstance(location, str | os.PathLike):
        raise InvalidInputError(f"location must be a folder's path or a database URL, not {clipped(location)}")
    text = check_text("location", os.fspath(location), maximum=4_000)
    if "://" in text:
        return text
    try:
        folder = Path(text).expanduser()
        is_file = folder.exists() and not folder.is_dir()
    except (OSError, RuntimeError) as problem:
        reason = getattr(problem, "strerror", problem)
        raise InvalidInputError(f"location {clipped(text)} cannot be a folder: {reason}") from problem
    if is_file:
        raise InvalidInputError(f"location {clipped(text)} is a file; a workspace is a folder")
    return str(folder.absolute())


def shown(location: str) -> str:
    """Return a location without a password."""
    return _PASSWORD.sub(r"\1:***@", location)


def check_cache_dir(cache_dir: object) -> str | None:
    """Return the path of a folder for derived files, None for none.

    Raises:
        InvalidInputError: for what can be no path.
    """
    if cache_dir is None:
        return None
    return check_text(
        "cache_dir", os.fspath(cache_dir) if isinstance(cache_dir, os.PathLike) else cache_dir, maximum=4_000
    )


def derived_folder(location: str, cache_dir: str | None, workspace_id: str) -> Path:
    """Return the folder of files derived from the database; everything in it can be deleted at any time.

    A folder's are in its `index/`. Those of a database URL are in the user's cache folder, by the workspace's id, and so
    are those that `cache_dir` moves elsewhere.
    """
    if cache_dir is not None:
        return Path(cache_dir).expanduser().absolute() / workspace_id
    if "://" not in location:
        return Path(location) / "index"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "minirag" / workspace_id


def default_index(location: str, *, read_only: bool) -> str:
    """Return the vector index that a workspace has where none is named: the database itself, if that can be one.

    A search may have to feed it what others have written; where nothing may be written, the vectors are held in memory.
    """
    return "pgvector" if location.startswith("postgresql") and not read_only else "faiss"


def master_key(location: str, storage: Storage, given: str | bytes | None) -> MasterKey | None:
    """Return the master key: the one given, the folder's own, or a new one for a folder without secrets.

    Raises:
        SecretKeyMismatchError: if two of them disagree.
    """
    file = None if "://" in location else Path(location) / "master.key"
    if given is not None and not isinstance(given, str | bytes):
        raise InvalidInputError("secret_key must be a str or bytes, as minirag.generate_secret_key() makes it")
    key = MasterKey(given) if given is not None else None
    if file is not None and file.exists():
        on_file = load_key_file(file)
        if key is not None and key.id != on_file.id:
            raise SecretKeyMismatchError(
                f"the secret_key given is not the one in {str(file)!r}; leave it out, or give the right one"
            )
        key = on_file
    with storage.directory() as directory:
        has_secrets, known = directory.has_secrets(), directory.setting("master_key_id")
    if key is None and file is not None and not has_secrets and not storage.read_only:
        key = load_or_create_key_file(file)
    if key is None:
        return None
    if has_secrets and known is not None and known != key.id:
        raise SecretKeyMismatchError(
            f"workspace {shown(location)!r} holds secrets encrypted with another master key; give the one it was made with"
        )
    if known != key.id and not storage.read_only:
        with storage.directory(write=True) as directory:
            directory.put_setting("master_key_id", key.id)
    return key
