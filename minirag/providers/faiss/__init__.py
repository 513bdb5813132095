"""The embedded vector index."""

from __future__ import annotations

__all__: list[str] = []
