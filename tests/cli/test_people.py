"""users and tokens: what they change, print and return; no password is ever on a command line or in what is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag._services.password_work import PasswordWork
from minirag.security.passwords import Cost, Passwords

Cli = Any
PASSWORD = "a long password"
EMAIL = "ann@example.com"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes cost nothing here."""
    made = PasswordWork.__init__
    monkeypatch.setattr(PasswordWork, "__init__", lambda self: made(self, Passwords(Cost(1, 64, 1))))


def test_users(cli: Cli, place: Path) -> None:
    """A person is added, listed, changed and removed; the password comes from standard input."""
    assert cli("users", "create", EMAIL, "--role", "owner", stdin=f"{PASSWORD}\n").out == f"owner {EMAIL}\n"
    bob = cli("users", "create", "bob@example.com", "--json", stdin=f"{PASSWORD}\n").json
    assert set(bob) == {"id", "email", "role", "created_at", "updated_at"}
    table = cli("users", "list").out.splitlines()
    assert table[0].split() == ["e-mail", "role", "made"]
    assert re.fullmatch(r"ann@example\.com  owner   \d{4}-\d\d-\d\d", table[1])
    assert (
        cli("users", "update", bob["id"], "--role", "admin", "--email", "b@example.com").out == "admin b@example.com\n"
    )
    assert cli("users", "update", "b@example.com", "--password", stdin="another password\n").code == 0
    with minirag.Workspace.open("kb") as workspace:
        assert workspace.login("acme", "b@example.com", "another password").principal.role == "admin"
    assert cli("users", "remove", "b@example.com", "--yes").out == "removed b@example.com\n"
    assert [user["email"] for user in cli("users", "list", "--json").json] == [EMAIL]


def test_tokens(cli: Cli, place: Path) -> None:
    """A token is made and printed once, alone on standard output; listed without its secret; and revoked by its id."""
    cli("users", "create", EMAIL, stdin=f"{PASSWORD}\n")
    made = cli("tokens", "create", EMAIL, "--name", "website", "--only-bot", "support", "--days", "90")
    token = made.out.strip()
    assert re.fullmatch(r"mrag_[0-9a-z]{16}_[0-9A-Za-z]{49}", token)
    assert "once" in made.err
    with minirag.Workspace.open("kb") as workspace:
        principal = workspace.authenticate(token).principal
    assert (principal.scope, principal.role) == ("read", "member")
    other = cli("tokens", "create", EMAIL, "--scope", "admin", "--json").json
    assert other["token"].startswith(other["prefix"])
    table = cli("tokens", "list").out
    assert table.splitlines()[0].split() == ["id", "kind", "scope", "used", "ends", "e-mail", "name"]
    assert "website" in table
    assert token[22:] not in table + cli("tokens", "list", "--json").out
    assert len(cli("tokens", "list", "--user", EMAIL, "--json").json) == 2
    assert cli("tokens", "revoke", other["id"]).out == f"revoked {other['id']}\n"
    assert "revoked" in cli("tokens", "list").out
    assert cli("tokens", "revoke", other["id"], "--json").json == {"revoked": other["id"]}


def test_a_person_types_a_new_password_twice(cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that differ change nothing."""
    answers = [PASSWORD, "another password"]
    monkeypatch.setattr("getpass.getpass", lambda prompt: answers.pop(0))
    refused = cli("users", "create", EMAIL, typed="")
    assert (refused.code, "differ" in refused.err) == (2, True)
    answers = [PASSWORD, PASSWORD]
    assert cli("users", "create", EMAIL, typed="").code == 0


def test_wrong_calls(cli: Cli, place: Path) -> None:
    """What is missing or wrong is said, with the command that shows what there is, and never with a secret."""
    cli("users", "create", EMAIL, "--role", "owner", stdin=f"{PASSWORD}\n")
    calls: list[tuple[tuple[str, ...], str, int, str]] = [
        (("users", "create", "no address"), PASSWORD, 2, "no e-mail address"),
        (("users", "create", "bob@example.com"), "secret", 2, "8 to 1,024"),
        (("users", "create", "bob@example.com"), "", 2, "8 to 1,024"),
        (("users", "create", EMAIL), PASSWORD, 1, "another user"),
        (("users", "update", EMAIL), "", 2, "--role, --email or --password"),
        (("users", "update", EMAIL, "--role", "member"), "", 1, "last owner"),
        (("users", "remove", EMAIL, "--yes"), "", 1, "last owner"),
        (("users", "remove", EMAIL), "", 2, "--yes"),
        (("users", "remove", "x@example.com", "--yes"), "", 1, "`minirag users list`"),
        (("tokens", "create", "x@example.com"), "", 1, "`minirag users list`"),
        (("tokens", "create", EMAIL, "--only-bot", "nope"), "", 1, "`minirag bots list`"),
        (("tokens", "create", EMAIL, "--days", "0"), "", 2, "expires_in"),
        (("tokens", "revoke", "nope"), "", 1, "`minirag tokens list`"),
    ]
    for arguments, stdin, code, message in calls:
        result = cli(*arguments, stdin=f"{stdin}\n")
        assert result.code == code, (arguments, result)
        assert message in result.err
        assert not stdin or stdin not in result.err + result.out
