"""Every public signature as text. `python -m tests.public.signatures` writes the committed snapshot anew."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from pydantic import BaseModel

import minirag

__all__ = ["SNAPSHOT", "parameters", "public_classes", "public_members", "signatures"]

SNAPSHOT = Path(__file__).with_name("signatures.txt")
_REACHED = {
    "minirag.session": ("Bots",),
    "minirag.accounting": ("AuditLog", "UsageLedger"),
    "minirag.erasures": ("Erasures",),
    "minirag.tenants": ("Tenants",),
    "minirag.tokens": ("Tokens",),
    "minirag.users": ("Users",),
    "minirag.sources": ("Sources",),
    "minirag.documents": ("Documents",),
    "minirag.chat": ("Chats",),
    "minirag.aio": ("AsyncAnswer", "AsyncAnswerEvent", "AsyncMessage"),
    "minirag.aio.workspace": ("AsyncBots", "AsyncTenants"),
    "minirag.aio.accounting": ("AsyncAuditLog", "AsyncUsageLedger"),
    "minirag.aio.erasures": ("AsyncErasures",),
    "minirag.aio.people": ("AsyncTokens", "AsyncUsers"),
    "minirag.aio.bot": ("AsyncChats", "AsyncDocuments", "AsyncSources"),
}
"""Classes whose objects an application gets, though it never names them."""


_MADE = ("DocumentInput", "SearchResults", "Workspace")
"""Classes whose constructors say more than their fields do, and are for applications."""


class _Bare(str):
    """An annotation that is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def public_classes() -> dict[str, type]:
    """Return every class of the public face by name."""
    exported = {name: getattr(minirag, name) for name in minirag.__all__}
    reached = {
        name: getattr(importlib.import_module(module), name) for module, names in _REACHED.items() for name in names
    }
    return dict(sorted((name, value) for name, value in {**exported, **reached}.items() if inspect.isclass(value)))


def public_members(kind: type) -> dict[str, Any]:
    """Return the public methods and properties of a class, in its own words or inherited from ours, by name."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if base.__module__.startswith("minirag"):
            for name, value in vars(base).items():
                shown = (
                    not name.startswith(("_", "model_"))
                    or name == "_repr_html_"
                    or (name == "__init__" and kind.__name__ in _MADE)
                )
                if shown and _function(value) is not None:
                    found.setdefault(name, value)
    return dict(sorted(found.items()))


def parameters(member: Any) -> list[inspect.Parameter]:
    """Return the parameters of a method or property, without `self`."""
    function = _function(member)
    assert function is not None
    return [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]


def signatures() -> str:
    """Return the public face as sorted lines."""
    lines: list[str] = []
    for name in sorted(minirag.__all__):
        value = getattr(minirag, name)
        if isinstance(value, ModuleType):
            lines.append(f"module minirag.{name}")
        elif not inspect.isclass(value):
            lines.append(f"minirag.{name}{inspect.signature(value)}")
    for name, kind in public_classes().items():
        lines += ["", f"class {name}({', '.join(base.__name__ for base in kind.__bases__)})", *_class_lines(kind)]
    lines += ["", "module minirag.errors"]
    for name in sorted(minirag.errors.__all__):
        value = getattr(minirag.errors, name)
        lines.append(f"    class {name}({', '.join(base.__name__ for base in value.__bases__)})")
    return "\n".join(lines) + "\n"


def _class_lines(kind: type) -> Iterator[str]:
    if issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            default = "" if field.is_required() else f" = {field.default!r}"
            annotation = kind.__annotations__.get(name) or next(
                b.__annotations__[name] for b in kind.__mro__ if name in vars(b).get("__annotations__", {})
            )
            yield f"    {name}: {annotation}{default}"
    for name, member in public_members(kind).items():
        function = _function(member)
        assert function is not None
        if isinstance(member, property):
            yield f"    property {name} -> {inspect.signature(function).return_annotation}"
        else:
            prefix = "async " if inspect.iscoroutinefunction(function) else ""
            kept = [p.replace(annotation=_Bare(p.annotation), default=_default(p.default)) for p in parameters(member)]
            returned = _Bare(inspect.signature(function).return_annotation)
            yield f"    {prefix}{name}{inspect.Signature(kept, return_annotation=returned)}"


def _default(value: Any) -> Any:
    return _Bare("UNSET") if type(value) is object else value


def _function(value: Any) -> FunctionType | None:
    found = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
    return found if inspect.isfunction(found) else None


if __name__ == "__main__":
    SNAPSHOT.write_text(signatures(), encoding="utf-8")
