"""Where a workspace is: its folder, database or memory, its master key, and the folder of what is derived."""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from minirag._services.secrets import MASTER_KEY_ID
from minirag.errors import InvalidInputError, SecretKeyMismatchError
from minirag.interfaces import Storage
from minirag.models.checks import check_text, clipped
from minirag.security.envelope import MasterKey, Vault, generate_secret_key
from minirag.security.key_file import load_key_file, load_or_create_key_file
from minirag.types import MEMORY

__all__ = [
    "KEY_FILE",
    "check_cache_dir",
    "check_in_memory",
    "check_location",
    "default_index",
    "derived_folder",
    "folder_of",
    "given_keys",
    "key_file",
    "open_vault",
    "shown",
]

KEY_FILE: Final = "master.key"
_URLS_OF_MEMORY: Final = ("sqlite://", "sqlite:///:memory:")
_PASSWORD: Final = re.compile(r"(://[^/@:]*):[^/]*@")


def check_location(location: object) -> str:
    """Return a folder's absolute path, a database URL, or `:memory:`.

    Raises:
        InvalidInputError: for what can be neither.
    """
    if not isinstance(location, str | os.PathLike):
        raise InvalidInputError(f"location must be a folder's path or a database URL, not {clipped(location)}")
    text = check_text("location", os.fspath(location), maximum=4_000)
    if text == MEMORY or text in _URLS_OF_MEMORY:
        return MEMORY
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


def check_in_memory(location: str, *, read_only: bool, durability: str, cache_dir: str | None) -> None:
    """Raise if a workspace in memory is given what only one that lasts can have.

    Raises:
        InvalidInputError: naming the argument to leave out.
    """
    if location != MEMORY:
        return
    if read_only:
        raise InvalidInputError(
            f"read_only=True with {MEMORY!r}: a workspace in memory is new, and no other process can have filled it; "
            "leave read_only out, or give a folder"
        )
    if durability == "full":
        raise InvalidInputError(f"durability='full' with {MEMORY!r}: memory survives nothing; give a folder")
    if cache_dir is not None:
        raise InvalidInputError(
            f"cache_dir with {MEMORY!r}: a workspace in memory leaves no files; leave it out, or give a folder"
        )


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


def derived_folder(location: str, cache_dir: str | None, workspace_id: str) -> Path | None:
    """Return the folder of files derived from the database; everything in it can be deleted at any time. None in memory.

    A folder's are in its `index/`. Those of a database URL are in the user's cache folder, by the workspace's id, and so
    are those that `cache_dir` moves elsewhere.
    """
    if location == MEMORY:
        return None
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


def open_vault(location: str, storage: Storage, given: object) -> Vault:
    """Return the vault of the master keys: those given, the folder's own, or a new one for a folder without secrets or for memory.

    Raises:
        SecretKeyMismatchError: if two places disagree, or none of the keys is the one that secrets are encrypted with.
    """
    file = key_file(location)
    keys = given_keys(given)
    if location == MEMORY and not keys:
        keys = (MasterKey(generate_secret_key(), made_here=True),)
    if file is not None and file.exists():
        on_file = load_key_file(file)
        if keys and not {key.id for key in keys} & {key.id for key in on_file}:
            raise SecretKeyMismatchError(
                f"the secret_key given is not the one in {str(file)!r}; leave it out, or give the right one"
            )
        keys = on_file
    with storage.directory() as directory:
        has_secrets, known = directory.has_secrets(), directory.setting(MASTER_KEY_ID)
    if not keys and file is not None and not has_secrets and not storage.read_only:
        keys = load_or_create_key_file(file)
    if not keys:
        return Vault()
    if has_secrets and known is not None and known not in {key.id for key in keys}:
        raise SecretKeyMismatchError(
            f"workspace {shown(location)!r} holds secrets encrypted with another master key; give the one it was made with"
        )
    if not has_secrets and known != keys[0].id and not storage.read_only:
        with storage.directory(write=True) as directory:
            directory.put_setting(MASTER_KEY_ID, keys[0].id)
    return Vault(*keys, reload=None if file is None or not file.exists() else partial(load_key_file, file))


def folder_of(location: str) -> Path | None:
    """Return the folder that a workspace is in; None if it is at a database URL, in memory, or was made of parts."""
    folder = Path(location)
    return folder if "://" not in location and folder.is_absolute() else None


def key_file(location: str) -> Path | None:
    """Return where a folder keeps its master key; None for what is no folder."""
    folder = folder_of(location)
    return None if folder is None else folder / KEY_FILE


def given_keys(given: object) -> tuple[MasterKey, ...]:
    """Return the keys of a `secret_key=`, or raise `InvalidInputError` or `SecretError`."""
    several: list[Any] = [] if given is None else list(given) if isinstance(given, list | tuple) else [given]
    if not all(isinstance(key, str | bytes) for key in several) or (given is not None and not several):
        raise InvalidInputError(
            "secret_key must be a str or bytes, as minirag.generate_secret_key() makes it, or a list of them, the newest first"
        )
    return tuple(MasterKey(key) for key in several)
