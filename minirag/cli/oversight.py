"""Commands on what a tenant may hold and spend, and on what was done in it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final, get_args

from minirag._services.limits import uses
from minirag.cli.places import finding, open_workspace
from minirag.cli.showing import print_json, print_table
from minirag.errors import InvalidInputError, TenantNotFoundError
from minirag.models.audit import AuditAction
from minirag.models.checks import clipped
from minirag.models.limits import WINDOWS, shown
from minirag.session import TenantSession
from minirag.workspace import Workspace

__all__ = ["audit", "limits"]

_HELD: Final = ("documents", "chunks", "characters")
_SPENT: Final = ("requests", "tokens", "cost")
_NONE: Final = "none"
_LONGEST_NUMBER: Final = 16


def limits(options: argparse.Namespace) -> int:
    """Change those limits of a tenant that are given, and print all with how much of each is used."""
    changes = _changes(options)
    with open_workspace(options) as workspace:
        session = _session(workspace, options)
        if changes:
            stored: dict[str, Any] = workspace.tenants.limits(options.slug).model_dump()
            for name, value in changes.items():
                stored[name] = {**stored[name], **value} if name in _SPENT else value
            workspace.tenants.update(options.slug, limits=stored)
        # Not by `session.usage.limits()`, which a suspended tenant refuses.
        context = session._context
        with context.core.storage.read(context.scope) as reader:
            rows = uses(reader, context.core.clock()).rows
    if options.json:
        print_json(rows)
    elif not rows:
        print(f"tenant {options.slug} has no limits")
    else:
        head = ["limit", "used", "of", "begins anew"]
        print_table(head, [[row.name, shown(row.used), shown(row.value), _minute(row.resets_at)] for row in rows])
    return 0


def _minute(moment: Any) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """Return the limits among the options: a number, or numbers by window; None lifts a limit."""
    changes: dict[str, Any] = {}
    for name in _HELD:
        if (text := getattr(options, name)) is not None:
            changes[name] = _number(name, text)
    for name in _SPENT:
        given: Sequence[str] = getattr(options, name)
        if given:
            changes[name] = dict(_windowed(name, text) for text in given)
    return changes


def _windowed(name: str, text: str) -> tuple[str, int | str | None]:
    window, equals, value = text.partition("=")
    if not equals or window not in WINDOWS:
        raise InvalidInputError(
            f"--{name} takes {', '.join(f'{window}=N' for window in WINDOWS)}, or none for N, not {clipped(text)}"
        )
    if name == "cost":
        return window, None if value == _NONE else value
    return window, _number(name, value)


def _number(name: str, text: str) -> int | None:
    if text == _NONE:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _LONGEST_NUMBER:
        raise InvalidInputError(f"--{name} takes a whole number, or none for no limit, not {clipped(text)}")
    return int(text)


def audit(options: argparse.Namespace) -> int:
    """Print what was done in a tenant, newest first."""
    known = get_args(AuditAction)
    if options.action is not None and options.action not in known:
        raise InvalidInputError(f"--action {clipped(options.action)} is none of: {', '.join(known)}")
    with open_workspace(options) as workspace:
        found = _session(workspace, options).audit.events(
            action=options.action, subject=options.subject, actor=options.actor
        )
        events = list(islice(found, options.limit))
    if options.json:
        print_json(events)
    else:
        rows = [[f"{event.at:%Y-%m-%d %H:%M:%S}", event.action, event.subject, event.actor] for event in events]
        print_table(["when (UTC)", "action", "subject", "actor"], rows)
    return 0


def _session(workspace: Workspace, options: argparse.Namespace) -> TenantSession:
    with finding(TenantNotFoundError, f"no tenant {options.slug!r}", "tenants list"):
        return workspace.tenant(options.slug)
