"""From options to the workspace, tenant and bot they name, and to the settings and filters they hold."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from minirag._services.locations import check_location
from minirag.bot import Bot
from minirag.config import config_from_environment
from minirag.errors import (
    BotNotFoundError,
    ConfigurationError,
    InvalidInputError,
    NotFoundError,
    TenantNotFoundError,
)
from minirag.models.checks import clipped
from minirag.session import TenantSession
from minirag.types import MEMORY
from minirag.workspace import Workspace

__all__ = [
    "bot_of",
    "confirm",
    "find_bot",
    "finding",
    "open_workspace",
    "provider_of",
    "session_of",
    "settings_of",
    "where_of",
]

_SETTINGS: Final = ("llm", "embedder", "chunker", "language", "system_prompt")
_DATABASE: Final = "minirag.sqlite3"


@contextmanager
def open_workspace(options: argparse.Namespace, *, create: bool = False) -> Iterator[Workspace]:
    """Open the workspace that the options and the environment name; only a command that makes things makes one."""
    if not options.workspace:
        raise ConfigurationError("no workspace: give --workspace FOLDER, or set MINIRAG_WORKSPACE")
    if check_location(options.workspace) == MEMORY:
        raise ConfigurationError(
            f"a workspace in memory ({options.workspace!r}) would end with this command; give --workspace FOLDER"
        )
    place = Path(options.workspace)
    if not (create or "://" in options.workspace or place.is_file() or (place / _DATABASE).is_file()):
        raise ConfigurationError(f"no workspace at {options.workspace!r}; `minirag add --create ...` makes one there")
    settings = config_from_environment({**os.environ, "MINIRAG_WORKSPACE": options.workspace}).keywords()
    if options.allow_url:
        settings["url_policy"] = {"allow": options.allow_url}
    with Workspace.open(**settings) as workspace:
        yield workspace


@contextmanager
def finding(problem: type[NotFoundError], what: str, command: str) -> Iterator[None]:
    """Say of what is not found which command lists what there is, where the library names a method."""
    try:
        yield
    except problem as missing:
        raise problem(f"{what}; `minirag {command}` shows what there is") from missing


def session_of(workspace: Workspace, options: argparse.Namespace, *, create: bool = False) -> TenantSession:
    """Return the session of the tenant that is named, or of the only one there is."""
    if options.tenant is not None:
        with finding(TenantNotFoundError, f"no tenant {options.tenant!r}", "tenants list"):
            return workspace.tenant(options.tenant, create=create)
    slugs = [tenant.slug for tenant in workspace.tenants.list()]
    if len(slugs) == 1:
        return workspace.tenant(slugs[0])
    if not slugs:
        raise InvalidInputError(
            "the workspace has no tenant yet; name one with --tenant; `minirag add --create` makes it"
        )
    raise InvalidInputError(f"the workspace has {len(slugs)} tenants; name one with --tenant: {_some(slugs)}")


def bot_of(workspace: Workspace, options: argparse.Namespace, *, create: bool = False) -> Bot:
    """Return the bot that is named, or the tenant's only one; settings given with `create` are its own."""
    settings = settings_of(options) if create else {}
    session = session_of(workspace, options, create=create)
    name = options.bot
    if name is None:
        names = [profile.name for profile in session.bots.list()]
        if not names:
            slug = session.tenant.slug
            raise InvalidInputError(
                f"tenant {slug!r} has no bot yet; name one with --bot; `minirag add --create` makes it"
            )
        if len(names) > 1:
            raise InvalidInputError(f"the tenant has {len(names)} bots; name one with --bot: {_some(names)}")
        name = names[0]
    return session.bot(name, create=True, **settings) if create else find_bot(session, name)


def find_bot(session: TenantSession, name: str) -> Bot:
    """Return the tenant's bot of this name."""
    with finding(BotNotFoundError, f"tenant {session.tenant.slug!r} has no bot {name!r}", "bots list"):
        return session.bot(name)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the bot's settings among the options; credentials are asked for, never taken from the command line."""
    settings: dict[str, Any] = {}
    for name in _SETTINGS:
        value = getattr(options, name)
        if value is not None:
            settings[name] = provider_of(name, value) if name in ("llm", "embedder", "chunker") else value
    if options.credential:
        settings["credentials"] = {name: _secret(name) for name in options.credential}
    return settings


def provider_of(name: str, value: str) -> Any:
    """Return what an option such as `--llm` names: a provider as it is written, or as JSON."""
    return _parse_json(f"--{name}", value) if value.lstrip().startswith("{") else value


def _secret(name: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"{name}: ")
    value = sys.stdin.readline().rstrip("\r\n")
    if not value:
        raise InvalidInputError(f"--credential {name}: standard input holds no line with its value")
    return value


def where_of(options: argparse.Namespace) -> Mapping[str, Any] | None:
    """Return the filter that `--where` holds as JSON."""
    if options.where is None:
        return None
    where = _parse_json("--where", options.where)
    if not isinstance(where, dict):
        raise InvalidInputError(f"--where must be a JSON object, not {clipped(options.where)}")
    return where


def _parse_json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise InvalidInputError(f"{option}: {clipped(text)} is not JSON: {problem}") from problem
    except (ValueError, RecursionError) as problem:
        raise InvalidInputError(
            f"{option}: {clipped(text)} holds a number too long, or is nested too deep"
        ) from problem


def confirm(question: str, options: argparse.Namespace) -> bool:
    """Return whether the person agrees; without a terminal, `--yes` must be given."""
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise InvalidInputError(f"{question} Give --yes to do it without asking")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
