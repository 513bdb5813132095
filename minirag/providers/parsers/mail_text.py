"""E-mails as text: the lines of the head that people read, the body, and the names of what is attached."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, ParserInput
from minirag.providers.parsers.composing import Composer, one_line
from minirag.providers.parsers.html import HtmlParser
from minirag.types import MetadataValue

__all__ = ["Mail", "compose_mail"]

_NAME_LIMIT = 500
_SHOWN_LIMIT = 20


@dataclass(slots=True)
class Mail:
    """An e-mail before it is text. One of `text` and `html` is enough; `text` goes first where both say something."""

    subject: str = ""
    sender: str = ""
    to: str = ""
    copies: str = ""
    date: dt.datetime | None = None
    text: str = ""
    html: bytes | str = b""
    attachments: Sequence[str] = field(default_factory=list)


def compose_mail(mail: Mail, media_type: str, *, name: str) -> ParsedDocument:
    """Return an e-mail's text: its head, a line for each field, the body, and a line that names the attachments.

    Raises:
        NoTextError: if there is neither a subject nor a body.
    """
    composer = Composer(name)
    subject, sender = one_line(mail.subject), one_line(mail.sender)
    date = mail.date.isoformat(sep=" ", timespec="minutes") if mail.date is not None else ""
    fields = {"Subject": subject, "From": sender, "To": one_line(mail.to), "Cc": one_line(mail.copies), "Date": date}
    body, warnings = _body(mail, name)
    if subject or body is not None or mail.text.strip():
        composer.block("\n".join(f"{field}: {value}" for field, value in fields.items() if value))
        if mail.text.strip():
            composer.block(mail.text)
        elif body is not None:
            composer.document(body.text, body.spans)
        names = [shown for one in mail.attachments if (shown := one_line(one)[:_NAME_LIMIT])]
        if names:
            more = f" and {len(names) - _SHOWN_LIMIT} more" if len(names) > _SHOWN_LIMIT else ""
            composer.block(f"Attachments: {', '.join(names[:_SHOWN_LIMIT])}{more}")
            warnings = (*warnings, f"attachments that were not read: {len(names)}; add them as files of their own")
    metadata: dict[str, MetadataValue] = {}
    if 0 < len(sender) <= _NAME_LIMIT:
        metadata["author"] = sender
    if mail.date is not None:
        metadata["date"] = mail.date
    return composer.finish(media_type, title=subject[:_NAME_LIMIT] or None, metadata=metadata, warnings=warnings)


def _body(mail: Mail, name: str) -> tuple[ParsedDocument | None, tuple[str, ...]]:
    """Return the body from its HTML, if it is needed and has any text."""
    if mail.text.strip() or not mail.html:
        return None, ()
    data = mail.html.encode("utf-8", "replace") if isinstance(mail.html, str) else mail.html
    charset = "utf-8" if isinstance(mail.html, str) else None
    try:
        return HtmlParser().parse(ParserInput(data=data, name=name, charset=charset)), ()
    except ParseError:
        return None, ("the body has no text",)
