"""PDF: the text layer, page by page."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydantic import Field
from pypdf import PdfReader

from minirag.errors import NoTextError, ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext, Span
from minirag.models.base import Model
from minirag.providers.parsers.decoding import clean_text
from minirag.types import MetadataValue

__all__ = ["PdfOptions", "PdfParser", "create"]

_PAGE_BREAK: Final = "\n\n"
_PLACEHOLDER_TITLES: Final = frozenset(("untitled", "title", "document", "unknown", "none"))
_FILE_NAME_ENDINGS: Final = (".doc", ".docx", ".dvi", ".indd", ".pdf", ".ps", ".qxd", ".rtf", ".tex", ".tmp", ".txt")
_NAME_LIMIT: Final = 500
_quiet_lock = threading.Lock()
_quiet_count = 0


class PdfOptions(Model):
    """Options of the PDF parser.

    Attributes:
        seconds: a document whose pages take longer than this is refused. It is looked at between pages.
    """

    seconds: float = Field(default=120.0, gt=0)


class PdfParser(Parser):
    """Reads PDF files that have a text layer, encrypted ones too where no password is needed to open them."""

    def __init__(self, options: PdfOptions | None = None) -> None:
        self._options = options or PdfOptions()

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the pages' text, parted by blank lines, with a `page` span for each.

        Raises:
            NoTextError: if no page has text, as in a scan.
            ParseError: if the file is broken, needs a password, or has too many pages or too slow ones.
        """
        deadline = time.monotonic() + self._options.seconds
        with _pypdf_quiet():
            try:
                return self._read(file, deadline)
            except ParseError:
                raise
            # pypdf raises nearly anything on a damaged file: its own errors, KeyError, TypeError, RecursionError.
            except Exception as problem:
                message = f"{file.name!r} could not be read as PDF ({type(problem).__name__}); open it and save it anew"
                raise ParseError(message) from problem

    def _read(self, file: ParserInput, deadline: float) -> ParsedDocument:
        reader = PdfReader(io.BytesIO(file.data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ParseError(f"{file.name!r} is encrypted and needs a password; save a copy without one")
        count = len(reader.pages)
        if count > file.max_pages:
            raise ParseError(f"{file.name!r} has {count} pages, more than the {file.max_pages} allowed; split it")
        parts: list[str] = []
        spans: list[Span] = []
        empty: list[int] = []
        position = 0
        for number, page in enumerate(reader.pages, start=1):
            if time.monotonic() > deadline:
                raise ParseError(
                    f"{file.name!r} took longer than {self._options.seconds:g} s, {number - 1} of {count} pages were read; "
                    "split it, or raise the parser's option 'seconds'"
                )
            text = _page_text(page.extract_text())
            if not text.strip():
                empty.append(number)
            spans.append(Span("page", position, position + len(text), number=number))
            parts.append(text)
            position += len(text) + len(_PAGE_BREAK)
        if len(empty) == count:
            raise NoTextError(f"{file.name!r} is a scan: it has no text layer; run OCR first")
        warnings = (f"pages without text: {_listed(empty)}; run OCR if they are scans",) if empty else ()
        title, metadata = _information(reader)
        return ParsedDocument(
            _PAGE_BREAK.join(parts),
            "application/pdf",
            title=title,
            spans=tuple(spans),
            metadata=metadata,
            warnings=warnings,
        )


def create(options: PdfOptions | None, context: ProviderContext) -> PdfParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of PDF."""
    return PdfParser(options)


def _page_text(text: str) -> str:
    """Return a page's text with ordinary line ends and without what cannot be stored."""
    return clean_text(text).replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")


def _information(reader: PdfReader) -> tuple[str | None, dict[str, MetadataValue]]:
    """Return the title, unless it is a placeholder or a file's name, and the author."""
    try:
        information = reader.metadata
        title, author = (information.title, information.author) if information else (None, None)
    except Exception:  # noqa: BLE001 - a damaged information dictionary must not lose a readable text
        return None, {}
    title = " ".join(clean_text(str(title or "")).split())
    author = " ".join(clean_text(str(author or "")).split())
    if title.lower() in _PLACEHOLDER_TITLES or title.lower().endswith(_FILE_NAME_ENDINGS) or len(title) > _NAME_LIMIT:
        title = ""
    title = title.removeprefix("Microsoft Word - ")
    metadata: dict[str, MetadataValue] = {"author": author} if author and len(author) <= _NAME_LIMIT else {}
    return title or None, metadata


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return f"{shown} and {len(numbers) - 10} more" if len(numbers) > 10 else shown


@contextmanager
def _pypdf_quiet() -> Iterator[None]:
    """Keep pypdf's log records, which quote the file, from reaching anyone while files are read.

    Logging is one for the process: while any thread parses, other threads' records of pypdf are lost too.
    """
    global _quiet_count  # noqa: PLW0603 - counts the threads that read files now
    logger = logging.getLogger("pypdf")
    with _quiet_lock:
        _quiet_count += 1
        if _quiet_count == 1:
            logger.propagate = False
            logger.addHandler(_SILENCE)
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_count -= 1
            if _quiet_count == 0:
                logger.propagate = True
                logger.removeHandler(_SILENCE)


_SILENCE: Final = logging.NullHandler()
