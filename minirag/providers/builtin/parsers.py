"""The parsers that MiniRAG brings along."""

from __future__ import annotations

from minirag.interfaces import ProviderSpec, hookimpl
from minirag.models.formats import MEDIA_TYPES, PARSER_EXTENSIONS

__all__ = ["minirag_parsers"]


@hookimpl
def minirag_parsers() -> list[ProviderSpec]:
    """Return the parsers."""
    return [
        ProviderSpec(
            name="text",
            factory="minirag.providers.parsers.text:create",
            summary="plain text in any encoding",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["text"],
            media_types=MEDIA_TYPES["text"],
        ),
        ProviderSpec(
            name="markdown",
            factory="minirag.providers.parsers.markdown:create",
            summary="Markdown, with its headings",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["markdown"],
            media_types=MEDIA_TYPES["markdown"],
        ),
        ProviderSpec(
            name="html",
            factory="minirag.providers.parsers.html:create",
            summary="the main content of web pages",
            requires=("selectolax", "charset_normalizer"),
            extensions=PARSER_EXTENSIONS["html"],
            media_types=MEDIA_TYPES["html"],
        ),
        ProviderSpec(
            name="pdf",
            factory="minirag.providers.parsers.pdf:create",
            options="minirag.providers.parsers.pdf:PdfOptions",
            summary="PDF with a text layer, by pages",
            requires=("pypdf",),
            extensions=PARSER_EXTENSIONS["pdf"],
            media_types=MEDIA_TYPES["pdf"],
        ),
        ProviderSpec(
            name="csv",
            factory="minirag.providers.parsers.csv_text:create",
            summary="tables of comma- or tab-separated values, by rows",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["csv"],
            media_types=MEDIA_TYPES["csv"],
        ),
        ProviderSpec(
            name="json",
            factory="minirag.providers.parsers.json_text:create",
            summary="JSON and JSON lines, as they are written",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["json"],
            media_types=MEDIA_TYPES["json"],
        ),
        ProviderSpec(
            name="docx",
            factory="minirag.providers.parsers.docx:create",
            summary="Word documents, with headings, lists, tables and notes",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["docx"],
            media_types=MEDIA_TYPES["docx"],
        ),
        ProviderSpec(
            name="pptx",
            factory="minirag.providers.parsers.pptx:create",
            summary="presentations, by slides",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["pptx"],
            media_types=MEDIA_TYPES["pptx"],
        ),
        ProviderSpec(
            name="xlsx",
            factory="minirag.providers.parsers.xlsx:create",
            summary="workbooks, by sheets and rows",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["xlsx"],
            media_types=MEDIA_TYPES["xlsx"],
        ),
        ProviderSpec(
            name="opendocument",
            factory="minirag.providers.parsers.opendocument:create",
            summary="OpenDocument texts, spreadsheets and presentations",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["opendocument"],
            media_types=MEDIA_TYPES["opendocument"],
        ),
        ProviderSpec(
            name="epub",
            factory="minirag.providers.parsers.epub:create",
            summary="books, by chapters",
            requires=("selectolax", "charset_normalizer"),
            extensions=PARSER_EXTENSIONS["epub"],
            media_types=MEDIA_TYPES["epub"],
        ),
        ProviderSpec(
            name="rtf",
            factory="minirag.providers.parsers.rtf:create",
            summary="Rich Text Format",
            requires=("charset_normalizer",),
            extensions=PARSER_EXTENSIONS["rtf"],
            media_types=MEDIA_TYPES["rtf"],
        ),
        ProviderSpec(
            name="eml",
            factory="minirag.providers.parsers.eml:create",
            summary="e-mails",
            requires=("selectolax", "charset_normalizer"),
            extensions=PARSER_EXTENSIONS["eml"],
            media_types=MEDIA_TYPES["eml"],
        ),
        ProviderSpec(
            name="msg",
            factory="minirag.providers.parsers.msg:create",
            summary="e-mails saved by Outlook",
            requires=("olefile", "selectolax", "charset_normalizer"),
            extra="mail",
            extensions=PARSER_EXTENSIONS["msg"],
            media_types=MEDIA_TYPES["msg"],
        ),
    ]
