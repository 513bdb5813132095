"""Answers, events and messages of the asynchronous face: their citations are awaited."""

from __future__ import annotations

from minirag.aio.runner import Runner
from minirag.errors import WorkspaceStateError
from minirag.models.answers import Answer, AnswerEvent, Citation, EvidenceReader
from minirag.models.chats import Message

__all__ = ["AsyncAnswer", "AsyncAnswerEvent", "AsyncCitation", "AsyncMessage", "Binder"]


class _AsyncEvidence:
    """An evidence reader that knows the threads to read in."""

    def __init__(self, reader: EvidenceReader, runner: Runner) -> None:
        self._reader = reader
        self.runner = runner

    def read_evidence(self, version_id: str, start: int, end: int) -> str:
        return self._reader.read_evidence(version_id, start, end)


class AsyncCitation(Citation):
    """A citation whose evidence is read off the event loop: `await citation.verify()`."""

    async def verify(self) -> bool:  # type: ignore[override]  # the asynchronous face awaits what may touch the disk
        """Return whether the stored text from `start` to `end` still equals the quote; see `Citation.verify`."""
        return await self._runner.call(Citation.verify, self)

    async def open(self, before: int = 0, after: int = 0) -> str:  # type: ignore[override]  # as above
        """Return the quote with code points around it; see `Citation.open`."""
        return await self._runner.call(Citation.open, self, before, after)

    @property
    def _runner(self) -> Runner:
        if not isinstance(self._reader, _AsyncEvidence):
            raise WorkspaceStateError("this citation was made outside a workspace; use await bot.open(citation)")
        return self._reader.runner


class AsyncAnswer(Answer):
    """An answer whose citations are awaited."""

    citations: tuple[AsyncCitation, ...] = ()


class AsyncAnswerEvent(AnswerEvent):
    """A step of a streamed answer whose citations are awaited."""

    citation: AsyncCitation | None = None
    answer: AsyncAnswer | None = None


class AsyncMessage(Message):
    """A turn of a conversation whose citations are awaited."""

    citations: tuple[AsyncCitation, ...] = ()


class Binder:
    """Turns what the services give into the asynchronous face's own records, bound to a workspace's threads."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def citation(self, citation: Citation) -> AsyncCitation:
        """Return the citation, to be awaited."""
        bound = AsyncCitation.model_construct(**dict(citation))
        if citation._reader is not None:
            bound._reader = _AsyncEvidence(citation._reader, self._runner)
        return bound

    def answer(self, answer: Answer) -> AsyncAnswer:
        """Return the answer with its citations to be awaited."""
        citations = tuple(map(self.citation, answer.citations))
        return AsyncAnswer.model_construct(**{**dict(answer), "citations": citations})

    def event(self, event: AnswerEvent) -> AsyncAnswerEvent:
        """Return the event with its citation, or its answer's, to be awaited."""
        changes = {
            "citation": None if event.citation is None else self.citation(event.citation),
            "answer": None if event.answer is None else self.answer(event.answer),
        }
        return AsyncAnswerEvent.model_construct(**{**dict(event), **changes})

    def message(self, message: Message) -> AsyncMessage:
        """Return the message with its citations to be awaited."""
        citations = tuple(map(self.citation, message.citations))
        return AsyncMessage.model_construct(**{**dict(message), "citations": citations})
