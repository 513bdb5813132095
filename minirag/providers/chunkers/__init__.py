"""Built-in chunkers: where to cut a text."""

from __future__ import annotations

__all__: list[str] = []
