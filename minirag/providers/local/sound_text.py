"""Texts as tokenizers take them."""

from __future__ import annotations

__all__ = ["sound_text"]


def sound_text(text: str) -> str:
    """Return the text with `?` for lone surrogates, which are no characters and which tokenizers refuse."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
