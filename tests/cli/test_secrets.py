"""Credentials are never an argument and never printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import minirag
from tests.servers.openai_server import OpenAIServer

Cli = Any

SECRET = "sk-hidden-4711"


def test_a_credential_is_read_from_standard_input(cli: Cli, place: Path) -> None:
    """Its name is an argument, its value is not, and no output holds it, nor any file of the workspace."""
    printed = ""
    with OpenAIServer() as server:
        llm = f'{{"provider": "openai", "options": {{"model": "m", "base_url": "{server.base_url}"}}}}'
        for arguments in (
            ("bots", "update", "support", "--llm", llm, "--credential", "api_key"),
            ("bots", "update", "support", "--credential", "api_key", "--json"),
            ("bots", "create", "sales", "--llm", llm, "--embedder", "hashing", "--credential", "api_key"),
            ("add", "docs", "-b", "third", "--create", "--embedder", "hashing", "--credential", "api_key"),
        ):
            result = cli(*arguments, stdin=f"{SECRET}\r\nnot this\n")
            assert result.code == 0
            printed += result.out + result.err
        for arguments in (
            ("ask", "How long does a repair take?", "-b", "support"),
            ("ask", "How long does a repair take?", "-b", "support", "--json"),
            ("bots", "show", "support", "--json"),
            ("bots", "show", "support"),
            ("bots", "list", "--json"),
            ("doctor", "--json"),
        ):
            result = cli(*arguments)
            printed += result.out + result.err
        assert any(SECRET in str(request.headers) for request in server.requests)
    assert "api_key" in printed
    assert SECRET not in printed
    for file in Path("kb").rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()


def test_several_credentials_are_read_in_order(cli: Cli, place: Path) -> None:
    """A line each."""
    arguments = ("--credential", "api_key", "--credential", "organisation", "--json")
    changed = cli("bots", "update", "support", *arguments, stdin=f"{SECRET}\nours\n").json
    assert changed["credential_fields"] == ["api_key", "organisation"]


def test_a_credential_for_one_engine(cli: Cli, place: Path) -> None:
    """Its name says which; one that says none is a wrong call, whose name is not repeated: it may be the secret."""
    changed = cli("bots", "update", "support", "--credential", "llm.api_key", "--json", stdin=f"{SECRET}\n").json
    assert changed["credential_fields"] == ["llm.api_key"]
    result = cli("bots", "update", "support", "--credential", "sk.hidden", stdin=f"{SECRET}\n")
    assert (result.code, "embedder.api_key" in result.err, "sk.hidden" in result.err) == (2, True, False)


def test_a_person_is_asked_without_an_echo(cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal, what is typed is not shown."""
    asked = []
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or SECRET)
    result = cli("bots", "update", "support", "--credential", "api_key", typed="")
    assert (result.code, asked) == (0, ["api_key: "])
    assert SECRET not in result.out + result.err


@pytest.mark.parametrize("stdin", ["", "\n", " \n", "a\udcff\n"])
def test_a_value_that_is_none(stdin: str, cli: Cli, place: Path) -> None:
    """It is a wrong call, and nothing is changed."""
    result = cli("bots", "update", "support", "--credential", "api_key", stdin=stdin)
    assert (result.code, result.out) == (2, "")
    assert "api_key" in result.err
    assert cli("bots", "show", "support", "--json").json["profile"]["credential_fields"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("bots", "update", "support", "--credential", f"api_key={SECRET}"),
        ("bots", "update", "support", "--credential", SECRET),
        (
            "bots",
            "create",
            "x",
            "--llm",
            f'{{"provider": "openai", "options": {{"model": "m", "api_key": "{SECRET}"}}}}',
        ),
        ("bots", "create", "x", "--llm", f'{{"provider": "openai", "api_key": "{SECRET}"}}'),
        ("search", "x", "-w", f"postgresql://u:{SECRET}@127.0.0.1:1/db"),
        ("doctor", "-w", f"postgresql://u:{SECRET}@127.0.0.1:1/db"),
        ("add", f"http://u:{SECRET}@127.0.0.1:1/page"),
    ],
)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(
    arguments: tuple[str, ...], cli: Cli, place: Path
) -> None:
    """The message must not carry it into logs."""
    result = cli(*arguments, stdin="value\n")
    assert result.code != 0
    assert SECRET not in result.out + result.err


def test_the_master_key_comes_from_the_environment(cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right one opens, a wrong or malformed one is refused and not repeated."""
    monkeypatch.setenv("MINIRAG_WORKSPACE", "kept")
    key = minirag.generate_secret_key()
    monkeypatch.setenv("MINIRAG_SECRET_KEY", key)
    assert cli("tenants", "create", "acme").code == 0
    assert cli("bots", "create", "b", "--embedder", "hashing", "--credential", "api_key", stdin="v\n").code == 0
    for wrong in (minirag.generate_secret_key(), SECRET):
        monkeypatch.setenv("MINIRAG_SECRET_KEY", wrong)
        result = cli("bots", "list")
        assert result.code == 1
        assert wrong not in result.err
    monkeypatch.setenv("MINIRAG_SECRET_KEY", key)
    assert cli("bots", "list").code == 0
