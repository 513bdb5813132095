"""The format of a snapshot's file: arrays, a checksum for each block of 4 KiB, and a trailer that says what they are.

```text
magic, padded to 64 bytes | arrays, each at a multiple of 64 bytes, padded to a whole block | checksums, 8 bytes a block | JSON | length and BLAKE2b of the JSON | magic
```

The trailer stands at the end, since only then is everything known: a file that was cut short has none. Blocks are checked when
they are first read, so opening costs no pass over the whole file.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from minirag.interfaces.snapshots import LazyArray, SnapshotDamagedError, SnapshotReader, SnapshotWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["SnapshotFileReader", "SnapshotFileWriter"]

_MAGIC: Final = b"MRSNAP1\n"
_BLOCK: Final = 4_096
_ALIGNMENT: Final = 64
_START: Final = 64
_TAIL: Final = 8 + 16 + len(_MAGIC)
_LARGEST_HEADER: Final = 1 << 20
_PIECE: Final = 2_048
"""Blocks handled at once: 8 MiB."""

_MULTIPLIERS: Final = np.frombuffer(hashlib.shake_128(b"minirag snapshot block").digest(2 * _BLOCK), "<u8")
_PLACE: Final = np.uint64(0x9E3779B97F4A7C15)


def _checksums(blocks: NDArray[np.uint32], places: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the checksum of each block of 1,024 words, which depends on its place in the file too.

    A multilinear hash: the sum, modulo 2^64, of each 32-bit word times a fixed random number. Some 6 GB/s in NumPy. Source: Lemire
    and Kaser, Strongly Universal String Hashing is Fast, The Computer Journal 57 (2014). It is meant for accidents:
    whoever can write the file can write the checksum.
    """
    sums = np.einsum("ij,j->i", blocks, _MULTIPLIERS, dtype=np.uint64, casting="unsafe")
    return np.asarray(sums + (places + np.uint64(1)) * _PLACE)


class SnapshotFileWriter(SnapshotWriter):
    """Writes arrays one after the other into an open file; `finish` writes the trailer."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._arrays: list[dict[str, Any]] = []
        self._sums: list[NDArray[np.uint64]] = []
        self._blocks = 0
        self._rest = b""
        self._length = 0
        self._file.write(_MAGIC.ljust(_START, b"\0"))

    def put(self, name: str, *parts: NDArray[Any]) -> None:
        """Write an array; large ones in pieces, so that a mapped array does not have to fit into memory."""
        arrays = [np.asarray(part) for part in parts]
        plain = arrays[0].dtype.newbyteorder("<")
        shape = [sum(map(len, arrays)), *arrays[0].shape[1:]] if arrays[0].ndim else []
        self._append(b"\0" * (-self._length % _ALIGNMENT))
        self._arrays.append({"name": name, "dtype": plain.str, "shape": shape, "offset": self._length})
        for array in arrays:
            self._put(array, plain)

    def _put(self, array: NDArray[Any], plain: np.dtype[Any]) -> None:
        if array.nbytes <= _PIECE * _BLOCK:
            self._append(np.ascontiguousarray(array, plain).tobytes())
            return
        rows = max(1, _PIECE * _BLOCK // max(1, array.nbytes // len(array)))
        for start in range(0, len(array), rows):
            self._append(np.ascontiguousarray(array[start : start + rows], plain).tobytes())

    def _append(self, data: bytes) -> None:
        self._length += len(data)
        data = self._rest + data if self._rest else data
        whole = len(data) // _BLOCK * _BLOCK
        self._rest = data[whole:]
        self._write(data[:whole] if self._rest else data)

    def _write(self, data: bytes) -> None:
        if data:
            blocks = np.frombuffer(data, "<u4").reshape(-1, _BLOCK // 4)
            places = np.arange(self._blocks, self._blocks + len(blocks), dtype=np.uint64)
            self._sums.append(_checksums(blocks, places))
            self._blocks += len(blocks)
            self._file.write(data)

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write checksums and trailer, which repeats `facts`."""
        self._append(b"\0" * (-self._length % _BLOCK))
        sums = np.concatenate(self._sums) if self._sums else np.empty(0, np.uint64)
        table = sums.astype("<u8").tobytes()
        header = {"facts": dict(facts), "arrays": self._arrays, "blocks": self._blocks}
        text = json.dumps(header, sort_keys=True).encode()
        digest = hashlib.blake2b(table + text, digest_size=16).digest()
        self._file.write(table + text + len(text).to_bytes(8, "little") + digest + _MAGIC)


class SnapshotFileReader(SnapshotReader):
    """A snapshot's arrays, memory-mapped. The map lives as long as any array of it does.

    Attributes:
        facts: what `finish` was given.
    """

    def __init__(self, path: Path) -> None:
        """Read and check the trailer.

        Raises:
            FileNotFoundError: if there is no file.
            SnapshotDamagedError: if it was cut short, or is no snapshot.
        """
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as problem:  # ValueError: the file is empty
            raise SnapshotDamagedError("the file cannot be read") from problem
        self._size = len(self._map)
        header = self._trailer()
        try:
            self.facts: dict[str, Any] = header["facts"]
            self._arrays = {entry["name"]: entry for entry in header["arrays"]}
            self._blocks: int = header["blocks"]
        except (KeyError, TypeError) as problem:
            raise SnapshotDamagedError("the trailer lacks something") from problem
        self._data = np.frombuffer(self._map, "<u4", self._blocks * (_BLOCK // 4), _START).reshape(-1, _BLOCK // 4)
        self._checked = np.zeros(self._blocks, np.bool_)

    def _trailer(self) -> dict[str, Any]:
        size = self._size
        if size < _START + _TAIL or self._map[: len(_MAGIC)] != _MAGIC or self._map[-len(_MAGIC) :] != _MAGIC:
            raise SnapshotDamagedError("the file was cut short, or is no snapshot")
        length = int.from_bytes(self._map[size - _TAIL : size - _TAIL + 8], "little")
        begin = size - _TAIL - length
        if length > _LARGEST_HEADER or begin < _START:
            raise SnapshotDamagedError("the trailer's length is impossible")
        text = self._map[begin : size - _TAIL]
        try:
            header: dict[str, Any] = json.loads(text)
            table = header["blocks"] * 8
        except (ValueError, KeyError, TypeError) as problem:
            raise SnapshotDamagedError("the trailer cannot be read") from problem
        if _START + header["blocks"] * _BLOCK + table != begin:
            raise SnapshotDamagedError("the file's length is not what the trailer says")
        sums = self._map[begin - table : begin]
        if hashlib.blake2b(sums + text, digest_size=16).digest() != self._map[size - _TAIL + 8 : size - len(_MAGIC)]:
            raise SnapshotDamagedError("the trailer is not what was written")
        self._sums = np.frombuffer(sums, "<u8")
        return header

    def names(self) -> frozenset[str]:
        """Return the names of all arrays."""
        return frozenset(self._arrays)

    def array(self, name: str) -> NDArray[Any]:
        """Return a whole array, checked."""
        return self.lazy(name).whole()

    def lazy(self, name: str) -> LazyArray:
        """Return an array whose parts are checked as they are read."""
        entry = self._arrays.get(name)
        if entry is None:
            raise SnapshotDamagedError(f"it holds no array {name!r}")
        return _FileArray(self, np.dtype(entry["dtype"]), tuple(entry["shape"]), int(entry["offset"]))

    def check_all(self) -> None:
        """Check every block. Raises `SnapshotDamagedError`."""
        for start in range(0, self._blocks, _PIECE):
            self.check(np.arange(start, min(start + _PIECE, self._blocks)))

    def check(self, blocks: NDArray[np.int64]) -> None:
        """Check those of the blocks that were not checked before in this process.

        Raises:
            SnapshotDamagedError: if one is not what was written, or the file has been cut short since it was mapped, which
                would otherwise kill the process on the first touch beyond its end.
        """
        if self._map.size() < self._size:
            raise SnapshotDamagedError("the file was cut short while it was in use")
        checked = self._checked[blocks]
        if checked.all():
            return
        unchecked = blocks[~checked]
        unchecked.sort()
        unchecked = unchecked[np.diff(unchecked, prepend=-1) > 0]  # `np.unique` imports `numpy.ma`, which takes 20 ms
        for start in range(0, len(unchecked), _PIECE):
            some = unchecked[start : start + _PIECE]
            # A run of neighbours is read where it lies; scattered blocks are gathered.
            contiguous = int(some[-1] - some[0]) + 1 == len(some)
            data = self._data[some[0] : some[-1] + 1] if contiguous else self._data[some]
            if not np.array_equal(_checksums(data, some.astype(np.uint64)), self._sums[some]):
                raise SnapshotDamagedError("a block is not what was written")
            self._checked[some] = True

    def view(self, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> NDArray[Any]:
        """Return an array of the mapped bytes, unchecked."""
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._map, dtype, count, _START + offset).reshape(shape)


class _FileArray(LazyArray):
    """One array of a file."""

    def __init__(self, file: SnapshotFileReader, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> None:
        self._file = file
        self._offset = offset
        self._array = file.view(dtype, shape, offset)
        self._stride = self._array.nbytes // shape[0] if shape and shape[0] else dtype.itemsize
        self._spans = (self._stride + 2 * _BLOCK - 2) // _BLOCK
        """The most blocks that a row can touch."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    def rows(self, positions: NDArray[Any]) -> NDArray[Any]:
        starts = positions * self._stride + self._offset
        first, last = starts // _BLOCK, (starts + (self._stride - 1)) // _BLOCK
        between = (np.minimum(first + step, last) for step in range(1, self._spans - 1))
        self._file.check(np.concatenate((first, *between, last)))
        return self._array.take(positions, axis=0)

    def part(self, start: int, stop: int) -> NDArray[Any]:
        begin, end = start * self._stride + self._offset, stop * self._stride + self._offset
        if end > begin:
            self._file.check(np.arange(begin // _BLOCK, (end - 1) // _BLOCK + 1))
        return self._array[start:stop]

    def whole(self) -> NDArray[Any]:
        if not self._array.ndim:
            return self._array
        return self.part(0, len(self._array))
