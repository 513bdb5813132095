"""Faults of snapshots: each is found in the folder of a real workspace, and repaired by deleting the file."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import minirag
from minirag._services import maintenance
from minirag._services.snapshots import SnapshotFolder, SnapshotHeader
from minirag.interfaces.snapshots import SnapshotWriter
from tests.services.faults import raw

HOUR = 3_600


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose bots have snapshots of both indexes."""
    folder = tmp_path_factory.mktemp("snapshots") / "kb"
    with pytest.MonkeyPatch.context() as patch, minirag.Workspace.open(folder, embedder="hashing") as workspace:
        patch.setattr(maintenance, "_LEAST_ENTRIES", 1)
        for slug in ("acme", "rival"):
            bot = workspace.tenant(slug, create=True).bot("support", create=True, chunker="whole")
            bot.add(
                minirag.DocumentInput(text=f"Laptop number {number} of {slug}.", key=f"note-{number}")
                for number in range(50)
            )
            bot.optimize()
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of the workspace."""
    return Path(shutil.copytree(whole, tmp_path / "kb"))


class Place:
    """The snapshots of the copy, as a fault is put into them."""

    def __init__(self, folder: Path) -> None:
        with raw(folder) as connection:
            self.tenant, self.bot, self.space = connection.execute(
                "SELECT tenant(), id, fingerprint FROM bots WHERE id = bot()"
            ).fetchone()
            workspace_id = connection.execute("SELECT value FROM settings WHERE name = 'workspace_id'").fetchone()[0]
        self.snapshots = SnapshotFolder(folder / "index", workspace_id, read_only=False)
        self.dense = self.snapshots.path(self.tenant, self.bot, self.space)
        self.keyword = self.snapshots.path(self.tenant, self.bot, "keyword")

    def rewrite(
        self, path: Path, change: Callable[[str, np.ndarray], np.ndarray] = lambda _, array: array, **header: object
    ) -> None:
        """Write a snapshot anew, valid in itself, with other arrays or another header."""
        (entry,) = (entry for entry in self.snapshots.entries() if entry.path == path)
        assert entry.header is not None
        opened = self.snapshots.open(
            entry.header.tenant_id, entry.header.bot_id, entry.header.name, entry.header.format
        )
        assert opened is not None
        arrays = {name: np.array(opened[1].array(name)) for name in sorted(opened[1].names())}
        changed: SnapshotHeader = replace(entry.header, **header)  # type: ignore[arg-type]

        def fill(writer: SnapshotWriter) -> None:
            for name, array in arrays.items():
                writer.put(name, change(name, array))

        assert self.snapshots.write(changed, fill, valid=lambda: True)


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def unfinished(place: Place) -> None:
    path = place.dense.with_name(f"{place.dense.name}.abc.tmp")
    path.write_bytes(b"half")
    os.utime(path, (time.time() - 2 * HOUR,) * 2)


def orphaned_bot(place: Place) -> None:
    shutil.copytree(place.dense.parent, place.dense.parent.with_name("nobody"))


def of_other_vectors(name: str, array: np.ndarray) -> np.ndarray:
    return array[::-1].copy() if array.dtype == np.float32 and array.ndim == 2 else array


SEEDS: dict[str, tuple[Callable[[Place], object], str, str, int]] = {
    "a bit flipped in a vector": (lambda p: flip(p.dense, 200), "snapshot", "acme/support", 1),
    "a bit flipped in postings": (lambda p: flip(p.keyword, 200), "snapshot", "acme/support", 1),
    "cut short": (lambda p: p.dense.write_bytes(p.dense.read_bytes()[:-9]), "snapshot", "acme/support", 1),
    "empty": (lambda p: p.keyword.write_bytes(b""), "snapshot", "acme/support", 1),
    "no snapshot at all": (lambda p: p.dense.with_name("notes.txt").write_text("mine"), "snapshot", "acme/support", 1),
    "left by a killed process": (unfinished, "snapshot", "acme/support", 1),
    "of no bot": (orphaned_bot, "snapshot", "acme/nobody", 2),
    "ahead of the log": (lambda p: p.rewrite(p.dense, sequence=999), "snapshot", "acme/support", 1),
    "of another log": (lambda p: p.rewrite(p.keyword, nonce=7), "snapshot", "acme/support", 1),
    "of other vectors": (lambda p: p.rewrite(p.dense, of_other_vectors), "snapshot_content", "acme/support", 1),
}


def test_snapshots_that_are_right_have_no_fault(folder: Path) -> None:
    """All are counted, and compared with the database, also where the log has gone on since."""
    with minirag.Workspace.open(folder) as workspace:
        bot = workspace.tenant("acme").bot("support")
        bot.add(minirag.DocumentInput(text="One more.", key="more"))
        bot.documents.remove("note-3")
        report = workspace.verify()
    assert report.faults == ()
    assert report.checked["snapshots"] == 4


@pytest.mark.parametrize("name", SEEDS)
def test_a_seeded_fault_is_found_and_repaired(folder: Path, name: str) -> None:
    """Exactly it is found; a repair deletes the file and no other, and searches go on."""
    seeder, kind, place, count = SEEDS[name]
    before = {entry.path for entry in Place(folder).snapshots.entries()}
    seeder(Place(folder))
    with minirag.Workspace.open(folder) as workspace:
        faults = workspace.verify().faults
        assert [(fault.kind, fault.place) for fault in faults] == [(kind, place)] * count, faults
        report = workspace.repair()
        assert report.ok, report.remaining
        assert len(report.repaired) == count
        hits = workspace.tenant("acme").bot("support").search("Laptop number 7 of acme", k=1)
        assert hits[0].key == "note-7"
    left = {entry.path for entry in Place(folder).snapshots.entries()}
    assert left < before or count == 2


def test_a_file_that_is_being_written_is_no_fault(folder: Path) -> None:
    """What another process began just now is left alone."""
    place = Place(folder)
    path = place.dense.with_name(f"{place.dense.name}.abc.tmp")
    path.write_bytes(b"half")
    with minirag.Workspace.open(folder) as workspace:
        assert workspace.verify().ok
        assert workspace.repair().ok
    assert path.exists()


def test_a_shallow_check_reads_no_content(folder: Path) -> None:
    """Without `deep` only what the files say of themselves is compared."""
    flip(Place(folder).dense, 200)
    with minirag.Workspace.open(folder) as workspace:
        assert workspace.verify(deep=False).ok
        assert not workspace.verify().ok


def test_a_repaired_log_takes_its_snapshots_with_it(folder: Path) -> None:
    """They stand on the log that was there before, and none is left that would be found wrong afterwards."""
    with raw(folder) as connection:
        connection.execute("DELETE FROM change_log WHERE bot_id = bot() AND sequence = 1")
    with minirag.Workspace.open(folder) as workspace:
        assert [fault.kind for fault in workspace.verify().faults] == ["log"]
        assert workspace.repair().ok
        assert workspace.verify().ok
