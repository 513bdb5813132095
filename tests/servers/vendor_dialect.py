"""How a chat vendor's protocol is written down for a test server, and what all of them share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["READ", "WRITTEN", "Dialect", "dumps", "plain_problem", "sse"]

READ, WRITTEN = 11, 7


@dataclass(frozen=True)
class Dialect:
    """How one vendor's requests, answers, streams and errors look.

    Attributes:
        root: the path of the API's root.
        key: the header that carries the key, and what stands before it.
        path: the path of a request, whole and streamed.
        problem: what is wrong with a body, or None.
        whole: an answer of a text and a reason, and of tool calls where there are any.
        events: the same as a stream of texts, each event ready to be sent.
        error: an error object inside a stream, or as the body of a refusal.
        words: the vendor's words for `stop`, `length` and `calls`, and one of its others.
        request_id: the header that carries the call's id.
    """

    name: str
    root: str
    key: tuple[str, str]
    path: tuple[str, str]
    problem: Callable[[Any], str | None]
    whole: Callable[..., Any]
    events: Callable[..., list[bytes]]
    error: Callable[[str], Any]
    words: Mapping[str, str]
    request_id: str = "x-request-id"
    lines: bool = False

    def event(self, payload: Any) -> bytes:
        """Return a payload as an event of this vendor's streams."""
        return dumps(payload) + b"\n" if self.lines else sse(payload)


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def sse(payload: Any, *, name: str | None = None) -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + dumps(payload) + b"\n\n"


def plain_problem(
    body: Any,
    *,
    required: set[str],
    optional: set[str],
    roles: set[str],
    with_calls: Callable[[Any, set[str]], str | None] | None = None,
) -> str | None:
    """Return what is wrong with a body whose messages are `role` and `content`, or as `with_calls` wants them."""
    if missing := required - body.keys():
        return f"missing: {sorted(missing)}"
    if unknown := body.keys() - required - optional:
        return f"extra inputs are not permitted: {sorted(unknown)}"
    known: set[str] = set()
    for message in body["messages"]:
        if with_calls is not None and (message["role"] == "tool" or "tool_calls" in message):
            if problem := with_calls(message, known):
                return problem
        elif message.keys() != {"role", "content"} or message["role"] not in roles:
            return f"wrong message: {message['role']}"
    return None
