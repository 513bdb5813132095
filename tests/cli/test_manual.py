"""--help, --version and calls without a command; whatever help shows can be typed."""

from __future__ import annotations

import re
import shlex
from pkgutil import resolve_name
from typing import Any

import pytest

import minirag
from minirag.cli.arguments import parse

Cli = Any

COMMANDS = [
    "add", "search", "ask", "chat", "evaluate", "doctor", "tenants list", "tenants create", "tenants update",
    "tenants suspend", "tenants resume", "tenants delete", "tenants export", "tenants import", "limits", "audit", "bots list", "bots create", "bots update", "bots show", "bots reembed", "bots delete", "sources list",
    "sources ingest", "sources remove", "documents list", "documents show", "documents remove", "verify", "repair", "backup", "erasures list", "erasures resume", "rotate master", "rotate tenant",
    "users list", "users create", "users update", "users remove", "tokens list", "tokens create", "tokens revoke",
]  # fmt: skip
GROUPS = ["", "tenants", "bots", "sources", "documents", "rotate", "erasures", "users", "tokens"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str, cli: Cli) -> None:
    """It names the options that every command has, and shows examples that are understood."""
    result = cli(*command.split(), "--help")
    assert (result.code, result.err) == (0, "")
    for option in ("--json", "--quiet"):
        assert option in result.out
    examples = result.out.partition("\nexample")[2].splitlines()[1:]
    assert examples
    for example in examples:
        program, *arguments = shlex.split(example)
        assert program == "minirag"
        assert callable(resolve_name(parse(arguments).run))
        assert " ".join(arguments).startswith(command)


@pytest.mark.parametrize("group", GROUPS)
def test_a_missing_command_prints_help(group: str, cli: Cli) -> None:
    """It is a wrong call, answered with what may be called."""
    asked = cli(*group.split(), "--help")
    assert (asked.code, asked.err) == (0, "")
    missing = cli(*group.split())
    assert (missing.code, missing.out, missing.err) == (2, "", asked.out)
    named = re.findall(r"^    (\w+)(?: |$)", asked.out, re.MULTILINE)
    below = [command.removeprefix(group).strip() for command in COMMANDS if command.startswith(group)]
    assert set(named) == {command.split()[0] for command in below}


def test_every_command_that_there_is_is_tested(cli: Cli) -> None:
    """The list above is complete."""
    found = []
    for group in GROUPS:
        names = re.findall(r"^    (\w+)(?: |$)", cli(*group.split(), "--help").out, re.MULTILINE)
        found += [f"{group} {name}".strip() for name in names]
    assert sorted({*found} - {*GROUPS}) == sorted(COMMANDS)


def test_a_wrong_command(cli: Cli) -> None:
    """It is named, with those there are."""
    result = cli("serach", "x")
    assert result.code == 2
    assert "invalid choice: 'serach'" in result.err
    assert "search" in result.err


def test_version(cli: Cli) -> None:
    """The version is the package's."""
    result = cli("--version")
    assert (result.code, result.out, result.err) == (0, f"minirag {minirag.__version__}\n", "")


def test_help_shows_no_setting_of_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the environment, such as a database's password, is not printed as a default."""
    monkeypatch.setenv("MINIRAG_WORKSPACE", "postgresql://u:hidden@host/db")
    monkeypatch.setenv("MINIRAG_SECRET_KEY", "hidden")
    for command in COMMANDS:
        result = cli(*command.split(), "--help")
        assert "hidden" not in result.out + result.err
