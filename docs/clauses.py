"""Shows the numbered clauses of the interfaces' docstrings as lists: an extension of griffe, which reads them."""

from __future__ import annotations

import re
from typing import Any

import griffe

_CLAUSE = re.compile(r"^([A-Z]\d+)\. ", re.MULTILINE)


class Clauses(griffe.Extension):
    """Turns lines such as `E1. Text` into items of a list."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Rewrite the docstring of a class that has clauses."""
        if cls.docstring is not None and _CLAUSE.search(cls.docstring.value):
            text = cls.docstring.value
            first = _CLAUSE.search(text)
            assert first is not None
            cls.docstring.value = text[: first.start()] + "\n" + _CLAUSE.sub(r"- **\1.** ", text[first.start() :])
