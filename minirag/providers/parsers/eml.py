"""EML: an e-mail as it travels."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import re
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Final

from minirag.errors import ParseError
from minirag.interfaces import ParsedDocument, Parser, ParserInput, ProviderContext
from minirag.models.formats import MEDIA_TYPES, looks_binary
from minirag.providers.parsers.archive import translated
from minirag.providers.parsers.decoding import decode
from minirag.providers.parsers.mail_text import Mail, compose_mail

__all__ = ["EmlParser", "create"]

_WHAT: Final = "an e-mail"
_PARTS_LIMIT: Final = 200
_FIELD_LIMIT: Final = 10_000
_FIELD = re.compile(rb"(?:From [^\n]*\n)?[!-9;-~]{1,100}[ \t]*:")
_ENCRYPTED: Final = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")


class EmlParser(Parser):
    """Reads one e-mail. Attachments are named, not read; e-mails that are attached are attachments."""

    def parse(self, file: ParserInput) -> ParsedDocument:
        """Return subject, sender, receivers and date, a line each, then the body, then the names of attachments.

        Of a body that is there as plain text and as HTML the plain text is taken. The subject is the title.

        Raises:
            NoTextError: if it has neither a subject nor a body.
            ParseError: if it is no e-mail, or is encrypted.
        """
        with translated(file, _WHAT):
            data = file.data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
            if not data:
                raise ParseError(f"{file.name!r} is empty; it holds no e-mail")
            if looks_binary(data) or not _FIELD.match(data):
                raise ParseError(f"{file.name!r} is no e-mail; give it the extension of its real format")
            if len(re.findall(rb"boundary\s*=", data, re.IGNORECASE)) > _PARTS_LIMIT:
                raise ParseError(f"{file.name!r} has more than {_PARTS_LIMIT:,} parts of parts; save it anew")
            message = email.message_from_bytes(data, policy=email.policy.compat32)
            if not any(name in message for name in ("From", "To", "Subject", "Date", "Received", "Message-ID")):
                raise ParseError(f"{file.name!r} is no e-mail: it names neither sender nor receiver, subject or date")
            if message.get_content_type() in _ENCRYPTED:
                signed = "signed" in str(message.get_param("smime-type") or "")
                how = "signed in a form that hides its text" if signed else "encrypted"
                raise ParseError(f"{file.name!r} is {how}; save a copy of it from your mail program as text")
            mail = Mail(
                subject=_header(message, "Subject"),
                sender=_header(message, "From"),
                to=_header(message, "To"),
                copies=_header(message, "Cc"),
                date=_date(message),
            )
            _collect(message, mail)
            return compose_mail(mail, MEDIA_TYPES["eml"][0], name=file.name)


def create(options: None, context: ProviderContext) -> EmlParser:  # noqa: ARG001 - the shape of every factory
    """Return the parser of EML."""
    return EmlParser()


def _header(message: Message, name: str) -> str:
    """Return a field of the head with its encoded words decoded."""
    value = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    # Bytes beyond ASCII, which no mail program should write, come as surrogates.
    return _decoded_words(decode(value[:_FIELD_LIMIT].encode("utf-8", "surrogateescape")).text)


def _decoded_words(value: str) -> str:
    parts = []
    for text, charset in decode_header(value):
        parts.append(decode(text, charset=charset).text if isinstance(text, bytes) else text)
    return "".join(parts)


def _date(message: Message) -> dt.datetime | None:
    """Return when the e-mail was sent, if that is a moment; one whose zone is unknown is taken for UTC, as written."""
    try:
        moment = parsedate_to_datetime(str(message.get("Date", "")))
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
        return moment if 1900 <= moment.astimezone(dt.UTC).year < 9999 else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _collect(message: Message, mail: Mail) -> None:
    """Put the bodies of a message and the names of its attachments into `mail`."""
    texts: list[str] = []
    pages: list[str] = []
    attachments: list[str] = []
    waiting = [message]
    while waiting:
        part = waiting.pop()
        kind = part.get_content_type()
        inside = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inside, list):
            waiting.extend(one for one in reversed(inside) if isinstance(one, Message))
            continue
        named = _decoded_words(str(part.get_filename() or ""))
        if part.get_content_disposition() == "attachment" or kind not in ("text/plain", "text/html"):
            attachments += [named] if named else ["an e-mail"] if kind == "message/rfc822" else []
            continue
        payload = part.get_payload(decode=True)
        body = decode(payload if isinstance(payload, bytes) else b"", charset=part.get_content_charset()).text
        (texts if kind == "text/plain" else pages).append(body)
    mail.text = "\n\n".join(text.strip() for text in texts if text.strip())
    mail.html = "\n".join(pages)
    mail.attachments = attachments
