"""The archive of a tenant as a file: members with checksums in a ZIP, written once, checked whole before any is read."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from minirag._services.archive_records import FORMAT, VERSION, Manifest, Member
from minirag.errors import ArchiveError, InvalidInputError, MiniRAGError

__all__ = ["MANIFEST", "ArchiveReader", "ArchiveWriter", "damaged"]

MANIFEST: Final = "manifest.json"
_PIECE: Final = 1 << 20
_LONGEST_LINE: Final = 64 << 20
_MOST_OF_MANIFEST: Final = 64 << 20
_FREE: Final = 64 << 20
_MOST_TIMES: Final = 250
"""A member larger than 64 MiB that takes so many times less in the archive is no text that anybody wrote."""
_TOO_BIG: Final = 2**63
_FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
)
"""What `zipfile` and the decoding of records raise for bytes that make no sense."""
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


@contextmanager
def damaged(what: str) -> Iterator[None]:
    """Raise `ArchiveError` for whatever the bytes or records of an archive may provoke in the block."""
    try:
        yield
    except ArchiveError:
        raise
    except MiniRAGError as problem:
        if not isinstance(problem, InvalidInputError):
            raise
        raise _broken(what) from None
    except _FAULTS:
        # The cause is left out: its message may hold the record, and so a text.
        raise _broken(what) from None


def _broken(what: str) -> ArchiveError:
    return ArchiveError(f"the archive is damaged: {what} cannot be read; export the tenant again. Nothing was imported")


class ArchiveWriter:
    """Writes members one after the other, and the manifest at the end. Times are left out: equal data, equal members."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w")
        self.members: list[Member] = []

    @contextmanager
    def member(self, name: str, *, packed: bool = True) -> Iterator[Callable[[bytes], None]]:
        """Return what takes the bytes of a new member."""
        digest, size = hashlib.sha256(), 0
        with self._zip.open(_entry(name, packed=packed), "w", force_zip64=True) as file:

            def write(data: bytes) -> None:
                nonlocal size
                digest.update(data)
                size += len(data)
                file.write(data)

            yield write
        self.members.append(Member(name=name, size=size, sha256=digest.hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, which makes the archive whole."""
        self._zip.writestr(_entry(MANIFEST, packed=True), manifest.model_dump_json(indent=1))

    def close(self) -> None:
        """Write the end of the file, which stays open."""
        self._zip.close()


def _entry(name: str, *, packed: bool) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    return entry


class ArchiveReader:
    """Reads an archive of which nothing is believed: every member is as large as the manifest says, and has its checksum."""

    def __init__(self, path: Path) -> None:
        """Open an archive and read its manifest.

        Raises:
            ArchiveError: if it is none, or one of another format version.
        """
        with damaged("its directory or its manifest"):
            # The file is ours to close: a ZIP keeps its own open while somebody has not read a member to its end.
            self._file = path.open("rb")
            try:
                self._zip = zipfile.ZipFile(self._file)
                raw = self._read_manifest()
                self.digest: Final = hashlib.sha256(raw).hexdigest()
                """What tells this archive from every other one."""
                self.manifest: Final = _parsed(raw)
                self._check_names()
            except BaseException:
                self._file.close()
                raise

    def _read_manifest(self) -> bytes:
        names = self._zip.namelist()
        if MANIFEST not in names:
            raise ArchiveError(f"the file is no archive of a tenant: it holds no {MANIFEST}. Nothing was imported")
        with self._zip.open(MANIFEST) as file:
            raw = file.read(_MOST_OF_MANIFEST + 1)
        if len(raw) > _MOST_OF_MANIFEST:
            raise _broken("its manifest, which is too large,")
        return raw

    def _check_names(self) -> None:
        """Compare the directory with the manifest, before anything large is unpacked."""
        expected = {MANIFEST, *(member.name for member in self.manifest.members)}
        wanted = set(self.manifest.names())
        entries = self._zip.infolist()
        if {entry.filename for entry in entries} != expected or len(entries) != len(expected):
            raise _broken("its list of members, which is not the manifest's,")
        if expected != {MANIFEST, *wanted} or len(self.manifest.members) != len(wanted):
            raise _broken("its list of members, which is not that of this format version,")
        for member in self.manifest.members:
            entry = self._zip.getinfo(member.name)
            if entry.file_size != member.size or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _broken(f"{member.name}, whose size or form is not the manifest's,")
            if member.size > max(_FREE, _MOST_TIMES * entry.compress_size):
                raise _broken(f"{member.name}, which would unpack to {member.size:,} bytes,")

    def check(self, tell: Callable[[int], None]) -> None:
        """Read every byte once and compare the checksums; `tell` takes how many bytes were read.

        Raises:
            ArchiveError: naming the first member that is not what the manifest says.
        """
        for member in self.manifest.members:
            digest, size = hashlib.sha256(), 0
            with damaged(member.name), self._zip.open(member.name) as file:
                while piece := file.read(_PIECE):
                    size += len(piece)
                    if size > member.size:
                        break
                    digest.update(piece)
                    tell(len(piece))
                if size != member.size or digest.hexdigest() != member.sha256:
                    raise _broken(f"{member.name}, whose checksum is not the manifest's,")

    def lines(self, name: str) -> Iterator[Any]:
        """Yield the JSON values of a member, one a line."""
        with damaged(name), self._zip.open(name) as file:
            while line := file.readline(_LONGEST_LINE + 1):
                if not line.endswith(b"\n"):
                    raise _broken(f"{name}, of which a line is too long or cut off,")
                yield _value(line)

    def open(self, name: str) -> IO[bytes]:
        """Return a member to read from."""
        with damaged(name):
            return self._zip.open(name)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _parsed(raw: bytes) -> Manifest:
    content = json.loads(raw)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ArchiveError("the file is no archive of a tenant: its manifest is another one's. Nothing was imported")
    if content.get("version") != VERSION:
        shown = str(content.get("version"))[:20]
        raise ArchiveError(
            f"the archive is of format version {shown}, and this release reads version {VERSION}; "
            "install the release that wrote it, or a newer one. Nothing was imported"
        )
    return Manifest.model_validate(content)


def _value(line: bytes) -> Any:
    value = json.loads(line, parse_int=_integer, parse_constant=_refuse)
    # What no storage takes: a lone surrogate, which cannot be encoded, and NUL, which ends a text in some databases.
    if b"\\u" in line and _NUL.search(json.dumps(value, ensure_ascii=False).encode()):
        raise ValueError("a text holds NUL")
    return value


def _integer(text: str) -> int:
    number = int(text) if len(text) <= 20 else _TOO_BIG
    if not -_TOO_BIG <= number < _TOO_BIG:
        raise ValueError("an integer has more than 64 bits")
    return number


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number")
