"""The folder of snapshots: where each partition's file lies, how it is published, and which there are."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from minirag._services.snapshot_files import SnapshotFileReader, SnapshotFileWriter
from minirag.interfaces.records import LogPosition
from minirag.interfaces.snapshots import SnapshotDamagedError, SnapshotWriter
from minirag.security.disk import locked, sync_folder

__all__ = ["LOCK", "SnapshotEntry", "SnapshotFolder", "SnapshotHeader"]

LOCK: Final = ".lock"
"""The file by which processes take turns at the folder."""

_ENDING: Final = ".snapshot"
_UNFINISHED: Final = ".tmp"
_ABANDONED_SECONDS: Final = 3_600.0
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """What a snapshot says of itself.

    Attributes:
        name: the embedding space's fingerprint, or `"keyword"`.
        format: the index's `snapshot_format`.
        sequence, nonce: the last row of the change log that it holds.
        entries: how many vectors or chunks.
        born: the position of the log from which its index was fed anew; what was erased before that is not in it.
    """

    workspace_id: str
    tenant_id: str
    bot_id: str
    name: str
    format: str
    sequence: int
    nonce: int
    entries: int
    born: int = 0

    @property
    def position(self) -> LogPosition:
        """The log position it stands at."""
        return LogPosition(self.sequence, self.nonce)


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """One file in the folder. `header` is None for what is damaged or was never finished."""

    path: Path
    header: SnapshotHeader | None
    size: int


class SnapshotFolder:
    """Snapshots of one workspace: `<folder>/<tenant id>/<bot id>/<name>.snapshot`.

    Whatever is in it can be deleted at any time. A file is written aside, synced and renamed, so that a reader meets a
    whole one or none; one that is mapped stays readable when it is replaced or deleted.
    """

    def __init__(self, folder: Path, workspace_id: str, *, read_only: bool) -> None:
        self.folder = folder
        self.workspace_id = workspace_id
        self.read_only = read_only

    def path(self, tenant_id: str, bot_id: str, name: str) -> Path:
        """Return where a partition's snapshot lies, whether there is one or not."""
        return self.folder / tenant_id / bot_id / f"{name}{_ENDING}"

    def open(
        self, tenant_id: str, bot_id: str, name: str, form: str
    ) -> tuple[SnapshotHeader, SnapshotFileReader] | None:
        """Return a partition's snapshot, or None if there is none of this format.

        Raises:
            SnapshotDamagedError: if it cannot be used.
        """
        try:
            reader = SnapshotFileReader(self.path(tenant_id, bot_id, name))
        except FileNotFoundError:
            return None
        header = _header(reader)
        if header.format != form:
            return None
        wanted = (self.workspace_id, tenant_id, bot_id, name)
        if (header.workspace_id, header.tenant_id, header.bot_id, header.name) != wanted:
            raise SnapshotDamagedError("it belongs to another partition")
        return header, reader

    def write(
        self, header: SnapshotHeader, fill: Callable[[SnapshotWriter], None], *, valid: Callable[[], bool]
    ) -> int:
        """Write a snapshot and publish it if it still is `valid` then; return its size, 0 if it was not published.

        It is valid when its file is made and when it takes its name, both under the lock that `delete` takes too: what was
        erased before is in no file that is made or named after `delete`.

        Raises:
            OSError: if it cannot be written; what was there stays.
        """
        target = self.path(header.tenant_id, header.bot_id, header.name)
        aside = target.with_name(f"{target.name}.{os.urandom(6).hex()}{_UNFINISHED}")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            if not valid():
                return 0
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sweep(target)
            new = os.open(aside, _NEW, 0o600)
        try:
            with os.fdopen(new, "wb", buffering=1 << 20) as file:
                writer = SnapshotFileWriter(file)
                fill(writer)
                writer.finish(asdict(header))
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            with self._locked():
                if not valid() or not aside.exists():  # deleted meanwhile
                    return 0
                if target.is_dir():  # nothing of ours; a file cannot take its place
                    shutil.rmtree(target)
                aside.replace(target)
                sync_folder(target.parent)
        finally:
            aside.unlink(missing_ok=True)
        return size

    def delete(self, tenant_id: str, bot_id: str | None = None, *, keep: tuple[str, ...] | None = None) -> None:
        """Delete a tenant's or a bot's snapshots; with `keep`, those of other names only. What is in use stays readable."""
        if self.read_only or not self.folder.is_dir():
            return
        try:
            with self._locked():
                self._delete(tenant_id, bot_id, keep)
        except OSError:  # where the lock cannot be made, no snapshot can either
            self._delete(tenant_id, bot_id, keep)

    def _delete(self, tenant_id: str, bot_id: str | None, keep: tuple[str, ...] | None) -> None:
        folder = self.folder / tenant_id if bot_id is None else self.folder / tenant_id / bot_id
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for path in folder.glob(f"*{_ENDING}"):
            if path.name.removesuffix(_ENDING) not in keep:
                path.unlink(missing_ok=True)

    def size(self, tenant_id: str, bot_id: str) -> int:
        """Return how many bytes a bot's snapshots take."""
        size = 0
        for path in (self.folder / tenant_id / bot_id).glob(f"*{_ENDING}"):
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                size += path.stat().st_size
        return size

    def files(self) -> list[Path]:
        """Return every file there is, sorted."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def entries(self) -> Iterator[SnapshotEntry]:
        """Yield every file in the folder, unfinished ones too."""
        for path in self.files():
            if path.name == LOCK:
                continue
            header = None
            with contextlib.suppress(FileNotFoundError, SnapshotDamagedError):
                header = None if path.suffix == _UNFINISHED else _header(SnapshotFileReader(path))
            with contextlib.suppress(FileNotFoundError):
                yield SnapshotEntry(path, header, path.stat().st_size)

    def verify(self, entry: SnapshotEntry, *, deep: bool = True) -> str | None:
        """Return what is wrong with a file, None if nothing is, or if it is gone or still being written.

        Args:
            deep: check every block of it, not only the trailer.
        """
        if entry.path.suffix == _UNFINISHED:
            return "it was never finished" if _is_abandoned(entry.path) else None
        try:
            reader = SnapshotFileReader(entry.path)
            header = _header(reader)
            if deep:
                reader.check_all()
        except FileNotFoundError:
            return None
        except SnapshotDamagedError as problem:
            return str(problem)
        if header.workspace_id != self.workspace_id:
            return "it belongs to another workspace"
        if self.path(header.tenant_id, header.bot_id, header.name) != entry.path:
            return "it belongs to another partition"
        return None

    def _locked(self) -> AbstractContextManager[None]:
        """Return a block in which no other process or thread makes, names or deletes a snapshot."""
        return locked(self.folder / LOCK)

    def _sweep(self, target: Path) -> None:
        """Delete what a killed process left beside a snapshot."""
        for path in target.parent.glob(f"{target.name}.*{_UNFINISHED}"):
            if _is_abandoned(path):
                path.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    """Return whether a file is being written for so long that it is not being written any more."""
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    return False


def _header(reader: SnapshotFileReader) -> SnapshotHeader:
    try:
        return SnapshotHeader(**reader.facts)
    except TypeError as problem:
        raise SnapshotDamagedError("its header is of another release") from problem
