"""Bytes to text: byte-order marks, declared charsets, UTF-8, and a guess for the rest."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

from charset_normalizer import CharsetMatch, from_bytes

from minirag.errors import NoTextError, ParseError
from minirag.interfaces import ParserInput
from minirag.models.formats import looks_binary

__all__ = ["DecodedText", "clean_text", "decode", "decode_file", "normalise_charset"]

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What servers and pages call these means the superset (https://encoding.spec.whatwg.org/#names-and-labels).
_SUPERSETS: Final = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "shift_jis": "cp932", "gb2312": "gb18030",
    "gbk": "gb18030", "euc_kr": "cp949", "big5": "big5hkscs", "tis-620": "cp874", "iso8859-11": "cp874",
}  # fmt: skip
# Letters beyond ASCII of the languages that a Latin code page is used for. The pages share most byte values, so what
# tells them apart is whether a reading gives one language's letters. The commonest page comes first.
_CENTRAL: Final = ("ąćęłńóśźż", "áčďéěíňóřšťúůýžäľĺŕô", "áéíóöőúüű", "ăâîşţ", "čćđšž")
_LATIN: Final = {
    "cp1252": ("äöüß", "àâæçéèêëîïôœùûü", "áéíñóúü¿¡ºª", "áâãàçéêíóôõúü", "åäöæøé", "àèéìòù", "áðéíóúýþæö"),
    "cp1254": ("çğıi̇öşüâîû",),
    "cp1250": _CENTRAL,
    "cp1257": ("āčēģīķļņšūž", "ąčęėįšųūž", "õäöüšž"),
    "iso8859_2": _CENTRAL,
}
_PUNCTUATION: Final = "“”‘’„‚«»–—…•€°§©®·½¼²³£\u00a0"
# Of these two only the narrower reads syllables that are spelt letter by letter (KS X 1001, annex 3).
_NARROWER: Final = {"cp949": "euc_kr"}
_CANDIDATES: Final = (
    *_LATIN, "cp1251", "cp1253", "cp1255", "cp1256", "cp874", "koi8_r", "big5", "gb18030", "euc_jp", "cp932", "cp949",
)  # fmt: skip
_SAMPLE: Final = 65_536
_HIGH = re.compile(rb"[\x80-\xff]+")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class DecodedText:
    """The text of some bytes, without a byte-order mark.

    Attributes:
        encoding: the codec that read it.
        lost: how many characters could not be read and became U+FFFD.
    """

    text: str
    encoding: str
    lost: int = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a report should say about lost characters: empty if none were."""
        if not self.lost:
            return ()
        return (f"{self.lost} characters could not be read as {self.encoding} and became U+FFFD",)


def decode_file(file: ParserInput) -> DecodedText:
    """Return the text of a file of a plain format.

    Raises:
        ParseError: if its bytes are not text.
        NoTextError: if it is empty or holds only white space.
    """
    if looks_binary(file.data):
        raise ParseError(f"{file.name!r} holds binary data, not text; give it the extension of its real format")
    decoded = decode(file.data, charset=file.charset)
    if not decoded.text.strip():
        raise NoTextError(f"{file.name!r} is empty: it holds no text")
    return decoded


def decode(data: bytes, *, charset: str | None = None) -> DecodedText:
    """Return the text of `data`: by its byte-order mark, the declared charset, as UTF-8, or by the likeliest guess."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _lenient(data[len(mark) :], encoding)
    declared = normalise_charset(charset)
    # Servers often declare a default that is not the file's; what is not ASCII and valid UTF-8 is UTF-8.
    if declared is not None and (data.isascii() or b"\x00" in data or not _is_utf8(data)):
        decoded = _strict(data, declared)
        if decoded is not None:
            return decoded
    if _is_utf8(data):
        return DecodedText(clean_text(data.decode("utf-8")), "utf-8")
    return _lenient(data, _guess(_sample(data)))


def normalise_charset(charset: str | None) -> str | None:
    """Return the codec for a charset as servers and pages name it, or None if there is none to trust."""
    try:
        name = codecs.lookup((charset or "").strip(" \t\"'")).name
    except (LookupError, ValueError):
        return None
    try:
        "".encode(name)
    except LookupError:  # a codec that is not of text, such as rot13 or zlib
        return None
    return None if name == "utf-7" else _SUPERSETS.get(name, name)


def clean_text(text: str) -> str:
    """Return `text` with NUL and lone surrogates as U+FFFD, which databases cannot hold otherwise."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _strict(data: bytes, encoding: str) -> DecodedText | None:
    for codec in (_NARROWER.get(encoding, encoding), encoding):
        try:
            return DecodedText(clean_text(data.decode(codec)), codec)
        except UnicodeError:
            continue
    return None


def _lenient(data: bytes, encoding: str) -> DecodedText:
    decoded = _strict(data, encoding)
    if decoded is not None:
        return decoded
    text = data.decode(encoding, errors="replace")
    return DecodedText(clean_text(text), encoding, lost=text.count("\N{REPLACEMENT CHARACTER}"))


def _sample(data: bytes) -> bytes:
    """Return up to 64 KiB of the lines that hold something other than ASCII."""
    if len(data) <= _SAMPLE:
        return data
    lines: list[bytes] = []
    room = _SAMPLE
    position = 0
    while (high := _HIGH.search(data, position)) is not None:
        begin = max(position, data.rfind(b"\n", position, high.start()) + 1, high.start() - 400)
        position = data.find(b"\n", high.end()) + 1 or len(data)
        line = data[begin:position]
        if len(line) > room:
            return b"".join(lines) or line[:room]
        lines.append(line)
        room -= len(line)
    return b"".join(lines)


def _guess(sample: bytes) -> str:
    """Return the likeliest codec.

    charset-normalizer tells scripts apart but hardly the Latin code pages among themselves, and takes a few accented
    letters for Chinese. In Latin text bytes beyond ASCII stand alone, in other scripts they come in runs.
    """
    runs = _HIGH.findall(sample)
    scattered = sum(map(len, runs)) < 1.6 * len(runs)
    candidates = list(_LATIN) if scattered else list(_CANDIDATES)
    matches: list[CharsetMatch] = []
    for cut in range(3):  # a sample cut inside a character is valid in none of the wide code pages
        matches = matches or list(from_bytes(sample[: len(sample) - cut], cp_isolation=candidates))
    if matches and matches[0].encoding not in _LATIN:
        return matches[0].encoding
    latin = [match for match in matches if match.encoding in _LATIN]
    return max(latin, key=_latin_likelihood).encoding if latin else "cp1252"


def _latin_likelihood(match: CharsetMatch) -> tuple[float, int]:
    foreign = [character for character in str(match).lower() if character > "\x7f" and character not in _PUNCTUATION]
    share = max(sum(character in letters for character in foreign) for letters in _LATIN[match.encoding])
    likelihood = share / max(1, len(foreign)) + match.coherence - match.chaos
    return round(likelihood, 2), -list(_LATIN).index(match.encoding)
