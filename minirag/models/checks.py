"""Checks of arguments that public methods share: each names the argument, the value and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from minirag.errors import InvalidInputError

__all__ = ["check_choice", "check_flag", "check_integer", "check_text", "clipped"]

T = TypeVar("T", bound=str)


def clipped(value: object, limit: int = 60) -> str:
    """Return `repr(value)`, cut to a readable length; a value that cannot be shown is named by its type."""
    if isinstance(value, str | bytes) and len(value) > limit:
        return f"{value[:limit]!r}… ({type(value).__name__} of length {len(value):,})"
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - a foreign repr may raise anything, as that of an int of 5,000 digits does
        return f"<{type(value).__name__}>"
    return shown if len(shown) <= limit else f"{shown[:limit]}… ({type(value).__name__})"


def check_text(name: str, value: object, *, maximum: int = 100_000, blank: bool = False) -> str:
    """Return `value` if it is a string that can be stored, else raise `InvalidInputError`."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a str, not {type(value).__name__}: {clipped(value)}")
    if not blank and not value.strip():
        raise InvalidInputError(f"{name} is empty: {clipped(value)}; give some text")
    if len(value) > maximum:
        raise InvalidInputError(f"{name} is {len(value):,} characters long; the limit is {maximum:,}")
    if "\x00" in value or not (value.isascii() or all(not "\ud800" <= character <= "\udfff" for character in value)):
        raise InvalidInputError(f"{name} holds a NUL or a lone surrogate; remove it first")
    return value


def check_integer(name: str, value: object, *, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
    """Return `value` if it is an integer (never a bool) from `minimum` to `maximum`, else raise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError(f"{name} must be an int, not {type(value).__name__}: {clipped(value)}")
    if not minimum <= value <= maximum:
        raise InvalidInputError(f"{name}={clipped(value)} is out of range; it must be from {minimum} to {maximum:,}")
    return value


def check_flag(name: str, value: object) -> bool:
    """Return `value` if it is a bool, else raise `InvalidInputError`."""
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name} must be True or False, not {clipped(value)}")
    return value


def check_choice(name: str, value: object, choices: Sequence[T]) -> T:
    """Return `value` if it is one of `choices`, else raise `InvalidInputError` naming them."""
    for choice in choices:
        if isinstance(value, str) and value == choice:
            return choice
    raise InvalidInputError(f"{name}={clipped(value)} is unknown; use one of {', '.join(map(repr, choices))}")
