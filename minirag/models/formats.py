"""File formats: which extension is which media type, what unknown bytes are, and which formats no parser reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

__all__ = [
    "MEDIA_TYPES",
    "PARSER_EXTENSIONS",
    "UNSUPPORTED",
    "explain_unsupported",
    "extension_of",
    "looks_binary",
    "media_type_for",
    "sniff_extension",
]

PARSER_EXTENSIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "text": (
        ".txt", ".text", ".log", ".rst", ".org", ".adoc", ".asciidoc", ".textile", ".tex", ".srt", ".vtt",
        ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties", ".sql", ".xml",
        ".py", ".js", ".mjs", ".ts", ".tsx", ".jsx", ".java", ".kt", ".c", ".h", ".cpp", ".hpp", ".cs", ".go", ".rs",
        ".rb", ".php", ".swift", ".scala", ".lua", ".pl", ".r", ".sh", ".bash", ".ps1", ".css",
    ),
    "markdown": (".md", ".markdown", ".mdown", ".mkd", ".mdx"),
    "json": (".json", ".jsonl", ".ndjson", ".geojson"),
    "csv": (".csv", ".tsv", ".tab"),
    "html": (".html", ".htm", ".xhtml"),
    "pdf": (".pdf",),
    "docx": (".docx", ".docm", ".dotx", ".dotm"),
    "pptx": (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx"),
    "xlsx": (".xlsx", ".xlsm", ".xltx"),
    "opendocument": (".odt", ".ods", ".odp", ".ott", ".ots", ".otp"),
    "epub": (".epub",),
    "rtf": (".rtf",),
    "eml": (".eml",),
    "msg": (".msg",),
})  # fmt: skip
"""The extensions that each built-in parser reads, lower case with the dot."""

MEDIA_TYPES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "text": ("text/plain", "text/x-rst", "text/x-log", "text/yaml", "application/yaml", "application/toml"),
    "markdown": ("text/markdown", "text/x-markdown"),
    "json": ("application/json", "application/x-ndjson", "application/jsonl", "application/geo+json",
             "application/ld+json"),
    "csv": ("text/csv", "text/tab-separated-values", "application/csv"),
    "html": ("text/html", "application/xhtml+xml"),
    "pdf": ("application/pdf", "application/x-pdf"),
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document",
             "application/vnd.ms-word.document.macroenabled.12"),
    "pptx": ("application/vnd.openxmlformats-officedocument.presentationml.presentation",
             "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
             "application/vnd.ms-powerpoint.presentation.macroenabled.12"),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
             "application/vnd.ms-excel.sheet.macroenabled.12"),
    "opendocument": ("application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.spreadsheet",
                     "application/vnd.oasis.opendocument.presentation"),
    "epub": ("application/epub+zip",),
    "rtf": ("application/rtf", "text/rtf"),
    "eml": ("message/rfc822",),
    "msg": ("application/vnd.ms-outlook",),
})  # fmt: skip
"""The media types of downloads that each built-in parser reads; the first is the usual one."""

UNSUPPORTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".doc": "save it as '.docx'",
        ".ppt": "save it as '.pptx'",
        ".xls": "save it as '.xlsx'",
        ".mbox": "save its e-mails as '.eml', one file each",
    }
)
"""Document formats that no built-in parser reads, and what to do about it."""

_MEDIA_TYPE: Final = {
    **{extension: MEDIA_TYPES[name][0] for name, extensions in PARSER_EXTENSIONS.items() for extension in extensions},
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".tsv": "text/tab-separated-values",
    ".tab": "text/tab-separated-values",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".ots": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".otp": "application/vnd.oasis.opendocument.presentation",
}
_SAMPLE: Final = 8192
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_CONTROL: Final = bytes(byte for byte in range(32) if byte not in b"\t\n\v\f\r\x1b\x08")
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*+<(?:!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL
)
_MAIL = re.compile(rb"(?:From |[A-Za-z][A-Za-z0-9-]{1,40}:[^\r\n]*\r?\n)")
_MAIL_FIELD = re.compile(
    rb"^(from|to|subject|date|received|message-id|return-path|mime-version):", re.IGNORECASE | re.MULTILINE
)
_BINARY_SIGNATURES: Final = (
    b"%PDF-", b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x89PNG", b"\xff\xd8\xff", b"GIF8",
    b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x7fELF", b"\xca\xfe\xba\xbe", b"SQLite format 3\x00",
    b"OggS", b"ID3", b"fLaC", b"wOFF", b"wOF2",
)  # fmt: skip
_COMPOUND_FILE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Streams of an OLE compound file that tell what it is.
_STREAMS: Final = (
    ("WordDocument", ".doc"),
    ("PowerPoint Document", ".ppt"),
    ("Workbook", ".xls"),
    ("__substg1.0_", ".msg"),
)
# Entries of a ZIP archive that tell what it is; each lies in the archive's first or last part.
_ARCHIVES: Final = (
    (b"mimetypeapplication/epub+zip", ".epub"),
    (b"mimetypeapplication/vnd.oasis.opendocument.text", ".odt"),
    (b"mimetypeapplication/vnd.oasis.opendocument.presentation", ".odp"),
    (b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", ".ods"),
    (b"word/", ".docx"),
    (b"ppt/", ".pptx"),
    (b"xl/", ".xlsx"),
)


def extension_of(name: str) -> str:
    """Return the extension of a file's name or a URL's last part, lower case with the dot, or `""`."""
    return PurePosixPath(name.replace("\\", "/")).suffix.lower()


def media_type_for(extension: str) -> str | None:
    """Return the media type of an extension such as `".md"`, or None if no built-in parser reads it."""
    return _MEDIA_TYPE.get(extension.lower())


def explain_unsupported(name: str, *, looks_like: str | None = None) -> str:
    """Return the sentence that tells why the file cannot be read and what to do instead.

    Args:
        name: the file's name.
        looks_like: the extension of the format its bytes are in, where its name does not say it.
    """
    extension = looks_like or extension_of(name)
    if extension in UNSUPPORTED:
        return f"{name!r}: no installed parser reads {extension!r}; {UNSUPPORTED[extension]}, or as text or PDF"
    what = f"the extension {extension!r}" if extension else "files without an extension"
    return f"{name!r}: no installed parser reads {what}, and its bytes do not look like text; convert it to text or PDF"


def looks_binary(data: bytes) -> bool:
    """Return whether the bytes are something other than text: a known signature, or control characters throughout.

    UTF-16 and UTF-32 count as text only with their byte-order mark.
    """
    if data.startswith(_BINARY_SIGNATURES):
        return True
    if data.startswith(_BYTE_ORDER_MARKS):
        return False
    sample = data[:_SAMPLE]
    controls = len(sample) - len(sample.translate(None, _CONTROL))
    # A stray NUL in a log is text; compressed data and machine code hold a control byte in every ten.
    return controls >= 8 and controls * 20 > len(sample)


def sniff_extension(data: bytes) -> str | None:
    """Return the extension of the format that the bytes are unmistakably in, such as `".pdf"`, or None."""
    head = data[:_SAMPLE]
    if head.startswith(_COMPOUND_FILE):
        return next((extension for stream, extension in _STREAMS if stream.encode("utf-16-le") in data), None)
    if b"%PDF-" in head[:1024]:
        return ".pdf"
    if head.startswith(b"{\\rtf"):
        return ".rtf"
    if head.startswith(b"PK\x03\x04"):
        ends = head + data[-_SAMPLE:]
        return next((extension for marker, extension in _ARCHIVES if marker in ends), ".zip")
    if _HTML.match(head.removeprefix(b"\xef\xbb\xbf")):
        return ".html"
    if _MAIL.match(head):
        fields = {field.lower() for field in _MAIL_FIELD.findall(re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0])}
        if b"from" in fields and len(fields) >= 3:
            return ".eml"
    return None
