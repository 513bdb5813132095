"""`Traces`: fingerprints of pieces of what was erased, by which it is found again in any bytes, and which do not tell it.

A trace is a 64-bit hash of 16 bytes under a random number. Of a text one piece in 32 bytes becomes a trace, so that whatever
fragment of 47 bytes is left holds one; of a vector every four values, so that any run of seven does. Texts are looked for in
UTF-8 and in UTF-16. A piece of few different bytes, such as a row of spaces, tells nothing and is left out, and so is a text of
fewer than 16 bytes.

All places of a block of bytes are hashed at once with NumPy, some 100 MB a second, in memory that does not depend on the file.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WIDTH", "TraceCollector", "Traces", "mark_values"]

WIDTH: Final = 16
"""Bytes of a piece."""

_TEXT_STRIDE: Final = 32
_WIDE_STRIDE: Final = 64
_LEAST_DIFFERENT: Final = 6
_MOST: Final = 1 << 18
_BLOCK: Final = 1 << 18
"""Bytes read at once: what is made of them fits into a processor's cache."""
_HALF: Final = np.uint64(32)
_OTHER: Final = 0x9E3779B97F4A7C15


class Traces:
    """Hashes of pieces, and the random number they were made with.

    Args:
        salt: an odd number of 64 bits.
        hashes: sorted, each once.
    """

    def __init__(self, salt: int, hashes: NDArray[np.uint64]) -> None:
        self._salt = salt
        self.hashes = hashes
        bits = min(24, max(16, len(hashes).bit_length() + 5))
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[hashes >> self._shift] = True

    @classmethod
    def from_bytes(cls, data: bytes) -> Traces:
        """Return the traces that `to_bytes` wrote."""
        if not data:
            return cls(1, np.empty(0, np.uint64))
        return cls(int.from_bytes(data[:8], "little"), np.frombuffer(data, "<u8", offset=8).astype(np.uint64))

    def to_bytes(self) -> bytes:
        """Return the traces as bytes, for a storage to keep until the erasure is done."""
        return self._salt.to_bytes(8, "little") + self.hashes.astype("<u8").tobytes()

    def __len__(self) -> int:
        return len(self.hashes)

    def only(self, chosen: NDArray[np.bool_]) -> Traces:
        """Return some of the traces."""
        return Traces(self._salt, self.hashes[chosen])

    def nothing(self) -> NDArray[np.bool_]:
        """Return a mask over the traces in which none is chosen."""
        return np.zeros(len(self.hashes), np.bool_)

    def mark(self, data: bytes, found: NDArray[np.bool_]) -> None:
        """Mark in `found` the traces that are anywhere in these bytes."""
        if len(self.hashes) == 0:
            return
        for some in _every_hash(data, self._salt):
            likely = some[self._table.take(some >> self._shift)]
            if len(likely):
                places = np.searchsorted(self.hashes, likely)
                places = np.minimum(places, len(self.hashes) - 1)
                found[places[self.hashes[places] == likely]] = True

    def mark_file(self, path: Path, found: NDArray[np.bool_]) -> int:
        """Mark in `found` the traces that are anywhere in a file, read block by block; return its size, 0 if it is gone."""
        try:
            with path.open("rb") as file:
                return self.mark_blocks(iter(lambda: file.read(_BLOCK), b""), found)
        except FileNotFoundError:
            return 0

    def mark_blocks(self, blocks: Iterable[bytes], found: NDArray[np.bool_]) -> int:
        """Mark in `found` the traces that are anywhere in bytes that come in blocks; return how many bytes there were."""
        size, rest = 0, b""
        for block in blocks:
            size += len(block)
            self.mark(rest + block, found)
            rest = (rest + block)[1 - WIDTH :]
        return size


class TraceCollector:
    """Takes what is to be erased, and keeps traces of it: all of them, or an even choice where there are very many."""

    def __init__(self, *, most: int = _MOST) -> None:
        self._salt = secrets.randbits(64) | 1
        self._most = most
        self._parts: list[NDArray[np.uint64]] = []
        self._count = 0
        self._below = np.uint64(2**64 - 1)

    def add_text(self, text: str) -> None:
        """Take a text, in the encodings that it may be found in."""
        self._add(text.encode("utf-8", "surrogatepass"), _TEXT_STRIDE)
        for encoding in ("utf-16-le", "utf-16-be"):
            self._add(text.encode(encoding, "surrogatepass"), _WIDE_STRIDE)

    def add_vector(self, vector: bytes) -> None:
        """Take a vector, float32 in its stored form."""
        self._add(vector, WIDTH, numbers=True)

    def traces(self) -> Traces:
        """Return what was collected."""
        self._merge()
        return Traces(self._salt, self._parts[0] if self._parts else np.empty(0, np.uint64))

    def _add(self, data: bytes, stride: int, *, numbers: bool = False) -> None:
        if len(data) < WIDTH:
            return
        starts = np.arange(0, len(data) - WIDTH + 1, stride)
        if (len(data) - WIDTH) % stride and not numbers:
            starts = np.append(starts, len(data) - WIDTH)  # the end, which may be all that is left
        pieces = np.frombuffer(data, np.uint8)[starts[:, None] + np.arange(WIDTH)]
        ordered = np.sort(pieces, axis=1)
        telling = (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1) + 1 >= _LEAST_DIFFERENT
        if numbers:
            telling &= (np.ascontiguousarray(pieces).view("<f4") != 0).sum(axis=1) >= 3
        words = np.ascontiguousarray(pieces[telling]).view("<u8").astype(np.uint64).ravel()
        hashes = _hashed(words, self._salt)[::2]
        self._parts.append(hashes[hashes <= self._below])
        self._count += len(self._parts[-1])
        if self._count > 2 * self._most:
            self._merge()

    def _merge(self) -> None:
        merged = np.unique(np.concatenate(self._parts)) if self._parts else np.empty(0, np.uint64)
        if len(merged) > self._most:
            # Hashes are even, so the lowest of them are a fair choice of the pieces.
            self._below = merged[self._most - 1]
            merged = merged[: self._most]
        self._parts, self._count = [merged], len(merged)


def _every_hash(data: bytes, salt: int) -> Iterator[NDArray[np.uint64]]:
    """Yield the hashes of the pieces at every place, in eight parts: those that begin at 0, 8, 16..., at 1, 9, 17..., and so on."""
    for first in range(min(8, len(data) - WIDTH + 1)):
        count = (len(data) - WIDTH - first) // 8 + 1
        yield _hashed(np.frombuffer(data, "<u8", count + 1, first), salt)


def _hashed(words: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """Return the hash of each two neighbouring words: a multilinear one, of words that were mixed before so that no bit is idle."""
    mixed = words >> _HALF
    mixed ^= words
    hashes = mixed[:-1] * np.uint64(salt)
    mixed *= np.uint64((salt * _OTHER + 2) % 2**64 | 1)
    hashes += mixed[1:]
    return hashes


def mark_values(traces: Traces, values: Iterable[str | bytes], found: NDArray[np.bool_]) -> None:
    """Mark the traces that are in values of rows, many of which are looked through at once."""
    waiting: list[bytes] = []
    size = 0
    for value in values:
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        if len(data) < WIDTH:
            continue
        waiting.append(data)
        size += len(data)
        if size >= _BLOCK:
            traces.mark(_APART.join(waiting), found)
            waiting, size = [], 0
    traces.mark(_APART.join(waiting), found)


_APART: Final = b"\0" * WIDTH
"""No piece reaches from one value into the next but with zeros in it, which no piece of a text has side by side."""
