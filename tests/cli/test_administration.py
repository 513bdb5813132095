"""tenants, bots, sources and documents: what they change, print and return."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from minirag.models.reports import BotStats

Cli = Any

TENANT = {"id", "slug", "name", "created_at", "updated_at", "suspended_at", "counts"}
PROFILE = {
    "name", "system_prompt", "llm", "embedder", "chunker", "reranker", "language", "embed_context", "keep_versions",
    "fusion", "filterable", "context_tokens", "credential_fields",
}  # fmt: skip
STATS = set(BotStats.model_fields)
SOURCE = {
    "id", "bot_id", "kind", "locator", "name", "metadata", "refresh", "text", "status", "error", "created_at",
    "updated_at", "ingested_at",
}  # fmt: skip
DOCUMENT = {
    "id", "key", "source_id", "source_name", "title", "metadata", "version_id", "media_type", "language", "characters",
    "chunks", "stale", "added_at", "updated_at",
}  # fmt: skip


def test_tenants(cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant is made, with a workspace if there is none, listed, renamed and deleted."""
    monkeypatch.setenv("MINIRAG_WORKSPACE", "new")
    assert cli("tenants", "create", "acme").out == "tenant acme (acme)\n"
    assert set(cli("tenants", "create", "globex", "--name", "Globex GmbH", "--json").json) == TENANT
    table = cli("tenants", "list").out.splitlines()
    assert table[0].split() == ["slug", "made", "bots", "documents", "chunks", "users", "suspended", "name"]
    assert re.fullmatch(r"globex  \d{4}-\d\d-\d\d  0 +0 +0 +0 +- +Globex GmbH", table[2])
    renamed = cli("tenants", "update", "globex", "--new-slug", "initech", "--name", "Initech", "--json").json
    assert (renamed["slug"], renamed["name"]) == ("initech", "Initech")
    assert cli("tenants", "delete", "initech", "--yes").out == "deleted tenant initech\n"
    listed = cli("tenants", "list", "--json").json
    assert [set(tenant) for tenant in listed] == [TENANT]


def test_a_tenant_is_suspended(cli: Cli, place: Path) -> None:
    """A suspended tenant answers nothing until it is resumed, and the list says so; JSON gives its record."""
    assert "minirag tenants resume" in cli("tenants", "suspend", "acme").out
    assert re.search(r"acme .* since \d{4}-\d\d-\d\d", cli("tenants", "list").out)
    refused = cli("search", "laptop")
    assert refused.code == 1
    assert "suspended" in refused.err
    assert cli("tenants", "suspend", "acme", "--json").json["suspended_at"] is not None
    assert cli("tenants", "resume", "acme").out == "tenant acme is open\n"
    assert cli("search", "laptop").code == 0
    assert cli("tenants", "resume", "acme", "--json").json["suspended_at"] is None


def test_a_tenant_that_exists(cli: Cli, place: Path) -> None:
    """A slug is given once."""
    result = cli("tenants", "create", "acme")
    assert result.code == 1
    assert "acme" in result.err


@pytest.mark.parametrize("arguments", [("tenants", "update", "acme"), ("bots", "update", "support")])
def test_an_update_of_nothing(arguments: tuple[str, ...], cli: Cli, place: Path) -> None:
    """It is a wrong call that says what may be given."""
    result = cli(*arguments)
    assert result.code == 2
    assert "nothing to change: give " in result.err


def test_a_bot_is_moved(cli: Cli, place: Path) -> None:
    """`bots reembed` moves a bot to the embedder that is named, by name or as JSON, and tells what it did."""
    other = '{"provider": "hashing", "options": {"dimension": 64}}'
    moved = cli("bots", "reembed", "support", other)
    assert moved.out.startswith("bot support: moved to hashing:words-trigrams (64 dimensions); ")
    report = cli("bots", "reembed", "support", "hashing", "--rechunk", "--json").json
    assert (report["moved"], report["rechunked"]["counts"]["failed"]) == (True, 0)
    assert cli("bots", "reembed", "support", "hashing").out.startswith("bot support: stays in hashing:")
    refused = cli("bots", "reembed", "support", "no-such-provider")
    assert refused.code == 1
    assert "no-such-provider" in refused.err


@pytest.mark.parametrize("what", ["tenants", "bots"])
def test_deletion_is_confirmed(what: str, cli: Cli, place: Path) -> None:
    """A pipe must say --yes; a person is asked, and anything but yes leaves all as it was."""
    name = {"tenants": "acme", "bots": "support"}[what]
    piped = cli(what, "delete", name, stdin="y\n")
    assert piped.code == 2
    assert "--yes" in piped.err
    refused = cli(what, "delete", name, typed="\n")
    assert (refused.code, refused.out) == (1, "")
    assert name in refused.err
    assert cli("search", "laptop").code == 0
    agreed = cli(what, "delete", name, "--json", typed="y\n")
    assert (agreed.code, agreed.json) == (0, {"deleted": name})
    assert cli("search", "laptop").code != 0


def test_bots(cli: Cli, place: Path) -> None:
    """A bot is made, listed, shown, changed and deleted."""
    made = cli("bots", "create", "sales", "--embedder", "hashing", "--language", "en")
    assert made.out == "bot sales: answers by extractive, vectors by hashing, cut by recursive\n"
    assert set(cli("bots", "create", "sales", "--json").json) == PROFILE
    table = [line.split() for line in cli("bots", "list").out.splitlines()]
    assert table == [["name", "llm", "embedder", "chunker"]] + [
        [name, "extractive", "hashing", "recursive"] for name in ("sales", "support")
    ]
    assert [set(profile) for profile in cli("bots", "list", "--json").json] == [PROFILE] * 2
    changed = cli("bots", "update", "sales", "--chunker", "whole", "--json").json
    assert changed["chunker"]["provider"] == "whole"
    assert cli("bots", "delete", "sales", "--yes").out == "deleted bot sales\n"
    assert len(cli("bots", "list", "--json").json) == 1


def test_showing_a_bot(cli: Cli, place: Path) -> None:
    """Settings and size, a line each, whatever a setting holds."""
    cli("bots", "update", "support", "--system-prompt", "Be brief.\nBe kind.")
    rows = dict(line.split(maxsplit=1) for line in cli("bots", "show", "support").out.splitlines())
    assert rows["system_prompt"] == "Be brief. Be kind."
    assert (rows["documents"], rows["reranker"], rows["embedder"]) == ("3", "-", "hashing")
    shown = cli("bots", "show", "support", "--json").json
    assert (set(shown), set(shown["profile"]), set(shown["stats"])) == ({"profile", "stats"}, PROFILE, STATS)


def test_sources(cli: Cli, place: Path) -> None:
    """Sources are listed, read again and removed, by name, path or id."""
    cli("add", "docs/returns.md")
    table = cli("sources", "list").out.splitlines()
    assert re.fullmatch(rf"\w+  folder  docs        ready   {re.escape(str(place / 'docs'))}", table[1])
    listed = cli("sources", "list", "--json").json
    assert [set(source) for source in listed] == [SOURCE] * 2
    (place / "docs/returns.md").write_text("Nothing is taken back.\n")
    assert cli("sources", "ingest", "docs/returns.md").out.startswith("1 updated; ")
    both = cli("sources", "ingest", "docs", listed[1]["id"], "--json").json
    assert (both["counts"]["updated"], both["counts"]["unchanged"]) == (1, 3)
    assert cli("sources", "ingest").out.startswith("4 unchanged; ")
    assert cli("sources", "remove", "docs").out == "removed the source and its 3 documents\n"
    assert cli("sources", "remove", "returns.md", "--json").json == {"removed_documents": 1}
    assert cli("sources", "list", "--json").json == []


def test_reading_a_source_that_is_gone(cli: Cli, place: Path) -> None:
    """It fails with the reason, which the list of sources shows too; what it held stays."""
    cli("add", "docs/returns.md")
    (place / "docs/returns.md").unlink()
    result = cli("sources", "ingest", "returns.md")
    assert result.code == 3
    assert "failed: returns.md: " in result.err
    assert "failed" in cli("sources", "list").out
    assert len(cli("documents", "list", "--source", "returns.md", "--json").json) == 1


def test_listing_documents(cli: Cli, shared: Path) -> None:
    """All, some, those of a source, those that a filter allows."""
    table = cli("documents", "list").out.splitlines()
    assert table[0].split() == ["added", "chunks", "type", "source", "key"]
    assert [line.split()[-1] for line in table[1:]] == ["repairs.txt", "returns.md", "sub/prices.csv"]
    assert [set(document) for document in cli("documents", "list", "--json").json] == [DOCUMENT] * 3
    assert len(cli("documents", "list", "--json", "--limit", "2").json) == 2
    assert len(cli("documents", "list", "--json", "--limit", "0").json) == 0
    assert len(cli("documents", "list", "--json", "--source", "docs", "--where", '{"$key": "returns.md"}').json) == 1


def test_showing_a_document(cli: Cli, shared: Path) -> None:
    """What is known of it, or its text."""
    rows = dict(line.split(maxsplit=1) for line in cli("documents", "show", "sub/prices.csv").out.splitlines())
    assert (rows["key"], rows["media_type"], rows["versions"]) == ("sub/prices.csv", "text/csv", "1")
    text = "item,price\nlaptop,900\nphone,500\n"
    assert cli("documents", "show", "sub/prices.csv", "--text").out == text
    shown = cli("documents", "show", "sub/prices.csv", "--json").json
    assert (set(shown), shown["text"], set(shown["document"])) == ({"document", "versions", "text"}, None, DOCUMENT)
    assert len(shown["versions"]) == 1
    assert cli("documents", "show", "sub/prices.csv", "--json", "--text").json["text"] == text


def test_removing_documents(cli: Cli, place: Path) -> None:
    """All that are named or, where one is missing, none."""
    result = cli("documents", "remove", "returns.md", "nope")
    assert result.code == 1
    assert "'nope'; `minirag documents list`" in result.err
    assert cli("documents", "remove", "returns.md", "repairs.txt").out == "removed 2 documents\n"
    assert cli("documents", "remove", "sub/prices.csv", "--json").json == {"removed_documents": 1}
    assert cli("documents", "list", "--json").json == []


def test_a_key_in_two_sources(cli: Cli, place: Path) -> None:
    """It is told apart by --source, which the message names."""
    cli("add", "docs/returns.md")
    for arguments in (("show", "returns.md"), ("remove", "returns.md")):
        result = cli("documents", *arguments)
        assert result.code == 1
        assert "name one with --source" in result.err
    assert cli("documents", "remove", "returns.md", "--source", "docs").code == 0
    assert cli("documents", "show", "returns.md").code == 0


def test_the_only_tenant_and_bot_may_be_left_out(cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are two, one must be named, by option or in the environment."""
    cli("tenants", "create", "globex")
    two = cli("search", "laptop")
    assert two.code == 2
    assert "2 tenants; name one with --tenant: acme, globex" in two.err
    assert cli("search", "laptop", "--tenant", "acme").code == 0
    monkeypatch.setenv("MINIRAG_TENANT", "acme")
    assert cli("search", "laptop").code == 0
    none = cli("search", "laptop", "-t", "globex")
    assert none.code == 2
    assert "no bot yet" in none.err
    cli("bots", "create", "sales", "--embedder", "hashing")
    bots = cli("search", "laptop")
    assert bots.code == 2
    assert "2 bots; name one with --bot: sales, support" in bots.err
    monkeypatch.setenv("MINIRAG_BOT", "support")
    assert cli("search", "laptop", "--json").json[0]["bot"] == "support"
    assert cli("search", "laptop", "-b", "sales", "--json").json == []


def test_empty_names_are_not_left_out_names(cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset shell variable must not choose a tenant or a bot; an empty environment variable is as good as none."""
    assert cli("search", "laptop", "--tenant", "").code == 2
    assert cli("search", "laptop", "--bot", "").code == 2
    for name in ("MINIRAG_TENANT", "MINIRAG_BOT"):
        monkeypatch.setenv(name, "")
    assert cli("search", "laptop").code == 0


def test_settings_of_the_workspace_come_from_the_environment(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every variable that `Workspace.from_env` reads counts on the command line too."""
    monkeypatch.setenv("MINIRAG_EMBEDDER", "hashing")
    assert cli("bots", "create", "sales", "--json").json["embedder"]["provider"] == "hashing"
    monkeypatch.setenv("MINIRAG_READ_ONLY", "true")
    assert cli("search", "laptop", "-b", "support").code == 0
    result = cli("bots", "delete", "sales", "--yes")
    assert result.code == 1
    assert "read_only" in result.err or "read-only" in result.err
    monkeypatch.setenv("MINIRAG_DURABILITY", "sometimes")
    assert cli("search", "laptop", "-b", "support").code == 2
