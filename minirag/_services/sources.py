"""Sources: what an argument names, and the record of it."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minirag._services import audit
from minirag._services.core import BotContext
from minirag.errors import InvalidInputError, SourceNotFoundError
from minirag.interfaces.storage import Reader, Writer
from minirag.models.checks import check_text, clipped
from minirag.models.metadata import check_metadata
from minirag.models.tenants import Source, SourceKind
from minirag.models.urls import normalize_url
from minirag.types import MetadataValue, new_id, utc_now

__all__ = [
    "INLINE",
    "Target",
    "chosen_target",
    "find_source",
    "is_due",
    "mark",
    "new_source",
    "register",
    "resolve_target",
    "text_target",
]

INLINE = "inline"
"""The source of documents that are given as text and name no other."""


@dataclass(frozen=True, slots=True)
class Target:
    """What identifies a source in its bot, and how it is called."""

    kind: SourceKind
    locator: str
    name: str


def is_due(source: Source) -> bool:
    """Return whether `ingest()` reads a source again now."""
    if source.refresh is None or source.ingested_at is None:
        return True
    return (utc_now() - source.ingested_at).total_seconds() >= source.refresh


def resolve_target(value: str | os.PathLike[str]) -> Target:
    """Return what a path or a URL names.

    Raises:
        SourceNotFoundError: if the path does not exist.
        InvalidInputError: if it is neither a file nor a folder, or the URL is malformed.
    """
    text = check_text("a path or URL", os.fspath(value), maximum=8_000)
    if isinstance(value, str) and value.lower().startswith(("http://", "https://")):
        url = normalize_url(value)
        return Target("url", url, url)
    path = Path(text)
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as problem:
        reason = (
            "does not exist"
            if isinstance(problem, FileNotFoundError)
            else f"cannot be read: {getattr(problem, 'strerror', problem)}"
        )
        raise SourceNotFoundError(
            f"path {clipped(text, 300)} {reason} (looked from {str(Path.cwd())!r}); a text is given as DocumentInput(text=...)"
        ) from problem
    check_text("the path with its links resolved", str(real), maximum=8_000)
    if real.is_dir():
        return Target("folder", str(real), path.name or real.name or str(real))
    if real.is_file():
        return Target("file", str(real), path.name)
    raise InvalidInputError(f"path {text!r} is neither a file nor a folder")


def text_target(name: str = INLINE) -> Target:
    """Return the source of texts of this name."""
    check_text("source", name, maximum=500)
    return Target("text", name, name)


def chosen_target(bot: BotContext, source: str | Source | None) -> Target:
    """Return where documents given as text go: `inline`, or the text source that is named."""
    if source is None:
        return text_target()
    if isinstance(source, Source):
        if source.kind != "text" or source.bot_id != bot.bot_id:
            raise InvalidInputError(
                f"source={source.name!r} is a {source.kind} source; documents given as text go to a text source"
            )
        return Target("text", source.locator, source.name)
    return text_target(source)


def register(
    bot: BotContext,
    target: Target,
    *,
    name: str | None = None,
    text: str | None = None,
    metadata: Mapping[str, MetadataValue] | None = None,
    refresh: float | None = None,
) -> Source:
    """Return the bot's source of this kind and locator, made if there is none; given settings overwrite the old ones."""
    changes: dict[str, object] = {}
    if name is not None:
        changes["name"] = check_text("name", name, maximum=500)
    if metadata is not None:
        changes["metadata"] = check_metadata(metadata)
    if refresh is not None:
        changes["refresh"] = check_refresh(refresh)
    if text is not None:
        changes["text"] = text
    bot.core.check()
    with bot.core.storage.read(bot.scope) as reader:
        bot.record(reader)
        existing = reader.source_at(bot.bot_id, target.kind, target.locator)
    if existing is not None and all(getattr(existing, field) == value for field, value in changes.items()):
        return existing
    with bot.core.storage.write(bot.scope) as writer:
        bot.record(writer)
        existing = writer.source_at(bot.bot_id, target.kind, target.locator)
        source = existing or new_source(bot, target)
        source = source.model_copy(update={**changes, "updated_at": utc_now()})
        writer.put_source(source)
        audit.record(writer, bot.principal, "source.added" if existing is None else "source.updated", source.id)
    return source


def new_source(bot: BotContext, target: Target) -> Source:
    """Return a source that is stored nowhere yet."""
    now = utc_now()
    return Source(
        id=new_id(),
        bot_id=bot.bot_id,
        kind=target.kind,
        locator=target.locator,
        name=target.name,
        created_at=now,
        updated_at=now,
    )


def mark(writer: Writer, source: Source, error: str | None, *, text_taken: bool = False) -> None:
    """Write how the reading of a source ended, if it is still there."""
    now = utc_now()
    current = writer.source(source.bot_id, source.id)
    if current is None:
        return
    # One bad file does not make a folder, nor one bad text its source, a failure; the error is kept all the same.
    failed = error is not None and (source.kind in {"file", "url"} or current.ingested_at is None)
    changes: dict[str, object] = {"status": "failed" if failed else "ready", "error": error, "updated_at": now}
    if error is None:
        changes["ingested_at"] = now
    if text_taken and current.text == source.text:
        changes["text"] = None
    writer.put_source(current.model_copy(update=changes))


def check_refresh(refresh: object) -> float | None:
    """Return seconds between readings, checked; None means at each `ingest()`."""
    if refresh is None:
        return None
    if isinstance(refresh, dt.timedelta):
        refresh = refresh.total_seconds()
    if isinstance(refresh, bool) or not isinstance(refresh, int | float) or not 0 <= refresh < 1e10:
        raise InvalidInputError(f"refresh={clipped(refresh)} must be a number of seconds, a timedelta or None")
    return float(refresh)


def find_source(bot: BotContext, reader: Reader, wanted: object) -> Source:
    """Return the source that a `Source`, an id, a name, a path or a URL names.

    Raises:
        SourceNotFoundError: if the bot has none such.
        InvalidInputError: if several sources have this name.
    """
    if isinstance(wanted, Source):
        wanted = wanted.id
    if isinstance(wanted, os.PathLike):
        wanted = os.fspath(wanted)
    wanted = check_text("source", wanted, maximum=8_000)
    source = reader.source(bot.bot_id, wanted)
    if source is not None:
        return source
    sources = reader.sources(bot.bot_id)
    locators = {wanted, os.path.realpath(wanted)}
    if wanted.lower().startswith(("http://", "https://")):
        locators.add(normalize_url(wanted))
    found = [source for source in sources if source.name == wanted] or [s for s in sources if s.locator in locators]
    if len(found) > 1:
        ids = ", ".join(repr(source.id) for source in found[:5])
        raise InvalidInputError(f"{len(found)} sources of bot {bot.name!r} are called {wanted!r}; give an id: {ids}")
    if not found:
        raise SourceNotFoundError(f"bot {bot.name!r} has no source {clipped(wanted)}; bot.sources.list() shows them")
    return found[0]
