"""From a document to the version that will be written: parse, compare, cut, hash. No transaction, no embedding."""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from minirag._services.core import BotContext
from minirag._services.reading import Incoming, choose_parser
from minirag.errors import InvalidDocumentError, ParseError
from minirag.interfaces import Chunker, ChunkSpan, Embedder, ParsedDocument, Span
from minirag.interfaces.records import ChunkDraft, DocumentState, VersionDraft
from minirag.models.documents import PageSpan
from minirag.models.metadata import encode_metadata
from minirag.models.tenants import BotRecord
from minirag.types import MetadataValue

if TYPE_CHECKING:
    from minirag.types import Matrix

__all__ = [
    "FAMILIARITY_SAMPLE",
    "Plan",
    "Planner",
    "Touch",
    "Unchanged",
    "content_hash",
    "embedded_text",
    "known_words",
    "pages_of",
    "spans_from_json",
]

_ENCODER: Final = json.JSONEncoder()
FAMILIARITY_SAMPLE = 20_000
"""How many code points of a document's beginning stand for all of it."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The document is as it was."""

    state: DocumentState


@dataclass(frozen=True, slots=True)
class Touch:
    """Title, metadata or bytes changed, but not what is searched: no new version, no embedding."""

    incoming: Incoming
    state: DocumentState
    title: str | None
    metadata: dict[str, MetadataValue]
    raw_hash: bytes | None
    status: Literal["updated", "unchanged"]


@dataclass(slots=True)
class Plan:
    """A new version, all but its vectors.

    Attributes:
        texts: what is embedded for each chunk.
    """

    incoming: Incoming
    state: DocumentState | None
    title: str | None
    metadata: dict[str, MetadataValue]
    parsed: ParsedDocument
    language: str
    text_hash: bytes
    version_hash: bytes
    raw_hash: bytes | None
    chunker: str
    chunks: tuple[ChunkDraft, ...]
    texts: tuple[str, ...]
    words: int
    known_words: float

    def draft(self, vectors: Matrix) -> VersionDraft:
        """Return the version with its vectors, ready to be written."""
        return VersionDraft(
            source_id=self.incoming.source.id,
            key=self.incoming.key,
            title=self.title,
            metadata=self.metadata,
            replaces=self.state.version_id if self.state else None,
            media_type=self.parsed.media_type,
            language=self.language,
            text=self.parsed.text,
            text_hash=self.text_hash,
            version_hash=self.version_hash,
            raw_hash=self.raw_hash,
            chunker=self.chunker,
            spans=spans_to_json(self.parsed.spans),
            chunks=self.chunks,
            vectors=vectors,
            words=self.words,
            known_words=self.known_words,
        )


class Planner:
    """Plans versions for one bot as its settings are now."""

    def __init__(self, bot: BotContext, record: BotRecord, embedder: Embedder) -> None:
        self._profile = profile = record.profile
        self._engines = bot.core.engines
        self._embedder = embedder
        self._keyword_index = bot.core.keyword_index
        self._chunker: Chunker = self._engines.chunker(bot, record)
        options = json.dumps(profile.chunker.options, sort_keys=True, default=str)
        self._chunker_name = f"{profile.chunker.provider}/{self._chunker.revision}/{options}"

    def plan(self, incoming: Incoming, state: DocumentState | None) -> Unchanged | Touch | Plan:
        """Return what is to be done for a document.

        Raises:
            ParseError, InvalidDocumentError: if it cannot be taken in.
            UnreadableError: if it is to be left out.
        """
        raw_hash = incoming.raw_hash
        parsed = incoming.parsed
        if incoming.raw is not None:
            chosen = choose_parser(self._engines, incoming.raw)
            raw_hash = chosen.raw_hash(incoming)
            if state is not None and state.raw_hash == raw_hash and not state.stale:
                return Unchanged(state)
            parsed = chosen.parser.parse(incoming.raw)
        assert parsed is not None
        check_document_text(parsed.text, parsed=incoming.raw is not None)
        title = incoming.title if incoming.title is not None else parsed.title
        metadata = {**incoming.source.metadata, **parsed.metadata, **(incoming.metadata or {})}
        language = self._language(parsed.text)
        text_hash = hashlib.sha256(parsed.text.encode()).digest()
        version_hash = self._version_hash(text_hash, title, language)
        if state is not None and state.version_hash == version_hash:
            # Compared as they are stored: to Python 1, 1.0 and True are equal, to a filter they are not.
            same = state.title == title and encode_metadata(state.metadata) == encode_metadata(metadata)
            if same and state.raw_hash == raw_hash and not state.stale:
                return Unchanged(state)
            return Touch(incoming, state, title, metadata, raw_hash, "unchanged" if same else "updated")
        spans = self._chunker.split(parsed, self._embedder.count_tokens)
        if not spans:
            raise ParseError(f"chunker {self._profile.chunker} made no chunk of a text that is not blank")
        chunks, texts = self._drafts(parsed, spans, title)
        words, known = known_words(self._embedder, parsed.text[:FAMILIARITY_SAMPLE], length=len(parsed.text))
        return Plan(
            incoming,
            state,
            title,
            metadata,
            parsed,
            language,
            text_hash,
            version_hash,
            raw_hash,
            self._chunker_name,
            chunks,
            texts,
            words,
            known,
        )

    def _language(self, text: str) -> str:
        language = self._profile.language
        return self._keyword_index.detect_language(text) if language == "auto" else language

    def _version_hash(self, text_hash: bytes, title: str | None, language: str) -> bytes:
        context = title if self._profile.embed_context == "title" else None
        parts = [text_hash.hex(), self._chunker_name, self._profile.embed_context, context, language]
        return hashlib.sha256(_ENCODER.encode(parts).encode()).digest()[:16]

    def _drafts(
        self, parsed: ParsedDocument, spans: Sequence[ChunkSpan], title: str | None
    ) -> tuple[tuple[ChunkDraft, ...], tuple[str, ...]]:
        pages = [span for span in parsed.spans if span.kind == "page"]
        starts = [page.start for page in pages]
        context = title if self._profile.embed_context == "title" else None
        drafts, texts = [], []
        for span in spans:
            text = embedded_text(parsed.text[span.start : span.end], context)
            at = bisect.bisect_right(starts, span.start) - 1
            page = pages[at].number if at >= 0 else None
            drafts.append(ChunkDraft(span.start, span.end, content_hash(text), page, span.metadata))
            texts.append(text)
        return tuple(drafts), tuple(texts)


def embedded_text(text: str, title: str | None) -> str:
    """Return what is embedded for a chunk: its text, behind a title where there is one to be embedded."""
    return f"{title}\n{text}" if title else text


def content_hash(text: str) -> bytes:
    """Return the 16 bytes that name an embedded text."""
    return hashlib.sha256(text.encode()).digest()[:16]


def known_words(embedder: Embedder, sample: str, *, length: int) -> tuple[int, float]:
    """Return how many words a text of `length` has and how many of them the embedder knows, judged by its beginning."""
    familiarity = embedder.familiarity(sample)
    if familiarity is None:
        return 0, 0.0
    share = length / len(sample)
    return round(familiarity.words * share), familiarity.known * share


def check_document_text(text: str, *, parsed: bool = False) -> None:
    """Raise if a text cannot be taken in: blank, or with characters that cannot be stored."""
    error = ParseError if parsed else InvalidDocumentError
    if not text or text.isspace():
        raise error("the document's text is empty or blank")
    if "\x00" in text:
        raise error("the document's text holds a NUL character; remove it first")
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise error(f"the document's text holds a lone surrogate at {problem.start}; remove it first") from None


def spans_to_json(spans: Sequence[Span]) -> str:
    """Return a parser's spans as JSON, as they are stored with a version."""
    if not spans:
        return "[]"
    rows = [[span.kind, span.start, span.end, span.number, span.label] for span in spans]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def spans_from_json(text: str) -> tuple[Span, ...]:
    """Return the spans that `spans_to_json` wrote."""
    return tuple(Span(*row) for row in json.loads(text)) if text != "[]" else ()


def pages_of(text: str) -> tuple[PageSpan, ...]:
    """Return the pages among a version's stored spans."""
    return tuple(
        PageSpan(number=span.number, start=span.start, end=span.end)
        for span in spans_from_json(text)
        if span.kind == "page" and span.number is not None
    )
