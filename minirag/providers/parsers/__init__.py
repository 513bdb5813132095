"""Built-in parsers: bytes of a file to canonical text."""

from __future__ import annotations

__all__: list[str] = []
