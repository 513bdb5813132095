"""Lines of JSON, as some servers stream their answers in."""

from __future__ import annotations

import codecs

__all__ = ["LineParser"]


class LineParser:
    """Cuts a byte stream into its lines that are not empty. Source: the NDJSON specification, version 1.0."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._begun: list[str] = []

    def feed(self, received: bytes) -> list[str]:
        """Return the lines that these bytes complete."""
        return self._parse(self._decoder.decode(received))

    def finish(self) -> list[str]:
        """Return the line that the stream's end completes: some servers leave out the last line end."""
        return self._parse(self._decoder.decode(b"", final=True) + "\n")

    def _parse(self, text: str) -> list[str]:
        # Only LF ends a line; `str.splitlines` would also cut at U+2028 inside a JSON string.
        lines = text.split("\n")
        self._begun.append(lines[0])
        if len(lines) == 1:
            return []
        lines[0] = "".join(self._begun)
        self._begun = [lines.pop()]
        return [line for line in (line.strip() for line in lines) if line]
