"""BM25 in memory, with analysers for many languages."""

from __future__ import annotations

__all__: list[str] = []
