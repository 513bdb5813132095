"""Compressed RTF, as Outlook keeps bodies: [MS-OXRTFCP]."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["decompress_rtf"]

_PRELOADED: Final = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_WINDOW: Final = 4096


def decompress_rtf(data: bytes, *, limit: int) -> bytes:
    """Return the RTF of a compressed body.

    Args:
        limit: bytes; what would be longer is refused.

    Raises:
        ValueError: if it is damaged or too long.
    """
    if len(data) < 16:
        raise ValueError("a compressed body is cut off")
    _, size, kind, _ = struct.unpack_from("<II4sI", data)
    if kind == b"MELA":
        return data[16 : 16 + size]
    if kind != b"LZFu":
        raise ValueError("a compressed body is packed in an unknown way")
    window = bytearray(_PRELOADED.ljust(_WINDOW, b"\0"))
    write = len(_PRELOADED)
    out = bytearray()
    position = 16
    while position < len(data):
        control = data[position]
        position += 1
        for bit in range(8):
            if control >> bit & 1:
                if position + 2 > len(data):
                    return bytes(out)
                token = int.from_bytes(data[position : position + 2], "big")
                position += 2
                offset, length = token >> 4, (token & 15) + 2
                if offset == write:
                    return bytes(out)
                copied = [(offset + step) % _WINDOW for step in range(length)]
            else:
                if position >= len(data):
                    return bytes(out)
                window[write] = data[position]
                out.append(data[position])
                write = (write + 1) % _WINDOW
                position += 1
                continue
            for place in copied:
                byte = window[place]
                window[write] = byte
                out.append(byte)
                write = (write + 1) % _WINDOW
        if len(out) > limit:
            raise ValueError(f"a compressed body is longer than {limit:,} bytes")
    return bytes(out)
