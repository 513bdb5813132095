"""Backups: a copy of the database beside the target, then renamed into place, so that there is never half a backup."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Literal

from minirag._services.core import Core
from minirag._services.locations import KEY_FILE, folder_of, key_file
from minirag.errors import ConflictError, InvalidInputError, StorageError
from minirag.models.checks import check_flag, check_text, clipped
from minirag.models.verification import BackupReport
from minirag.security.disk import sync_folder
from minirag.security.key_file import copy_key_file, write_key_file

__all__ = ["backup"]


def backup(core: Core, path: object, *, include_key: bool) -> BackupReport:
    """Copy the workspace into a new folder; see `Workspace.backup`."""
    check_flag("include_key", include_key)
    target = _checked_target(core, path)
    core.check()
    began = time.perf_counter()
    aside = target.with_name(f".{target.name}.{secrets.token_hex(6)}.partial")
    try:
        aside.mkdir(mode=0o700)
        try:
            core.storage.backup(aside)
            key = _copy_key(core, aside, include_key=include_key)
            size = sum(file.stat().st_size for file in aside.iterdir())
            sync_folder(aside)
            if os.path.lexists(target):
                raise _taken(target)
            aside.rename(target)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        sync_folder(target.parent)
    except OSError as problem:
        raise StorageError(
            f"the backup at path {clipped(str(target))} cannot be written: {problem.strerror}; nothing was left there"
        ) from problem
    return BackupReport(path=str(target), size=size, key=key, seconds=time.perf_counter() - began)


def _checked_target(core: Core, path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InvalidInputError(f"path must be the path of a new folder, not {clipped(path)}")
    text = check_text("path", os.fspath(path), maximum=4_000)
    if "://" in text:
        raise InvalidInputError(f"path {clipped(text)} is a URL; a backup is a folder")
    try:
        target = Path(text).expanduser().absolute()
        parent = target.parent.resolve()
        taken, has_parent = os.path.lexists(target), parent.is_dir()
    except (OSError, RuntimeError) as problem:
        reason = getattr(problem, "strerror", problem)
        raise InvalidInputError(f"path {clipped(text)} cannot be a folder: {reason}") from problem
    place = parent / target.name
    snapshots = core.partitions.snapshots
    for own in (folder_of(core.location), None if snapshots is None else snapshots.folder):
        if own is not None and place.is_relative_to(own.resolve()):
            raise InvalidInputError(
                f"path {clipped(text)} lies inside the workspace's own folder; choose one outside of it, best on another disk"
            )
    if taken:
        raise _taken(target)
    if not target.name or not has_parent:
        raise InvalidInputError(f"path {clipped(text)} lies in a folder that does not exist; make that first")
    return place


def _taken(target: Path) -> ConflictError:
    return ConflictError(
        f"path {clipped(str(target))} exists already; a backup overwrites nothing, so choose another path"
    )


def _copy_key(core: Core, aside: Path, *, include_key: bool) -> Literal["copied", "left out", "given", "none"]:
    line = core.secrets.master_key_line()
    if line is not None:
        if not include_key:
            return "left out"
        write_key_file(aside / KEY_FILE, line)
        return "copied"
    file = key_file(core.location)
    if file is None or not file.exists():
        return "none" if core.secrets.master_key_id is None else "given"
    if not include_key:
        return "left out"
    copy_key_file(file, aside / KEY_FILE)
    return "copied"
