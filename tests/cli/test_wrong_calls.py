"""Whatever is wrong, a command says so in a line or two, without a traceback, and exits with what its manual promises."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

Cli = Any


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("search", "x", "--where", "{bad"), 2, "--where: '{bad' is not JSON"),
        (("search", "x", "--where", ""), 2, "is not JSON"),
        (("search", "x", "--where", "[1]"), 2, "--where must be a JSON object"),
        (("search", "x", "--where", "[" * 50_000), 2, "nested too deep"),
        (("search", "x", "--where", '{"a": ' + "1" * 5_000 + "}"), 2, "a number too long"),
        (("search", "x", "--where", '{"a": NaN}'), 2, "not finite"),
        (("search", "x", "--where", '{"a": {"$like": 1}}'), 2, "unknown operator '$like'"),
        (("search", ""), 2, "query is empty"),
        (("search", "x\udcff"), 2, "surrogate"),
        (("search", "x", "-k", "0"), 2, "k=0 is out of range"),
        (("search", "x", "-k", "9" * 30), 2, "out of range"),
        (("search", "x", "-k", "ten"), 2, "argument -k: invalid int value: 'ten'"),
        (("search", "x", "--mode", "magic"), 2, "argument --mode: invalid choice: 'magic'"),
        (("search", "x", "-b", "nope"), 1, "has no bot 'nope'; `minirag bots list` shows what there is"),
        (("search", "x", "-t", "nope"), 1, "no tenant 'nope'; `minirag tenants list` shows what there is"),
        (("search", "x", "-t", "No Slug"), 2, "slug 'No Slug'"),
        (("search", "x", "-w", "nowhere"), 2, "no workspace at 'nowhere'; `minirag add --create"),
        (("search", "x", "-w", "docs"), 2, "no workspace at 'docs'"),
        (("search", "x", "-w", "docs/returns.md"), 2, "is a file"),
        (("search", "x", "-w", ""), 2, "--workspace FOLDER, or set MINIRAG_WORKSPACE"),
        (("search", "x", "-w", "w" * 5_000), 2, "location is 5,000 characters long"),
        (("search", "x", "-w", "mysql://u:hidden@host/db"), 2, "not supported"),
        (("search", "x", "--tenan", "acme"), 2, "unrecognized arguments: --tenan"),
        (("ask", " "), 2, "question is empty"),
        (("ask", "x", "-k", "201"), 2, "k=201"),
        (("tenants", "update", "nope", "--name", "x"), 1, "no tenant 'nope'; `minirag tenants list`"),
        (("tenants", "suspend", "nope"), 1, "no tenant 'nope'; `minirag tenants list`"),
        (("tenants", "delete", "nope", "--yes"), 1, "no tenant 'nope'; `minirag tenants list`"),
        (("tenants", "create", "No Slug"), 2, "slug 'No Slug'"),
        (("bots", "show", "nope"), 1, "`minirag bots list`"),
        (("bots", "update", "nope", "--language", "en"), 1, "`minirag bots list`"),
        (("bots", "delete", "nope", "--yes"), 1, "`minirag bots list`"),
        (("bots", "create", "x", "--embedder", "hashin"), 1, "did you mean 'hashing'?"),
        (("bots", "create", "x", "--llm", "{bad"), 2, "--llm: '{bad' is not JSON"),
        (("bots", "create", "x", "--llm", '{"provider": 1}'), 2, "provider"),
        (("bots", "create", "x", "--chunker", '{"provider": "recursive", "options": {"sise": 5}}'), 2, "'size'"),
        (("bots", "create", "x", "--language", "klingon"), 2, "language"),
        (("sources", "ingest", "nope"), 1, "no source 'nope'; `minirag sources list`"),
        (("sources", "remove", "nope"), 1, "no source 'nope'; `minirag sources list`"),
        (("documents", "show", "nope"), 1, "no document 'nope'; `minirag documents list`"),
        (("documents", "list", "--source", "nope"), 1, "no source 'nope'"),
        (("documents", "list", "--limit", "-1"), 2, "argument --limit"),
        (("documents", "list", "--limit", "9" * 30), 2, "argument --limit"),
        (("add",), 2, "required: PATH_OR_URL"),
        (("add", ""), 2, "a path or URL is empty"),
        (("add", "http://"), 2, "http://"),
        (("add", "no\udcff.txt"), 2, "surrogate"),
        (("evaluate", "docs"), 1, "corpus.jsonl"),
    ],
)
def test_a_wrong_value_is_named(arguments: tuple[str, ...], code: int, words: str, cli: Cli, shared: Path) -> None:
    """The message says what is wrong in words of the command line."""
    result = cli(*arguments)
    assert (result.code, result.out) == (code, "")
    assert words in result.err
    assert len(result.err) < 2_000
    assert "minirag" in result.err
    assert "create=True" not in result.err
    assert "hidden" not in result.err


def test_a_folder_that_is_no_workspace_is_left_alone(cli: Cli, shared: Path) -> None:
    """A command that only reads writes nothing into a folder that it is pointed at by mistake."""
    before = sorted((shared / "docs").rglob("*"))
    for arguments in (("search", "x"), ("tenants", "list"), ("bots", "create", "x"), ("doctor",), ("add", "docs")):
        cli(*arguments, "-w", "docs")
    assert sorted((shared / "docs").rglob("*")) == before


def test_a_damaged_database(cli: Cli, place: Path) -> None:
    """It is said to be damaged, whatever the command."""
    for file in Path("kb").glob("minirag.sqlite3-*"):
        file.unlink()
    database = Path("kb/minirag.sqlite3")
    database.write_bytes(b"not a database at all, but long enough to be taken for one" * 100)
    for arguments in (("search", "x"), ("tenants", "list"), ("add", "docs"), ("documents", "list")):
        result = cli(*arguments)
        assert result.code == 1
        assert "the database cannot be read" in result.err


def test_a_workspace_of_a_newer_release(cli: Cli, place: Path) -> None:
    """It is not touched, and the message says what to do."""
    with sqlite3.connect("kb/minirag.sqlite3") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    result = cli("search", "laptop")
    assert result.code == 1
    assert "newer" in result.err


def test_a_workspace_that_cannot_be_read(cli: Cli, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operating system refuses is told in its words."""

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", "kb/master.key")

    monkeypatch.setattr("minirag._services.locations.load_key_file", refuse)
    result = cli("search", "laptop")
    assert (result.code, result.err) == (1, "minirag: [Errno 13] Permission denied: 'kb/master.key'\n")


def test_file_names_that_are_no_text(cli: Cli, place: Path) -> None:
    """A file whose name is not UTF-8 stops nothing; it is named in the report."""
    try:
        (place / "docs/bad\udcff.txt").write_text("Some text.")
    except (OSError, UnicodeError):
        pytest.skip("this file system has only names that are text")
    result = cli("add", "docs")
    assert result.code in (0, 3)
    assert "3 unchanged" in result.out
    assert cli("add", "docs", "--json").json["counts"]["unchanged"] == 3


def test_a_copy_without_its_indexes_answers_the_same(cli: Cli, place: Path) -> None:
    """Derived files are not needed."""
    expected = cli("search", "laptop", "--json").json
    shutil.rmtree("kb/index", ignore_errors=True)
    assert cli("search", "laptop", "--json").json == expected
