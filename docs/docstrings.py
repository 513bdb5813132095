"""Shapes what the reference shows of the code: an extension of griffe, which reads it."""

from __future__ import annotations

import re
from typing import Any

import griffe

_CLAUSE = re.compile(r"^([A-Z]\d+)\. ", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Shows numbered clauses such as `E1. Text` as a list, and leaves out what belongs to classes alone."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Rewrite the docstring of a class that has clauses, and drop its `ClassVar`s."""
        for name, member in list(cls.members.items()):
            if member.is_attribute and "ClassVar" in str(getattr(member, "annotation", "")):
                cls.del_member(name)
        first = _CLAUSE.search(cls.docstring.value) if cls.docstring is not None else None
        if cls.docstring is not None and first is not None:
            text = cls.docstring.value
            cls.docstring.value = text[: first.start()] + "\n" + _CLAUSE.sub(r"- **\1.** ", text[first.start() :])
