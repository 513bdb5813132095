"""Server-sent events, as streamed answers arrive in."""

from __future__ import annotations

import codecs

__all__ = ["EventParser"]


class EventParser:
    """Cuts a byte stream into the data of its events. Source: the HTML standard, "Server-sent events".

    Only `data` counts; comments, `event`, `id` and `retry` are left out.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._data: list[str] = []

    def feed(self, received: bytes) -> list[str]:
        """Return the data of the events that these bytes complete."""
        return self._parse(self._decoder.decode(received))

    def finish(self) -> list[str]:
        """Return the data of an event that the stream's end completes: some servers leave out the last empty line."""
        return self._parse(self._decoder.decode(b"", final=True) + "\n\n")

    def _parse(self, text: str) -> list[str]:
        # Only CR, LF and CRLF end a line; `str.splitlines` would also cut at U+2028 inside a JSON string.
        text = self._rest + text
        held = "\r" if text.endswith("\r") else ""  # it may be the first half of a CRLF
        lines = text.removesuffix(held).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = lines.pop() + held
        events: list[str] = []
        for line in lines:
            if line:
                name, _, value = line.partition(":")
                if name == "data":
                    self._data.append(value.removeprefix(" "))
            elif self._data:
                events.append("\n".join(self._data))
                self._data.clear()
        return events
