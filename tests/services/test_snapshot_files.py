"""The files of snapshots: what is written is what is read, and damage is noticed before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirag._services.snapshot_files import SnapshotFileReader, SnapshotFileWriter
from minirag._services.snapshots import SnapshotFolder, SnapshotHeader
from minirag.interfaces.snapshots import SnapshotDamagedError, SnapshotWriter

ARRAYS: dict[str, Any] = {
    "vectors": np.random.default_rng(7).standard_normal((5_000, 384)).astype(np.float32),
    "keys": np.arange(5_000, dtype=np.int64) ** 2,
    "mask": np.arange(77) % 3 == 0,
    "empty": np.empty((0, 384), np.float32),
    "number": np.array(5, np.int64),
    "small": np.arange(10, dtype=np.uint8),
}


def written(path: Path, arrays: dict[str, Any]) -> Path:
    with path.open("wb") as file:
        writer = SnapshotFileWriter(file)
        for name, array in arrays.items():
            writer.put(name, array)
        writer.finish({"hello": 1})
    return path


def read_all(path: Path) -> dict[str, Any]:
    reader = SnapshotFileReader(path)
    return {name: reader.array(name).copy() for name in reader.names()}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Every array comes back with its shape, type and content; facts too."""
    reader = SnapshotFileReader(written(tmp_path / "a", ARRAYS))
    assert reader.facts == {"hello": 1}
    assert reader.names() == set(ARRAYS)
    for name, array in ARRAYS.items():
        found = reader.array(name)
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert np.array_equal(found, array)
        assert not found.flags.writeable


def test_parts_and_rows_equal_those_of_the_array(tmp_path: Path) -> None:
    """Rows here and there, and a run of rows, are those of the array."""
    reader = SnapshotFileReader(written(tmp_path / "a", ARRAYS))
    lazy = reader.lazy("vectors")
    positions = np.array([4_999, 0, 17, 17, 2_500])
    assert np.array_equal(lazy.rows(positions), ARRAYS["vectors"][positions])
    assert np.array_equal(lazy.part(100, 103), ARRAYS["vectors"][100:103])
    assert lazy.rows(np.empty(0, np.int64)).shape == (0, 384)
    assert lazy.shape == (5_000, 384)
    assert len(lazy) == 5_000


def test_an_array_larger_than_a_piece_is_written_in_pieces(tmp_path: Path) -> None:
    """More than 8 MiB, as a mapped file would give it."""
    large = np.lib.stride_tricks.as_strided(np.arange(3_000, dtype=np.int64), (2_000, 1_000), (8, 8))
    reader = SnapshotFileReader(written(tmp_path / "a", {"large": large}))
    assert np.array_equal(reader.array("large"), large)


def test_several_parts_are_one_array(tmp_path: Path) -> None:
    """As rows that lie in several blocks of memory are written, whatever their lengths."""
    vectors = ARRAYS["vectors"]
    with (tmp_path / "a").open("wb") as file:
        writer = SnapshotFileWriter(file)
        writer.put("vectors", vectors[:1], vectors[1:1], vectors[1:4_000], vectors[4_000:])
        writer.put("keys", ARRAYS["keys"])
        writer.finish({})
    reader = SnapshotFileReader(tmp_path / "a")
    assert np.array_equal(reader.array("vectors"), vectors)
    assert np.array_equal(reader.array("keys"), ARRAYS["keys"])


def test_only_what_is_read_is_checked(tmp_path: Path) -> None:
    """A damaged row is noticed when it is read, and does not stop others."""
    path = written(tmp_path / "a", ARRAYS)
    data = bytearray(path.read_bytes())
    place = 64 + 4_000 * 384 * 4 + 5
    data[place] ^= 0x10
    path.write_bytes(data)
    lazy = SnapshotFileReader(path).lazy("vectors")
    assert np.array_equal(lazy.rows(np.array([0, 1_000])), ARRAYS["vectors"][[0, 1_000]])
    with pytest.raises(SnapshotDamagedError):
        lazy.rows(np.array([0, 4_000]))
    with pytest.raises(SnapshotDamagedError):
        lazy.whole()


@given(seed=st.integers(0, 2**32), kind=st.sampled_from(["flip", "cut", "zero", "swap", "repeat", "append"]))
def test_every_damage_is_noticed(seed: int, kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A bit, a range, the length, or two blocks in each other's place: reading everything fails, or gives what was written."""
    folder = tmp_path_factory.mktemp("snapshots")
    arrays = {name: ARRAYS[name] for name in ("keys", "mask", "small", "number")}
    path = written(folder / "a", arrays)
    whole = path.read_bytes()
    data = bytearray(whole)
    random = np.random.default_rng(seed)
    at = int(random.integers(len(data)))
    match kind:
        case "flip":
            data[at] ^= 1 << int(random.integers(8))
        case "cut":
            del data[at:]
        case "zero":
            data[at : at + 512] = bytes(len(data[at : at + 512]))
        case "swap":
            data[64 : 64 + 4_096], data[64 + 4_096 : 64 + 8_192] = data[64 + 4_096 : 64 + 8_192], data[64 : 64 + 4_096]
        case "repeat":
            data[at:at] = data[at : at + 64]
        case _:
            data += b"x"
    path.write_bytes(data)
    try:
        found = read_all(path)
    except SnapshotDamagedError:
        assert bytes(data) != whole
        return
    # The padding before the first array and behind the trailer's parts carries nothing.
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(found[name], array), name


def test_a_file_cut_short_in_use_is_noticed(tmp_path: Path) -> None:
    """Touching mapped pages beyond the end would kill the process."""
    path = written(tmp_path / "a", ARRAYS)
    lazy = SnapshotFileReader(path).lazy("vectors")
    with path.open("r+b") as file:
        file.truncate(10_000)
    with pytest.raises(SnapshotDamagedError, match="cut short"):
        lazy.rows(np.array([3_000]))


@pytest.mark.parametrize("content", [b"", b"x", b"MRSNAP1\n", b"MRSNAP1\n" * 20, bytes(10_000)])
def test_what_is_no_snapshot_is_refused(tmp_path: Path, content: bytes) -> None:
    """Files of any other kind are refused on opening."""
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(SnapshotDamagedError):
        SnapshotFileReader(path)


def test_an_unknown_array_is_damage(tmp_path: Path) -> None:
    """A snapshot that lacks what the index needs cannot be used."""
    with pytest.raises(SnapshotDamagedError, match="other"):
        SnapshotFileReader(written(tmp_path / "a", ARRAYS)).array("other")


HEADER = SnapshotHeader("ws", "tenant", "bot", "keyword", "form-1", 5, 77, 10)


def fill(writer: SnapshotWriter) -> None:
    writer.put("keys", ARRAYS["keys"])


def test_a_published_snapshot_is_found_and_an_invalid_one_is_not(tmp_path: Path) -> None:
    """`valid` is asked after the file was written, before it gets its name."""
    folder = SnapshotFolder(tmp_path, "ws", read_only=False)
    assert folder.write(HEADER, fill, valid=lambda: False) == 0
    assert folder.open("tenant", "bot", "keyword", "form-1") is None
    assert folder.write(HEADER, fill, valid=lambda: True) > 0
    found = folder.open("tenant", "bot", "keyword", "form-1")
    assert found is not None
    assert found[0] == HEADER
    assert [entry.header for entry in folder.entries()] == [HEADER]
    assert folder.size("tenant", "bot") == folder.path("tenant", "bot", "keyword").stat().st_size


def test_a_snapshot_of_another_format_is_not_used(tmp_path: Path) -> None:
    """Another release or another index wrote it."""
    folder = SnapshotFolder(tmp_path, "ws", read_only=False)
    folder.write(HEADER, fill, valid=lambda: True)
    assert folder.open("tenant", "bot", "keyword", "form-2") is None


def test_a_foreign_snapshot_is_damage(tmp_path: Path) -> None:
    """A file copied from another bot, tenant or workspace is refused, and `verify` says so."""
    folder = SnapshotFolder(tmp_path, "ws", read_only=False)
    folder.write(HEADER, fill, valid=lambda: True)
    other = folder.path("tenant", "other", "keyword")
    other.parent.mkdir()
    other.write_bytes(folder.path("tenant", "bot", "keyword").read_bytes())
    with pytest.raises(SnapshotDamagedError, match="another partition"):
        folder.open("tenant", "other", "keyword", "form-1")
    wrong = [folder.verify(entry) for entry in folder.entries()]
    assert wrong == [None, "it belongs to another partition"]
    moved = SnapshotFolder(tmp_path, "another", read_only=False)
    with pytest.raises(SnapshotDamagedError):
        moved.open("tenant", "bot", "keyword", "form-1")


def test_a_failure_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    """No half file, no other file."""
    folder = SnapshotFolder(tmp_path, "ws", read_only=False)
    folder.write(HEADER, fill, valid=lambda: True)

    def broken(writer: SnapshotWriter) -> None:
        fill(writer)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="space"):
        folder.write(HEADER, broken, valid=lambda: True)
    assert [entry.header for entry in folder.entries()] == [HEADER]


def test_deleting_keeps_the_names_that_are_to_be_kept(tmp_path: Path) -> None:
    """After re-embedding only the new space's vectors and the postings stay."""
    folder = SnapshotFolder(tmp_path, "ws", read_only=False)
    for name in ("keyword", "old", "new"):
        folder.write(SnapshotHeader("ws", "tenant", "bot", name, "form-1", 5, 77, 10), fill, valid=lambda: True)
    folder.delete("tenant", "bot", keep=("new", "keyword"))
    assert sorted(entry.path.name for entry in folder.entries()) == ["keyword.snapshot", "new.snapshot"]
    folder.delete("tenant")
    assert list(folder.entries()) == []
