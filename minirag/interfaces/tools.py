"""What a model may call, and its calls: `Tool` and `ToolCall`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from minirag.errors import InvalidInputError

__all__ = ["TOOL_CHOICES", "Tool", "ToolCall", "check_json"]

TOOL_CHOICES: Final = frozenset({"auto", "none", "required"})
"""What `LLMRequest.tool_choice` may be beside a tool's name."""

# What every vendor takes: the strictest allows 64 letters, digits, hyphens and underscores.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that the application does for a model that asks for it.

    Attributes:
        name: up to 64 letters, digits, hyphens and underscores, beginning with a letter or an underscore.
        description: tells the model what the tool does and when to call it.
        parameters: the JSON schema of the arguments, which is of an object.

    Raises:
        InvalidInputError: the name is of another form, or the schema is not JSON.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in TOOL_CHOICES:
            form = "up to 64 of A-Z, a-z, 0-9, '-' and '_', not beginning with a digit or '-'"
            raise InvalidInputError(
                f"tool name {self.name!r} must be {form}; {', '.join(sorted(TOOL_CHOICES))} are taken"
            )
        check_json(self.parameters, what=f"the parameters of tool {self.name!r}")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish that a tool be called. What comes of it goes back in a `PromptMessage` of the role `tool`.

    Attributes:
        id: tells the calls of a conversation apart.
        name: which tool.
        arguments: JSON values by parameter. That they follow the tool's schema is the model's promise, and may be broken:
            check them before use, as anything a user wrote.
        vendor_state: what the vendor wants to see again with this call, such as a signed thought. It belongs into the
            next request as it came.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    vendor_state: str = field(default="", repr=False)


def check_json(value: Mapping[str, Any], *, what: str) -> None:
    """Raise `InvalidInputError` if `value` cannot be sent as a JSON object."""
    if isinstance(value, Mapping):
        try:
            json.dumps(dict(value), allow_nan=False)
        except (RecursionError, TypeError, ValueError):
            pass
        else:
            return
    raise InvalidInputError(f"{what} must be a mapping of JSON values")
