"""The groups of RTF: what each sort of group holds, which characters words stand for, and what text was collected."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import Final

__all__ = ["CHARSETS", "DESTINATIONS", "SYMBOLS", "Group", "Out", "codec_of"]

DESTINATIONS: Final = {
    **dict.fromkeys(
        (
            "annotation", "atnauthor", "atnid", "bkmkend", "bkmkstart", "colortbl", "comment", "datafield", "doccomm",
            "falt", "filetbl", "fldinst", "footer", "footerf", "footerl", "footerr", "ftncn", "ftnsep", "ftnsepc",
            "generator", "header", "headerf", "headerl", "headerr", "keywords", "listoverridetable",
            "listtable", "nonesttables", "nonshppict", "objdata", "panose", "pict", "pntxta", "pntxtb", "private",
            "result", "revtbl", "rsidtbl", "rxe", "shppict", "shprslt", "sp", "subject", "tc", "template", "themedata", "txe", "xe",
        ),
        "skip",
    ),
    "fonttbl": "fonts",
    "stylesheet": "stylesheet",
    "info": "info",
    "title": "title",
    "author": "author",
    "listtext": "marker",
    "pntext": "marker",
    "footnote": "note",
    "fldrslt": "text",
    "shpinst": "text",
    "shptxt": "text",
}  # fmt: skip
"""What the word at the beginning of a group makes of it."""

SYMBOLS: Final = {
    "tab": "\t", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "bullet": "•", "emspace": " ", "enspace": " ", "qmspace": " ",
}  # fmt: skip
"""Words that stand for a character."""

CHARSETS: Final = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "cp950", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250",
}  # fmt: skip
"""Code pages by the number of a font's character set."""


def codec_of(number: int | None) -> str | None:
    """Return the codec of a Windows code page, or None if there is none."""
    name = {65001: "utf-8", 10000: "mac_roman"}.get(number or 0, f"cp{number}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


@dataclass(slots=True)
class Out:
    """Text that was collected; bytes that follow each other are decoded together, as characters may have two."""

    _parts: list[str] = field(default_factory=list)
    _bytes: bytearray = field(default_factory=bytearray)
    _codec: str = ""

    def write_bytes(self, data: bytes, codec: str) -> None:
        """Add bytes in a code page."""
        if codec != self._codec:
            self._decode()
            self._codec = codec
        self._bytes += data

    def write(self, text: str) -> None:
        """Add text."""
        self._decode()
        self._parts.append(text)

    def text(self) -> str:
        """Return what was collected; halves of characters that were written apart are joined."""
        self._decode()
        return "".join(self._parts).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def take(self) -> str:
        """Return what was collected, and begin anew."""
        text = self.text()
        self._parts.clear()
        return text

    def _decode(self) -> None:
        if self._bytes:
            self._parts.append(self._bytes.decode(self._codec, "replace"))
            self._bytes.clear()


@dataclass(slots=True)
class Group:
    """What holds until a group's closing brace.

    Attributes:
        out: where its text goes.
        destination: what its text is, one of the values of `DESTINATIONS`.
        fallback: how many characters follow each Unicode character for readers that know none.
        optional: whether the word to come may be left out with its group if it is unknown.
        style, level: of the style that is defined here.
    """

    out: Out
    destination: str = "text"
    fallback: int = 1
    font: int | None = None
    hidden: bool = False
    optional: bool = False
    style: int | None = None
    level: int = 0

    def inner(self) -> Group:
        """Return the state of a group inside this one, which inherits all but the style defined here."""
        out = Out() if self.destination == "stylesheet" else self.out
        return Group(out, self.destination, self.fallback, self.font, self.hidden)
