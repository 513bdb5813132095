"""Moving a bot to another embedder: a second space is filled beside the first, then one transaction swaps them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag._services import audit
from minirag._services.core import BotContext
from minirag._services.embedding import embed
from minirag._services.identity import SAMPLE_TEXTS, compare, probe, text_of
from minirag._services.ingestion import cut_anew
from minirag._services.ledger import Ledger
from minirag._services.planning import FAMILIARITY_SAMPLE, content_hash, embedded_text, known_words
from minirag._services.reporting import ReembedCallback
from minirag._services.servers import guarded
from minirag._services.steps import Steps
from minirag.errors import ConflictError, ReadOnlyWorkspaceError
from minirag.interfaces import Embedder
from minirag.interfaces.records import ChunkText, LogPosition
from minirag.interfaces.storage import Reader
from minirag.models.checks import check_flag
from minirag.models.index import EmbeddingSpace
from minirag.models.reports import ReembedProgress, ReembedReport
from minirag.models.tenants import BotRecord, ProviderRef
from minirag.types import utc_now

if TYPE_CHECKING:
    from minirag.types import Vector

__all__ = ["reembed"]

_DROP_AT_ONCE: Final = 5_000
_VERSIONS_AT_ONCE: Final = 500
_ANY_WORD: Final = "word"
"""An embedder that cannot say whether it knows this one knows nothing of its vocabulary."""


@dataclass(slots=True)
class _Move:
    """A bot on its way from one space to another.

    Attributes:
        source: the space it leaves.
        target: the space it goes to; equal to `source` if its vectors are the new embedder's already.
        shares: whether vectors that the tenant has in the target space may serve; None until that was looked into.
        words: by document id, the version that was looked at, its words, and those the new embedder knows.
        counted: the log's position when they were last counted.
    """

    bot: BotContext
    ref: ProviderRef
    embedder: Embedder
    source: EmbeddingSpace
    target: EmbeddingSpace
    progress: ReembedCallback | None
    total: int = 0
    done: int = 0
    embedded_texts: int = 0
    reused: int = 0
    dropped: int = 0
    shares: bool | None = None
    words: dict[str, tuple[str, int, float]] = field(default_factory=dict)
    counted: LogPosition | None = None


def reembed(
    bot: BotContext, embedder: object, *, rechunk: object, progress: ReembedCallback | None
) -> Steps[tuple[BotRecord, ReembedReport]]:
    """Move the bot to another embedder and return its record and the report; see `Bot.reembed`."""
    began = time.perf_counter()
    recut = check_flag("rechunk", rechunk)
    bot.allow("bots.reembed")
    if bot.core.storage.read_only:
        raise ReadOnlyWorkspaceError("the workspace was opened with read_only=True; a bot cannot be moved in it")
    move = yield from _begin(bot, embedder, progress)
    while True:
        yield from _fill(move)
        _count_words(move)
        # What came while words were counted is little, so that the swap comes close behind it.
        yield from _fill(move)
        record = _swap(move, recut=recut)
        if record is not None:
            break
    bot.core.probed.add((bot.scope.tenant_id, bot.bot_id, record.space.fingerprint))
    bot.core.partitions.forget_spaces(bot.scope, bot.bot_id, keep=record.space.fingerprint)
    _drop_others(move)
    rechunked = (yield from cut_anew(bot)) if recut else None
    if progress is not None:
        progress(ReembedProgress(stage="finished", done=move.done, total=move.total))
    chunks, long_chunks = _measure(move)
    report = ReembedReport(
        space=str(record.space),
        moved=move.target != move.source,
        chunks=chunks,
        long_chunks=long_chunks,
        max_tokens=move.embedder.max_tokens,
        embedded_texts=move.embedded_texts,
        reused_vectors=move.reused,
        dropped_vectors=move.dropped,
        rechunked=rechunked,
        seconds=time.perf_counter() - began,
    )
    return record, report


def _begin(bot: BotContext, given: object, progress: ReembedCallback | None) -> Steps[_Move]:
    """Settle where the bot goes, and drop what an interrupted move has left of the same name but of another model."""
    record = bot.load()
    ref = bot.core.engines.refer("embedder", given, tenant_id=bot.scope.tenant_id)
    ref = guarded(bot.core.fetcher, bot.principal, "embedder", ref, present=record.profile)
    # Made once on trial, as for a change of settings, so that what is wrong with it is told before it is kept.
    sealed = bot.core.secrets.sealed(bot.scope, bot.bot_id, record.profile.credential_fields)
    named = record.profile.model_copy(update={"embedder": ref})
    bot.core.engines.check(named, ("embedder",), sealed, bot.scope.tenant_id)
    embedder = bot.core.engines.candidate(ref, bot, record)
    source, target = record.space, embedder.space
    if source.matches(target):
        found = yield from probe(bot, embedder)
        replaced = found is not None and not found.same
        target = source.model_copy(update={"generation": _next_generation(bot, source)}) if replaced else source
    move = _Move(bot, ref, embedder, source, target, progress)
    if target != source:
        found = yield from probe(bot, embedder, space=target.fingerprint)
        if found is not None and not found.same:
            _drop_others(move)
    with bot.core.storage.read(bot.scope) as reader:
        move.total = reader.stats(bot.bot_id).chunks
        move.done = reader.count_vectors(bot.bot_id, target.fingerprint)
    return move


def _next_generation(bot: BotContext, space: EmbeddingSpace) -> str:
    """Return what names the bot's next vectors of an unchanged name: the same for a move that is taken up again.

    It holds the bot, since two bots' models may have been replaced at different times: they must not share vectors.
    """
    number = int(space.generation.rpartition(":")[2] or 0)
    return f"{bot.bot_id}:{number + 1}"


def _fill(move: _Move) -> Steps[None]:
    """Give every chunk that lacks one a vector in the new space. Each batch is durable by itself."""
    bot, space = move.bot, move.target.fingerprint
    after = 0
    while True:
        bot.allow("bots.reembed")
        with bot.core.storage.read(bot.scope) as reader:
            record = bot.record(reader)
            batch = reader.lacking_vectors(bot.bot_id, space, after=after, limit=max(1, move.embedder.batch_size))
            texts = [_embedded(chunk, record) for chunk in batch]
            names = [content_hash(text) for text in texts]
            found = dict(reader.vectors_by_hash(space, set(names))) if batch else {}
        if not batch:
            return
        by_name = dict(zip(names, texts, strict=True))
        vectors = yield from _usable(move, by_name, found)
        move.reused += sum(name in vectors for name in names)
        missing = {name: text for name, text in by_name.items() if name not in vectors}
        if missing:
            fresh = yield from embed(move.embedder, list(missing.values()), purpose="document", ledger=Ledger(bot))
            move.embedded_texts += len(missing)
            vectors |= zip(missing, fresh, strict=True)
        with bot.core.storage.write(bot.scope) as writer:
            bot.record(writer)
            keys = [chunk.key for chunk in batch]
            stored = np.stack([vectors[name] for name in names])
            move.done += writer.put_embeddings(bot.bot_id, space, keys, names, stored)
        after = batch[-1].key
        if move.progress is not None:
            move.total = max(move.total, move.done)
            move.progress(ReembedProgress(stage="embedded", done=move.done, total=move.total))


def _usable(move: _Move, texts: dict[bytes, str], found: dict[bytes, Vector]) -> Steps[dict[bytes, Vector]]:
    """Return those of the tenant's vectors that may serve: none if its model was once another one of the same name."""
    if found and move.shares is None:
        some = {texts[name]: vector for name, vector in list(found.items())[:SAMPLE_TEXTS]}
        report = yield from compare(move.bot, move.embedder, some)
        move.shares = report is None or report.same
    return found if move.shares else {}


def _embedded(chunk: ChunkText, record: BotRecord) -> str:
    """Return what is to be embedded for a chunk: what was before, so that it keeps its meaning though its bot's settings changed."""
    text = text_of(chunk)
    if text is None:
        text = embedded_text(chunk.text, chunk.title if record.profile.embed_context == "title" else None)
    return text


def _count_words(move: _Move, reader: Reader | None = None) -> None:
    """Count what the new embedder knows of each document's words, where that is not known of its present version.

    Given a reader, which is one transaction, it is used; else each page of documents is read in a view of its own.
    """
    if move.target == move.source or move.embedder.familiarity(_ANY_WORD) is None:
        return
    bot = move.bot
    after: str | None = None
    if reader is None:
        with bot.core.storage.read(bot.scope) as view:
            move.counted = view.position(bot.bot_id)
    elif reader.position(bot.bot_id) == move.counted:
        return  # nothing has changed since the last count began
    while True:
        bot.core.check()
        if reader is not None:
            after = _count_page(move, reader, after)
        else:
            with bot.core.storage.read(bot.scope) as view:
                after = _count_page(move, view, after)
        if after is None:
            return


def _count_page(move: _Move, reader: Reader, after: str | None) -> str | None:
    page = reader.current_versions(move.bot.bot_id, after=after, limit=_VERSIONS_AT_ONCE)
    for document_id, version_id, characters in page:
        known = move.words.get(document_id)
        if known is None or known[0] != version_id:
            sample = reader.text(version_id, 0, FAMILIARITY_SAMPLE)
            counted = known_words(move.embedder, sample, length=characters) if sample else (0, 0.0)
            move.words[document_id] = (version_id, *counted)
    return page[-1][0] if page else None


def _swap(move: _Move, *, recut: bool) -> BotRecord | None:
    """Put the new space in the old one's place, and return the bot; None if a chunk has come that lacks a vector."""
    bot = move.bot
    bot.allow("bots.reembed")
    with bot.core.storage.write(bot.scope) as writer:
        present = bot.record(writer)
        if present.space not in (move.source, move.target):
            raise ConflictError(
                f"bot {present.profile.name!r} was moved to {present.space} by another call meanwhile; it stays there"
            )
        if writer.lacking_vectors(bot.bot_id, move.target.fingerprint, limit=1):
            return None
        profile = present.profile.model_copy(update={"embedder": move.ref})
        changed = present.model_copy(update={"profile": profile, "space": move.target})
        if changed != present:
            changed = changed.model_copy(update={"updated_at": utc_now()})
            writer.put_bot(changed)
            audit.record(writer, bot.principal, "bot.reembedded", bot.bot_id)
        if move.target != move.source:
            _count_words(move, writer)
            writer.put_familiarity(bot.bot_id, {name: counted[1:] for name, counted in move.words.items()})
        if recut:
            writer.mark_stale(bot.bot_id, recut=True)
        return changed


def _drop_others(move: _Move) -> None:
    """Drop the bot's vectors of all spaces but the one it is in, a bounded number in each transaction."""
    bot = move.bot
    dropped = _DROP_AT_ONCE
    while dropped == _DROP_AT_ONCE:
        bot.core.check()
        with bot.core.storage.write(bot.scope) as writer:
            keep = bot.record(writer).space.fingerprint
            dropped = writer.drop_embeddings(bot.bot_id, keep_space=keep, limit=_DROP_AT_ONCE)
        move.dropped += dropped


def _measure(move: _Move) -> tuple[int, int]:
    """Return how many chunks the bot has, and of how many the new model reads only the beginning."""
    bot, limit = move.bot, move.embedder.max_tokens
    long_chunks = 0
    with bot.core.storage.read(bot.scope) as reader:
        chunks = reader.stats(bot.bot_id).chunks
        if limit is not None:
            for batch in reader.index_texts(bot.bot_id):
                long_chunks += sum(move.embedder.count_tokens(chunk.text) > limit for chunk in batch)
    return chunks, long_chunks
