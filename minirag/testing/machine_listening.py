"""`Listener`: a tenant's session with an ear in front of it that knows another tenant's canary."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from minirag.accounting import AuditLog, UsageLedger
from minirag.aio.accounting import AsyncAuditLog, AsyncUsageLedger
from minirag.aio.bot import AsyncBot, AsyncChat, AsyncChats, AsyncDocuments, AsyncSources
from minirag.aio.people import AsyncTokens, AsyncUsers
from minirag.aio.workspace import AsyncBots, AsyncTenantSession
from minirag.bot import Bot
from minirag.chat import Chat, Chats
from minirag.documents import Documents
from minirag.models.search import SearchResults
from minirag.session import Bots, TenantSession
from minirag.sources import Sources
from minirag.testing.machine_awaiting import bare
from minirag.tokens import Tokens
from minirag.users import Users

__all__ = ["FACES", "Listener", "check_archive"]

FACES: Final[tuple[type, ...]] = (
    *(TenantSession, Bots, Bot, Sources, Documents, Chats, Chat, UsageLedger, AuditLog, Users, Tokens),
    *(AsyncTenantSession, AsyncBots, AsyncBot, AsyncSources, AsyncDocuments, AsyncChats, AsyncChat),
    *(AsyncUsageLedger, AsyncAuditLog, AsyncUsers, AsyncTokens),
)
"""The objects on which a tenant's calls are made, of both faces."""


class Listener:
    """Passes calls on and searches all that comes back, results, errors and log lines, for what must not be heard.

    Args:
        target: one of `FACES`, or an `Awaited` one.
        forbidden: words of other tenants. Where the caller itself said one, a trace or a message may repeat it.
        heard: takes the name of each method that was called, such as `"Bot.search"`.
    """

    def __init__(self, target: Any, *, forbidden: tuple[str, ...], heard: set[str]) -> None:
        self._target = target
        self._forbidden = forbidden
        self._heard = heard
        self._kind = target.__class__.__name__  # of an `Awaited` the type it stands for

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._listening(name, value) if callable(value) else self._passed(name, value)

    def _listening(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self._heard.add(f"{self._kind}.{name}")
            given = tuple(_bare(value) for value in given)
            named = {key: _bare(value) for key, value in named.items()}
            asked = any(word in repr((given, named)) for word in self._forbidden)
            with _logged() as lines:
                try:
                    result = method(*given, **named)
                    if isinstance(result, Iterator):
                        result = list(result)
                except Exception as problem:
                    if not asked:
                        self._search(name, _chain(problem))
                    raise
                finally:
                    if not asked:
                        self._search(f"{name}, in the log,", "\n".join(lines))
            return self._passed(name, result, asked=asked)

        return call

    def _passed(self, name: str, value: Any, *, asked: bool = False) -> Any:
        if isinstance(value, FACES):
            self._search(name, repr(value))
            return Listener(value, forbidden=self._forbidden, heard=self._heard)
        self._search(name, _told(value, with_traces=not asked))
        return value

    def _search(self, name: str, text: str) -> None:
        for word in self._forbidden:
            assert word not in text, f"{self._kind}.{name} told {word!r} of another tenant: {text[:500]}"


class _Ear(logging.Handler):
    """Keeps every line of the library's log, whatever its level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Listen to the library's log during a block."""
    logger, ear = logging.getLogger("minirag"), _Ear()
    level = logger.level
    logger.addHandler(ear)
    logger.setLevel(logging.DEBUG)
    try:
        yield ear.lines
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)


def check_archive(archive: Path, *, forbidden: tuple[str, ...]) -> None:
    """Fail if an exported tenant holds a word of another. Chats are left out: in them people may have asked for it."""
    with zipfile.ZipFile(archive) as members:
        contents = {name: members.read(name) for name in members.namelist() if not name.endswith("chats.jsonl")}
    contents["own bytes"] = archive.read_bytes()  # what lies between the members, and after them
    for name, content in contents.items():
        told = [word for word in forbidden if word.encode() in content]
        assert not told, f"the export's {name} tells {told} of another tenant"


def _bare(value: Any) -> Any:
    """Return what stands behind a `Listener` and an `Awaited`."""
    return bare(value._target if isinstance(value, Listener) else value)


def _told(value: Any, *, with_traces: bool) -> str:
    """Return everything a result shows; without traces, which repeat the question."""
    if isinstance(value, SearchResults):
        return f"{value!r} {_told(value.trace, with_traces=True) if with_traces else ''} {_told(list(value), with_traces=True)}"
    if isinstance(value, BaseModel):
        return f"{value!r} {value} {_shown(value.model_dump(), with_traces=with_traces)}"
    if isinstance(value, list | tuple):
        return " ".join(_told(item, with_traces=with_traces) for item in value)
    return f"{value!r} {value}"


def _shown(dump: Any, *, with_traces: bool) -> Any:
    if isinstance(dump, dict):
        kept = {name: value for name, value in dump.items() if with_traces or name != "trace"}
        return {name: _shown(value, with_traces=with_traces) for name, value in kept.items()}
    return dump


def _chain(problem: BaseException) -> str:
    """Return an error's message and those of the errors behind it."""
    told = []
    link: BaseException | None = problem
    while link is not None:
        told.append(f"{link!r} {link} {getattr(link, 'report', '')!r}")
        link = link.__cause__ or link.__context__
    return " ".join(told)
