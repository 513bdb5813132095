"""`bot.sources`: where a bot's documents come from."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from minirag._services.audit import record
from minirag._services.core import BotContext
from minirag._services.ingestion import ingest
from minirag._services.planning import check_document_text
from minirag._services.progress import choose_progress
from minirag._services.reporting import ProgressCallback
from minirag._services.sources import check_refresh, find_source, register, resolve_target, text_target
from minirag._services.steps import Steps, run
from minirag.errors import InvalidInputError
from minirag.models.checks import check_choice, check_flag, check_text
from minirag.models.erasures import CHATS, ErasureReceipt, HandlingOfChats
from minirag.models.metadata import check_metadata
from minirag.models.reports import IngestReport
from minirag.models.tenants import Source
from minirag.types import utc_now

__all__ = ["Sources"]

_UNSET: Any = object()


class Sources:
    """The sources of a bot. A source is unique by its kind and locator: adding it again is the same source."""

    def __init__(self, context: BotContext) -> None:
        self._context = context

    def add(
        self,
        location: str | os.PathLike[str] | None = None,
        *,
        text: str | None = None,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        refresh: float | dt.timedelta | None = None,
    ) -> Source:
        """Register a source and return it; `ingest` reads it.

        Args:
            location: a path or an http(s) URL.
            text: instead of a location, a text; it needs a name.
            name: what hits call the source; by default the file's or folder's name, or the URL.
            metadata: given to each of its documents, whose own wins.
            refresh: seconds (or a timedelta) after which `bot.ingest()` reads it again; None reads it each time.

        Raises:
            SourceNotFoundError: if the path does not exist.
            InvalidInputError: if both or neither of `location` and `text` are given.
        """
        if (location is None) == (text is None):
            raise InvalidInputError("a source is a path or URL, or text=...; give exactly one of them")
        self._context.allow("sources.write")
        if text is not None:
            if not isinstance(text, str):
                raise InvalidInputError(f"text must be a str, not {type(text).__name__}")
            check_document_text(text)
            if name is None:
                raise InvalidInputError("a source given as text=... needs a name=...")
            target = text_target(name)
        else:
            if not isinstance(location, str | os.PathLike):
                raise InvalidInputError(f"a location must be a path or a URL, not {type(location).__name__}")
            target = resolve_target(location)
        seconds = check_refresh(refresh)
        return register(self._context, target, name=name, text=text, metadata=metadata, refresh=seconds)

    def ingest(self, source: str | Source, *, progress: ProgressCallback | bool | None = None) -> IngestReport:
        """Read one source now, whatever its `refresh` says, and return what happened."""
        return run(self._ingest_steps(source, progress))

    def _ingest_steps(self, source: str | Source, progress: object) -> Steps[IngestReport]:
        """Return the steps of `ingest`, for either face."""
        callback = choose_progress(progress)
        return ingest(self._context, [self.get(source)], progress=callback)

    def get(self, source: str | Source) -> Source:
        """Return the source of this id, name, path or URL, as it is now.

        Raises:
            SourceNotFoundError: if the bot has none such.
        """
        context = self._context
        context.allow("sources.read")
        with context.core.storage.read(context.scope) as reader:
            context.record(reader)
            return find_source(context, reader, source)

    def list(self) -> Sequence[Source]:
        """Return all sources, oldest first."""
        context = self._context
        context.allow("sources.read")
        with context.core.storage.read(context.scope) as reader:
            context.record(reader)
            return reader.sources(context.bot_id)

    def update(
        self,
        source: str | Source,
        *,
        name: str = _UNSET,
        metadata: Mapping[str, Any] = _UNSET,
        refresh: float | dt.timedelta | None = _UNSET,
    ) -> Source:
        """Return the source with a new name, metadata or refresh; new metadata reaches its documents at the next reading."""
        changes: dict[str, Any] = {}
        if name is not _UNSET:
            changes["name"] = check_text("name", name, maximum=500)
        if metadata is not _UNSET:
            changes["metadata"] = check_metadata(metadata)
        if refresh is not _UNSET:
            changes["refresh"] = check_refresh(refresh)
        context = self._context
        context.allow("sources.write")
        with context.core.storage.write(context.scope) as writer:
            context.record(writer)
            found = find_source(context, writer, source)
            changed = found.model_copy(update={**changes, "updated_at": utc_now()})
            writer.put_source(changed)
            record(writer, context.principal, "source.updated", found.id)
        return changed

    @overload
    def remove(self, source: str | Source, erase: Literal[False] = False) -> int: ...  # noqa: FBT002 - as below
    @overload
    def remove(
        self, source: str | Source, erase: Literal[True], *, chats: HandlingOfChats = "scrub"
    ) -> ErasureReceipt: ...
    def remove(
        self,
        source: str | Source,
        erase: bool = False,  # noqa: FBT001, FBT002 - the public contract
        *,
        chats: HandlingOfChats = "scrub",
    ) -> int | ErasureReceipt:
        """Remove a source, end the search of its documents at once, and return how many there were.

        Their texts stay as evidence for citations.

        Args:
            source: the source; to erase what is left of one that was removed, its id.
            erase: destroy every version of its documents beyond recovery instead, and return the receipt.
            chats: what becomes of answers that cite an erased text; see `Documents.remove`.
        """
        context = self._context
        context.allow("sources.remove")
        check_choice("chats", chats, CHATS)
        if check_flag("erase", erase):
            from minirag._services.erasure import erase_source

            context.allow("documents.erase")
            return erase_source(context, source, chats=chats)
        with context.core.storage.write(context.scope) as writer:
            context.record(writer)
            found = find_source(context, writer, source)
            record(writer, context.principal, "source.removed", found.id)
            return writer.delete_source(context.bot_id, found.id)

    def __repr__(self) -> str:
        return f"<sources of bot {self._context.name!r}>"
