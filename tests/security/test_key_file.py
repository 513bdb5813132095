"""The key file: made once, whole, for its owner alone."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from minirag.errors import SecretError, SecretKeyMissingError
from minirag.security.envelope import MasterKey, generate_secret_key
from minirag.security.key_file import load_key_file, load_or_create_key_file, replace_key_file

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


def ids(keys: Sequence[MasterKey]) -> list[str]:
    return [key.id for key in keys]


def test_a_key_is_made_and_found_again(tmp_path: Path) -> None:
    """The second call reads what the first one made; nothing else is left in the folder."""
    path = tmp_path / "master.key"
    made = load_or_create_key_file(path)
    assert ids(load_or_create_key_file(path)) == ids(made) == ids(load_key_file(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["master.key"]


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_its_owner_may_read_it(tmp_path: Path, umask: int) -> None:
    """Mode 0600 from the first moment, whatever the process's umask."""
    before = os.umask(umask)
    try:
        load_or_create_key_file(tmp_path / "master.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "master.key").stat().st_mode) == 0o600


@pytest.mark.usefixtures("no_links")
def test_a_file_system_without_hard_links_will_do(tmp_path: Path) -> None:
    """The file is then made in place, exclusively."""
    path = tmp_path / "master.key"
    assert ids(load_or_create_key_file(path)) == ids(load_or_create_key_file(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["master.key"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 or os.name != "posix"


RACE = """
import errno, multiprocessing, os, sys
from pathlib import Path
from minirag.security.key_file import load_or_create_key_file

if sys.argv[2] == "without links":
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")
    os.link = refuse

def work(gate, answers):
    for attempt in range(10):
        gate.wait()
        answers.put((attempt, load_or_create_key_file(Path(sys.argv[1]) / f"{attempt}.key")[0].id))

fork = multiprocessing.get_context("fork")
gate, answers = fork.Barrier(8), fork.Queue()
processes = [fork.Process(target=work, args=(gate, answers)) for _ in range(8)]
for process in processes:
    process.start()
for attempt, key_id in sorted(answers.get(timeout=60) for _ in range(80)):
    print(attempt, key_id)
for process in processes:
    process.join()
"""


@posix
@pytest.mark.parametrize("how", ["with links", "without links"])
def test_racing_processes_agree_on_one_key(tmp_path: Path, how: str) -> None:
    """Eight processes start at one moment, ten times; each time all have the key that is on disk."""
    done = subprocess.run(
        [sys.executable, "-c", RACE, str(tmp_path), how], capture_output=True, text=True, check=True, timeout=120
    )
    answers = [line.split() for line in done.stdout.splitlines()]
    assert len(answers) == 80
    assert all(key_id == load_key_file(tmp_path / f"{attempt}.key")[0].id for attempt, key_id in answers)


def test_racing_threads_agree_on_one_key(tmp_path: Path) -> None:
    """Each thread writes aside under a name of its own."""
    path, gate = tmp_path / "master.key", threading.Barrier(8)
    found: list[str] = []

    def work() -> None:
        gate.wait()
        found.append(load_or_create_key_file(path)[0].id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {load_key_file(path)[0].id}
    assert len(found) == 8


def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    """Without hard links a reader can come in the middle of the writing."""
    path, key = tmp_path / "master.key", generate_secret_key()
    path.write_text(key[:10])
    writer = threading.Timer(0.2, path.write_text, [key])
    writer.start()
    assert ids(load_or_create_key_file(path)) == [MasterKey(key).id]
    writer.join()


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 44, b"x" * 100_000])
def test_a_damaged_file_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    """No new key takes its place: what the old one wrapped would be lost."""
    path = tmp_path / "master.key"
    path.write_bytes(content)
    os.utime(path, (time.time() - 60, time.time() - 60))
    with pytest.raises(SecretError, match=r"master\.key' is malformed or damaged"):
        load_or_create_key_file(path)
    assert path.read_bytes() == content


def test_a_missing_file_is_not_made_by_reading(tmp_path: Path) -> None:
    """Only `load_or_create_key_file` makes one."""
    with pytest.raises(SecretKeyMissingError, match=r"there is no key file .*master\.key"):
        load_key_file(tmp_path / "master.key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/master.key", "."])
def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, name: str) -> None:
    """A folder that is missing, or in the way."""
    with pytest.raises(SecretError, match="the key file"):
        load_or_create_key_file(tmp_path / name)


@posix
def test_a_broken_link_is_not_replaced(tmp_path: Path) -> None:
    """A link to a volume that is not mounted now may hold the real key later."""
    path = tmp_path / "master.key"
    path.symlink_to(tmp_path / "not-mounted")
    with pytest.raises(SecretKeyMissingError):
        load_or_create_key_file(path)
    assert path.is_symlink()


@posix
def test_a_file_that_others_may_read_is_used_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A restored backup or a mounted volume loses the mode; the log says how to mend it."""
    path = tmp_path / "master.key"
    made = load_or_create_key_file(path)
    assert caplog.records == []
    path.chmod(0o644)
    assert ids(load_or_create_key_file(path)) == ids(made)
    assert "(mode 0644); run: chmod 600" in caplog.text
    assert path.read_text().strip() not in caplog.text


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A full disk gives an error that names the file, and no half of a key."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(SecretError, match=r"master\.key' cannot be made: No space left"):
        load_or_create_key_file(tmp_path / "master.key")
    assert list(tmp_path.iterdir()) == []


def test_two_keys_are_read_newest_first_and_replaced_whole(tmp_path: Path) -> None:
    """While a key is being changed the file holds both; a replaced file is for its owner alone, and nothing lies beside it."""
    path, keys = tmp_path / "master.key", [MasterKey(generate_secret_key()) for _ in range(2)]
    load_or_create_key_file(path)
    replace_key_file(path, keys)
    assert ids(load_key_file(path)) == ids(keys)
    assert [entry.name for entry in tmp_path.iterdir()] == ["master.key"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 or os.name != "posix"


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file, the old key is there still, and nothing is left beside it."""
    path = tmp_path / "master.key"
    made = load_or_create_key_file(path)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SecretError, match=r"master\.key' cannot be replaced: No space"):
        replace_key_file(path, [MasterKey(generate_secret_key())])
    assert ids(load_key_file(path)) == ids(made)
    assert [entry.name for entry in tmp_path.iterdir()] == ["master.key"]
