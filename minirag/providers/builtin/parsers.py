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
    ]
