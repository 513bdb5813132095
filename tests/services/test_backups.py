"""`backup` makes a whole copy of one moment while others write, or leaves nothing behind."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

import minirag
from minirag.errors import ConflictError, InvalidInputError, StorageError
from tests.services.faults import DATABASE, make_workspace, raw

WRITER = """
import itertools, sys
import minirag

with minirag.Workspace.open(sys.argv[1]) as workspace:
    bot = workspace.tenant("acme").bot("support")
    for number in itertools.count():
        key = f"{sys.argv[2]}-{number}"
        bot.add(minirag.DocumentInput(text=f"Written by {key}.", key=key))
        print(number, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace."""
    make_workspace(tmp_path / "kb")
    return tmp_path / "kb"


def contents(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        return list(connection.iterdump())


def test_a_backup_is_the_workspace(folder: Path, tmp_path: Path) -> None:
    """It holds every row, opens where it lies, verifies, and can be moved."""
    with minirag.Workspace.open(folder) as workspace:
        report = workspace.backup(tmp_path / "copy")
        assert contents(tmp_path / "copy") == contents(folder)
    assert report.path == str(tmp_path / "copy")
    assert report.size == sum(file.stat().st_size for file in (tmp_path / "copy").iterdir())
    (tmp_path / "copy").rename(tmp_path / "moved")
    with minirag.Workspace.open(tmp_path / "moved") as copy:
        assert copy.verify().ok
        assert copy.tenant("rival").bot("sales").search("phone", k=1)[0].key == "note-0"


def test_a_backup_is_one_file_for_its_owner_alone(folder: Path, tmp_path: Path) -> None:
    """There is no journal and no snapshot in it; the file is in the mode that a workspace's file is in."""
    with minirag.Workspace.open(folder) as workspace:
        workspace.backup(tmp_path / "copy")
    assert [file.name for file in (tmp_path / "copy").iterdir()] == [DATABASE]
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "copy" / DATABASE).stat().st_mode) == 0o600
    with closing(sqlite3.connect(tmp_path / "copy" / DATABASE)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA page_size").fetchone() == (16_384,)


def test_the_master_key_is_copied_only_when_asked_for(folder: Path, tmp_path: Path) -> None:
    """Without it the copy opens, and its credentials are said not to be checked; with it they can be read."""
    with minirag.Workspace.open(folder) as workspace:
        assert workspace.backup(tmp_path / "without").key == "left out"
        assert workspace.backup(tmp_path / "with", include_key=True).key == "copied"
    key = tmp_path / "with" / "master.key"
    assert key.read_bytes() == (folder / "master.key").read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with minirag.Workspace.open(tmp_path / "without") as copy:
        report = copy.verify()
        assert report.ok
        assert any("no master key" in note for note in report.skipped)
    with minirag.Workspace.open(tmp_path / "with") as copy:
        assert copy.verify().checked["credentials"] == 4


def test_a_key_of_the_application_is_said_to_be_its_own(tmp_path: Path) -> None:
    """It is written nowhere."""
    key = minirag.generate_secret_key()
    with minirag.Workspace.open(tmp_path / "kb", secret_key=key, embedder="hashing") as workspace:
        report = workspace.backup(tmp_path / "copy", include_key=True)
    assert report.key == "given"
    assert not any(key.encode() in file.read_bytes() for file in (tmp_path / "copy").iterdir())


def test_a_read_only_workspace_and_one_at_a_url_can_be_backed_up(folder: Path, tmp_path: Path) -> None:
    """Neither is written to."""
    before = (folder / DATABASE).read_bytes()
    with minirag.Workspace.open(folder, read_only=True) as workspace:
        workspace.backup(tmp_path / "one")
    with minirag.Workspace.open(
        f"sqlite:///{folder}/{DATABASE}", read_only=True, cache_dir=tmp_path / "cache"
    ) as workspace:
        assert workspace.backup(tmp_path / "two").key == "none"
    assert (folder / DATABASE).read_bytes() == before
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(folder)


def test_a_backup_under_two_writing_processes_is_a_prefix_of_what_they_were_told(folder: Path, tmp_path: Path) -> None:
    """It ends while they go on, verifies, and of each writer holds the documents up to one, none left out."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), name], stdout=subprocess.PIPE, text=True, env=environment
        )
        for name in ("one", "two")
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "0\n"
        with minirag.Workspace.open(folder) as workspace:
            acknowledged = workspace.tenant("acme").bot("support").documents.count()
            for number in range(5):
                workspace.backup(tmp_path / f"copy-{number}")
                time.sleep(0.05)
    finally:
        for writer in writers:
            writer.kill()
        told = [int(writer.communicate()[0].split()[-1]) for writer in writers]
    for number in range(5):
        with minirag.Workspace.open(tmp_path / f"copy-{number}") as copy:
            assert copy.verify().ok
            keys = {document.key for document in copy.tenant("acme").bot("support").documents.list()}
            assert len(keys) >= acknowledged
            acknowledged = len(keys)
        for name, last in zip(("one", "two"), told, strict=True):
            numbers = sorted(int(key.split("-")[1]) for key in keys if key.startswith(name))
            assert numbers == list(range(len(numbers)))
            assert len(numbers) <= last + 2


def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    """Neither a file, nor a folder, be it empty, nor a link that leads nowhere."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with minirag.Workspace.open(folder) as workspace:
        for name in ("file", "empty", "link"):
            with pytest.raises(ConflictError, match="overwrites nothing"):
                workspace.backup(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_path_inside_the_workspace_is_refused(folder: Path, tmp_path: Path) -> None:
    """By whatever name it goes; a folder of derived files can be deleted at any time, so it is refused too."""
    (tmp_path / "link").symlink_to(folder)
    with minirag.Workspace.open(folder, cache_dir=tmp_path / "cache") as workspace:
        derived = workspace._core.partitions.snapshots.folder  # type: ignore[union-attr]
        derived.mkdir(parents=True, exist_ok=True)
        for path in (
            folder,
            folder / "copy",
            tmp_path / "link" / "copy",
            folder / ".." / "kb" / "copy",
            derived / "copy",
        ):
            with pytest.raises((InvalidInputError, ConflictError)):
                workspace.backup(path)
        with pytest.raises(InvalidInputError, match="does not exist"):
            workspace.backup(tmp_path / "no" / "such" / "copy")
    assert sorted(path.name for path in folder.iterdir() if "partial" in path.name or path.name == "copy") == []


@pytest.mark.skipif(os.name != "posix" or not hasattr(os, "geteuid"), reason="needs resource limits")
def test_a_full_disk_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for a disk that is full: a clear error, no folder, and the workspace goes on."""
    script = (
        "import resource, signal, sys, json, minirag\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with minirag.Workspace.open(sys.argv[1], read_only=True) as workspace:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))\n"
        "    try:\n"
        "        workspace.backup(sys.argv[2])\n"
        "    except minirag.errors.StorageError as problem:\n"
        "        print(json.dumps(str(problem)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(tmp_path / "copy")],
        capture_output=True, text=True, env=environment, check=True,
    )  # fmt: skip
    assert "copy" in json.loads(done.stdout)
    assert "make room" in json.loads(done.stdout)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kb"]


def test_a_folder_that_may_not_be_written_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's reason is told."""

    def refuse(self: Path, mode: int = 0o777) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with minirag.Workspace.open(folder) as workspace:
        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(StorageError, match="Permission denied"):
            workspace.backup(tmp_path / "copy")


def test_what_fails_on_the_way_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if somebody else makes the target meanwhile: theirs stays."""
    with minirag.Workspace.open(folder) as workspace:
        original = workspace._core.storage.backup

        def copy(aside: Path) -> None:
            original(aside)
            (tmp_path / "copy").write_text("theirs")

        monkeypatch.setattr(workspace._core.storage, "backup", copy)
        with pytest.raises(ConflictError):
            workspace.backup(tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "kb"]


def test_a_damaged_database_is_not_copied_in_silence(folder: Path, tmp_path: Path) -> None:
    """A copy reads every row; what cannot be read is an error, not a smaller copy."""
    with raw(folder) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks'").fetchone()
    with (folder / DATABASE).open("rb+") as database:
        database.seek((page - 1) * 16_384)
        database.write(b"\xff" * 16_384)
    with minirag.Workspace.open(folder) as workspace, pytest.raises(StorageError):
        workspace.backup(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
