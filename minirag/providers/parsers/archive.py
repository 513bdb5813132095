"""ZIP archives of untrusted origin: the documents that are archives of XML are read through this, within bounds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from minirag.errors import ParseError
from minirag.interfaces import ParserInput

__all__ = ["EXPANDED_LIMIT", "MEMBERS_LIMIT", "Archive", "translated"]

EXPANDED_LIMIT: Final = 128 * 1024 * 1024
"""Bytes that may be unpacked from one archive altogether; only what is read is unpacked."""
MEMBERS_LIMIT: Final = 20_000
# Deflate reaches 1032:1, XML that a program wrote seldom 100:1. Small files are not looked at.
_RATIO_LIMIT: Final = 200
_ALWAYS_ALLOWED: Final = 16 * 1024 * 1024
_COMPOUND_FILE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE: Final = "EncryptedPackage".encode("utf-16-le")


@contextmanager
def translated(file: ParserInput, what: str) -> Iterator[None]:
    """Turn whatever reading a damaged file raises into a `ParseError` that names the file and the format."""
    try:
        yield
    except ParseError:
        raise
    # Damage shows as nearly anything: the libraries' own errors, KeyError, struct.error, zlib.error, RecursionError.
    except Exception as problem:
        message = f"{file.name!r} could not be read as {what} ({type(problem).__name__}); open it and save it anew"
        raise ParseError(message) from problem


class Archive:
    """The members of a document that is a ZIP archive.

    Raises:
        ParseError: if the file is no such archive, is protected by a password or has too many members.
    """

    def __init__(self, file: ParserInput, what: str) -> None:
        self._name = file.name
        self._what = what
        data = file.data
        if not data:
            raise ParseError(f"{file.name!r} is empty; it holds no {what} document")
        if data.startswith(_COMPOUND_FILE):
            if _ENCRYPTED_PACKAGE in data:
                raise self._protected()
            raise ParseError(f"{file.name!r} is no {what} document but one of an older format; save it as {what}")
        if not data.startswith(b"PK"):
            raise ParseError(f"{file.name!r} is no {what} document; give it the extension of its real format")
        # Counted before the directory is read, which costs memory for each entry.
        if data.count(b"PK\x01\x02") > MEMBERS_LIMIT:
            raise ParseError(f"{file.name!r} has more than {MEMBERS_LIMIT:,} parts; save it anew or split it")
        self._room = min(EXPANDED_LIMIT, max(_ALWAYS_ALLOWED, _RATIO_LIMIT * len(data)))
        self._allowed = self._room
        self._zip = zipfile.ZipFile(io.BytesIO(data))
        self._members = {info.filename.lower(): info for info in reversed(self._zip.infolist())}

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._members

    def read(self, name: str) -> bytes | None:
        """Return a member's bytes, or None if there is no such member. Names differ by more than their case.

        Raises:
            ParseError: if it is protected by a password, or what was read so far is too much.
        """
        info = self._members.get(name.lower())
        if info is None:
            return None
        if info.flag_bits & 0x1:
            raise self._protected()
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ParseError(f"{self._name!r} is packed in a way that no {self._what} document is; save it anew")
        with self._zip.open(info) as member:
            # One byte more than there is room for tells that there is more, whatever the directory claims.
            data = member.read(self._room + 1)
        if len(data) > self._room:
            raise ParseError(
                f"{self._name!r} holds more than {self._allowed:,} bytes once it is unpacked, which is out of "
                f"proportion to its size; if it is a document in earnest, split it"
            )
        self._room -= len(data)
        return data

    def require(self, name: str) -> bytes:
        """Return a member's bytes.

        Raises:
            ParseError: as `read` says, and if there is no such member.
        """
        data = self.read(name)
        if data is None:
            raise ParseError(f"{self._name!r} is no {self._what} document: its part {name[:100]!r} is missing")
        return data

    def _protected(self) -> ParseError:
        return ParseError(f"{self._name!r} is encrypted and needs a password; save a copy without one")
