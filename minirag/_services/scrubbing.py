"""Conversations after an erasure: what of them held the erased text, and what is left in its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minirag.interfaces.storage import Writer
from minirag.models.chats import Message
from minirag.models.erasures import HandlingOfChats

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GAP", "Passages", "scrub_chats"]

GAP: Final = "[erased]"
"""What stands where an answer held erased text."""

_RUN: Final = 16
"""So many characters in a row are a passage of the text; fewer may be anybody's words."""

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_GAPS: Final = re.compile(rf"{re.escape(GAP)}(?:[\s.,;:!?\u2026\u3002]*{re.escape(GAP)})+")


@dataclass(slots=True)
class Passages:
    """Finds passages of some texts in others, by the hashes of all their runs of 16 characters."""

    _parts: list[NDArray[np.uint64]] = field(default_factory=list)
    _short: list[str] = field(default_factory=list)
    _known: NDArray[np.uint64] | None = None

    def add(self, text: str) -> None:
        """Take a text whose passages are looked for."""
        if len(text) < _RUN:
            if text.strip():
                self._short.append(text)
            return
        self._parts.append(np.unique(_runs(text)))
        self._known = None

    def without(self, text: str) -> str:
        """Return a text with a gap where it held a passage; the text itself if it held none."""
        held = np.zeros(len(text), np.bool_)
        if len(text) >= _RUN and self._parts:
            if self._known is None:
                self._known = np.unique(np.concatenate(self._parts))
                self._parts = [self._known]
            for start in np.flatnonzero(np.isin(_runs(text), self._known)).tolist():
                held[start : start + _RUN] = True
        for short in self._short:
            start = text.find(short)
            while start >= 0:
                held[start : start + len(short)] = True
                start = text.find(short, start + 1)
        if not held.any():
            return text
        edges = np.flatnonzero(np.diff(np.concatenate(([False], held, [False])).astype(np.int8)))
        parts, end = [], 0
        for start, stop in edges.reshape(-1, 2).tolist():
            passage = text[start:stop]
            begin = start + len(passage) - len(passage.lstrip())
            parts += [text[end:begin], GAP]
            end = stop - (len(passage) - len(passage.rstrip()))
        return _GAPS.sub(GAP, "".join([*parts, text[end:]]))


def scrub_chats(
    writer: Writer,
    bot_id: str,
    passages: Passages,
    *,
    versions: Collection[str],
    documents: Collection[str],
    chats: HandlingOfChats,
) -> tuple[int, list[str]]:
    """Rewrite the answers of a bot that cite what is erased; return how many, and the texts that went.

    `scrub` empties such an answer; `keep` leaves its own words, with a gap for each passage of the erased text. An answer
    without any citation, such as one that was cut short, gets gaps in either case. What people asked stays.
    """
    changed, gone = 0, []
    for batch in writer.messages_of_bot(bot_id):
        for chat_id, message in batch:
            scrubbed = _scrubbed(message, passages, versions, documents, chats)
            if scrubbed is not message:
                writer.put_message(chat_id, scrubbed)
                gone += _texts(message)
                changed += 1
    return changed, gone


def _scrubbed(
    message: Message,
    passages: Passages,
    versions: Collection[str],
    documents: Collection[str],
    chats: HandlingOfChats,
) -> Message:
    if message.role != "assistant":
        return message
    cited = [each for each in message.citations if each.version_id in versions or each.document_id in documents]
    if not cited:
        text = message.text if message.citations else passages.without(message.text)
        return message if text == message.text else message.model_copy(update={"text": text})
    if chats == "scrub":
        return message.model_copy(update={"text": "", "citations": (), "status": "erased"})
    kept = tuple(each for each in message.citations if each not in cited)
    text = passages.without(message.text)
    changes: dict[str, Any] = {"text": _unmarked(text, {each.marker for each in cited}), "citations": kept}
    return message.model_copy(update=changes)


def _unmarked(text: str, markers: Iterable[str]) -> str:
    """Return a text with gaps for the markers of citations that went."""
    for marker in markers:
        text = text.replace(marker, GAP)
    return _GAPS.sub(GAP, text)


def _texts(message: Message) -> list[str]:
    return [message.text, *(citation.quote for citation in message.citations)]


def _runs(text: str) -> NDArray[np.uint64]:
    """Return the hash of the run of 16 characters at each place of a text at least so long."""
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64) + np.uint64(1)
    hashes = np.zeros(len(characters) - _RUN + 1, np.uint64)
    for place in range(_RUN):
        hashes = hashes * _MULTIPLIER + characters[place : place + len(hashes)]
    return hashes
