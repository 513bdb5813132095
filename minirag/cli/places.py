"""From options to the workspace, tenant and bot they name, and from results to what is printed."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

from minirag.bot import Bot
from minirag.errors import ConfigurationError, InvalidInputError, TenantNotFoundError
from minirag.session import TenantSession
from minirag.workspace import Workspace

__all__ = ["bot_of", "confirm", "open_workspace", "print_json", "print_table", "session_of", "settings_of", "where_of"]

_SETTINGS = ("llm", "embedder", "chunker", "language", "system_prompt")


@contextmanager
def open_workspace(options: argparse.Namespace, *, create: bool = False) -> Iterator[Workspace]:
    """Open the workspace that the options name; only a command that makes things makes a folder."""
    if not options.workspace:
        raise ConfigurationError("no workspace: give --workspace FOLDER, or set MINIRAG_WORKSPACE")
    if not create and "://" not in options.workspace:
        from pathlib import Path

        if not Path(options.workspace).is_dir():
            raise ConfigurationError(f"no workspace at {options.workspace!r}; `minirag add --create …` makes one there")
    policy = {"allow": options.allow_url} if options.allow_url else None
    with Workspace.open(options.workspace, url_policy=policy) as workspace:
        yield workspace


def session_of(workspace: Workspace, options: argparse.Namespace, *, create: bool = False) -> TenantSession:
    """Return the session of the tenant that is named, or of the only one there is."""
    if options.tenant:
        return workspace.tenant(options.tenant, create=create)
    slugs = [tenant.slug for tenant in workspace.tenants.list()]
    if len(slugs) == 1:
        return workspace.tenant(slugs[0])
    if not slugs:
        raise TenantNotFoundError("the workspace has no tenant yet; name one with --tenant and make it with --create")
    raise InvalidInputError(f"the workspace has {len(slugs)} tenants; name one with --tenant: {', '.join(slugs[:10])}")


def bot_of(workspace: Workspace, options: argparse.Namespace, *, create: bool = False) -> Bot:
    """Return the bot that is named, or the tenant's only one; settings given with `create` are its own."""
    session = session_of(workspace, options, create=create)
    settings = settings_of(options) if create else {}
    if options.bot:
        return session.bot(options.bot, create=create, **settings)
    names = [profile.name for profile in session.bots.list()]
    if len(names) == 1:
        return session.bot(names[0], create=create, **settings)
    if not names:
        raise InvalidInputError(f"tenant {session.tenant.slug!r} has no bot yet; name one with --bot, and use --create")
    raise InvalidInputError(f"the tenant has {len(names)} bots; name one with --bot: {', '.join(names[:10])}")


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the bot's settings among the options; credentials are asked for, never taken from the command line."""
    settings: dict[str, Any] = {
        name: _named(getattr(options, name)) for name in _SETTINGS if getattr(options, name, None) is not None
    }
    names: Sequence[str] = getattr(options, "credential", [])
    if names:
        settings["credentials"] = {name: _secret(name) for name in names}
    return settings


def _named(value: str) -> Any:
    return _parse_json("a provider", value) if value.lstrip().startswith("{") else value


def _secret(name: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"{name}: ")
    return sys.stdin.readline().rstrip("\r\n")


def where_of(options: argparse.Namespace) -> Mapping[str, Any] | None:
    """Return the filter that `--where` holds as JSON."""
    if not options.where:
        return None
    where = _parse_json("--where", options.where)
    if not isinstance(where, dict):
        raise InvalidInputError(f"--where must be a JSON object, not {options.where!r}")
    return where


def _parse_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise InvalidInputError(f"{name}: {text!r} is not JSON: {problem}") from problem


def confirm(question: str, options: argparse.Namespace) -> bool:
    """Return whether the person agrees; without a terminal, `--yes` must be given."""
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise InvalidInputError(f"{question} Give --yes to do it without asking")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def print_json(value: object) -> None:
    """Print a record, or records, as JSON."""
    print(json.dumps(_plain(value), ensure_ascii=False, indent=2))


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns."""
    cells = [list(head), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
