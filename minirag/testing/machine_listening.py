"""`Listener`: a tenant's session with an ear in front of it that knows another tenant's canary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import BaseModel

from minirag.bot import Bot
from minirag.chat import Chat, Chats
from minirag.documents import Documents
from minirag.models.search import SearchResults
from minirag.session import Bots, TenantSession, UsageLedger
from minirag.sources import Sources

__all__ = ["FACES", "Listener"]

FACES: Final = (TenantSession, Bots, Bot, Sources, Documents, Chats, Chat, UsageLedger)
"""The objects on which a tenant's calls are made."""


class Listener:
    """Passes calls on and searches all that comes back, results and errors, for what must not be heard.

    Args:
        target: one of `FACES`.
        forbidden: words of other tenants. Where the caller itself said one, a trace or a message may repeat it.
        heard: takes the name of each method that was called, such as `"Bot.search"`.
    """

    def __init__(self, target: Any, *, forbidden: tuple[str, ...], heard: set[str]) -> None:
        self._target = target
        self._forbidden = forbidden
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._listening(name, value) if callable(value) else self._passed(name, value)

    def _listening(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self._heard.add(f"{type(self._target).__name__}.{name}")
            given = tuple(_bare(value) for value in given)
            named = {key: _bare(value) for key, value in named.items()}
            asked = any(word in repr((given, named)) for word in self._forbidden)
            try:
                result = method(*given, **named)
                if isinstance(result, Iterator):
                    result = list(result)
            except Exception as problem:
                if not asked:
                    self._search(name, _chain(problem))
                raise
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
            assert word not in text, (
                f"{type(self._target).__name__}.{name} told {word!r} of another tenant: {text[:500]}"
            )


def _bare(value: Any) -> Any:
    return value._target if isinstance(value, Listener) else value


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
