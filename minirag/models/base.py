"""What every border record shares: frozen, no unknown fields, errors of our own."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from minirag.errors import InvalidInputError
from minirag.models.checks import clipped

__all__ = ["InputModel", "Model", "describe_validation_error", "html_table"]


_put_values, _put_names, _put_extra, _put_private = (BaseModel.__dict__[slot].__set__ for slot in BaseModel.__slots__)
"""All that a record without validation is made of: its dict, and what pydantic keeps beside it."""


class Model(BaseModel):
    """A frozen record that refuses unknown fields."""

    # Validators are built when a record is first validated: building all takes a tenth of a process's start.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def _of(cls, values: dict[str, Any]) -> Self:
        """Return a record of values that are known to be right: one for every field, in the fields' order. The dict is kept.

        For the many records of a result: validation takes six times as long, and pydantic's `model_construct` nine times.
        """
        record = cls.__new__(cls)
        _put_values(record, values)
        _put_names(record, set(values))
        _put_extra(record, None)
        _put_private(record, None)
        return record


class InputModel(Model):
    """A record that an application makes itself: a wrong field raises `error`, never pydantic's own."""

    error: ClassVar[type[InvalidInputError]] = InvalidInputError

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as problem:
            message = f"{type(self).__name__}: {describe_validation_error(problem)}"
            raise self.error(message) from None


def describe_validation_error(problem: ValidationError) -> str:
    """Return the first faults of a pydantic error in one line, naming fields and types but no contents."""
    parts = []
    for fault in problem.errors(include_url=False, include_context=False)[:3]:
        place = ".".join(str(step) for step in fault["loc"]) or "value"
        given = fault.get("input")
        shown = clipped(given) if isinstance(given, int | float | bool | None) else f"a {type(given).__name__}"
        parts.append(f"{place}: {fault['msg']} (got {shown})")
    more = problem.error_count() - len(parts)
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def html_table(head: list[str], rows: list[list[object]], caption: str = "") -> str:
    """Return an HTML table with every cell escaped, for notebooks."""
    from html import escape

    def cells(tag: str, values: list[object]) -> str:
        style = ' style="text-align:left;vertical-align:top"'
        return "".join(f"<{tag}{style}>{escape(str(value))}</{tag}>" for value in values)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{cells('th', list(head))}</tr></thead><tbody>{body}</tbody></table>"
