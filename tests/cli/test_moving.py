"""`minirag tenants export` and `import`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Command


def test_a_tenant_moves(cli: Command, place: Path) -> None:
    """It is written once and comes into a workspace that is made for it; a taken slug wants another one."""
    result = cli("tenants", "export", "-w", "kb", "acme", "acme.minirag")
    assert (result.code, result.err) == (0, "")
    assert "tenant 'acme' in" in result.out
    assert cli("tenants", "export", "-w", "kb", "acme", "acme.minirag").code == 1
    assert "tenants list" in cli("tenants", "export", "-w", "kb", "nobody", "nobody.minirag").err
    report = cli("tenants", "import", "-w", "new", "acme.minirag", "--json").json
    assert report["tenant"]["slug"] == "acme"
    assert report["counts"]["documents"] == 3
    again = cli("tenants", "import", "-w", "new", "acme.minirag")
    assert (again.code, again.out) == (1, "")
    assert "slug" in again.err
    assert cli("tenants", "import", "-w", "new", "acme.minirag", "--slug", "twin").code == 0
    assert cli("search", "-w", "new", "-t", "twin", "laptop", "-k", "1", "--json").code == 0
    assert cli("tenants", "import", "-w", "new", "new/minirag.sqlite3").code == 2


def test_credentials_move_under_a_passphrase(cli: Command, place: Path) -> None:
    """It is read from standard input; a wrong one is an error, and the right one brings them."""
    assert cli("bots", "update", "-w", "kb", "support", "--credential", "api_key", stdin="a secret\n").code == 0
    assert "without the credentials support/api_key" in cli("tenants", "export", "-w", "kb", "acme", "open.minirag").out
    assert cli("tenants", "export", "-w", "kb", "acme", "a.minirag", "--passphrase", stdin="correct\n").code == 0
    wrong = cli("tenants", "import", "-w", "new", "a.minirag", "--passphrase", stdin="wrong\n")
    assert wrong.code == 1
    assert "passphrase" in wrong.err
    right = cli("tenants", "import", "-w", "new", "a.minirag", "--passphrase", "--json", stdin="correct\n")
    assert right.json["left_out"] == []
