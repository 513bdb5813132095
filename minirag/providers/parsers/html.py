"""HTML: the main content of a page as readable text."""

from __future__ import annotations

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from minirag.errors import NoTextError, ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext, Span
from minirag.models.formats import looks_binary
from minirag.providers.parsers.decoding import clean_text, decode
from minirag.providers.parsers.html_bounds import bound_markup
from minirag.providers.parsers.html_text import RenderedHtml, is_hidden, render
from minirag.types import MetadataValue

__all__ = ["HtmlParser", "create"]

_META_CHARSET = re.compile(rb"<meta[^>]{0,300}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{1,40})")
_BOILERPLATE_ROLES: Final = frozenset(("navigation", "banner", "contentinfo", "search", "complementary"))
_CANDIDATES: Final = "nav, header, footer, aside, form, [role], [hidden], [aria-hidden], [style]"
# A part of the page is taken for all of it where it holds at least this share of the text.
_MAIN_SHARE: Final = 0.5
_LEAST_SHARE: Final = 0.2
_TITLE_LIMIT: Final = 2000


class HtmlParser(Parser):
    """Reads web pages. Navigation, page headers and footers, forms, scripts and hidden parts are left out."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return the page's main text, with its headings, preformatted blocks and table rows as spans."""
        if looks_binary(file.data):
            raise ParseError(f"{file.name!r} holds binary data, not HTML; give it the extension of its real format")
        decoded = decode(file.data, charset=file.charset or _declared_charset(file.data))
        try:
            tree = LexborHTMLParser(bound_markup(decoded.text))
            content = _main_content(tree)
            title, metadata = _title(tree, content.spans), _metadata(tree)
        except (SelectolaxError, ValueError, MemoryError) as problem:
            raise ParseError(f"{file.name!r} could not be read as HTML; save it anew from a browser") from problem
        text = clean_text(content.text)
        if not text.strip():
            raise NoTextError(
                f"{file.name!r} holds no text; a page that scripts fill must be saved from a browser first"
            )
        return ParsedDocument(
            text, "text/html", title=title, spans=content.spans, metadata=metadata, warnings=decoded.warnings
        )


def create(options: None, context: ProviderContext) -> HtmlParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of HTML."""
    return HtmlParser()


def _declared_charset(data: bytes) -> str | None:
    head = data[:4096]
    match = _META_CHARSET.search(head) or _XML_ENCODING.match(head)
    # A page that can be searched for ASCII is not UTF-16, whatever it says.
    return None if match is None or match[1].lower().startswith(b"utf-16") else match[1].decode("ascii")


def _main_content(tree: LexborHTMLParser) -> RenderedHtml:
    """Return the text of `main` or of the only `article` if it holds most of the page's, else of the page.

    Where little is left without the page furniture, it was none, and all of it stays.
    """
    root = tree.body or tree.root
    if root is None:
        return RenderedHtml("")
    mains = root.css("main, [role=main]") or root.css("article")
    main = mains[0].mem_id if len(mains) == 1 else None
    hidden = frozenset(node.mem_id for node in root.css("[hidden], [aria-hidden], [style]") if is_hidden(node))
    furniture = hidden | {node.mem_id for node in root.css(_CANDIDATES) if _is_furniture(node)}
    page = render(root, dropped=furniture, main=main)
    if page.left_out > len(page.text):
        # Some frameworks wrap a whole page in a form.
        forms = {node.mem_id for node in root.css("form")}
        everything = render(root, dropped=hidden, main=main)
        if len(page.text) < _MAIN_SHARE * len(everything.text):
            page = render(root, dropped=furniture - forms, main=main)
        if len(page.text) < _LEAST_SHARE * len(everything.text):
            page = everything
    if page.main is not None and page.main[1] - page.main[0] >= _MAIN_SHARE * len(page.text):
        return page.part(*page.main)
    return page


def _is_furniture(node: LexborNode) -> bool:
    """Return whether an element is navigation or the like; an article's own header and footer are content."""
    if node.tag in ("nav", "aside", "form"):
        return True
    if (node.attributes.get("role") or "").lower() in _BOILERPLATE_ROLES:
        return True
    if node.tag not in ("header", "footer"):
        return False
    ancestor = node.parent
    while ancestor is not None:
        if ancestor.tag in ("article", "main", "section"):
            return False
        ancestor = ancestor.parent
    return True


def _title(tree: LexborHTMLParser, spans: tuple[Span, ...]) -> str | None:
    """Return the page's own title: `title`, `og:title` or its first heading of level 1."""
    element = tree.css_first("head > title") or tree.css_first("title")
    named = _clean_line(element.text() if element is not None else None)
    named = named or _meta(tree, "meta[property='og:title']")
    heading = next((span.label for span in spans if span.kind == "heading" and span.number == 1), None)
    return (named or heading or "")[:_TITLE_LIMIT] or None


def _metadata(tree: LexborHTMLParser) -> dict[str, MetadataValue]:
    root = tree.css_first("html")
    found = {
        "author": _meta(tree, "meta[name='author']"),
        "description": _meta(tree, "meta[name='description']"),
        "language": _clean_line(root.attributes.get("lang") if root is not None else None),
    }
    return {name: value for name, value in found.items() if value}


def _meta(tree: LexborHTMLParser, selector: str) -> str:
    element = tree.css_first(selector)
    return _clean_line(element.attributes.get("content") if element is not None else None)


def _clean_line(value: str | None) -> str:
    return " ".join(clean_text(value or "").split())
