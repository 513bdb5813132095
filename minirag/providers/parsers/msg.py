"""MSG: an e-mail as Outlook saves it."""

from __future__ import annotations

import datetime as dt
import io
import struct
from typing import TYPE_CHECKING, Final

from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.models.formats import MEDIA_TYPES
from minirag.providers.parsers.archive import translated
from minirag.providers.parsers.decoding import decode
from minirag.providers.parsers.mail_text import Mail, compose_mail
from minirag.providers.parsers.rtf import RtfParser
from minirag.providers.parsers.rtf_compressed import decompress_rtf

if TYPE_CHECKING:
    from olefile import OleFileIO

__all__ = ["MsgParser", "create"]

_WHAT: Final = "MSG"
_COMPOUND_FILE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STREAM_LIMIT: Final = 50_000_000
# Properties by number, from [MS-OXPROPS].
_SUBJECT, _BODY, _HTML, _RTF = "0037", "1000", "1013", "1009"
_SENDER, _SENDER_ADDRESS, _SENDER_SMTP = "0C1A", "0C1F", "5D01"
_TO, _COPIES = "0E04", "0E03"
_LONG_NAME, _SHORT_NAME = "3707", "3704"
_TIMES: Final = (0x00390040, 0x0E060040)  # sent, delivered
_CODE_PAGES: Final = (0x3FFD0003, 0x3FDE0003)  # of the message, of its body
_HEADER_BYTES: Final = 32
_FIRST_MOMENT: Final = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)


class MsgParser(Parser):
    """Reads one e-mail. Attachments are named, not read."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return subject, sender, receivers and date, a line each, then the body, then the names of attachments.

        Raises:
            NoTextError: if it has neither a subject nor a body.
            ParseError: if it is broken or no e-mail of Outlook.
        """
        from olefile import OleFileIO

        with translated(file, _WHAT):
            if not file.data.startswith(_COMPOUND_FILE):
                what = "is no MSG file; give it the extension of its real format" if file.data else "is empty"
                raise ParseError(f"{file.name!r} {what}")
            # Bytes themselves it would take for a path if they were few.
            with OleFileIO(io.BytesIO(file.data)) as ole:
                _check_size(ole, max(ole.num_mini_fat_sectors * ole.sector_size, ole.root.size))
                if not ole.exists("__properties_version1.0"):
                    raise ParseError(f"{file.name!r} is no e-mail of Outlook; give it the extension of its real format")
                return compose_mail(_mail(ole, file), MEDIA_TYPES["msg"][0], name=file.name)


def create(options: None, context: ProviderContext) -> MsgParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of MSG."""
    return MsgParser()


def _mail(ole: OleFileIO, file: ParserInput) -> Mail:
    sender, address = _string(ole, _SENDER), _string(ole, _SENDER_SMTP) or _string(ole, _SENDER_ADDRESS)
    # An address inside an organisation, such as "/O=...", says nothing to a reader.
    if "@" in address and address not in sender:
        sender = f"{sender} <{address}>" if sender else address
    mail = Mail(
        subject=_string(ole, _SUBJECT),
        sender=sender,
        to=_string(ole, _TO),
        copies=_string(ole, _COPIES),
        date=_date(ole),
        text=_string(ole, _BODY),
        html=_bytes(ole, f"__substg1.0_{_HTML}0102") or _string(ole, _HTML),
    )
    if not mail.text.strip() and not mail.html:
        compressed = _bytes(ole, f"__substg1.0_{_RTF}0102")
        if compressed:
            rtf = decompress_rtf(compressed, limit=_STREAM_LIMIT)
            mail.text = RtfParser().parse(ParserInput(data=rtf, name=file.name)).text
    folders = sorted(
        {entry[0] for entry in ole.listdir(streams=True, storages=True) if entry[0].startswith("__attach")}
    )
    mail.attachments = [_string(ole, _LONG_NAME, folder) or _string(ole, _SHORT_NAME, folder) for folder in folders]
    return mail


def _check_size(ole: OleFileIO, size: int) -> None:
    """Refuse a stream that is longer than the file. Its sectors may follow one another in a ring, which would be read for hours."""
    if size > len(ole.fp.getbuffer()):
        raise ParseError("the file says that a part of it is longer than the whole; it is broken")


def _bytes(ole: OleFileIO, name: str) -> bytes:
    if not ole.exists(name):
        return b""
    _check_size(ole, ole.get_size(name))
    with ole.openstream(name) as stream:
        data: bytes = stream.read(_STREAM_LIMIT)
    return data


def _string(ole: OleFileIO, number: str, folder: str = "") -> str:
    """Return a property that is text: in UTF-16, or in the code page of the writer."""
    prefix = f"{folder}/" if folder else ""
    wide = _bytes(ole, f"{prefix}__substg1.0_{number}001F")
    if wide:
        return wide.decode("utf-16-le", "replace").rstrip("\0")
    narrow = _bytes(ole, f"{prefix}__substg1.0_{number}001E").rstrip(b"\0")
    if not narrow:
        return ""
    code_page = next((value for tag in _CODE_PAGES if (value := _fixed(ole).get(tag, 0) % 2**32)), 0)
    return decode(narrow, charset=f"cp{code_page}" if code_page else None).text


def _date(ole: OleFileIO) -> dt.datetime | None:
    """Return when the e-mail was sent, or else delivered."""
    for tag in _TIMES:
        ticks = _fixed(ole).get(tag, 0)
        # In units of 100 ns; beyond the year 9999 it is no date.
        if 0 < ticks < 2_650_467_744_000_000_000:
            return _FIRST_MOMENT + dt.timedelta(microseconds=ticks // 10)
    return None


def _fixed(ole: OleFileIO) -> dict[int, int]:
    """Return the properties of fixed size by their tag, as unsigned integers of 64 bits."""
    entries = _bytes(ole, "__properties_version1.0")[_HEADER_BYTES:]
    whole = len(entries) // 16 * 16
    return {tag: value for tag, _, value in struct.iter_unpack("<IIQ", entries[:whole])}
