"""Ingestion: arguments to documents, documents to committed versions, and what has gone is removed."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from minirag._services.core import BotContext
from minirag._services.identity import assure
from minirag._services.planning import check_document_text, spans_from_json
from minirag._services.reading import Incoming, Skipped, file_key, folder_files, from_input, read_file
from minirag._services.removing import remove_gone
from minirag._services.reporting import ProgressCallback, ReportBuilder
from minirag._services.sources import (
    Target,
    chosen_target,
    is_due,
    mark,
    new_source,
    register,
    resolve_target,
    text_target,
)
from minirag._services.steps import Effect, Steps
from minirag._services.writing import DocumentWriter
from minirag.errors import (
    FetchError,
    IngestError,
    InvalidInputError,
    MiniRAGError,
    ParseError,
    SourceNotFoundError,
)
from minirag.interfaces import ParsedDocument, ParserInput
from minirag.interfaces.storage import Writer
from minirag.models.checks import clipped
from minirag.models.documents import DocumentInput
from minirag.models.reports import IngestReport
from minirag.models.tenants import Source

__all__ = ["add", "cut_anew", "ingest"]

T = TypeVar("T")
_END: Final = object()
_REMEMBERED_KEYS: Final = 1_000_000
_WAIT_AT_ONCE: Final = 256
_ACCEPTED: Final = "a path, an http(s) URL, a DocumentInput, or an iterable of these"


class _CallerError(Exception):
    """The caller's own iterable raised."""


@dataclass(slots=True)
class _Run:
    """One ingestion under way.

    Attributes:
        waiting: sources that were read, but whose documents may not be committed yet.
    """

    bot: BotContext
    report: ReportBuilder
    writer: DocumentWriter
    texts: Target
    seen: set[int] = field(default_factory=set)
    waiting: list[Source] = field(default_factory=list)
    text_source: Source | None = None


def add(
    bot: BotContext, inputs: tuple[object, ...], *, source: str | Source | None, progress: ProgressCallback | None
) -> Steps[IngestReport]:
    """Register what the arguments name and read it; see `Bot.add`."""
    if not inputs:
        raise InvalidInputError(f"add() was given nothing; give {_ACCEPTED}")
    bot.allow("documents.add")
    texts = chosen_target(bot, source)
    prepared = [_check_argument(value) for value in inputs]
    run = yield from _start(bot, texts, progress)
    run.report.total = _total(prepared)
    try:
        for value in prepared:
            yield from _kept_on_sources(run, _take(run, value))
    except _CallerError as problem:
        report = yield from _finish(run)
        cause = problem.__cause__
        raise IngestError(
            f"the given iterable raised {type(cause).__name__}; what came before it was taken in: {report}",
            report=report,
        ) from cause
    return (yield from _finish(run))


def ingest(bot: BotContext, sources: list[Source] | None, *, progress: ProgressCallback | None) -> Steps[IngestReport]:
    """Read registered sources again, those given or all that are due, and cut anew what is stale."""
    bot.allow("documents.add")
    run = yield from _start(bot, text_target(), progress)
    if sources is None:
        with bot.core.storage.read(bot.scope) as reader:
            due = [source for source in reader.sources(bot.bot_id) if is_due(source)]
            everything = reader.sources(bot.bot_id)
    else:
        due = everything = sources
    for source in due:
        yield from _kept_on_sources(run, _read_source(run, source))
    yield from _settle(run)
    for source in everything:
        yield from _cut_anew(run, source)
    return (yield from _finish(run))


def cut_anew(bot: BotContext) -> Steps[IngestReport]:
    """Cut what is stale anew from the stored texts; no source is read."""
    run = yield from _start(bot, text_target(), None)
    with bot.core.storage.read(bot.scope) as reader:
        sources = reader.sources(bot.bot_id)
    for source in sources:
        yield from _cut_anew(run, source)
    return (yield from _finish(run))


def _finish(run: _Run) -> Steps[IngestReport]:
    """Commit what is in hand, keep failures on their sources, and return the report."""
    yield from _settle(run)
    if not run.report.failures:
        return run.report.finish()
    with run.bot.core.storage.read(run.bot.scope) as reader:
        failed = {name: reader.source(run.bot.bot_id, name) for name in run.report.failures}
    for source_id, reason in run.report.failures.items():
        source = failed[source_id]
        if source is not None and source.status != "failed":
            _mark(run, source, reason)
    return run.report.finish()


def _settle(run: _Run) -> Steps[None]:
    """Commit what is in hand. Only then are the sources it came from ready: one that is not is read again."""
    texts = [source for source in run.waiting if source.kind == "text"]

    def mark_texts(writer: Writer) -> None:
        for source in texts:
            mark(writer, run.writer.stored(source), None)

    # A failed text does not make its source a failure, so the mark may go with the last documents.
    marked = yield from _kept_on_sources(run, run.writer.flush(mark_texts))
    waiting, run.waiting, run.text_source = run.waiting, [], None
    for source in waiting:
        if source.id not in run.report.failures if source.kind != "text" else not marked:
            _mark(run, source, None)


def _kept_on_sources(run: _Run, steps: Steps[T]) -> Steps[T]:
    """Carry steps out; an error that ends the ingestion is kept on the sources whose documents it may have met."""
    try:
        return (yield from steps)
    except MiniRAGError as problem:
        for source in run.waiting:
            _mark(run, source, str(problem))
        raise


def _start(bot: BotContext, texts: Target, progress: ProgressCallback | None) -> Steps[_Run]:
    record = bot.load()
    report = ReportBuilder(progress)
    embedder = bot.core.engines.embedder(bot, record)
    problem = yield from assure(bot, record, embedder)
    return _Run(bot, report, DocumentWriter(bot, record, embedder, report, problem=problem), texts)


def _check_argument(value: object) -> object:
    """Return an argument resolved as far as that reads nothing; raise for what cannot be meant."""
    if isinstance(value, DocumentInput):
        check_document_text(value.text)
        return value
    if isinstance(value, str | os.PathLike):
        return resolve_target(value)
    if isinstance(value, list | tuple):
        return iter([_check_item(item) for item in value])
    if isinstance(value, AsyncIterable):
        return aiter(value)
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | dict):
        return iter(value)
    raise InvalidInputError(f"add() cannot take {clipped(value)} ({type(value).__name__}); give {_ACCEPTED}")


def _check_item(item: object) -> object:
    if isinstance(item, DocumentInput):
        return item
    if isinstance(item, str | os.PathLike):
        return resolve_target(item)
    raise InvalidInputError(
        f"an iterable holds {clipped(item)} ({type(item).__name__}); it may hold paths, URLs and DocumentInput"
    )


def _total(prepared: list[object]) -> int | None:
    """Return how many documents there will be, where that is known without reading anything."""
    total = 0
    for value in prepared:
        if isinstance(value, DocumentInput) or (isinstance(value, Target) and value.kind != "folder"):
            total += 1
        else:
            length = getattr(value, "__length_hint__", None)
            if length is None:
                return None
            total += length()
    return total


def _take(run: _Run, value: object) -> Steps[None]:
    if isinstance(value, DocumentInput):
        yield from _take_text(run, value)
    elif isinstance(value, Target):
        yield from _read_source(run, register(run.bot, value))
    elif isinstance(value, AsyncIterator):
        while (item := (yield _pull(value))) is not _END:
            yield from _take_item(run, item)
    else:
        assert isinstance(value, Iterator)
        for item in _guarded(value):
            yield from _take_item(run, item)


def _take_item(run: _Run, item: object) -> Steps[None]:
    """Take one item of an iterable: a fault of one becomes a failed entry and does not stop the others."""
    try:
        item = item if isinstance(item, Target) else _check_item(item)
    except (InvalidInputError, SourceNotFoundError) as problem:
        key = item if isinstance(item, str) else clipped(item)
        run.report.note("", key[:500], "failed", reason=str(problem))
        return
    yield from _take(run, item)


def _guarded(iterator: Iterator[Any]) -> Iterator[Any]:
    while True:
        try:
            item = next(iterator, _END)
        except Exception as problem:
            raise _CallerError from problem
        if item is _END:
            return
        yield item


def _pull(iterator: AsyncIterator[Any]) -> Effect:
    async def pull() -> Any:
        try:
            return await anext(iterator)
        except StopAsyncIteration:
            return _END
        except Exception as problem:
            raise _CallerError from problem

    def refuse() -> Any:
        raise InvalidInputError("an asynchronous iterable was given; use AsyncWorkspace, or make it a plain iterable")

    return Effect(refuse, pull)


def _take_text(run: _Run, document: DocumentInput) -> Steps[None]:
    if run.text_source is None:
        run.bot.core.check()
        with run.bot.core.storage.read(run.bot.scope) as reader:
            run.text_source = reader.source_at(run.bot.bot_id, run.texts.kind, run.texts.locator)
        if run.text_source is None:
            run.text_source = new_source(run.bot, run.texts)
            run.writer.introduce(run.text_source)
        run.waiting.append(run.text_source)
    yield from _take_incoming(run, from_input(run.text_source, document))


def _take_incoming(run: _Run, incoming: Incoming) -> Steps[None]:
    name = hash((incoming.source.id, incoming.key))
    if name in run.seen:
        run.report.warn(f"key {incoming.key!r} came twice in one call; the later one counts")
    elif len(run.seen) < _REMEMBERED_KEYS:
        run.seen.add(name)
    run.report.read()
    yield from run.writer.take(incoming)


def _read_source(run: _Run, source: Source) -> Steps[None]:
    """Read one source; its failure is kept on it and entered in the report, and stops no other."""
    try:
        if source.kind == "folder":
            yield from _read_folder(run, source)
        elif source.kind == "file":
            yield from _read_one_file(run, source, file_key(Path(source.locator)), Path(source.locator))
        elif source.kind == "url":
            yield from _read_url(run, source)
        elif source.text is not None:
            yield from _take_incoming(run, from_input(source, DocumentInput(text=source.text, title=source.name)))
            # Only when the document is durable may the text that waited with the source go.
            yield from run.writer.flush()
    except (ParseError, FetchError, SourceNotFoundError) as problem:
        key = source.locator if source.kind == "url" else Path(source.locator).name
        run.report.note(source.id, unicodedata.normalize("NFC", key), "failed", reason=str(problem))
        _mark(run, source, str(problem))
    except MiniRAGError as problem:
        _mark(run, source, str(problem))
        raise
    else:
        if source.kind in {"file", "url"}:
            run.waiting.append(source)
            if len(run.waiting) >= _WAIT_AT_ONCE:
                yield from _settle(run)
        else:
            _mark(run, source, None, text_taken=source.kind == "text")


def _mark(run: _Run, source: Source, error: str | None, *, text_taken: bool = False) -> None:
    """Write how the reading of a source ended."""
    with run.bot.core.storage.write(run.bot.scope) as writer:
        run.writer.put_sources(writer)
        mark(writer, run.writer.stored(source), error, text_taken=text_taken)


def _read_one_file(run: _Run, source: Source, key: str, path: Path) -> Steps[None]:
    yield from _take_incoming(run, Incoming(source, key, raw=read_file(path)))


def _read_folder(run: _Run, source: Source) -> Steps[None]:
    present: set[str] = set()
    hidden: tuple[str, ...] = ()
    readable = 0
    for found in folder_files(Path(source.locator)):
        if isinstance(found, Skipped):
            run.report.note(source.id, found.key, "skipped", reason=found.reason)
            hidden += () if found.hides is None else (found.hides,)
            continue
        key, path = found
        present.add(key)
        readable += 1
        try:
            yield from _read_one_file(run, source, key, path)
        except ParseError as problem:
            run.report.note(source.id, key, "failed", reason=str(problem))
    if not readable:
        raise SourceNotFoundError(f"folder {source.locator!r} holds no readable file; nothing was removed")
    yield from run.writer.flush()
    remove_gone(run.bot, run.report, source, present, hidden)


def _read_url(run: _Run, source: Source) -> Steps[None]:
    fetcher = run.bot.core.fetcher
    fetched = yield Effect(lambda: fetcher.fetch(source.locator), lambda: fetcher.afetch(source.locator))
    name = PurePosixPath(urlsplit(fetched.url).path).name or "index"
    raw = ParserInput(data=fetched.data, name=name, media_type=fetched.media_type, charset=fetched.charset)
    yield from _take_incoming(run, Incoming(source, source.locator, raw=raw))


def _cut_anew(run: _Run, source: Source) -> Steps[None]:
    """Chunk stale documents anew from the stored text; reading their source again is not needed for it."""
    # Title and metadata stay as they are: the source's new metadata comes when it is read.
    unread = source.model_copy(update={"metadata": {}})
    after: str | None = None
    while True:
        with run.bot.core.storage.read(run.bot.scope) as reader:
            states = reader.states(source.id, after=after, stale=True, limit=100)
        if not states:
            return
        after = states[-1].key
        for state in states:
            with run.bot.core.storage.read(run.bot.scope) as reader:  # one text at a time, for each may be large
                version, text = reader.version(state.version_id), reader.text(state.version_id)
            if version is None or text is None:
                continue
            parsed = ParsedDocument(
                text=text, media_type=version.media_type, title=state.title, spans=spans_from_json(version.spans)
            )
            yield from _take_incoming(
                run, Incoming(unread, state.key, state.title, state.metadata, parsed, raw_hash=state.raw_hash)
            )
