"""Answers, and the citations that hold them to the documents."""

from __future__ import annotations

from typing import Any, Literal, Protocol, Self

from pydantic import ConfigDict, PrivateAttr

from minirag.errors import WorkspaceStateError
from minirag.models.base import Model
from minirag.models.search import Hit, SearchTrace
from minirag.models.usage import Usage

__all__ = ["Answer", "AnswerEvent", "AnswerTrace", "Citation", "DroppedChunk", "EvidenceReader"]


class EvidenceReader(Protocol):
    """Reads the text a citation points at, inside the tenant it belongs to."""

    def read_evidence(self, version_id: str, start: int, end: int) -> str:
        """Return the version's text from `start` to `end`, both clipped to it.

        Raises:
            EvidenceGoneError: if the version was erased.
        """
        ...


class Citation(Model):
    """A statement's evidence: an exact span of one document version.

    Attributes:
        marker: the string in the answer's text, such as `"[1]"`.
        quote: the text from `start` to `end` (code points) of the version.
    """

    marker: str
    quote: str
    key: str
    bot: str
    document_id: str
    version_id: str
    source_id: str
    source_name: str
    title: str | None
    start: int
    end: int
    page: int | None

    _reader: EvidenceReader | None = PrivateAttr(default=None)

    def _bind(self, reader: EvidenceReader | None) -> Citation:
        """Return this citation, able to read its evidence through `reader`."""
        bound = self.model_copy()
        bound._reader = reader
        return bound

    def verify(self) -> bool:
        """Return whether the stored text from `start` to `end` still equals the quote.

        Raises:
            EvidenceGoneError: if the text was erased.
        """
        return self._read(self.start, self.end) == self.quote

    def open(self, before: int = 0, after: int = 0) -> str:
        """Return the quote with `before` and `after` code points of the text around it.

        Raises:
            EvidenceGoneError: if the text was erased.
        """
        from minirag.models.checks import check_integer

        check_integer("before", before, minimum=0)
        check_integer("after", after, minimum=0)
        return self._read(max(0, self.start - before), self.end + after)

    def _read(self, start: int, end: int) -> str:
        if self._reader is None:
            raise WorkspaceStateError("this citation was made outside a workspace; use bot.open(citation)")
        return self._reader.read_evidence(self.version_id, start, end)

    def __eq__(self, other: object) -> bool:
        # The same span is the same evidence, however it would be read.
        return isinstance(other, Citation) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self.marker, self.version_id, self.start, self.end))

    def __getstate__(self) -> dict[Any, Any]:
        # What reads the evidence holds database connections; it stays behind.
        return {**super().__getstate__(), "__pydantic_private__": {"_reader": None}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __str__(self) -> str:
        page = f", page {self.page}" if self.page is not None else ""
        return f"{self.marker} {self.key}{page}: {' '.join(self.quote.split())}"


class DroppedChunk(Model):
    """A hit that was not given to the model, and why."""

    chunk_id: str
    reason: str


class AnswerTrace(Model):
    """How an answer came about.

    Attributes:
        query: what was searched for: the question, or its rewriting with the conversation before it.
        prompt_tokens: the size of the prompt, by the model's count or a documented estimate.
        cited_by: who chose the citations: the model's own markers, or, where it wrote no valid one, a comparison of its
            sentences with the passages; None if there is no citation.
        unknown_markers: markers that the model wrote and that have no source; they were removed.
        seconds: by step.
    """

    question: str
    query: str
    search: SearchTrace | None = None
    passages: tuple[str, ...] = ()
    dropped: tuple[DroppedChunk, ...] = ()
    prompt_tokens: int = 0
    cited_by: Literal["model", "comparison"] | None = None
    unknown_markers: tuple[str, ...] = ()
    abstained_because: str | None = None
    seconds: dict[str, float] = {}


class Answer(Model):
    """An answer and its evidence.

    Attributes:
        text: prose with `[1]` markers, each of which is the `marker` of a citation.
        hits: what was found, best first.
        abstained: whether the documents did not support an answer.
        model: who wrote it, such as `"openai:gpt-4o-mini"`; `"extractive"` composes it of the documents' sentences.
        chat_id: the conversation it belongs to; None for `bot.ask`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    citations: tuple[Citation, ...] = ()
    hits: tuple[Hit, ...] = ()
    usage: Usage = Usage()
    abstained: bool = False
    model: str = ""
    trace: AnswerTrace
    chat_id: str | None = None
    message_id: str | None = None

    def __str__(self) -> str:
        sources = "\n".join(str(citation) for citation in self.citations)
        return f"{self.text}\n\n{sources}" if sources else self.text

    def __repr__(self) -> str:
        shown = (
            ", abstained" if self.abstained else f", {len(self.citations)} citation{'s' * (len(self.citations) != 1)}"
        )
        return f"Answer({self.text!r}{shown})"

    def _repr_html_(self) -> str:
        from html import escape

        def item(citation: Citation) -> str:
            page = f", page {citation.page}" if citation.page is not None else ""
            where = escape(f"{citation.marker} {citation.key}{page}")
            return f"<li style='list-style:none'><b>{where}</b><blockquote>{escape(citation.quote)}</blockquote></li>"

        note = "<p><em>No supporting passage was found.</em></p>" if self.abstained else ""
        body = escape(self.text).replace("\n", "<br>")
        cited = "".join(item(citation) for citation in self.citations)
        return f"<div><p>{body}</p>{note}<ul style='padding-left:0'>{cited}</ul></div>"


class AnswerEvent(Model):
    """One step of a streamed answer. A stream ends in exactly one `done` or `error`.

    Attributes:
        type: `sources` (with `hits`), `delta` (with `text`), `citation`, `usage`, `done` (with `answer`), `error`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    type: Literal["sources", "delta", "citation", "usage", "done", "error"]
    text: str | None = None
    hits: tuple[Hit, ...] | None = None
    citation: Citation | None = None
    usage: Usage | None = None
    answer: Answer | None = None
    error: Exception | None = None

    def __repr__(self) -> str:
        given = [f"{name}={value!r}" for name, value in self if value is not None]
        return f"{type(self).__name__}({', '.join(given)})"
