"""`--erase` and `minirag erasures`: receipts, and what is asked before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minirag.models.erasures import ErasureReceipt

Cli = Any


def test_erasing(cli: Cli, place: Path) -> None:
    """Documents, sources, bots and tenants are destroyed after a question, and each prints its receipt; all are listed."""
    kb = place / "kb"
    where = ("-w", kb, "-t", "acme", "-b", "support")
    refused = cli("documents", "remove", "returns.md", "--erase", *where)
    assert refused.code == 2
    assert "Give --yes" in refused.err
    assert cli("documents", "remove", "returns.md", "--erase", *where, typed="no\n").code == 1
    done = cli("documents", "remove", "returns.md", "--erase", "--yes", *where)
    assert done.out.startswith("erased document of acme: 1 document, 1 version")
    assert "out of reach: backups and exports" in done.out
    assert "done" in done.out.splitlines()[0]
    assert cli("documents", "show", "returns.md", *where).code == 1
    missing = cli("documents", "remove", "returns.md", "--erase", "--yes", *where)
    assert missing.code == 1
    (source,) = cli("sources", "list", "--json", *where).json
    receipt = cli("sources", "remove", source["id"], "--erase", "--yes", "--keep-chats", "--json", *where).json
    assert set(receipt) == set(ErasureReceipt.model_fields)
    assert (receipt["kind"], receipt["status"], receipt["counts"]["documents"]) == ("source", "done", 2)
    assert cli("bots", "delete", "support", "--erase", "--yes", "-q", *where[:4]).out.count("\n") == 1
    assert cli("tenants", "delete", "acme", "--erase", "--yes", "-w", kb).code == 0
    table = cli("erasures", "list", "-w", kb).out.splitlines()
    assert [line.split()[3] for line in table[1:]] == ["tenant", "bot", "source", "document"]
    assert len(cli("erasures", "list", "--json", "-w", kb).json) == 4
    assert cli("erasures", "resume", "-w", kb).out == "nothing is pending\n"
