"""`bot.documents`: what a bot has taken in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, overload

from minirag._services.audit import record
from minirag._services.core import BotContext
from minirag._services.planning import pages_of
from minirag._services.sources import find_source
from minirag.errors import AmbiguousKeyError, DocumentNotFoundError, EvidenceGoneError
from minirag.interfaces.storage import Reader
from minirag.models.checks import check_choice, check_flag, check_text, clipped
from minirag.models.documents import Document, DocumentVersion
from minirag.models.erasures import CHATS, ErasureReceipt, HandlingOfChats
from minirag.models.filters import parse_filter
from minirag.models.tenants import Source

__all__ = ["Documents"]

_PAGE = 500


class Documents:
    """The documents of a bot, by key. Where two sources hold the same key, name the source too."""

    def __init__(self, context: BotContext) -> None:
        self._context = context

    def get(self, key: str, *, source: str | Source | None = None) -> Document:
        """Return the document of this key.

        Raises:
            DocumentNotFoundError: if there is none.
            AmbiguousKeyError: if several sources hold one.
        """
        context = self._context
        context.allow("documents.read")
        with context.core.storage.read(context.scope) as reader:
            context.record(reader)
            return self._find(reader, key, source)

    def list(self, *, source: str | Source | None = None, where: Mapping[str, Any] | None = None) -> Iterator[Document]:
        """Yield documents, oldest first, reading them as they are asked for.

        Args:
            source: only those of this source.
            where: only those whose metadata this filter allows.

        Raises:
            SourceNotFoundError: if the bot has no such source.
            FilterError: if `where` cannot be understood.
        """
        context = self._context
        condition = parse_filter(where)
        context.allow("documents.read")
        with context.core.storage.read(context.scope) as reader:
            context.record(reader)
            source_id = None if source is None else find_source(context, reader, source).id
            first = reader.documents(context.bot_id, source_id=source_id, where=condition, limit=_PAGE)

        def pages(page: Sequence[Document]) -> Iterator[Document]:
            while page:
                yield from page
                context.allow("documents.read")
                with context.core.storage.read(context.scope) as reader:
                    page = reader.documents(
                        context.bot_id, source_id=source_id, where=condition, after=page[-1].id, limit=_PAGE
                    )

        return pages(first)

    def count(self, *, source: str | Source | None = None, where: Mapping[str, Any] | None = None) -> int:
        """Return how many documents there are, of one source or as a filter allows."""
        context = self._context
        condition = parse_filter(where)
        context.allow("documents.read")
        with context.core.storage.read(context.scope) as reader:
            context.record(reader)
            source_id = None if source is None else find_source(context, reader, source).id
            return reader.count_documents(context.bot_id, source_id=source_id, where=condition)

    def text(self, key: str, *, version_id: str | None = None, source: str | Source | None = None) -> str:
        """Return a document's canonical text, or that of one of its older versions.

        Raises:
            DocumentNotFoundError: if there is no such document, or the version is not one of this bot's.
        """
        context = self._context
        context.allow("documents.read")
        with context.core.storage.read(context.scope) as reader:
            context.record(reader)
            if version_id is None:
                version_id = self._find(reader, key, source).version_id
            else:
                check_text("key", key, maximum=8_000)
                version = reader.version(check_text("version_id", version_id, maximum=100))
                if version is None or version.bot_id != context.bot_id or version.key != key:
                    raise DocumentNotFoundError(
                        f"document {clipped(key, 200)} of bot {context.name!r} has no version {version_id!r}; "
                        "bot.documents.versions(key) shows them"
                    )
            text = reader.text(version_id)
        if text is None:
            raise EvidenceGoneError(f"version {version_id!r} of document {key!r} no longer exists")
        return text

    def versions(self, key: str, *, source: str | Source | None = None) -> Sequence[DocumentVersion]:
        """Return the document's versions, newest first: the present one and those kept as evidence."""
        context = self._context
        context.allow("documents.read")
        with context.core.storage.read(context.scope) as reader:
            context.record(reader)
            rows = reader.versions(self._find(reader, key, source).id)
        return [
            DocumentVersion(
                id=row.id,
                document_id=row.document_id,
                media_type=row.media_type,
                language=row.language,
                characters=row.characters,
                chunker=row.chunker,
                pages=pages_of(row.spans),
                created_at=row.created_at,
            )
            for row in rows
        ]

    @overload
    def remove(self, *keys: str, source: str | Source | None = None, erase: Literal[False] = False) -> int: ...
    @overload
    def remove(
        self,
        *keys: str,
        source: str | Source | None = None,
        erase: Literal[True],
        chats: HandlingOfChats = "scrub",
    ) -> ErasureReceipt: ...
    def remove(
        self,
        *keys: str,
        source: str | Source | None = None,
        erase: bool = False,
        chats: HandlingOfChats = "scrub",
    ) -> int | ErasureReceipt:
        """End the search of documents at once and return how many there were; their texts stay as evidence for citations.

        Nothing is removed if any key is missing or ambiguous.

        Args:
            source: the source, or its id, where several hold a key.
            erase: destroy every version beyond recovery instead, of documents too that were removed before, and return the
                receipt. A source that still has the document reads it again at its next reading.
            chats: what becomes of answers that cite an erased text: `"scrub"` empties them, `"keep"` leaves their own words,
                with a marked gap for each passage of the text.

        Raises:
            DocumentNotFoundError: naming the first missing key.
            AmbiguousKeyError: if several sources hold a key.
        """
        context = self._context
        context.allow("documents.remove")
        wanted = list(dict.fromkeys(check_text("key", key, maximum=8_000) for key in keys))
        check_choice("chats", chats, CHATS)
        if check_flag("erase", erase):
            from minirag._services.erasure import erase_documents

            context.allow("documents.erase")
            return erase_documents(context, wanted, source, chats=chats)
        with context.core.storage.write(context.scope) as writer:
            context.record(writer)
            ids = self._find_ids(writer, wanted, source)
            record(writer, context.principal, "document.removed", *ids)
            return writer.remove_documents(context.bot_id, ids)

    def _find_ids(self, reader: Reader, keys: Sequence[str], source: str | Source | None) -> Sequence[str]:
        """Return the documents' ids; of many keys by a few questions to each source instead of one for each key."""
        bot_id = self._context.bot_id
        sources = reader.sources(bot_id) if source is None else [find_source(self._context, reader, source)]
        if len(keys) <= len(sources):
            return [self._find(reader, key, source).id for key in keys]
        found: dict[str, list[str]] = {key: [] for key in keys}
        for each in sources:
            for state in reader.states(each.id, keys, limit=len(keys)):
                found[state.key].append(state.id)
        return [ids[0] if len(ids) == 1 else self._find(reader, key, source).id for key, ids in found.items()]

    def _find(self, reader: Reader, key: object, source: str | Source | None) -> Document:
        context = self._context
        text = check_text("key", key, maximum=8_000)
        source_id = None if source is None else find_source(context, reader, source).id
        found = reader.documents_with_key(context.bot_id, text, source_id=source_id)
        if not found:
            raise DocumentNotFoundError(
                f"bot {context.name!r} has no document {clipped(text, 200)}; bot.documents.list() shows them"
            )
        if len(found) > 1:
            names = ", ".join(repr(document.source_name) for document in found)
            raise AmbiguousKeyError(f"key {text!r} is in {len(found)} sources ({names}); name one with source=")
        return found[0]

    def __repr__(self) -> str:
        return f"<documents of bot {self._context.name!r}>"
